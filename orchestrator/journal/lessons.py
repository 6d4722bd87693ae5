"""How much of the past a run's start reads: it must not wait for it."""

PAST_RUNS = 5
"""How many of the newest runs of a name are read."""
MOST_LESSONS = 1_000
"""How many of their newest tasks."""
