"""Whose processes are whose: a den with a guard, a launcher for each CLI, and nothing that outlives its run."""
