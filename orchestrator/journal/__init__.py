"""Journals: where a run's events are kept. `sqlite` on disk, `memory` for tests and throw-away runs."""
