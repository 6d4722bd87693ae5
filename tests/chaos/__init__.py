"""Proof, with real Claude CLI processes, that nothing is lost, nothing is paid twice and nothing is left behind."""
