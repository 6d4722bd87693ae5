"""Which request fails: rules, and what has come so far. Pure but for what it counts."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.gateway.faults.rules import Rule


@dataclass(slots=True)
class Standing:
    """How far a rule has come."""

    rule: Rule
    played: int = 0
    begun: float | None = None
    """When it began, or else played its first fault (s)."""
    due: int = 0
    """Requests that were its concern."""


class Faults:
    """Told of each request of an agent, says which rule it falls to."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._standings = [Standing(rule) for rule in rules]
        self._requests = 0
        self._agents: dict[str, int] = {}
        self._of_task: Counter[str] = Counter()
        self._begun: float | None = None

    @property
    def played(self) -> int:
        """How many faults there were."""
        return sum(standing.played for standing in self._standings)

    def take(self, session: str, task: str, now: float) -> tuple[Rule, float] | None:
        """The first rule that the request falls to, and for how many seconds more it lasts (0: no end is set).

        `session` tells agents apart; `now` in seconds, of a clock that never goes back.
        """
        self._begun = now if self._begun is None else self._begun
        self._requests += 1
        self._of_task[task] += 1
        self._agents.setdefault(session, len(self._agents) + 1)
        for standing in self._standings:
            if self._falls_to(standing, task, now):
                standing.played += 1
                standing.begun = now if standing.begun is None else standing.begun
                left = standing.begun + standing.rule.lasting - now if standing.rule.lasting is not None else 0.0
                return standing.rule, left
        return None

    def _falls_to(self, standing: Standing, task: str, now: float) -> bool:
        rule = standing.rule
        if not self._has_begun(standing, now) or (rule.task and not fits(task, rule.task)):
            return False
        standing.due += 1
        if rule.times is not None and standing.played >= rule.times:
            return False
        if rule.every and standing.due % rule.every:
            return False
        return rule.rate is None or drawn(rule.seed, task, self._of_task[task]) < rule.rate

    def _has_begun(self, standing: Standing, now: float) -> bool:
        """Whether its time is now. With `agent` or `after` it begins by itself, otherwise with its first fault."""
        rule, begun = standing.rule, self._begun or 0.0
        if self._requests < rule.at or now < begun + rule.after:
            return False
        if rule.agent is not None and len(self._agents) < rule.agent:
            return False
        if standing.begun is None and (rule.agent is not None or rule.after):
            standing.begun = begun + rule.after if rule.agent is None else now
        return standing.begun is None or rule.lasting is None or now < standing.begun + rule.lasting


def fits(task: str, pattern: str) -> bool:
    """Whether a pattern with `*` and `?` is of the task's name; brackets are letters there, as in `check[0]`."""
    return fnmatchcase(task, pattern.replace("[", "[[]"))


def drawn(seed: int, task: str, number: int) -> float:
    """A number from 0 to 1 that a request of a task draws, whatever other tasks do meanwhile."""
    digest = hashlib.sha256(f"{seed}/{task}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
