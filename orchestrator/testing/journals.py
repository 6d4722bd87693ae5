"""The contract that every journal keeps.

@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS)
async def test_contract(check):
    async with open_my_journal() as journal:
        await check(journal)
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import anyio
import anyio.lowlevel

from orchestrator.events import AttemptFinished, Event, Record, RunFinished, RunStarted, TaskAdded
from orchestrator.protocols import Journal
from orchestrator.task import Outcome, Result
from orchestrator.testing.samples import HARD, attempt_finished, finished, run_started, sample_events

Check = Callable[[Journal], Awaitable[None]]


async def check_keeps_all(journal: Journal) -> None:
    """Every kind of event comes back as it was, hard words too, in its order."""
    events = sample_events()
    await _append(journal, "keeps-1", events)
    records = await journal.read("keeps-1")
    assert [record.event for record in records] == events, "events were lost or changed"
    assert all(record.run == "keeps-1" for record in records), "records name another run"


async def check_numbers_grow(journal: Journal) -> None:
    """Sequence numbers and times grow from record to record, also from run to run."""
    await _append(journal, "numbers-1", sample_events())
    await _append(journal, "numbers-2", sample_events())
    records = [*await journal.read("numbers-1"), *await journal.read("numbers-2")]
    numbers = [record.seq for record in records]
    assert numbers == sorted(set(numbers)), f"sequence numbers are {numbers}"
    times = [record.at for record in records]
    assert times == sorted(times), f"times are {times}"


async def check_runs_apart(journal: Journal) -> None:
    """Runs that are written at the same time do not mix."""
    for number in range(50):
        for run in ("apart-1", "apart-2"):
            journal.append(run, _added(f"{run} {number}"))
    await journal.flush()
    for run in ("apart-1", "apart-2"):
        assert _tasks(await journal.read(run)) == [f"{run} {number}" for number in range(50)]


async def check_reads_behind(journal: Journal) -> None:
    """`read` and `follow` with `after` give what comes behind it, and nothing else."""
    await _append(journal, "behind-1", sample_events())
    records = await journal.read("behind-1")
    middle = records[len(records) // 2].seq
    expected = [record for record in records if record.seq > middle]
    assert list(await journal.read("behind-1", middle)) == expected
    assert await _followed(journal, "behind-1", middle) == expected
    assert list(await journal.read("behind-1", records[-1].seq)) == []
    told = [each for each in records if getattr(each.event, "type", "ResultMessage") == "ResultMessage"]
    assert list(await journal.read("behind-1", messages=False)) == told != records
    assert list(await journal.read("behind-1", middle, messages=False)) == [each for each in told if each.seq > middle]


async def check_unknown_run(journal: Journal) -> None:
    """A run that nobody has written has no records."""
    await journal.flush()
    assert list(await journal.read("nobody")) == []


async def check_follows(journal: Journal) -> None:
    """A follower that came first gets each event while the run goes on, and ends with RunFinished."""
    seen: list[Record] = []
    changed = anyio.Event()

    async def follow() -> None:
        nonlocal changed
        async for batch in journal.follow("follow-1"):
            assert batch, "a batch is empty"
            seen.extend(batch)
            changed.set()
            changed = anyio.Event()

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        for number, event in enumerate(events := sample_events(), start=1):
            journal.append("follow-1", event)
            await journal.flush()
            with anyio.fail_after(30):
                while len(seen) < number:
                    await changed.wait()
    assert [record.event for record in seen] == events


async def check_many_follow(journal: Journal) -> None:
    """Ten followers each get all of a run."""
    got: list[list[Record]] = []

    async def follow() -> None:
        got.append(await _followed(journal, "many-1"))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(follow)
        await anyio.lowlevel.checkpoint()
        await _append(journal, "many-1", sample_events())
    assert [[record.event for record in each] for each in got] == [sample_events()] * 10


async def check_cancelled_follower(journal: Journal) -> None:
    """A follower that is cancelled, or stops early, leaves the journal as it was."""
    await _append(journal, "cancel-1", sample_events()[:-1])
    with anyio.CancelScope() as scope:
        async for _ in journal.follow("cancel-1"):
            scope.cancel()
    assert scope.cancelled_caught, "the cancellation was swallowed"
    await _append(journal, "cancel-1", [RunFinished(status="done", wall=1.0)])
    assert len(await _followed(journal, "cancel-1")) == len(sample_events())


async def check_flush_from_many(journal: Journal) -> None:
    """Tasks that append and flush at the same time each find their own event kept when flush returns."""

    async def one(number: int) -> None:
        journal.append("flush-1", _added(f"{number}"))
        await journal.flush()
        assert f"{number}" in _tasks(await journal.read("flush-1")), "flush returned too early"

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)


async def check_lists_runs(journal: Journal) -> None:
    """`runs` has a row per run, newest first, and its figures are those of the run's events."""
    await _append(journal, "listed-1", events := sample_events("first"))
    await _append(journal, "listed-2", [run_started("second"), _added("only")])
    records = await journal.read("listed-1")
    newest, oldest = [row for row in await journal.runs() if row["run"] in ("listed-1", "listed-2")]
    assert (newest["run"], newest["name"], newest["status"], newest["tasks"]) == ("listed-2", "second", None, 1)
    assert (oldest["run"], oldest["name"], oldest["status"]) == ("listed-1", "first", "failed")
    assert (oldest["wall_s"], oldest["plan"], oldest["pid"]) == (12.5, "plan.yaml", 1)
    assert (oldest["resumed"], oldest["script"], oldest["directory"]) == (0, None, "/tmp")  # noqa: S108
    assert (oldest["tasks"], oldest["ok"], oldest["failed"]) == (5, 1, 1), "loops are not counted beside their parts"
    assert abs(oldest["cost_usd"] - _cost(events)) < 1e-9
    assert (oldest["started"], oldest["last_event"]) == (records[0].at, records[-1].at)
    for wanted, found in {
        "listed-1": ["listed-1"],
        "second": ["listed-2"],
        "listed-": ["listed-2", "listed-1"],
    }.items():
        assert [row["run"] for row in await journal.runs(wanted=wanted)] == found, f"wrong runs for {wanted!r}"
    assert [row["run"] for row in await journal.runs(1, "listed-")] == ["listed-2"]


async def check_lists_a_run_gone_on_with(journal: Journal) -> None:
    """A run that is gone on with is one row: it has no end until the new one, and counts from its last start on."""
    await _append(journal, "again-1", sample_events("again"))
    await _append(journal, "again-2", [run_started("later")])
    again = replace(run_started("again", resumed=1), pid=2, process_started=3.0, script="audit.py", plan=None, pilot=2)
    await _append(journal, "again-1", [again, _added("a"), _added("b"), finished(_result("a"), "done")])
    first, last = [record.at for record in await journal.read("again-1") if isinstance(record.event, RunStarted)]
    row, other = await journal.runs(wanted="again-")
    assert (row["run"], other["run"]) == ("again-1", "again-2"), "the run that was started last is not the first"
    assert (row["status"], row["wall_s"]) == (None, None), "a run that goes on has the end that it had before"
    assert (row["complete"], other["complete"]) == (None, None)
    assert (row["pilot"], other["pilot"]) == (2, None), "a pilot is not told as one"
    assert (row["tasks"], row["ok"], row["failed"]) == (2, 1, 0)
    assert (row["pid"], row["process_started"], row["resumed"]) == (2, 3.0, 1)
    assert (row["script"], row["plan"]) == ("audit.py", None)
    assert (row["started"], row["last_started"]) == (first, last)
    await _append(journal, "again-1", [attempt_finished("b", 1, Outcome.OK), RunFinished(status="done", wall=2.5)])
    row, _ = await journal.runs(wanted="again-")
    assert (row["status"], row["wall_s"], bool(row["complete"])) == ("done", 2.5, True)
    assert abs(row["cost_usd"] - _cost(sample_events()) - 0.25) < 1e-9, "the cost is not that of all starts"


async def check_follows_to_the_last_end(journal: Journal) -> None:
    """A run that ended and was gone on with is followed to its last end, also from behind its first one."""
    events = [*sample_events(), run_started("sample", resumed=1), _added("more"), RunFinished(status="done", wall=1.0)]
    await _append(journal, "last-1", events)
    assert [record.event for record in await _followed(journal, "last-1")] == events
    end = (await journal.read("last-1"))[len(sample_events()) - 1].seq
    assert [record.event for record in await _followed(journal, "last-1", end)] == events[len(sample_events()) :]


async def check_waits_for_the_next_end(journal: Journal) -> None:
    """A follower that knows all up to an end waits for what comes when the run is gone on with."""
    await _append(journal, "next-1", sample_events())
    end = (await journal.read("next-1"))[-1].seq
    got: list[Record] = []

    async def follow() -> None:
        got.extend(await _followed(journal, "next-1", end))

    more = [run_started("sample", resumed=1), RunFinished(status="done", wall=1.0)]
    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await anyio.lowlevel.checkpoint()
        await _append(journal, "next-1", more)
    assert [record.event for record in got] == more


async def check_drives(journal: Journal) -> None:
    """One at a time drives a run, also within one process; it is free again when the block is left, however."""
    with journal.drive("drive-1") as first, journal.drive("drive-1") as second, journal.drive("drive-2") as other:
        assert (first, second, other) == (True, False, True)
        with journal.drive("drive-1") as third:
            assert not third, "one who did not drive the run has set it free"
    try:
        with journal.drive("drive-1") as again:
            assert again, "a run is driven by nobody, and yet not free"
            raise LookupError
    except LookupError:
        pass
    with journal.drive("drive-1") as again:
        assert again, "an exception did not set the run free"


async def check_finds_results(journal: Journal) -> None:
    """`find` gives what was done under a key, in all runs, the newest first, and nothing else."""
    for run, status in (("find-1", "done"), ("find-2", "failed"), ("find-3", "done")):
        text = Result(task="t", outcome=Outcome.OK, text=f"{HARD} {run}")
        await _append(journal, run, [finished(text, status, key="key-1"), finished(_result("t"), "done")])
    await _append(journal, "find-4", [finished(_result("t"), "done", key="key-2")])
    found = await journal.find("key-1")
    assert [record.run for record in found] == ["find-3", "find-1"]
    assert found[1] == (await journal.read("find-1"))[0], "the record is not the one that was written"
    assert list(await journal.find("key")) == [], "a key's beginning is no key"


async def check_teaches(journal: Journal) -> None:
    """`history` gives what the newest runs of a name and an upstream teach, oldest first, and of no other."""
    upstreams = {"teach-1": None, "teach-2": "offline", "teach-3": None}
    for run, upstream in upstreams.items():
        lesson = {"kind": "agent", "seconds": 1.5, "usd": 0.25, "needs": [HARD]}
        ends = [replace(finished(_result(task), "done"), lesson=lesson) for task in ("a", f"{HARD} {run}")]
        await _append(journal, run, [replace(run_started("teach"), upstream=upstream), *ends])
        await _append(journal, run, [finished(_result("nothing"), "failed"), run_started("teach other")])
    rows = await journal.history("teach", None)
    names = [(row["run"], row["task"]) for row in rows]
    assert names == [(run, task) for run in ("teach-1", "teach-3") for task in ("a", f"{HARD} {run}")]
    assert rows[0] == {"run": "teach-1", "task": "a", "kind": "agent", "seconds": 1.5, "usd": 0.25, "needs": [HARD]}
    assert [row["run"] for row in await journal.history("teach", "offline")] == ["teach-2"] * 2
    assert list(await journal.history("nobody", None)) == []


async def check_keeps_transcripts(journal: Journal) -> None:
    """Lines of a session come back in order, hard words too, each uuid once; apart from those of other sessions."""
    if (sessions := journal.sessions) is None:
        return
    key = {"project_key": HARD, "session_id": "lines-1"}
    lines = [{"type": "user", "uuid": f"{number}", "text": f"{HARD}\ud800", "n": 1.5} for number in range(4)]
    title = {"type": "title", "title": HARD}
    await sessions.append(key, lines[:2])
    await sessions.append({**key, "subpath": "subagents/one"}, lines[:1])
    await sessions.append({**key, "project_key": "other"}, lines[:1])
    await sessions.append(key, [])
    await sessions.append(key, [lines[1], title, lines[2], lines[2], title, lines[0]])
    await sessions.append(key, lines[3:])
    assert await sessions.load(key) == [*lines[:2], title, lines[2], title, lines[3]]
    assert await sessions.load({**key, "subpath": "subagents/one"}) == lines[:1]
    assert await sessions.list_subkeys(key) == ["subagents/one"]
    assert await sessions.load({**key, "session_id": "lines-2"}) is None


async def check_finds_sessions(journal: Journal) -> None:
    """A session is found by its id alone, where it was written to last; one that was deleted is not."""
    if (sessions := journal.sessions) is None:
        return
    old, new = ({"project_key": project, "session_id": "found-1"} for project in ("old", "new"))
    for key in (old, new, {**old, "subpath": "subagents/one"}):
        await sessions.append(key, [{"type": "user"}])
    assert await sessions.find_session("found-1") == new
    await sessions.append(old, [{"type": "user"}])
    assert await sessions.find_session("found-1") == old
    assert [each["session_id"] for each in await sessions.list_sessions("old")] == ["found-1"]
    await sessions.delete(old)
    assert await sessions.find_session("found-1") == new
    assert await sessions.load({**old, "subpath": "subagents/one"}) is None, "a subagent's transcript was left"
    await sessions.delete(new)
    assert await sessions.find_session("found-1") is None


async def check_transcripts_of_many(journal: Journal) -> None:
    """Sessions that write at the same time as events come keep their own order, and lose nothing."""
    if (sessions := journal.sessions) is None:
        return

    async def write(session: str) -> None:
        for number in range(20):
            journal.append("lines-of-many", _added(f"{session} {number}"))
            await sessions.append({"project_key": "many", "session_id": session}, [{"type": "user", "n": number}])

    async with anyio.create_task_group() as group:
        for session in "abc":
            group.start_soon(write, session)
    await journal.flush()
    assert len(await journal.read("lines-of-many")) == 60
    for session in "abc":
        lines = await sessions.load({"project_key": "many", "session_id": session})
        assert [line["n"] for line in lines or []] == list(range(20))


async def check_late_transcript(journal: Journal) -> None:
    """What is written while a cancelled task puts its session away, shielded, is kept."""
    if (sessions := journal.sessions) is None:
        return
    key = {"project_key": "late", "session_id": "late-1"}
    with anyio.CancelScope() as scope:
        try:
            scope.cancel()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await sessions.append(key, [{"type": "user"}])
    assert await sessions.load(key) == [{"type": "user"}]


CHECKS: tuple[Check, ...] = (
    check_keeps_all,
    check_numbers_grow,
    check_runs_apart,
    check_reads_behind,
    check_unknown_run,
    check_follows,
    check_many_follow,
    check_cancelled_follower,
    check_flush_from_many,
    check_lists_runs,
    check_lists_a_run_gone_on_with,
    check_follows_to_the_last_end,
    check_waits_for_the_next_end,
    check_drives,
    check_finds_results,
    check_teaches,
    check_keeps_transcripts,
    check_finds_sessions,
    check_transcripts_of_many,
    check_late_transcript,
)
"""What every journal promises."""


async def check_journal(open_journal: Callable[[], AbstractAsyncContextManager[Journal]]) -> None:
    """The whole contract, on a journal that nobody has written to yet. Raises AssertionError with what was not kept."""
    async with open_journal() as journal:
        for check in CHECKS:
            await check(journal)


def _added(task: str) -> TaskAdded:
    return TaskAdded(task=task, title=HARD, task_kind="agent")


def _result(task: str) -> Result:
    return Result(task=task, outcome=Outcome.OK)


def _cost(events: Sequence[Event]) -> float:
    return sum(event.cost_usd for event in events if isinstance(event, AttemptFinished))


def _tasks(records: Sequence[Record]) -> list[str]:
    return [record.event.task for record in records if isinstance(record.event, TaskAdded)]


async def _append(journal: Journal, run: str, events: Sequence[Event]) -> None:
    for event in events:
        journal.append(run, event)
    await journal.flush()


async def _followed(journal: Journal, run: str, after: int = 0) -> list[Record]:
    with anyio.fail_after(30):
        return [record async for batch in journal.follow(run, after) for record in batch]
    raise AssertionError("the follower did not end")
