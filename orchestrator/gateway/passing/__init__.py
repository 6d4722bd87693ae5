"""Between the agents and the API: their requests pass, in their turn and as they are."""
