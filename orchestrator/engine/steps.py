"""What the engine works with: a node of the run's graph, and what it turns out to be when its turn comes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.plan.model import Agent
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


@dataclass(frozen=True, slots=True)
class Call:
    """Run a blocking function in a thread; what it returns is the task's value, and its text if it is a string."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Expand:
    """Add these nodes; the task is done when they are."""

    nodes: "tuple[Node, ...]"


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
    """`agent`, `call`, `write` or `loop`."""
    prepare: Callable[[], Step]
    """Called when the needs are met; what it raises fails the task."""
    needs: tuple[str, ...] = field(default=())
    parent: str | None = None
    allow_failure: bool = False
    named: tuple[str, ...] = ()
    """Tasks that it needs without its prompt saying what they gave: all of that determines its result too."""
    refers: tuple[str, ...] = ()
    """Tasks that its templates refer to: of these the commits do."""
