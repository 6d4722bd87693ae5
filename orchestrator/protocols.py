"""The seams, on one screen. Each has a fake and a contract suite in `orchestrator.testing`."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from orchestrator.errors import UsageError
from orchestrator.events import Event, Record
from orchestrator.plan.model import Limits
from orchestrator.task import Attempt, Result
from workspaces import Workspace

Emit = Callable[[Event], None]
"""Puts an event into the run's journal: never blocks, never fails, keeps the order."""

CallTool = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Does what an attempt's agent asks of its run: from a tool's name (`send_message`, …) and its input to what the agent
is told, as plain data. Raises UsageError for what cannot be done, which the agent is told as well."""


async def no_tools(tool: str, given: Mapping[str, Any]) -> Any:
    """The `CallTool` of a run that has no tools of its own. Raises UsageError."""
    raise UsageError(f"{tool}: this run has no such tool")


class AgentRunner(Protocol):
    """Runs one agent to its end, as the Claude CLI does."""

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
        """What the agent gave. A failure of any kind is a Result with its outcome; only cancellation gets out.

        `call` is for the tools that its agent's `talk` and `spawn` allow; without these there are none.

        Once it has been at work for `attempt.timeout` seconds that is a TIMEOUT; waiting to be started is not work.
        """
        ...


@runtime_checkable
class Expecting(Protocol):
    """What an agent runner, or an executor, may offer besides: it gets ready for what is likely to come."""

    def expect(self, attempt: Attempt) -> None:
        """Told of an attempt for which there is no place yet: whatever it takes to start it may be made ready.

        Never blocks, never fails. The attempt may not come, or another one in its stead.
        """
        ...


class Executor(Protocol):
    """Carries out an attempt somewhere: in this process, or on another machine."""

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        """What the attempt gave. A failure of any kind is a Result with its outcome; only cancellation gets out."""
        ...


class Journal(Protocol):
    """Keeps every event of every run, in order."""

    def append(self, run: str, event: Event) -> None:
        """Takes the event, never blocks, never fails; `flush` tells when it is safe."""
        ...

    async def flush(self) -> None:
        """Returns once all that was appended so far is kept (on disk, where there is one). Raises JournalError."""
        ...

    async def watch(self) -> None:
        """Raises JournalError as soon as nothing more can be kept; never returns before."""
        ...

    def follow(self, run: str, after: int = 0) -> AsyncGenerator[Sequence[Record], None]:
        """The run's records behind `after`, in batches as they come, ending with the batch that holds RunFinished."""
        ...

    async def read(self, run: str, after: int = 0, *, messages: bool = True) -> Sequence[Record]:
        """The run's records behind `after` that are kept now.

        Without `messages` the AgentMessages, which are most of it, are left out, but for those of type ResultMessage.
        """
        ...

    def drive(self, run: str) -> AbstractContextManager[bool]:
        """Makes this process the one that drives the run, as long as the block lasts; gives whether that came true.

        It does not as long as another process, or another block of this one, drives the run. A process that has ended,
        in whatever way, drives nothing.
        """
        ...

    async def find(self, key: str) -> Sequence[Record]:
        """The TaskFinished records with this key and the status `done`, of all runs, the newest first."""
        ...

    async def history(self, name: str, upstream: str | None) -> Sequence[Mapping[str, Any]]:
        """What is to be learned of the newest tasks of the newest runs of that name and upstream, oldest first.

        A row per task and group: its event's `lesson` with `task` and `run`. Not more than can be read in a moment.
        """
        ...

    @property
    def sessions(self) -> "Sessions | None":
        """Where the transcripts of sessions are kept; None when this journal keeps none."""
        ...

    async def runs(self, limit: int = 1000, wanted: str = "") -> Sequence[Mapping[str, Any]]:
        """A row per run, newest first; with `wanted` of those whose id begins so or that are called so.

        Its keys: run, name, status, complete, pilot, started, last_started and last_event (Unix s), wall_s, tasks, ok,
        failed, cost_usd, upstream, plan, script, directory, resumed, pid, process_started. All but `started` and
        `cost_usd` are of the run since it was last started.
        """
        ...


class Sessions(Protocol):
    """Keeps the transcripts of sessions: the SDK's `SessionStore`, and a way to find one by its id alone.

    A key is a dict of `project_key`, `session_id` and, for a subagent's transcript, `subpath`.
    """

    async def append(self, key: Any, entries: list[Any]) -> None:
        """Adds lines of a transcript; one whose `uuid` is there already is passed over."""
        ...

    async def load(self, key: Any) -> list[Any] | None:
        """All lines, in order; None when there are none."""
        ...

    async def list_sessions(self, project_key: str) -> list[Any]:
        """`{session_id, mtime}` of each session of a project; `mtime` in Unix ms."""
        ...

    async def delete(self, key: Any) -> None:
        """Forgets a transcript, and those of its subagents."""
        ...

    async def list_subkeys(self, key: Any) -> list[str]:
        """The `subpath`s of a session."""
        ...

    async def find_session(self, session_id: str) -> Any | None:
        """The newest key (without `subpath`) that a session's transcript is kept under; None when there is none."""
        ...


class View(Protocol):
    """Shows a run to somebody, from its journal alone."""

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        """Returns when the feed ends."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is to be done with the agents' API requests on their way."""

    limits: Limits = field(default_factory=Limits)
    """How fast they may go."""
    record: Path | None = None
    """The file to keep them in."""
    overwrite: bool = False
    """Whether the recording of another run in that file is replaced."""
    run: str | None = None
    """The run whose requests they are: its own recording is gone on with."""
    texts: bool = True
    """Whether what is asked and answered is kept there too, and not only what it is known by."""
    replay: Path | None = None
    """The recording to answer from."""
    faults: Sequence[str] = ()
    """Rules by which requests fail, as `429:at=3`."""


def ignore(event: Event) -> None:
    """The `Emit` of nobody."""


class Upstream(Protocol):
    """Answers the agents' API requests in place of the Anthropic API, or stands between them and it."""

    @property
    def account(self) -> bool:
        """Whether requests get to the API with the user's account: agents keep it then, and else see nothing of it."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables that point a CLI at it."""
        ...

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Tells it which attempt the session `attempt.session_id` belongs to, before its first request.

        `emit` takes what it has to tell of the attempt's requests, in the run's own thread.
        """
        ...
