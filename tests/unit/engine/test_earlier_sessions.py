"""How what was cut off goes on: in its session, at the cost that it had, with the settings of its run."""

from math import inf
from pathlib import Path

import anyio
import pytest
from running import Stage
from stopping import again, begins_session, slow, stopped

from orchestrator import Agent, Limits, Outcome, Task, TaskFailed, UsageError, resume_run, run_plan
from orchestrator.events import AgentMessage, AttemptStarted, RunFinished, RunStarted, TaskFinished
from orchestrator.prompts import INTERRUPTED
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


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


async def test_resume_run_says_anew_what_resume_does(tmp_path: Path) -> None:
    """Requests pass the gateway as they did; where a run is recorded, and when it ends early, can be said once more."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("limits: {concurrent: 1}\ntasks: {a: {foreach: [1, 2], prompt: 'a'}, b: {prompt: 'b'}}\n")
    stage = Stage(slow("a[0]", "b"))
    with anyio.move_on_after(100):
        await run_plan(plan, journal=stage.journal, executor=stage.executor, upstream="anthropic")
    stage.use({"a[0]": [Reply("bad", outcome=Outcome.REFUSED)]})
    record = tmp_path / "a.tape"
    with pytest.raises(TaskFailed):
        await resume_run(
            *stage.runs, journal=stage.journal, executor=stage.executor, fail_fast=True, pilot=1, record=record
        )
    before, now = stage.of(RunStarted)
    assert (before.gateway, now.gateway, now.pilot, now.arguments["record"]) == (True, True, 1, str(record))


async def test_a_failed_run_goes_on_by_its_id() -> None:
    """Of a run that came to its end with a failure only the failed task is asked again."""
    stage = Stage({"m[0]": [Reply("bad", outcome=Outcome.REFUSED)]})
    async with stage.open() as run:
        await run.map("{}", ["a", "b"], key="m")
    results, report = await again(stage, ["a", "b"], run=run.id)
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[0]"]
    assert (report.status, [result.ok for result in results]) == ("done", [True, True])


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
