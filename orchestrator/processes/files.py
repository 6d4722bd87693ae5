"""How many files this process may hold open at once: an agent takes five or six, its pipes and its connections."""

import resource
from contextlib import suppress

MOST = 8192
"""Enough for the most agents there may be. What they start inherits it, so it is no more than that: there are programs
that keep a table of all files they might open."""


def allow_files(most: int = MOST) -> None:
    """Raises the limit, as far as the system lets a user do so: macOS begins with 256, most of Linux with 1024, where
    the agents from the 200th on would not start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a further limit, which it does not tell here
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
