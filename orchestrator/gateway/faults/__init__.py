"""Lets requests fail on demand, so that it can be seen what a plan makes of it."""
