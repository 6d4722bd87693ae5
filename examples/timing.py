"""Five agents one after the other, then at once: the times side by side, and the efficiency.

python examples/timing.py [--offline]

Offline, each of the model's replies takes 3 seconds, as one of the API might.
"""

import sys

import anyio

from orchestrator import Limits, RunReport, Task, open_run

TOPICS = ["sea", "forest", "city", "desert", "sky"]


async def measure(concurrent: int) -> RunReport:
    async with open_run(
        f"timing-{concurrent}",
        limits=Limits(concurrent=concurrent),
        upstream="offline" if "--offline" in sys.argv else None,
        reuse="none",  # what is taken from an earlier run takes no time
    ) as run:
        for topic in TOPICS:
            rehearsal = ({"wait": 3}, {"say": f"The {topic}."})
            run.submit(Task(prompt=f"Write one sentence about the {topic}.", key=topic, rehearsal=rehearsal))
    return run.report()


async def main() -> None:
    one, all_at_once = await measure(1), await measure(len(TOPICS))
    speedup = one.wall_s / all_at_once.wall_s
    print("              wall   sum of tasks")
    print(f"sequential {one.wall_s:5.1f} s        {one.sum_s:5.1f} s   {one.parallel}")
    print(f"parallel   {all_at_once.wall_s:5.1f} s        {all_at_once.sum_s:5.1f} s   {all_at_once.parallel}")
    print(f"{speedup:.1f} times as fast with {len(TOPICS)} at once: efficiency {speedup / len(TOPICS):.0%}")


anyio.run(main)
