"""A plan in a run: its tasks as nodes, and what they unfold to."""
