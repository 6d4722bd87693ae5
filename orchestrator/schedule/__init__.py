"""Decisions, as pure functions of a run's state; the engine carries them out."""
