"""`python -m tests.benchmarks speed`: many agents by our runs and by the ways there are without us, side by side.

Each contestant is a command of its own that imports no more than it needs; nothing else may be imported here.
"""
