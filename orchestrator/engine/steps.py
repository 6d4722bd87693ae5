"""What the engine works with: a node of the run's graph, and what it turns out to be when its turn comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.plan.model import Agent
from orchestrator.task import Outcome, Result, Status
from workspaces import WorkspaceSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Run an agent."""

    prompt: str
    agent: Agent
    workspace: WorkspaceSpec
    schema: Mapping[str, Any] | None = None
    parse: Callable[[Any], Any] | None = None
    """Makes the result's value from structured output that fulfils the schema."""
    timeout: float | None = None
    retries: int = 0
    checks: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    """Absolute paths of files and folders that the result depends on."""
    fresh: bool = False
    """Never take an earlier result."""
    resume: str | None = None
    """The session to go on with."""
    fork: bool = False
    after: str | None = None
    """The hash of the result that the session is gone on with after: its id does not tell what is in it."""
    place: str | None = None
    """What its workspace is called; None: by the run and the task."""
    rehearsal: tuple[Mapping[str, Any], ...] | None = None
    agents: Mapping[str, Agent] = field(default_factory=dict)
    """Agents by name, which tasks that this one's agent adds may have, as far as its `spawn.agents` says."""


@dataclass(frozen=True, slots=True)
class Call:
    """Run a blocking function in a thread; what it returns is the task's value, and its text if it is a string."""

    function: Callable[[], Any]


def sum_up(parts: Sequence[Result]) -> Result:
    """What a loop comes to: the values of the parts that succeeded, in the items' order."""
    bad = [part for part in parts if not part.ok and part.outcome not in (Outcome.SKIPPED, Outcome.UNNEEDED)]
    names = ", ".join(part.task for part in bad[:5])
    return Result(
        task="",
        outcome=Outcome.PARTIAL if bad else Outcome.OK,
        value=[part.value for part in parts if part.ok],
        error=f"{len(bad)} of {len(parts)} did not succeed: {names}" if bad else None,
    )


def sum_up_stages(stages: Sequence[Result]) -> Result:
    """What an item comes to that goes through these stages."""
    last = deciding(stages)
    if last.outcome is Outcome.SKIPPED:
        return Result(task="", outcome=Outcome.SKIPPED, error="all its stages were passed over")
    return carried(last, None if last.ok else f"stage {last.task.rpartition('.')[2]}: {last.error}")


def deciding(stages: Sequence[Result]) -> Result:
    """The last of the stages that did anything; the first one that was ended from outside, if none failed before."""
    ran = [each for each in stages if each.outcome is not Outcome.SKIPPED] or stages[:1]
    worked = [each for each in ran if each.outcome.status is not Status.CANCELLED]
    ended = [each for each in ran if each.outcome.status is Status.CANCELLED]
    return ended[0] if ended and (not worked or worked[-1].ok) else worked[-1]


def carried(result: Result, error: str | None = None, note: str | None = None) -> Result:
    """A part's result as its group's: cost and time are the part's own."""
    return Result(
        task="",
        outcome=result.outcome,
        text=result.text,
        value=result.value,
        session_id=result.session_id,
        workspace=result.workspace,
        error=error,
        note=note or result.note,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand:
    """Add these nodes, as the parts of a group: the task is done when they are."""

    nodes: "tuple[Node, ...]" = field(kw_only=False)
    gather: Callable[[Sequence[Result]], Result] = sum_up
    """What the group comes to, from its parts' results, in their order; the result's `task` is set by the engine."""
    enough: Callable[[Mapping[str, Result]], bool] | None = None
    """Asked each time a part has ended, with the results so far by part: whether the rest is no longer needed."""
    more: bool = False
    """Whether further parts may be added later."""
    of: int | None = None
    """How many items there are, where a pilot takes only the first of them."""
    over: tuple[str, ...] = ()
    """Groups whose parts' results its own items were made of: had they more parts, so had this one."""


@dataclass(frozen=True, slots=True)
class Omit:
    """There is nothing to do."""

    reason: str


Step = Ask | Call | Expand | Omit


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task in the run's graph."""

    id: str
    title: str
    kind: str
    """`agent`, `call`, `write`, or one of `orchestrator.state.GROUPS`."""
    prepare: Callable[[], Step]
    """Called when the needs are met; what it raises fails the task."""
    needs: tuple[str, ...] = field(default=())
    parent: str | None = None
    allow_failure: bool = False
    allows: tuple[str, ...] = ()
    """Those of `needs` that need only have ended, however they did."""
    agent: str | None = None
    """What its agent is called: the tasks of one agent take about as long."""
    runs: Agent | None = None
    """Its agent, where that is known before its turn."""
    named: tuple[str, ...] = ()
    """Tasks that it needs without its prompt saying what they gave: all of that determines its result too."""
    refers: tuple[str, ...] = ()
    """Tasks that its templates refer to: of these the commits do."""
    talk: bool = False
    """Whether its agent can be written to."""
