"""What the orchestrator's own process costs beside the agents that it runs."""
