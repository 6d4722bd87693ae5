"""Patterns that plans and scripts share: what a vote and a goal that is split come to."""
