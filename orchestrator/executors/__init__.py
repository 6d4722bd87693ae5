"""Executors: where attempts are carried out. `local`: in this process."""
