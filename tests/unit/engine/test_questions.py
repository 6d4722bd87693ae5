"""What a script can ask of its run while it works, and batches that come from a queue."""

from collections.abc import AsyncIterator
from math import inf
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Outcome, Run, Status, Task, UsageError
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


def by_prompt(attempt: Attempt) -> Reply:
    """`3` works for three seconds."""
    return Reply(attempt.prompt, seconds=float(attempt.prompt))


def submitted(run: Run, *seconds: float) -> list[Any]:
    """A task for each, called by its number."""
    return [run.submit(Task(str(each), key=f"t{number}", retries=0)) for number, each in enumerate(seconds)]


async def test_status() -> None:
    """Each task can be asked for by id, by handle and by result."""
    stage = Stage(by_prompt, concurrent=2)
    async with stage.open() as run:
        first, second, third = submitted(run, 1, 100, 1000)
        result = await first.result()
        assert run.status(result) is run.status("t0") is Status.DONE
        assert run.status(second) is Status.RUNNING
        assert list(run.statuses()) == ["t0", "t1", "t2"]
        third.cancel()
        await third.result()
        assert run.statuses() == {"t0": Status.DONE, "t1": Status.RUNNING, "t2": Status.CANCELLED}
        assert (run.is_complete(), run.is_complete(first, "t2")) == (False, True)
    assert run.is_complete()


async def test_results_so_far() -> None:
    """What has ended can be had before the rest has, by task and by session; groups have no session of their own."""
    stage = Stage(by_prompt)
    async with stage.open() as run:
        first, _ = submitted(run, 1, 100)
        await first.result()
        assert list(run.results()) == ["t0"]
        vote = await run.vote("2", times=1, key="v")
        sessions = run.by_session()
    assert vote.winner is not None
    assert {result.task for result in sessions.values()} == {"t0", "v[0]"}
    assert sessions[vote.winner.session_id or ""].task == "v[0]"
    assert run.results()["v"].session_id == vote.winner.session_id
    assert len(run.by_session()) == 3


async def test_of_a_session_that_goes_on() -> None:
    """Of several tasks in one session the last is given."""
    async with Stage().open() as run:
        first = await run.agent("x", key="a")
        second = await run.resume(first, "more", key="b")
        assert first.session_id == second.session_id
        assert [result.task for result in run.by_session().values()] == ["b"]


async def test_wait_for_all() -> None:
    """Without more it waits for all those named, or for all that there are."""
    async with Stage(by_prompt).open() as run:
        tasks = submitted(run, 3, 1, 2)
        begun = anyio.current_time()
        done, pending = await run.wait(tasks[1], "t2")
        assert ([result.task for result in done], pending) == (["t1", "t2"], [])
        assert anyio.current_time() - begun == pytest.approx(2)
        assert [result.task for result in (await run.wait()).done] == ["t1", "t2", "t0"]


async def test_wait_for_the_first() -> None:
    """It returns with the first so many, and the others go on."""
    async with Stage(by_prompt).open() as run:
        tasks = submitted(run, 30, 10, 20)
        begun = anyio.current_time()
        waited = await run.wait(*tasks, first=2)
        assert ([result.task for result in waited.done], waited.pending) == (["t1", "t2"], ["t0"])
        assert anyio.current_time() - begun == pytest.approx(20)
        waited = await run.wait(*tasks, first=1)
        assert anyio.current_time() - begun == pytest.approx(20)
    assert run.report().succeeded == 3


async def test_wait_with_a_timeout() -> None:
    """When the time is over it tells what has ended, and cancels nothing."""
    async with Stage(by_prompt).open() as run:
        tasks = submitted(run, 30, 700)
        waited = await run.wait(*tasks, timeout="10m")
        assert ([result.task for result in waited.done], waited.pending) == (["t0"], ["t1"])
        assert run.status("t1") is Status.RUNNING
    assert run.report().ok


async def test_wait_for_nothing() -> None:
    """A run without tasks has nothing to wait for."""
    async with Stage().open() as run:
        assert await run.wait() == ([], [])
        assert run.is_complete()
        assert (run.statuses(), run.results(), run.by_session()) == ({}, {}, {})


async def test_unknown_tasks() -> None:
    """A task that is none, or a number that cannot be, is refused with what was found."""
    async with Stage().open() as run:
        submitted(run, 1)
        for ask in (run.status, run.is_complete):
            with pytest.raises(UsageError, match="'nobody' is no task of this run"):
                ask("nobody")
            with pytest.raises(UsageError, match="found the number 3, expected the id, the handle or the result"):
                ask(3)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="'nobody' is no task of this run"):
            await run.wait("t0", "nobody")
        for first in (0, 2, -1, True, "1"):
            with pytest.raises(UsageError, match="wait: first: found"):
                await run.wait("t0", first=first)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="timeout"):
            await run.wait("t0", timeout="soon")


async def test_questions_in_a_group() -> None:
    """A group's run knows its own tasks by short names, and tells of no others."""
    stage = Stage(by_prompt)
    async with stage.open() as run:
        submitted(run, 50)
        async with run.group("g") as g:
            g.submit(Task("1", key="a"))
            assert g.status("a") is run.status("g.a") is Status.RUNNING
            assert g.status("t0") is Status.RUNNING
            assert [result.task for result in (await g.wait()).done] == ["g.a"]
            assert (list(g.statuses()), list(g.results()), g.is_complete()) == (["g.a"], ["g.a"], True)
            assert not run.is_complete()
            assert len((await run.wait()).done) == 2  # the group itself is still open
            assert run.is_complete()
            assert not run.is_complete("g")


async def test_a_queue() -> None:
    """Items of a queue begin as they come, as widely as the run allows; the stream ends when no more can come."""
    stage = Stage(by_prompt, concurrent=2)
    send, queue = anyio.create_memory_object_stream[int](0)
    texts = []
    async with stage.open() as run, anyio.create_task_group() as group:

        async def produce() -> None:
            async with send:
                for seconds in (30, 10, 5, 1):
                    await send.send(seconds)
                    await anyio.sleep(3)

        group.start_soon(produce)
        async with queue, run.as_completed("{}", queue, key="q") as stream:
            async for result in stream:
                texts.append(result.text)
    assert texts == ["10", "5", "1", "30"]
    assert stage.executor.most_at_once == 2
    assert stage.asked == ["q[0]", "q[1]", "q[2]", "q[3]"]


async def test_leaving_a_queue_cancels_the_rest() -> None:
    """Whoever leaves early takes no more from the queue, and cancels what was begun."""
    taken = []

    async def numbers() -> AsyncIterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number
            await anyio.sleep(1)

    stage = Stage(lambda attempt: Reply(seconds=0.5 if attempt.task == "q[1]" else inf))
    async with stage.open() as run, run.as_completed("{}", numbers(), key="q") as stream:
        assert (await anext(stream)).task == "q[1]"
    assert taken == [0, 1]
    assert stage.statuses == {"q[0]": Status.CANCELLED, "q[1]": Status.DONE}


async def test_an_item_that_breaks_the_template() -> None:
    """An item of a queue that fits no template is told as it is, and what was begun is cancelled."""

    async def items() -> AsyncIterator[Any]:
        yield {"a": 1}
        yield {"b": 1}

    async def take_all(run: Run) -> None:
        async with run.as_completed("{a}", items(), key="q") as stream:
            async for _ in stream:
                pass

    stage = Stage(lambda _: Reply(seconds=inf))
    async with stage.open() as run:
        with pytest.raises(UsageError, match=r"the template wants \{a\}, but item 1 has only"):
            await take_all(run)
    assert stage.statuses == {"q[0]": Status.CANCELLED}


async def test_results_apart() -> None:
    """What was skipped is neither a success nor a failure of a batch."""
    async with Stage({"bad": [Reply("no", outcome=Outcome.REFUSED)]}).open() as run:
        bad = run.submit(Task("x", key="bad", retries=0))
        results = await run.map("{}", [1, 2], needs=[bad])
    assert (results.ok, results.succeeded, results.failed) == (True, [], [])
    assert results.outcomes == {Outcome.SKIPPED: 2}
