"""Whatever agents use of the memory that they are known to need, they never use more together than they may."""

from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Limits, Result, Task, open_run
from orchestrator.task import Attempt
from orchestrator.testing import jumping
from orchestrator.testing.growing import MB, Growing

TOTAL = 16_000 * MB

shapes = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 3.0, 15.0]), st.floats(0.0, 1.0)), min_size=1, max_size=3)
"""Seconds, and which part of the peak is used."""


async def run_all(agents: Growing, memory: str, width: int, sizes: int) -> Sequence[Result]:
    limits = Limits(concurrent=width, memory=memory)
    async with open_run("test", executor=agents, journal="memory", limits=limits, machine=agents) as run:
        first = run.submit(Task("0", key="first"))  # from which it is learned what such agents need
        handles = [run.submit(Task(f"{number}", needs=[first])) for number in range(1, sizes)]
        return [await first.result(), *[await handle.result() for handle in handles]]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=30, deadline=None)
@given(
    plans=st.lists(shapes, min_size=1, max_size=12),
    peak=st.integers(1, 3000),
    limit=st.one_of(st.integers(1, 12_000), st.sampled_from(["80%", "50%", "100%"])),
    others=st.integers(0, 4000),
    width=st.integers(1, 30),
)
def test_what_is_known_is_kept_to(
    backend: str,
    plans: list[list[tuple[float, float]]],
    peak: int,
    limit: int | str,
    others: int,
    width: int,
) -> None:
    """Once an attempt has shown the peak, however the others grow up to it and fall, together they keep to the limit.

    One alone may use what it needs. The run ends, each agent is done, and none was put off.
    """

    def growth(attempt: Attempt) -> list[tuple[float, int]]:
        number = int(attempt.prompt)
        if number == 0:
            return [(1.0, peak * MB)]
        return [(seconds, int(part * peak * MB)) for seconds, part in plans[number - 1]]

    agents = Growing(growth, TOTAL, others * MB)
    memory = limit if isinstance(limit, str) else f"{limit}MB"
    name, options = jumping(backend)
    results = anyio.run(run_all, agents, memory, width, len(plans) + 1, backend=name, backend_options=options)
    assert all(result.ok for result in results)
    assert len(agents.attempts) == len(plans) + 1
    assert agents.most_at_once <= width
    assert agents.most_of_several <= allowed(limit, others)


def allowed(limit: int | str, others: int) -> float:
    """Bytes for all agents together."""
    if isinstance(limit, int):
        return limit * MB
    return int(limit.rstrip("%")) / 100 * TOTAL - others * MB
