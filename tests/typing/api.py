"""The public API in full, for mypy alone: what it accepts here users may write, and what it refuses they may not.

An ignore that mypy does not need is an error here, so each of them proves that the line below it is refused.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_type

import anyio
from pydantic import BaseModel

from orchestrator import (
    Agent,
    Candidate,
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
    Results,
    Run,
    RunReport,
    Status,
    Task,
    TaskFailed,
    Usage,
    UsageError,
    Vote,
    Waited,
    WorkspaceInfo,
    WorkspaceSpec,
    majority,
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
    assert_type(in_order, Results)
    assert_type(in_order[0], Result)
    assert_type(in_order.ok, bool)
    assert_type(in_order.succeeded, list[Result])
    assert_type(in_order.failed, list[Result])
    assert_type(in_order.texts, list[str])
    assert_type(in_order.outcomes, dict[Outcome, int])
    print(in_order.values)
    plain_list: list[Result] = in_order

    by_function: Callable[[int], str] = "{}".format
    await run.map(by_function, range(3), workspace="directory", needs=in_order, timeout=60, retries=0)
    await run.map(lambda item: Task(prompt=f"What is {item}?", timeout=5.0), {1, 2})
    async with run.as_completed("{name}", [{"name": "a"}], key="each") as results:
        async for result in results:
            assert_type(result, Result)
            break
    send, queue = anyio.create_memory_object_stream[str](10)
    async with send, run.as_completed("{}", queue, agent=auditor) as results:
        assert_type(await anext(results), Result)
    print(plain_list)


def longest(results: Sequence[Result]) -> Result | None:
    return max(results, key=lambda result: len(result.text), default=None)


async def vote(run: Run) -> None:
    """Votes: by majority, by a function, by a judge."""
    chosen = await run.vote("Which?", times=3, by=majority, on="answer", ties="first", returns=Verdict, key="v")
    assert_type(chosen, Vote)
    assert_type(chosen.winner, Result | None)
    assert_type(chosen.results, list[Result])
    assert_type(chosen.candidates, tuple[Candidate, ...])
    assert_type(chosen.candidates[0].count, int)
    assert_type(chosen.candidates[0].text, str)
    assert_type(chosen.candidates[0].tasks, tuple[str, ...])
    assert_type((chosen.ok, chosen.tie, chosen.unanimous), tuple[bool, bool, bool])
    assert_type(chosen.agreement, float)
    assert_type(chosen.failed, list[Result])
    assert_type(chosen.outcome, Outcome)
    assert_type((chosen.task, chosen.text, chosen.note), tuple[str, str, str])
    assert_type((chosen.error, chosen.reason), tuple[str | None, str | None])
    await run.vote("Which?", times=3, by=longest, early=False, agent=auditor, timeout="5m")
    await run.vote("Which?", times=3, judge="the shortest")
    await run.vote("Which?", times=3, judge=Agent(model="opus"))
    await run.vote("Which?", times=3, judge=Task("the shortest", agent=auditor))
    assert_type(majority(chosen.results, on="answer"), Result | None)


def double_check(before: Result, item: str) -> Task | None:
    return Task(f"Check {item}: {before.text}") if before.ok else None


async def stages(run: Run) -> None:
    """A pipeline, of each kind of stage; a goal that is split and joined."""
    results = await run.pipeline(
        ["a", "b"], "Look at {}", Task("Read {}", agent=auditor), lambda before: f"Now {before.text}", double_check,
        key="p", agent=auditor, needs=["a"],
    )  # fmt: skip
    assert_type(results, Results)
    whole = await run.fan_out("Audit it.")
    assert_type(whole, Result)
    assert_type(whole.note, str | None)
    await run.fan_out(
        "Audit it.",
        split="Split {goal} in {most}",
        part=Task("{task}", agent=auditor, workspace="worktree"),
        join=lambda results: f"Join {len(results)}",
        most=4,
        returns=Verdict,
        key="f",
    )


async def groups(run: Run) -> None:
    """A run inside a run, and what can be asked of either."""
    async with run.group("backend", agent=auditor, workspace="worktree") as backend:
        assert_type(backend, Run)
        handle = backend.submit(Task("x", key="a"))
        async with backend.group("tests") as tests:
            await tests.agent("x")
        assert_type(backend.status(handle), Status)
        assert_type(backend.statuses(), dict[str, Status])
        assert_type(backend.is_complete(), bool)
        assert_type(backend.is_complete(handle, "a"), bool)
        assert_type(backend.results(), dict[str, Result])
        assert_type(backend.by_session(), dict[str, Result])
        waited = await backend.wait(handle, first=1, timeout="5m")
        assert_type(waited, Waited)
        assert_type(waited.done, list[Result])
        done, pending = await backend.wait("a")
        assert_type(pending, list[str])
        await run.agent("x", needs=[handle, done[0], {"task": handle, "allow": "failed"}])


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
    await run.plan(Plan.model_validate({"tasks": {"a": {"prompt": "x"}}}), key="again", vars={"topic": "x"})


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
    await run.vote("x")  # type: ignore[call-arg]
    await run.vote("x", times=3, by="majority")  # type: ignore[arg-type]
    await run.vote("x", times=3, ties="last")  # type: ignore[arg-type]
    await run.pipeline([1], 3)  # type: ignore[arg-type]
    await run.fan_out("x", most="8")  # type: ignore[arg-type]
    run.status(3)  # type: ignore[arg-type]
    results: list[str] = await run.map("{}", [1])  # type: ignore[assignment]
    number: str = await run.call(count, "a", most=1)  # type: ignore[arg-type]
    open_run(limits={"concurrent": 3})  # type: ignore[arg-type]
    print((await run.agent("x")).outcom)  # type: ignore[attr-defined]
    print(results, number)
