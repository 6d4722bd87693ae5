"""A run as a journal has it: every kind of event, every status, and words that are hard to keep."""

import json
from collections.abc import Iterator

from orchestrator.events import (
    AgentMessage,
    ApiPaused,
    ApiSignal,
    AttemptFinished,
    AttemptStarted,
    BudgetReached,
    CheckFinished,
    Event,
    MemoryAwaited,
    MessageSent,
    MessagesRead,
    ProcessesMeasured,
    Published,
    Record,
    RegimeChanged,
    RequestAnswered,
    RequestDequeued,
    RequestNoted,
    RequestQueued,
    RunFinished,
    RunForecast,
    RunStarted,
    SessionStarted,
    TaskAdded,
    TaskExpanded,
    TaskFinished,
    TaskSpawned,
    TaskWaits,
    WidthChanged,
    WorkspaceClosed,
    WorkspaceOpened,
)
from orchestrator.task import Attempt, Outcome, Result, Usage

HARD = "ä → 漢字 😀 \x00\x1b[31m\r\n\t'\"\\ {{ }} %s \u2028 [bold]"
"""Text that breaks what is careless: several alphabets, control characters, quotes, templates, markup."""

BEGUN = 1_700_000_000.0
"""When the sample run began (Unix time, s)."""


def sample_events(name: str = "sample") -> list[Event]:
    """A whole run: a task tried twice that speaks and spawns one, a loop of two, one skipped, failed, cancelled."""
    return [
        run_started(name),
        TaskAdded(task="ask", title=HARD, task_kind="agent"),
        TaskAdded(task="each", title="a loop", task_kind="loop", needs=["ask"], allow_failure=True),
        TaskAdded(task="write", title="write report.md", task_kind="write", needs=["each"], allows=["each"]),
        RunForecast(
            tasks=4,
            known=1,
            wall_s=9.0,
            work_s=12.0,
            critical_s=8.0,
            critical=["ask", "each"],
            bound_s=8.0,
            usd=1.0,
            basis=HARD,
        ),
        *_tried_twice("ask"),
        TaskExpanded(task="each", parts=["each[0]", "each[1]"]),
        *(TaskAdded(task=f"each[{index}]", title=HARD, task_kind="agent", parent="each") for index in (0, 1)),
        AttemptStarted(task="each[0]", attempt=1, prompt=HARD),
        AttemptStarted(task="each[1]", attempt=1, prompt=HARD),
        *_ended("each[0]", Outcome.AUTH, "failed", error=HARD),
        *_ended("each[1]", Outcome.CANCELLED, "cancelled", error="it was cancelled"),
        finished(Result(task="each", outcome=Outcome.PARTIAL, value=[], error="2 of 2"), "failed", loop=True),
        finished(Result(task="write", outcome=Outcome.SKIPPED, error="its condition is false"), "skipped"),
        RunFinished(status="failed", wall=12.5),
    ]


def sample_records(run: str = "sample-1") -> list[Record]:
    """The same with their places in a journal, half a second apart."""
    return [Record(seq, BEGUN + seq / 2, run, event) for seq, event in enumerate(sample_events(), start=1)]


def run_started(name: str, resumed: int = 0) -> RunStarted:
    return RunStarted(
        name=name,
        resumed=resumed,
        concurrent=4,
        usd=1.5,
        upstream=None,
        plan="plan.yaml",
        script=None,
        pid=1,
        process_started=BEGUN,
        directory="/tmp",  # noqa: S108
        version="0.1.0",
    )


def finished(result: Result, status: str, *, loop: bool = False, key: str | None = None) -> TaskFinished:
    """The end of a task, its result as a journal gives it back."""
    plain = json.loads(json.dumps(result.to_json()))
    return TaskFinished(task=result.task, status=status, result=plain, loop=loop, key=key)


def attempt_finished(task: str, number: int, outcome: Outcome, retry_in: float | None = None) -> AttemptFinished:
    error = None if outcome.ok else HARD
    return AttemptFinished(
        task=task, attempt=number, outcome=outcome, error=error, cost_usd=0.25, duration=2.0, retry_in=retry_in
    )


def _tried_twice(task: str) -> Iterator[Event]:
    schema = {"type": "object"}
    yield AttemptStarted(task=task, attempt=1, prompt=HARD, schema=schema, timeout=60.0, session_id="1")
    yield WorkspaceOpened(workspace="worktree", task=task, attempt=1, path="/place", branch="b", base="c")
    yield WorkspaceClosed(task=task, attempt=1, branch="b", commit="d", changed=["x.txt"])
    yield attempt_finished(task, 1, Outcome.OVERLOADED, retry_in=5.0)
    yield AttemptStarted(task=task, attempt=2, prompt=HARD, session_id="2", key="k", resume="1", place="sample-1/ask")
    yield SessionStarted(task=task, attempt=2, session_id="1", directory="/place", how="continued")
    content = [
        {"block": "TextBlock", "text": HARD},
        {"block": "ToolUseBlock", "name": "Bash", "input": {"command": HARD}},
    ]
    yield AgentMessage(
        task=task,
        attempt=2,
        type="AssistantMessage",
        doing=HARD,
        turns=1,
        output_tokens=5,
        input_tokens=7,
        data={"content": content},
    )
    yield from _governed(task)
    yield MessageSent(task=task, to="each[0]", number=1, text=HARD)
    yield MessagesRead(task=task, session_id="1", up_to=1)
    yield Published(task=task, key=HARD, value={"found": [HARD]})
    yield TaskSpawned(task=task, attempt=2, child=f"{task}.more", asked={"prompt": HARD})
    yield TaskAdded(task=f"{task}.more", title=HARD, task_kind="agent", parent=task)
    yield TaskWaits(task=task, attempt=2, waits_for=f"{task}.more")
    yield finished(Result(task=f"{task}.more", outcome=Outcome.UNNEEDED, error=HARD), "skipped")
    yield TaskWaits(task=task, attempt=2, waits_for=None)
    yield CheckFinished(task=task, attempt=2, command="make test", exit_code=1, output=HARD, duration=0.5)
    yield CheckFinished(task=task, attempt=2, command="sleep 60", exit_code=None, output="", duration=60.0)
    yield from _ended(task, Outcome.OK, "done", number=2, text=HARD)


def _governed(task: str) -> Iterator[Event]:
    yield ApiSignal(task=task, attempt=2, signal="rate_limit", source="cli", status=429, retry_after=2.0, reason=HARD)
    yield WidthChanged(width=3, reason="the API answers 429")
    yield ApiPaused(until=BEGUN + 60, reason=HARD)
    yield RequestQueued(task=task, attempt=2, queued_s=1.0)
    yield RequestDequeued(task=task, attempt=2)
    yield RequestAnswered(task=task, attempt=2, model="sonnet", status=200, input_tokens=7, queued_s=0.5, retries=1)
    yield RequestNoted(task=task, attempt=2, note="fault", text=HARD)
    yield ProcessesMeasured(task=task, attempt=2, memory=200_000_000, peak=300_000_000, cpu_s=1.5)
    yield MemoryAwaited(awaited=True, expected=400_000_000, free=100_000_000)
    yield RegimeChanged(regime="hold", reason=HARD, until=BEGUN + 3600)
    yield BudgetReached(budget="usd", line="soft", spent=1.4, limit=1.5)


def _ended(
    task: str, outcome: Outcome, status: str, number: int = 1, text: str = "", error: str | None = None
) -> Iterator[Event]:
    yield attempt_finished(task, number, outcome)
    usage = Usage(input_tokens=7, output_tokens=5, cache_read_tokens=3)
    value = {"words": text, "number": 1.5, "list": [None, True]}
    yield finished(
        Result(task=task, outcome=outcome, text=text, value=value, usage=usage, cost_usd=0.5, error=error), status
    )


class Collected(list[Event]):
    """An `emit` that keeps what it is given."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def all_belong_to(self, attempt: Attempt) -> bool:
        """Whether every event is of this attempt."""
        return all(
            (getattr(event, "task", None), getattr(event, "attempt", None)) == (attempt.task, attempt.number)
            for event in self
        )
