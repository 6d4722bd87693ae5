"""What runs learn from earlier ones: which task is next, what a run will take, what a pilot tells of the whole."""

from pathlib import Path
from typing import Any

import pytest
from planning import report_of
from running import Stage

from orchestrator import Outcome, UsageError
from orchestrator.engine.foreseeing import foresee
from orchestrator.events import AttemptStarted, RunFinished, RunForecast, RunStarted, TaskAdded
from orchestrator.plan.loading import parse_plan
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

LISTED = {"type": "object", "properties": {"questions": {"type": "array"}}, "required": ["questions"]}
AUDIT: dict[str, Any] = {
    "ask": {"foreach": ["a", "b", "c", "d"], "prompt": "ask {{ item }}", "returns": LISTED},
    "check": {
        "foreach": "{{ tasks.ask.values | map(attribute='questions') | sum(start=[]) }}",
        "prompt": "check {{ item }}",
    },
    "report": {"prompt": "report {{ tasks.check.texts | length }}"},
}
"""Four that ask two questions each, each of which is checked."""


def by_prompt(attempt: Attempt) -> Reply:
    """`3` works for three seconds and costs three dollars."""
    seconds = float(attempt.prompt.split()[-1])
    return Reply(f"{attempt.prompt}!", seconds=seconds, cost_usd=seconds)


def audit(attempt: Attempt) -> Reply:
    word, *rest = attempt.prompt.split()
    if word == "ask":
        return Reply(value={"questions": [f"{rest[0]}1", f"{rest[0]}2"]}, seconds=10, cost_usd=1)
    return Reply(f"{attempt.prompt}!", seconds=20 if word == "check" else 5, cost_usd=2)


def since(stage: Stage, kind: type) -> list[Any]:
    """Events of the kind since the last run was started."""
    starts = [index for index, event in enumerate(stage.events) if isinstance(event, RunStarted)]
    return [event for event in stage.events[starts[-1] :] if isinstance(event, kind)]


async def test_what_took_long_before_starts_first() -> None:
    """Tasks that a first run took as they came go by their times in the next run of that name."""
    stage = Stage(by_prompt, concurrent=1)
    for expected in (["t[0]", "t[1]", "t[2]"], ["t[1]", "t[2]", "t[0]"]):
        before = len(stage.asked)
        async with stage.open(reuse="none") as run:
            await run.map("{}", [1, 5, 3], key="t")
        assert stage.asked[before:] == expected


async def test_what_failed_or_has_another_upstream_teaches_nothing() -> None:
    """A task that failed, and a run with the offline model, leave the order of a real run as it was."""
    stage = Stage({"t[1]": [Reply("no", seconds=50, outcome=Outcome.AUTH)], "t[0]": [Reply(seconds=2)]}, concurrent=1)
    async with stage.open(reuse="none") as run:
        await run.map("{}", [0, 1], key="t")
    stage.use(lambda attempt: Reply(seconds=90.0 if attempt.task == "t[1]" else 1.0))
    async with stage.open(reuse="none", upstream="offline", executor=stage.executor) as run:
        await run.map("{}", [0, 1], key="t")
    rows = await stage.journal.history("test", None)
    assert [(row["task"], row["seconds"]) for row in rows] == [("t[0]", 2)]
    async with stage.open(reuse="none") as run:
        await run.map("{}", [0, 1], key="t")
    assert stage.asked[-2:] == ["t[0]", "t[1]"]


async def test_a_forecast_of_a_small_plan(tmp_path: Path) -> None:
    """Two at once: ten seconds beside three, two and one, then four that wait for all: 14 s, reckoned by hand."""
    tasks = {
        "each": {"foreach": [1, 2, 3], "prompt": "do {{ item }}"},
        "long": {"prompt": "do 10"},
        "report": {"needs": ["each", "long"], "prompt": "sum up 4"},
    }
    stage = Stage(by_prompt, concurrent=2)
    await report_of(stage, tasks, tmp_path)
    assert since(stage, RunForecast) == [], "nothing was known of a first run"
    report = await report_of(stage, tasks, tmp_path)
    (told,) = since(stage, RunForecast)
    assert told == RunForecast(
        tasks=5,
        known=5,
        wall_s=pytest.approx(14),
        work_s=pytest.approx(20),
        critical_s=pytest.approx(14),
        critical=["long", "report"],
        bound_s=pytest.approx(14),
        usd=pytest.approx(20),
        basis="1 earlier run",
    )
    assert [event.task for event in since(stage, AttemptStarted)] == ["long", "each[2]", "each[1]", "each[0]", "report"]
    assert report.forecast is not None
    assert report.forecast.expected == told
    assert report.wall_s == pytest.approx(14, abs=0.5)


async def test_a_loop_to_come_counts_as_the_last_run_had_it(tmp_path: Path) -> None:
    """A loop over what is not there yet is expected to have as many parts as before, and as long ones."""
    stage = Stage(audit, concurrent=2)
    await report_of(stage, AUDIT, tmp_path)
    await report_of(stage, AUDIT, tmp_path)
    (told,) = since(stage, RunForecast)
    assert (told.tasks, told.known) == (13, 13)
    assert (told.work_s, told.usd) == (pytest.approx(4 * 10 + 8 * 20 + 5), pytest.approx(4 + 16 + 2))
    assert told.critical_s == pytest.approx(35)
    assert told.wall_s == pytest.approx(20 + 80 + 5)


async def test_tasks_that_have_never_run_are_guessed(tmp_path: Path) -> None:
    """A task that is new is counted, and not as known."""
    stage = Stage(by_prompt)
    await report_of(stage, {"a": {"prompt": "do 7"}}, tmp_path)
    await report_of(stage, {"a": {"prompt": "do 7"}, "b": {"prompt": "do 9"}}, tmp_path)
    (told,) = since(stage, RunForecast)
    assert (told.tasks, told.known) == (2, 1)


async def test_what_goes_on_is_forecast_without_what_is_done(tmp_path: Path) -> None:
    """After a part of a loop failed, only that part and what waits for it are still to come."""
    tasks = {"each": {"foreach": [1, 2, 3], "prompt": "do {{ item }}"}, "b": {"needs": ["each"], "prompt": "do 4"}}
    stage = Stage(by_prompt)
    await report_of(stage, tasks, tmp_path)
    stage.use(lambda attempt: Reply("no", outcome=Outcome.AUTH) if attempt.task == "each[1]" else by_prompt(attempt))
    first = await report_of(stage, tasks, tmp_path)
    stage.use(by_prompt)
    async with stage.open(directory=tmp_path, run=first.run) as run:
        await run.plan(parse_plan({"tasks": tasks}, tmp_path))
    (told,) = since(stage, RunForecast)
    assert [attempt.task for attempt in stage.executor.attempts] == ["each[1]", "b"]
    assert (told.tasks, told.work_s) == (2, pytest.approx(2 + 4))
    assert told.basis == "1 earlier run and its own beginning"


async def test_a_pilot_and_then_the_whole(tmp_path: Path) -> None:
    """The first part of each loop runs; the forecast scales a loop over what it gave; then only the rest is asked."""
    stage = Stage(audit, concurrent=2)
    async with stage.open(directory=tmp_path, pilot=1, plan="plan.yaml") as run:
        await run.plan(parse_plan({"tasks": AUDIT}, tmp_path))
    assert sorted(stage.asked) == ["ask[0]", "check[0]", "report"]
    told, ended = stage.of(RunForecast)[-1], stage.of(RunFinished)[-1]
    assert (ended.status, ended.complete) == ("done", False)
    assert (told.tasks, told.known, told.basis) == (13, 13, "its pilot")
    assert (told.work_s, told.usd) == (pytest.approx(4 * 10 + 8 * 20 + 5), pytest.approx(4 + 16 + 2))
    assert told.wall_s == pytest.approx(20 + 80 + 5)
    assert (run.report().ok, run.report().complete, run.report().pilot) == (True, False, 1)
    stage.use(audit)
    async with stage.open(directory=tmp_path, plan="plan.yaml") as again:
        await again.plan(parse_plan({"tasks": AUDIT}, tmp_path))
    assert again.id == run.id
    asked = sorted(attempt.task for attempt in stage.executor.attempts)
    assert asked == [*(f"ask[{n}]" for n in (1, 2, 3)), *(f"check[{n}]" for n in range(1, 8)), "report"]
    (rest,) = since(stage, RunForecast)
    assert (rest.tasks, rest.basis) == (11, "its own beginning")
    assert (again.report().ok, again.report().complete) == (True, True)


async def test_a_pilot_that_cut_nothing_is_the_whole(tmp_path: Path) -> None:
    """With no more items than the pilot takes the run is complete, and there is nothing to forecast."""
    stage = Stage(audit)
    async with stage.open(directory=tmp_path, pilot=9) as run:
        await run.plan(parse_plan({"tasks": AUDIT}, tmp_path))
    assert (run.report().complete, stage.of(RunForecast)) == (True, [])


async def test_a_pilot_of_pipelines(tmp_path: Path) -> None:
    """Each item's stages come one after the other in the forecast of the whole too."""
    stages = {"find": {"prompt": "check {{ item }}"}, "fix": {"prompt": "fix {{ previous.text }}"}}
    stage = Stage(audit, concurrent=10)
    async with stage.open(directory=tmp_path, pilot=2) as run:
        await run.plan(parse_plan({"tasks": {"doc": {"foreach": [1, 2, 3, 4, 5], "pipeline": stages}}}, tmp_path))
    assert len(stage.asked) == 4
    (told,) = stage.of(RunForecast)
    assert (told.tasks, told.wall_s, told.critical_s) == (10, pytest.approx(25), pytest.approx(25))
    assert run.report().complete is False


@pytest.mark.parametrize("pilot", [0, -1, True, "1", 1.5])
async def test_what_is_no_pilot(pilot: Any) -> None:
    """A number of items that is none is refused before anything starts."""
    stage = Stage()
    with pytest.raises(UsageError, match="expected how many items each loop is to take"):
        async with stage.open(pilot=pilot):
            pass
    assert stage.events == []


async def test_a_plan_is_foreseen_before_it_is_started(tmp_path: Path) -> None:
    """The forecast of a plan that nobody runs is that of its run, and the journal is left as it was."""
    stage = Stage(audit, concurrent=2)
    loaded = parse_plan({"name": "test", "limits": {"concurrent": 2}, "tasks": AUDIT}, tmp_path)
    assert await foresee(loaded, stage.journal.history) is None
    await report_of(stage, AUDIT, tmp_path)
    count = len(stage.events)
    told = await foresee(loaded, stage.journal.history)
    assert told is not None
    assert (told.tasks, told.wall_s, told.basis) == (13, pytest.approx(105), "1 earlier run")
    assert len(stage.events) == count
    assert len(stage.of(TaskAdded)) == 15
