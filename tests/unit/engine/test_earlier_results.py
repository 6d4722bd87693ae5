"""Whose results a run takes that was stopped and goes on: nothing that finished is asked again."""

from math import inf
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from running import Stage
from stopping import again, slow, stopped

from orchestrator import Task, UsageError
from orchestrator.events import RunStarted
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


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


class Number(BaseModel):
    number: int


async def test_a_typed_result_comes_back_typed() -> None:
    """A value from the journal is an instance of the model again."""
    stage = Stage(lambda attempt: Reply(value={"number": 4}, seconds=1e6 if attempt.task == "m[1]" else 0))
    await stopped(stage, ["a", "b"], returns=Number)
    results, _ = await again(stage, ["a", "b"], lambda _: Reply(value={"number": 5}), returns=Number)
    assert [result.value for result in results] == [Number(number=4), Number(number=5)]


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
