"""Keeps the API requests of a run in a file, and answers those of another run from it."""
