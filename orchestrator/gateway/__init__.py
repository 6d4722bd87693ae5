"""A Messages API on this machine, for the run's agents: it answers them in place of the Anthropic API."""
