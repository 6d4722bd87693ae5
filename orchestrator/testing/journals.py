"""The contract that every journal keeps.

@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS)
async def test_contract(check):
    async with open_my_journal() as journal:
        await check(journal)
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel

from orchestrator.events import Event, Record, RunFinished, TaskAdded
from orchestrator.protocols import Journal
from orchestrator.state import RunState
from orchestrator.task import Status
from orchestrator.testing.samples import HARD, run_started, sample_events

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
    """`runs` has a row per run, newest first, and its figures are those of the folded events."""
    await _append(journal, "listed-1", sample_events("first"))
    await _append(journal, "listed-2", [run_started("second"), _added("only")])
    state = RunState()
    state.apply_all(await journal.read("listed-1"))
    newest, oldest = [row for row in await journal.runs() if row["run"] in ("listed-1", "listed-2")]
    assert (newest["run"], newest["name"], newest["status"], newest["tasks"]) == ("listed-2", "second", None, 1)
    assert (oldest["run"], oldest["name"], oldest["status"]) == ("listed-1", "first", "failed")
    assert (oldest["wall_s"], oldest["plan"], oldest["pid"]) == (12.5, "plan.yaml", 1)
    assert (oldest["tasks"], oldest["ok"]) == (state.total, state.counts[Status.DONE])
    assert oldest["failed"] == state.counts[Status.FAILED]
    assert abs(oldest["cost_usd"] - state.cost_usd) < 1e-9
    assert (oldest["started"], oldest["last_event"]) == (state.started_at, state.last_at)
    for wanted, found in {
        "listed-1": ["listed-1"],
        "second": ["listed-2"],
        "listed-": ["listed-2", "listed-1"],
    }.items():
        assert [row["run"] for row in await journal.runs(wanted=wanted)] == found, f"wrong runs for {wanted!r}"
    assert [row["run"] for row in await journal.runs(1, "listed-")] == ["listed-2"]


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
)
"""What every journal promises."""


async def check_journal(open_journal: Callable[[], AbstractAsyncContextManager[Journal]]) -> None:
    """The whole contract, on a journal that nobody has written to yet. Raises AssertionError with what was not kept."""
    async with open_journal() as journal:
        for check in CHECKS:
            await check(journal)


def _added(task: str) -> TaskAdded:
    return TaskAdded(task=task, title=HARD, task_kind="agent")


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
