"""A run that was stopped goes on: nothing that finished is asked again, and what was cut off continues."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from running import Stage

from orchestrator import (
    Agent,
    Limits,
    Outcome,
    Result,
    Run,
    RunReport,
    Task,
    TaskFailed,
    UsageError,
    resume_run,
    run_plan,
)
from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    RunFinished,
    RunStarted,
    SessionStarted,
    TaskFinished,
)
from orchestrator.prompts import INTERRUPTED
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


def slow(*hanging: str) -> Any:
    """A script in which the tasks of these names never end, and the others say their prompt."""

    def script(attempt: Attempt) -> Reply:
        return Reply(f"did {attempt.prompt}", seconds=inf if attempt.task in hanging else 1, cost_usd=0.25)

    return script


async def stopped(stage: Stage, items: Sequence[Any], **same: Any) -> str:
    """A run of `map` over the items that is cancelled once nothing happens any more; its id."""
    with anyio.move_on_after(100):
        async with stage.open() as run:
            await run.map("{}", items, key="m", **same)
    return run.id


async def again(stage: Stage, items: Sequence[Any], script: Any = None, **same: Any) -> tuple[list[Result], RunReport]:
    """The same run once more, on the same journal."""
    stage.use(script or slow())
    options = {name: same.pop(name) for name in ("reuse", "rerun", "run") if name in same}
    async with stage.open(**options) as run:
        results = await run.map("{}", items, key="m", **same)
    return results, run.report()


def begins_session(stage: Stage, cut: Attempt) -> None:
    """As the real agent runner does once the CLI is up."""
    event = SessionStarted(task=cut.task, attempt=1, session_id=cut.session_id, directory="/", how="fresh")
    stage.journal.append(cut.run, event)


async def test_what_finished_is_not_asked_again() -> None:
    """After a stop the same script has its run go on under its id; only what had not finished is asked."""
    stage = Stage(slow("m[1]"))
    first = await stopped(stage, ["a", "b", "c"])
    results, report = await again(stage, ["a", "b", "c"])
    assert [result.text for result in results][::2] == ["did a", "did c"]
    assert [result.reused for result in results] == [first, None, first]
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[1]"]
    assert (report.run, report.status, report.succeeded, len(report.reused)) == (first, "done", 3, 2)
    assert (report.resumed, stage.of(RunStarted)[1].known) == (1, 2)


async def test_the_order_is_no_matter() -> None:
    """Results are found by what was asked, whatever their tasks are called now: items may be moved, added, dropped."""
    stage = Stage(slow("m[3]"))
    await stopped(stage, ["a", "b", "c", "d"])
    results, _ = await again(stage, ["new", "c", "a"])
    assert [result.text for result in results] == ["did new", "did c", "did a"]
    assert [result.task for result in results] == ["m[0]", "m[1]", "m[2]"]
    assert [attempt.prompt for attempt in stage.executor.attempts] == ["new"]


async def test_equal_tasks_have_a_result_each() -> None:
    """Two of three that asked the same had finished: going on asks once more, not twice and not never."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["same", "same", "same"])
    results, _ = await again(stage, ["same", "same", "same"])
    assert len(stage.executor.attempts) == 1
    assert all(result.ok for result in results)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": Agent(model="opus")},
        {"agent": Agent(append_system="Be brief.")},
        {"agent": Agent(env={"A": "1"})},
        {"returns": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        {"workspace": "directory"},
        {"checks": ["true"]},
    ],
)
async def test_what_determines_a_result(change: dict[str, Any]) -> None:
    """A changed option, schema, place or check is another question."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"])
    await again(stage, ["a", "b"], lambda _: Reply(value={"x": 1}), **change)
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["m[0]", "m[1]"]


@pytest.mark.parametrize(
    "change", [{"agent": Agent(max_turns=5, usd=2.0, idle_timeout=5)}, {"timeout": 50, "retries": 3}]
)
async def test_what_does_not(change: dict[str, Any]) -> None:
    """Wider bounds, patience and retries are no reason to pay again."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"])
    await again(stage, ["a", "b"], **change)
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[1]"]


async def test_inputs(tmp_path: Path) -> None:
    """A result is taken again as long as the files and folders that `inputs` names are what they were."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "deep" / "a.py").write_text("1")
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"], inputs=[tmp_path / "src"])
    stage.use(slow("m[1]"))
    assert await stopped(stage, ["a", "b"], inputs=[tmp_path / "src"])
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[1]"]
    (tmp_path / "src" / "deep" / "a.py").write_text("2")
    await again(stage, ["a", "b"], inputs=[tmp_path / "src"])
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["m[0]", "m[1]"]


async def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    """A missing input fails its task, names the file, and asks nobody."""
    stage = Stage()
    async with stage.open() as run:
        result = await run.agent("x", inputs=[tmp_path / "gone.txt"])
    assert (result.outcome, stage.executor.attempts) == (Outcome.INVALID_TASK, [])
    assert "gone.txt" in (result.error or "")


async def test_the_commit_that_a_worktree_starts_from(tmp_path: Path) -> None:
    """A worktree's task is asked again when its base has moved, in another place; else it is not."""

    async def git(words: str) -> None:
        await anyio.run_process(["git", *words.split()], cwd=tmp_path)

    await git("init --quiet")
    await git("commit --quiet --allow-empty --message first")
    stage = Stage(slow("b"))

    async def work(run: Run, scope: anyio.CancelScope) -> None:
        a, _ = (run.submit(Task(name, key=name, workspace="worktree")) for name in ("a", "b"))
        await a.result()
        while "b" not in [attempt.task for attempt in stage.executor.attempts]:
            await anyio.sleep(0.01)  # git takes real time, of which the clock knows nothing
        scope.cancel()

    for message, asked in ((None, ["a", "b"]), (None, ["b"]), ("second", ["a", "b"])):
        if message:
            await git(f"commit --quiet --allow-empty --message {message}")
        stage.use(slow("b"))
        with anyio.CancelScope() as scope:
            async with stage.open(directory=tmp_path) as run:
                await work(run, scope)
        assert sorted(attempt.task for attempt in stage.executor.attempts) == asked
    assert {attempt.name for attempt in stage.executor.attempts} == {f"{run.id}/a.2", f"{run.id}/b.2"}
    assert all(attempt.workspace.base and len(attempt.workspace.base) == 40 for attempt in stage.executor.attempts)


async def test_what_an_upstream_task_gave() -> None:
    """A task that names its needs is asked again when one of them gave something else, and only then."""

    def script(answer: str) -> Any:
        return lambda attempt: Reply(
            answer if attempt.task == "first" else "x", seconds=1e6 if attempt.task == "last" else 1
        )

    async def work(run: Run) -> None:
        first = run.submit(Task("first", key="first"))
        run.submit(Task("second", key="second", needs=[first]))
        run.submit(Task("last", key="last"))

    stage = Stage()
    asked = []
    for answer, rerun in (("1", ()), ("1", ["first"]), ("2", ["first"])):
        stage.use(script(answer))
        with anyio.move_on_after(100):
            async with stage.open(rerun=rerun) as run:
                await work(run)
        asked.append([attempt.task for attempt in stage.executor.attempts])
    assert [sorted(each) for each in asked] == [
        ["first", "last", "second"],
        ["first", "last"],
        ["first", "last", "second"],
    ]


async def test_a_run_that_finished_starts_anew() -> None:
    """After its end the same script starts a new run, which asks everything."""
    stage = Stage(slow())
    _, first = await again(stage, ["a"])
    _, second = await again(stage, ["a"])
    assert first.run != second.run
    assert len(stage.executor.attempts) == 1
    assert not second.reused


async def test_reuse_takes_from_any_run() -> None:
    """With `reuse="any"` results of runs that finished are taken, each once; their cost is not this run's."""
    stage = Stage(slow())
    _, first = await again(stage, ["a", "b"])
    results, second = await again(stage, ["b", "a", "a", "c"], reuse="any")
    assert first.run != second.run
    assert [result.reused for result in results if result.text != "did a"] == [first.run, None]
    assert {result.reused for result in results if result.text == "did a"} == {first.run, None}
    assert sorted(attempt.prompt for attempt in stage.executor.attempts) == ["a", "c"]
    assert (first.cost_usd, second.cost_usd) == (0.5, 0.5)


async def test_fresh_takes_from_none() -> None:
    """With `reuse="none"` a new run begins beside the one that was stopped."""
    stage = Stage(slow("m[1]"))
    first = await stopped(stage, ["a", "b"])
    _, second = await again(stage, ["a", "b"], reuse="none")
    assert first != second.run
    assert len(stage.executor.attempts) == 2


async def test_rerun() -> None:
    """A task, or a part of a loop, that is to be done again is asked though it had finished, in a place of its own."""
    stage = Stage(slow("m[2]"))
    first = await stopped(stage, ["a", "b", "c"])
    await again(stage, ["a", "b", "c"], rerun=["m[0]"])
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["m[0]", "m[2]"]
    assert [attempt.name for attempt in stage.executor.attempts if attempt.task == "m[0]"] == [f"{first}/m[0].2"]
    await again(stage, ["a", "b", "c"], rerun=["m"], run=first)
    assert len(stage.executor.attempts) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reuse": "all"}, "reuse: found 'all', expected one of unfinished, any, none"),
        ({"rerun": "m"}, r"rerun: found 'm', expected a list of tasks"),
        ({"run": "nobody"}, "run nobody: there is no such run"),
    ],
)
async def test_words_that_mean_nothing(options: dict[str, Any], words: str) -> None:
    """What cannot be is refused before anything is written down."""
    stage = Stage()
    with pytest.raises(UsageError, match=words):
        async with stage.open(**options):
            pass
    assert stage.events == []


async def test_two_at_once_are_two_runs() -> None:
    """A run that is being driven is not gone on with by another: that one is a run of its own."""
    stage = Stage(slow())
    async with stage.open() as one, stage.open() as other:
        assert one.id != other.id
        assert [begun.beside for begun in stage.of(RunStarted)] == [None, one.id]
        with pytest.raises(UsageError, match="is being driven by another process"):
            async with stage.open(run=one.id):
                pass


async def test_an_attempt_goes_on_in_its_session() -> None:
    """What was cut off continues in the same session, told that it was interrupted, in the same place."""
    stage = Stage(slow("m[0]"))
    await stopped(stage, ["a"])
    (cut,) = stage.executor.attempts
    begins_session(stage, cut)
    results, report = await again(stage, ["a"])
    (attempt,) = stage.executor.attempts
    assert (attempt.resume, attempt.otherwise, attempt.number) == (cut.session_id, "a", 2)
    assert attempt.prompt.startswith(INTERRUPTED)
    assert attempt.session_id != cut.session_id
    assert attempt.name == cut.name
    assert stage.of(AttemptStarted)[-1].resume == cut.session_id
    assert (results[0].attempts, report.succeeded) == (2, 1)


async def test_an_attempt_without_a_session_starts_afresh() -> None:
    """What was cut off before its session began starts from its prompt."""
    stage = Stage(slow("m[0]"))
    await stopped(stage, ["a"])
    await again(stage, ["a"])
    (attempt,) = stage.executor.attempts
    assert (attempt.resume, attempt.prompt) == (None, "a")


async def test_a_changed_task_does_not_go_on_in_its_old_session() -> None:
    """A task that was cut off and then changed starts from its new prompt, in a place of its own."""
    stage = Stage(slow("m[0]"))
    run = await stopped(stage, ["a"])
    (cut,) = stage.executor.attempts
    begins_session(stage, cut)
    await again(stage, ["b"])
    (attempt,) = stage.executor.attempts
    assert (attempt.resume, attempt.prompt, attempt.name) == (None, "b", f"{run}/m[0].2")


@pytest.mark.parametrize("outcome", [Outcome.OVERLOADED, Outcome.CRASHED, Outcome.TIMEOUT])
async def test_a_retry_goes_on_in_the_session(outcome: Outcome) -> None:
    """Where the session is sound the next attempt goes on in it, and starts afresh if it is gone."""
    stage = Stage({"agent-1": [Reply("no", outcome=outcome), Reply("yes")]})
    async with stage.open() as run:
        result = await run.agent("x")
    first, second = stage.executor.attempts
    assert (second.resume, second.otherwise, second.number) == (first.session_id, "x", 2)
    assert (result.ok, result.attempts) == (True, 2)


async def test_a_retry_that_starts_afresh() -> None:
    """Where the session is what went wrong the next attempt has a new one."""
    stage = Stage({"agent-1": [Reply("", outcome=Outcome.EMPTY), Reply("yes")]})
    async with stage.open() as run:
        await run.agent("x")
    assert [(each.resume, each.prompt) for each in stage.executor.attempts] == [(None, "x"), (None, "x")]


async def test_cut_off_attempts_have_a_price() -> None:
    """What a cut-off attempt's messages told of its cost is in its result, and in the run that goes on."""

    def script(attempt: Attempt) -> Reply:
        return Reply(seconds=1e6 if attempt.number == 1 else 0, cost_usd=0.5)

    stage = Stage(script)
    with anyio.move_on_after(100):
        async with stage.open() as run:
            task = run.submit(Task("x", key="a"))
            await anyio.sleep(50)
            stage.emit(run, AgentMessage(task="a", attempt=1, type="ResultMessage", cost_usd=0.125))
            await task.result()
    assert stage.of(TaskFinished)[0].result["cost_usd"] == 0.125
    stage.use(script)
    async with stage.open() as run:
        result = await run.agent("x", key="a")
    assert (result.cost_usd, run.report().cost_usd) == (0.625, 0.625)
    assert stage.of(RunStarted)[1].spent_usd == 0.125


async def test_a_budget_covers_all_of_a_run() -> None:
    """A run that is gone on with has what it had spent against its budget."""
    stage = Stage(slow("m[1]"), usd=0.3)
    await stopped(stage, ["a", "b"])
    results, _ = await again(stage, ["a", "b", "c"])
    assert results[0].ok
    limits = Limits(concurrent=1, usd=0.2)
    stage.use(slow())
    async with stage.open(limits=limits, run=stage.runs[-1]) as run:
        last = await run.map("{}", ["a", "z"], key="m")
    assert [result.outcome for result in last] == [Outcome.OK, Outcome.BUDGET]


class Number(BaseModel):
    number: int


async def test_a_typed_result_comes_back_typed() -> None:
    """A value from the journal is an instance of the model again."""
    stage = Stage(lambda attempt: Reply(value={"number": 4}, seconds=1e6 if attempt.task == "m[1]" else 0))
    await stopped(stage, ["a", "b"], returns=Number)
    results, _ = await again(stage, ["a", "b"], lambda _: Reply(value={"number": 5}), returns=Number)
    assert [result.value for result in results] == [Number(number=4), Number(number=5)]


async def test_resume_run_needs_a_plan_file() -> None:
    """A run that a script had started says so: the script itself is what to run again."""
    stage = Stage(slow("m[0]"))
    run = await stopped(stage, ["a"])
    with pytest.raises(UsageError, match=f"run {run}: it was not started from a plan file: run the script .* again"):
        await resume_run(run, journal=stage.journal, executor=stage.executor)


async def test_resume_run(tmp_path: Path) -> None:
    """A plan's run goes on under the limits and the settings that it had, as its file is now."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("vars: {x: 1}\ntasks: {a: {prompt: 'a'}, b: {prompt: 'b {{ vars.x }}'}}\n")
    stage = Stage(slow("b"))
    with anyio.move_on_after(100):
        await run_plan(
            plan,
            journal=stage.journal,
            executor=stage.executor,
            limits=Limits(concurrent=2, usd=7.0),
            arguments={"settings": {"vars.x": "5"}},
        )
    (run,) = stage.runs
    plan.write_text(plan.read_text().replace("prompt: 'b ", "prompt: 'changed "))
    stage.use(slow())
    report = await resume_run(run, journal=stage.journal, executor=stage.executor)
    assert (report.run, report.status, len(report.reused)) == (run, "done", 1)
    assert [attempt.prompt for attempt in stage.executor.attempts] == ["changed 5"]
    assert (stage.of(RunStarted)[1].usd, stage.of(RunStarted)[1].concurrent) == (7.0, 2)
    assert stage.of(RunFinished)[-1].status == "done"


async def test_a_failed_run_goes_on_by_its_id() -> None:
    """Of a run that came to its end with a failure only the failed task is asked again."""
    stage = Stage({"m[0]": [Reply("bad", outcome=Outcome.REFUSED)]})
    async with stage.open() as run:
        await run.map("{}", ["a", "b"], key="m")
    results, report = await again(stage, ["a", "b"], run=run.id)
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[0]"]
    assert (report.status, [result.ok for result in results]) == ("done", [True, True])


async def test_a_fresh_task_asks_again_in_another_run_alone() -> None:
    """A task that is `fresh` takes nothing of other runs; in the run itself its own result is no earlier one."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"], fresh=True)
    results, _ = await again(stage, ["a", "b"], fresh=True)
    assert [result.reused is None for result in results] == [False, True]
    await again(stage, ["a", "b"], fresh=True, reuse="any")
    assert len(stage.executor.attempts) == 2


async def test_nobody_takes_what_another_task_needs() -> None:
    """Of two tasks that ask the same, the one that had not finished does not get the result of the one that had."""
    stage = Stage(slow("m[0]"))
    first = await stopped(stage, ["same", "same"])
    results, _ = await again(stage, ["same", "same"])
    assert [result.reused for result in results] == [None, first]
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[0]"]


async def test_an_item_that_was_dropped() -> None:
    """When an item goes, those behind it take what they had under their old names."""
    stage = Stage(slow("m[3]"))
    await stopped(stage, ["a", "b", "c", "d"])
    results, _ = await again(stage, ["b", "c", "d"])
    assert [attempt.prompt for attempt in stage.executor.attempts] == ["d"]
    assert [result.text for result in results] == ["did b", "did c", "did d"]


async def test_three_that_ask_the_same_of_other_runs() -> None:
    """Results of other runs are given once each, also when a run that took some is itself an earlier one."""
    stage = Stage(slow())
    await again(stage, ["x"])
    await again(stage, ["x", "x"], reuse="any")
    assert len(stage.executor.attempts) == 1
    await again(stage, ["x", "x", "x"], reuse="any")
    assert len(stage.executor.attempts) == 1


async def test_a_fork_that_was_cut_off_before_it_began() -> None:
    """It is forked again: the session itself stays as it is. Once it has begun it goes on in its own."""
    session = "5a0c7f9e-0000-4000-8000-000000000001"
    stage = Stage(slow("f"))
    for begins in (False, True, False):
        with anyio.move_on_after(100):
            async with stage.open() as run:
                await run.resume(session, "go on", fork=True, key="f")
        (attempt,) = stage.executor.attempts
        if begins:
            begins_session(stage, attempt)
            forked = attempt.session_id
        stage.use(slow("f"))
    assert (attempt.resume, attempt.fork) == (forked, False)
    assert [(each.resume, each.fork) for each in stage.of(AttemptStarted)] == [
        (session, True),
        (session, True),
        (forked, False),
    ]


async def test_a_fork_that_crashes_before_it_begins_is_forked_again() -> None:
    """A retry of it does not look for a session that there never was."""
    session = "5a0c7f9e-0000-4000-8000-000000000001"
    stage = Stage({"f": [Reply("no", outcome=Outcome.CRASHED), Reply("yes")]})
    async with stage.open() as run:
        await run.resume(session, "go on", fork=True, key="f")
    assert [(each.resume, each.fork) for each in stage.executor.attempts] == [(session, True), (session, True)]


async def test_what_a_session_held_is_part_of_the_question() -> None:
    """A step of a conversation is taken again only if what the conversation had come to is what it was."""
    stage = Stage(slow("c"))

    async def talk(words: str) -> None:
        with anyio.move_on_after(100):
            async with stage.open() as run:
                first = await run.agent("hello", key="a")
                second = await run.resume(first, words, key="b")
                await run.resume(second, "and on", key="c")

    await talk("one")
    for words, asked in (("one", ["c"]), ("two", ["b", "c"])):
        stage.use(slow("c"))
        await talk(words)
        assert [attempt.task for attempt in stage.executor.attempts] == asked


async def test_a_quota_is_no_end() -> None:
    """A run that a spent quota ended goes on when it is started again, in the sessions that had begun."""
    stage = Stage({"m[0]": [Reply("later", outcome=Outcome.QUOTA)]})
    async with stage.open() as run:
        await run.map("{}", ["a", "b"], key="m")
    (cut,) = [attempt for attempt in stage.executor.attempts if attempt.task == "m[0]"]
    begins_session(stage, cut)
    _, report = await again(stage, ["a", "b"])
    (attempt,) = stage.executor.attempts
    assert (report.run, attempt.resume) == (run.id, cut.session_id)


async def test_a_run_that_failed_fast_is_no_end() -> None:
    """What `fail_fast` cut off is gone on with."""
    stage = Stage({"m[0]": [Reply("no", outcome=Outcome.REFUSED, seconds=5)], "m[2]": [Reply(seconds=inf)]})
    with pytest.raises(TaskFailed):
        async with stage.open(fail_fast=True) as run:
            await run.map("{}", ["a", "b", "c"], key="m")
    _, report = await again(stage, ["a", "b", "c"])
    assert report.run == run.id
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["m[0]", "m[2]"]


async def test_a_rerun_that_was_cut_off_is_still_due() -> None:
    """Who asked for a task to be done again gets that, also if the run is stopped before it is done."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"])
    stage.use(slow("m[0]", "m[1]"))
    with anyio.move_on_after(100):
        async with stage.open(rerun=["m[0]"]) as run:
            await run.map("{}", ["a", "b"], key="m")
    results, _ = await again(stage, ["a", "b"])
    assert [result.reused for result in results] == [None, None]
    results, _ = await again(stage, ["a", "b"], run=run.id)
    assert [result.reused for result in results] == [run.id, run.id]


async def test_inputs_that_the_agent_itself_changed(tmp_path: Path) -> None:
    """What an agent made of its inputs is no reason to ask it again; what somebody else made of them is."""
    file = tmp_path / "notes.md"

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "m[0]":
            file.write_text(f"{file.read_text()} and {attempt.prompt}")
        return Reply(seconds=inf if attempt.task == "m[1]" else 0)

    file.write_text("1")
    stage = Stage(script)
    await stopped(stage, ["a", "b"], inputs=[file])
    for text, asked in (("1 and a", ["m[1]"]), ("2", ["m[0]", "m[1]"])):
        file.write_text(text)
        stage.use(script)
        await stopped(stage, ["a", "b"], inputs=[file])
        assert sorted(attempt.task for attempt in stage.executor.attempts) == asked


async def test_what_a_dead_orchestrator_had_been_told_of_cost() -> None:
    """The price that an agent told before its orchestrator was killed counts in its task, and in the run."""
    stage = Stage(slow("a"))
    with anyio.move_on_after(100):
        async with stage.open() as run:
            run.submit(Task("a", key="a"))
            await anyio.sleep(50)
            stage.emit(run, AgentMessage(task="a", attempt=1, type="ResultMessage", cost_usd=2.0))
    events = stage.journal.records
    while not isinstance(events[-1].event, AgentMessage):
        events.pop()  # as if it had been killed then
    stage.use(slow())
    async with stage.open() as run:
        result = await run.agent("a", key="a")
    assert (result.cost_usd, run.report().cost_usd, stage.of(RunStarted)[1].spent_usd) == (2.25, 2.25, 2.0)


async def test_a_rerun_beside_changed_inputs(tmp_path: Path) -> None:
    """The result of a task that was done again is the one that later comes back, whatever its inputs once became."""
    file = tmp_path / "notes.md"
    file.write_text("1")

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "m[0]":
            file.write_text("2")
        return Reply(f"made {len(stage.events)}", seconds=inf if attempt.task == "m[1]" else 0)

    stage = Stage(script)
    texts = []
    for rerun in ((), (), ("m[0]",), (), ()):
        stage.use(script)
        with anyio.move_on_after(100):
            async with stage.open(rerun=rerun) as run:
                handles = [run.submit(Task(f"do {n}", key=f"m[{n}]", inputs=[file])) for n in (0, 1)]
                texts.append((await handles[0].result()).text)
                await handles[1].result()
    first, again, rerun_text, *later = texts
    assert first == again != rerun_text
    assert later == [rerun_text, rerun_text]


async def test_a_stop_does_not_undo_what_is_done(tmp_path: Path) -> None:
    """A task that is cancelled while it is looked what became of its inputs keeps its result."""
    file = tmp_path / "notes.md"
    file.write_text("1")
    stage = Stage()

    class Cancels:
        async def show(self, feed: Any) -> None:
            async for batch in feed:
                if any(isinstance(record.event, AttemptFinished) for record in batch):
                    handle.cancel()

    async with stage.open(views=[Cancels()]) as run:
        handle = run.submit(Task("a", key="a", inputs=[file]))
        result = await handle.result()
    assert result.ok
    assert [event.status for event in stage.of(TaskFinished)] == ["done"]


async def test_a_result_that_was_taken_stays_with_its_taker() -> None:
    """A task that once took another's result has that one again the next time, and the other keeps its own."""
    texts = iter("AB")
    stage = Stage(lambda attempt: Reply(next(texts, "Z"), seconds=inf if attempt.task == "z" else 0))

    async def play(*names: str) -> dict[str, str]:
        found = {}
        with anyio.move_on_after(100):
            async with stage.open() as run:
                for name in names:
                    found[name] = (await run.agent("same", key=name)).text
                await run.agent("never", key="z")
        return found

    assert await play("a", "b") == {"a": "A", "b": "B"}
    stage.use(slow("z"))
    for _ in range(2):
        assert await play("a", "c") == {"a": "A", "c": "B"}
    assert {attempt.task for attempt in stage.executor.attempts} == {"z"}


async def test_takings_count_once() -> None:
    """A run that is gone on with again and again takes each result of another run once, and all that there are."""
    stage = Stage(slow())
    await again(stage, ["x", "x", "x"])
    for number in (1, 2, 3):
        stage.use(slow("z"))
        with anyio.move_on_after(100):
            async with stage.open(reuse="any") as run:
                run.submit(Task("z", key="z"))
                await run.map("{}", ["x"] * number, key="m")
                await anyio.sleep_forever()
        assert {attempt.task for attempt in stage.executor.attempts} == {"z"}


async def test_cost_is_remembered_over_many_kills() -> None:
    """What an attempt had told before the first of two kills is not forgotten at the second."""
    stage = Stage(slow("a"))
    for _ in range(2):
        with anyio.move_on_after(100):
            async with stage.open() as run:
                run.submit(Task("a", key="a"))
                await anyio.sleep(50)
                if len(stage.of(RunStarted)) == 1:
                    stage.emit(run, AgentMessage(task="a", attempt=1, type="ResultMessage", cost_usd=0.5))
        while not isinstance(stage.journal.records[-1].event, AgentMessage):
            stage.journal.records.pop()  # as if it had been killed then
        stage.use(slow("a"))
    stage.use(slow())
    async with stage.open() as run:
        result = await run.agent("a", key="a")
    assert (result.cost_usd, run.report().cost_usd) == (0.75, 0.75)


@pytest.mark.parametrize(
    ("name", "counts"),
    [("MAX_THINKING_TOKENS", True), ("KEYBOARD", True), ("ANTHROPIC_API_KEY", False), ("MY_AUTH_TOKEN", False)],
)
async def test_credentials_are_no_part_of_the_question(name: str, counts: bool) -> None:
    """A renewed credential changes no result; a variable that only sounds like one may."""
    stage = Stage(slow("m[1]"))
    agent = Agent(env={name: "1"})
    await stopped(stage, ["a", "b"], agent=agent)
    agent.env[name] = "2"
    await again(stage, ["a", "b"], agent=agent)
    assert ("m[0]" in [attempt.task for attempt in stage.executor.attempts]) is counts


async def test_resume_run_has_what_the_run_had(tmp_path: Path) -> None:
    """Agent and workspace that were given in Python hold when the run is gone on with; limits are those of the plan."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("limits: {usd: 1.0, concurrent: 2}\ntasks: {a: {prompt: 'a'}, b: {prompt: 'b'}}\n")
    (tmp_path / "sub").mkdir()
    stage = Stage(slow("b"))
    with anyio.move_on_after(100):
        await run_plan(
            plan,
            journal=stage.journal,
            executor=stage.executor,
            agent=Agent(model="opus"),
            workspace=tmp_path / "sub",
            directory=tmp_path,
        )
    plan.write_text(plan.read_text().replace("1.0", "9.0"))
    stage.use(slow("b"))
    with anyio.move_on_after(100):
        await resume_run(stage.runs[0], journal=stage.journal, executor=stage.executor)
    (attempt,) = stage.executor.attempts
    assert (attempt.task, attempt.agent.model, attempt.workspace.path) == ("b", "opus", str(tmp_path / "sub"))
    plan.write_text(plan.read_text().replace("9.0", "20.0"))
    stage.use(slow())
    await resume_run(stage.runs[0], journal=stage.journal, executor=stage.executor)
    assert [begun.usd for begun in stage.of(RunStarted)] == [1.0, 9.0, 20.0]
