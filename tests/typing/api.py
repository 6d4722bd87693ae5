"""The public API in full, for mypy alone: what it accepts here users may write, and what it refuses they may not.

An ignore that mypy does not need is an error here, so each of them proves that the line below it is refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import assert_type

from pydantic import BaseModel

from orchestrator import (
    Agent,
    Fault,
    Handle,
    InternalError,
    JournalError,
    Limits,
    OrchestratorError,
    Outcome,
    Plan,
    PlanError,
    Result,
    Run,
    RunReport,
    Status,
    Task,
    TaskFailed,
    Usage,
    UsageError,
    WorkspaceInfo,
    WorkspaceSpec,
    open_run,
    run_plan,
)


class Verdict(BaseModel):
    answer: str


auditor = Agent(
    model="sonnet",
    tools=("Read", "Glob"),
    allow=("Bash(pytest:*)",),
    permission_mode="dontAsk",
    append_system="Be short.",
    max_turns=20,
    usd=0.5,
    settings=("project",),
    env={"A": "b"},
)


async def ask(run: Run) -> None:
    """One agent, with each option."""
    first = await run.agent("Hello.")
    assert_type(first, Result)
    second = await run.agent(
        "Again.",
        agent=auditor,
        workspace=WorkspaceSpec(kind="worktree", path="."),
        returns=Verdict,
        needs=[first, "other", run.submit(Task(prompt="Third."))],
        timeout="10m",
        retries=2,
        key="second",
        rehearsal=[{"say": "done"}],
    )
    third = await run.agent("Schema.", workspace=Path("docs"), returns={"type": "object"}, timeout=2.5)
    fourth = await run.agent("Path.", workspace="directory", returns=Path("schema.json"))
    for result in (second, third, fourth):
        show(result)


def show(result: Result) -> None:
    """Every field of a result."""
    assert_type(result.ok, bool)
    assert_type(result.task, str)
    assert_type(result.outcome, Outcome)
    assert_type(result.text, str)
    assert_type(result.session_id, str | None)
    assert_type(result.usage, Usage)
    assert_type(result.usage.all_input_tokens, int)
    assert_type(result.usage + result.usage, Usage)
    assert_type(result.cost_usd, float)
    assert_type(result.turns, int)
    assert_type(result.duration, float)
    assert_type(result.attempts, int)
    assert_type(result.denials, tuple[str, ...])
    assert_type(result.error, str | None)
    assert_type(result.workspace, WorkspaceInfo | None)
    if result.workspace:
        assert_type(result.workspace.branch, str | None)
        assert_type(result.workspace.changed, tuple[str, ...])
    answer: str = result.value.answer
    print(answer, result.message)


async def ask_many(run: Run) -> None:
    """Many agents at once, in the items' order and as they finish."""
    in_order = await run.map("What is {}?", ["a", "b"], agent=auditor, returns=Verdict, key="what")
    assert_type(in_order, list[Result])

    by_function: Callable[[int], str] = "{}".format
    await run.map(by_function, range(3), workspace="directory", needs=in_order, timeout=60, retries=0)
    await run.map(lambda item: Task(prompt=f"What is {item}?", timeout=5.0), {1, 2})
    async with run.as_completed("{name}", [{"name": "a"}], key="each") as results:
        async for result in results:
            assert_type(result, Result)
            break


async def submit(run: Run) -> None:
    """A task in the background."""
    handle = run.submit(
        Task(
            prompt="Go.",
            agent=auditor,
            workspace="worktree",
            returns=Verdict,
            needs=("first",),
            timeout=600.0,
            retries=1,
            key="go",
            rehearsal=({"say": "gone"},),
        )
    )
    assert_type(handle, Handle)
    assert_type(handle.task, str)
    assert_type(await handle.result(), Result)
    handle.cancel()


def count(words: str, *, most: int) -> int:
    return min(len(words.split()), most)


async def call(run: Run) -> None:
    """A function in a thread gives what it returns, with its type."""
    assert_type(await run.call(count, "a b", most=3), int)


async def plan(run: Run) -> None:
    """A plan inside a run."""
    assert_type(await run.plan("plan.yaml"), dict[str, Result])
    await run.plan(Path("plan.yaml"))
    await run.plan(Plan.model_validate({"tasks": {"a": {"prompt": "x"}}}))


async def main() -> None:
    """The way in, with each option, and what comes out."""
    async with open_run(
        "audit",
        agent=auditor,
        limits=Limits(concurrent=3, usd=1.0),
        workspace="here",
        journal="memory",
        views=["lines", "live"],
        upstream="offline",
        fail_fast=True,
        directory=Path.cwd(),
    ) as run:
        assert_type(run, Run)
        assert_type(run.id, str)
        assert_type(run.name, str)
        assert_type(run.report(), RunReport)
    report = await run_plan("plan.yaml", limits=Limits(), journal=Path("journal.db"), views=(), upstream=None)
    assert_type(report.ok, bool)
    assert_type(report.status, str)
    assert_type(report.run, str)
    assert_type(report.name, str)
    assert_type(report.tasks, int)
    assert_type(report.succeeded, int)
    assert_type(report.failed, int)
    assert_type(report.count(Status.SKIPPED), int)
    assert_type(report.results["a"], Result)
    assert_type(report.statuses["a"], Status)
    assert_type(report.cost_usd, float)
    assert_type(report.usage, Usage)
    assert_type(report.wall_s, float)
    assert_type(report.sum_s, float)
    assert_type(report.speedup, float)
    assert_type(report.parallel, str)
    assert isinstance(report.to_json(), dict)


def explain(error: OrchestratorError) -> tuple[Fault, ...]:
    """The errors are one family."""
    if isinstance(error, PlanError):
        return error.faults
    assert isinstance(error, UsageError | JournalError | TaskFailed | InternalError)
    return ()


async def wrong(run: Run) -> None:
    """What must be refused."""
    await run.agent("x", tiemout=3)  # type: ignore[call-arg]
    Task(prompt=3)  # type: ignore[arg-type]
    run.submit("x")  # type: ignore[arg-type]
    Agent(permission_mode="yolo")  # type: ignore[arg-type]
    Agent(tool=("Read",))  # type: ignore[call-arg]
    results: list[str] = await run.map("{}", [1])  # type: ignore[assignment]
    number: str = await run.call(count, "a", most=1)  # type: ignore[arg-type]
    open_run(limits={"concurrent": 3})  # type: ignore[arg-type]
    print((await run.agent("x")).outcom)  # type: ignore[attr-defined]
    print(results, number)
