"""The engine: takes tasks at any time, carries out the scheduler's decisions, and writes down all that happens."""
