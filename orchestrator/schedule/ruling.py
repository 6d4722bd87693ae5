"""What the governor says of a task that wants to start."""

from dataclasses import dataclass

from orchestrator.task import Outcome


@dataclass(frozen=True, slots=True)
class Go:
    """It may start, and what it is expected to need is there for it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now."""

    reason: str
    others_may: bool = False
    """Whether agents of another account, or another model, may start before it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not any more in this run."""

    outcome: Outcome
    reason: str


Ruling = Go | Wait | Refuse
GO = Go()
