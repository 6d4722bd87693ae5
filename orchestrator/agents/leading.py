"""One agent goes first: once its first reply has begun, the prompt cache holds what its siblings begin with.

What is written to the cache costs 1.25 times as much as other input, and what is read from it a tenth. An entry can be
read once the reply to the request that writes it has begun, and lasts for five minutes from when it was read last
(https://docs.claude.com/en/docs/build-with-claude/prompt-caching). So agents that all ask at once all write.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field

import anyio

from orchestrator.task import Attempt

PATIENCE = 5.0
"""Seconds that siblings wait for a first reply to begin, as the CLI's own Workflow tool has them wait."""
LIFETIME = 270.0
"""Seconds after which an entry of the cache is held to be gone: what is read by then lasts."""
LEAST_PROMPT = 4096
"""Characters of a system prompt below which there is nothing to cache: models cache 1024 tokens and more."""


@dataclass(slots=True)
class Prefix:
    """What the requests of one kind of agent begin with."""

    asked: float = -math.inf
    """When an agent was sent first, on the event loop's clock (s)."""
    read: float = -math.inf
    """When a reply began last."""
    begun: anyio.Event = field(default_factory=anyio.Event)


class Leading:
    """The prefixes of a run's agents."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """`patience`: how long siblings wait for a first reply to begin (s)."""
        self._patience = patience
        self._prefixes: defaultdict[str, Prefix] = defaultdict(Prefix)

    async def turn(self, kind: str) -> anyio.Event | None:
        """Returns at once for the first of a kind, and for the others when they need not write what it writes.

        Gives what `over` has to be told when the first is; nothing for the others.
        """
        prefix, latest = self._prefixes[kind], anyio.current_time() + self._patience
        while (now := anyio.current_time()) >= prefix.read + LIFETIME:
            if now >= prefix.asked + self._patience:
                prefix.asked, prefix.begun = now, anyio.Event()
                return prefix.begun
            with anyio.CancelScope(deadline=min(latest, prefix.asked + self._patience)) as waiting:
                await prefix.begun.wait()
            if waiting.cancelled_caught:
                break
        return None

    def over(self, kind: str, first: anyio.Event | None) -> None:
        """An agent is at work no longer. If it went first, and had no reply, another one does."""
        prefix = self._prefixes[kind]
        if first is prefix.begun and not first.is_set():
            prefix.asked = -math.inf
            first.set()

    def begun(self, kind: str) -> None:
        """The reply to one of them has begun."""
        self._prefixes[kind].read = anyio.current_time()
        self._prefixes[kind].begun.set()


def patience_of(wait: bool | float) -> float:
    """Seconds, from what `limits.wait_for_cache` says."""
    return (PATIENCE if wait else 0.0) if isinstance(wait, bool) else wait


def pays(attempt: Attempt) -> bool:
    """Whether there is enough that the agent shares with its siblings."""
    agent = attempt.agent
    return agent.system is None or agent.tools == "default" or len(agent.system) >= LEAST_PROMPT
