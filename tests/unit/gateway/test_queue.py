import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.gateway.passing.pacing import Need, Pacing
from orchestrator.gateway.passing.queue import Queue
from orchestrator.plan.model import Limits
from orchestrator.testing import jumping

pytestmark = pytest.mark.anyio
NEED = Need("m", 1, 1)


@pytest.fixture
def anyio_backend() -> Any:
    """The gateway has a loop of asyncio; the clock jumps."""
    return jumping("asyncio")


def queue_of(requests_per_minute: int | None = None) -> Queue:
    limits = Limits(requests_per_minute=requests_per_minute)
    return Queue(Pacing(limits, asyncio.get_running_loop().time()))


class Gone:
    """Requests in the order in which they went."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.order: list[str] = []
        self.times: list[float] = []

    async def ask(self, session: str, name: str | None = None, **how: Any) -> None:
        sent = await self._queue.turn(session, how.pop("need", NEED), **how)
        self._queue.pacing.went_well(sent)
        self._queue.pump()
        self.order.append(name or session)
        self.times.append(asyncio.get_running_loop().time())

    async def all(self, *asked: Coroutine[Any, Any, None]) -> None:
        await asyncio.gather(*asked)


async def test_agents_take_turns() -> None:
    """One that asks for much does not keep the others waiting, and its own requests keep their order."""
    gone = Gone(queue_of(60))
    greedy = [gone.ask("a", f"a{number}") for number in range(4)]
    await gone.all(*greedy, gone.ask("b"), gone.ask("c"))
    assert gone.order == ["a0", "a1", "b", "c", "a2", "a3"]


async def test_requests_go_as_the_limit_allows() -> None:
    """At 60 a minute one goes each second, and none is refused however many wait."""
    gone = Gone(queue_of(60))
    await gone.all(*(gone.ask(f"s{number}") for number in range(200)))
    intervals = [later - sooner for sooner, later in pairwise(gone.times)]
    assert all(abs(interval - 1.0) < 0.01 for interval in intervals)


async def test_a_client_that_leaves_costs_nothing() -> None:
    """Its request is dropped, and the one behind it goes at the time that was its."""
    queue = queue_of(60)
    gone = Gone(queue)
    await gone.ask("a")
    leaving = asyncio.create_task(gone.ask("b"))
    staying = asyncio.create_task(gone.ask("c"))
    await asyncio.sleep(0.5)
    leaving.cancel()
    await staying
    assert gone.order == ["a", "c"]
    assert abs(gone.times[1] - gone.times[0] - 1.0) < 0.01
    assert len(queue) == 0


async def test_who_asks_again_keeps_its_place() -> None:
    """A CLI that gave up waiting and asks again at once is not put behind those that came after it."""
    gone = Gone(queue_of(6))
    await gone.ask("first")
    waiting = [asyncio.create_task(gone.ask(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(1)
    waiting[0].cancel()
    await asyncio.sleep(1)
    waiting[0] = asyncio.create_task(gone.ask("a"))
    await asyncio.wait(waiting)
    assert gone.order == ["first", "a", "b", "c"]


async def test_what_was_refused_goes_before_the_others() -> None:
    """It had its turn; the pause is for all."""
    queue = queue_of()
    gone = Gone(queue)
    sent = await queue.turn("a", NEED)
    now = asyncio.get_running_loop().time()
    queue.pacing.refused(sent, 5.0, now)
    others = [asyncio.create_task(gone.ask(name)) for name in ("b", "c")]
    await asyncio.sleep(0)
    await gone.all(gone.ask("a", again=True), *others)  # type: ignore[arg-type]
    assert gone.order == ["a", "b", "c"]
    assert gone.times[0] - now >= 5.0


async def test_another_models_limit_holds_up_nobody_else() -> None:
    """While requests to one model wait for its limit, those to another go."""
    queue = queue_of()
    gone = Gone(queue)
    sent = await queue.turn("a", NEED)
    headers = {"anthropic-ratelimit-requests-limit": "6", "anthropic-ratelimit-requests-remaining": "0"}
    queue.pacing.learn(sent, headers, asyncio.get_running_loop().time())
    queue.pacing.went_well(sent)
    slow = asyncio.create_task(gone.ask("slow"))
    await gone.ask("quick", need=Need("other", 1, 1))
    await slow
    assert gone.order == ["quick", "slow"]


async def test_a_large_request_is_not_passed_over() -> None:
    """Small ones that come later do not take the tokens that it waits for."""
    limits = Limits(input_tokens_per_minute=6000)
    queue = Queue(Pacing(limits, asyncio.get_running_loop().time()))
    gone = Gone(queue)
    await gone.ask("first", need=Need("m", 500, 1))
    large = asyncio.create_task(gone.ask("large", need=Need("m", 500, 1)))
    await asyncio.sleep(0)
    await gone.all(*(gone.ask(f"small{number}", need=Need("m", 10, 1)) for number in range(5)))
    await large
    assert gone.order[:2] == ["first", "large"]


async def test_clients_that_leave_while_others_move_up_are_passed_over() -> None:
    """One whose task is cancelled, but has not run since, gets no turn, and nobody else is hurt by it."""
    queue = queue_of()
    first = await queue.turn("a", NEED)
    leaving = asyncio.create_task(queue.turn("b", NEED))
    staying = asyncio.create_task(queue.turn("c", NEED))
    await asyncio.sleep(0)
    leaving.cancel()
    queue.pacing.went_well(first)
    queue.pump()
    queue.pacing.went_well(await asyncio.wait_for(staying, 5))
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert len(queue) == 0
    await asyncio.wait_for(queue.turn("b", NEED), 5)
