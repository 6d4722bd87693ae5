"""The commands: they wire pieces together and decide nothing."""
