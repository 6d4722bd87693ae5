"""Whose account the agents of a run have: the run's own, or one that their environment leads to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.plan.model import Agent


@dataclass(slots=True)
class Accounts:
    """Names for accounts, by number: what leads to one is secret, and is neither written down nor hashed."""

    _names: dict[frozenset[tuple[str, str]], str] = field(default_factory=dict)

    def name(self, agent: Agent | None) -> str:
        """`own-1`, the same for all agents with the same credentials; empty for the run's own account."""
        credentials: Mapping[str, str] = agent.credentials if agent else {}
        if not credentials:
            return ""
        return self._names.setdefault(frozenset(credentials.items()), f"own-{len(self._names) + 1}")
