"""Many agents at work at the same time, and as many idle processes: what the parent takes for each.

Each agent writes a message and then waits until a pipe is opened for writing, which is done once all have.
"""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread
from rich.table import Table

from orchestrator.processes.tree import environment, pids
from orchestrator.processes.usage import proportional
from tests.benchmarks.weight.places import Place, places

COUNTS = (10, 200, 1_000)
PILOTS = 10
"""Agents that are done before: what they use tells how much memory is to be set aside for each of the others."""
PILOT = "use 1 0 0.5"
WAITS = "kind = 'AgentMessage' AND json_extract(data, '$.doing') = 'waits'"
ENDS = "kind = 'AttemptFinished'"
LOOK = 0.5
"""Seconds from look to look at who is at work."""
LONGEST = 240.0
"""Seconds until all must be."""


async def ours(agents: int) -> int:
    """A run. Its processes stay idle until this process is told to go on."""
    from orchestrator import Limits, open_run

    async with open_run("weight", limits=Limits(concurrent=agents)) as run:
        await run.map(PILOT + "{}", [""] * min(PILOTS, agents))
        results = await run.map("meet " + os.environ["WEIGHT_PIPE"] + "{}", [""] * agents)
        await to_thread.run_sync(sys.stdin.readline)
    return sum(result.ok for result in results)


async def bare(agents: int) -> int:
    """`query()` in a task group, no more starting at once than there are processors."""
    from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, ResultMessage, query

    starting, done = anyio.Semaphore(len(os.sched_getaffinity(0))), []
    options = ClaudeAgentOptions(cli_path=os.environ["ORCHESTRATOR_CLAUDE"], setting_sources=[])
    waiting = Path(os.environ["WEIGHT_PIPE"]).with_name("waiting")

    async def one() -> None:
        await starting.acquire()
        async for message in query(prompt="meet " + os.environ["WEIGHT_PIPE"], options=options):
            if isinstance(message, AssistantMessage):
                starting.release()
                with waiting.open("a") as file:
                    file.write(".")
            elif isinstance(message, ResultMessage) and not message.is_error:
                done.append(message)

    async with anyio.create_task_group() as group:
        for _ in range(agents):
            group.start_soon(one)
    return len(done)


WAYS = {"ours": ours, "query()": bare}


def child(way: str, agents: int) -> None:
    """Runs one way, and prints what came of it."""
    done = anyio.run(WAYS[way], agents)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"done": done, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}))


@dataclass
class Seen:
    """What one way took. Bytes and seconds."""

    done: int = 0
    at_once: int = 0
    """Agents that were at work at the same time, by the journal."""
    wall: float = 0.0
    started: float = 0.0
    """Until all were at work."""
    cpu: float = 0.0
    peak: int = 0
    at_work: dict[str, int] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)
    agents_memory: int = 0
    """Of all processes but the parent, while all agents are at work."""
    left: int = 0
    """Processes that are there when the parent has ended."""


def watch(way: str, agents: int) -> Seen:
    """Runs it in a process of its own, looks at it from outside, and lets the agents go on once all are at work."""
    with places() as place:
        pipe = place.folder / "pipe"
        os.mkfifo(pipe)
        command = [sys.executable, "-m", "tests.benchmarks", "weight", "crowd", way, str(agents)]
        seen, begun = Seen(), time.monotonic()
        with subprocess.Popen(
            command,
            env=place.environment | {"WEIGHT_PIPE": str(pipe)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            wait(lambda: at_work(way, place) >= agents, process)
            seen.started, seen.at_work = time.monotonic() - begun, look(process.pid)
            seen.agents_memory = memory_of_agents(place, process.pid)
            with pipe.open("w"):
                wait(lambda: have_ended(way, place, agents, process))
            if way == "ours":
                seen.idle = look(process.pid)
            output, _ = process.communicate(b"\n")
        seen.wall = time.monotonic() - begun
        told = json.loads(output)
        seen.done, seen.cpu, seen.peak = told["done"], told["cpu"], told["peak"]
        seen.at_once = most_at_once(place) if way == "ours" else agents
        seen.left = len(list(processes_of(place)))
    return seen


def wait(condition: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Returns once it is true; raises RuntimeError when that is too late, or when the process has ended before."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > deadline or (process and process.poll() is not None):
            raise RuntimeError("not all agents came to work")
        time.sleep(LOOK)


def at_work(way: str, place: Place) -> int:
    """How many agents have written their message."""
    if way == "ours":
        return asked(place, f"SELECT count(*) FROM events WHERE {WAITS}")
    waiting = place.folder / "waiting"
    return waiting.stat().st_size if waiting.exists() else 0


def have_ended(way: str, place: Place, agents: int, process: "subprocess.Popen[bytes]") -> bool:
    if way == "ours":
        return asked(place, f"SELECT count(*) FROM events WHERE {ENDS}") >= agents + min(PILOTS, agents)
    return process.poll() is not None


def most_at_once(place: Place) -> int:
    """How many agents at most had written their message and were not over, by the order of the journal's events."""
    return asked(
        place,
        f"SELECT max(now) FROM (SELECT sum(CASE WHEN {WAITS} THEN 1 WHEN {ENDS} AND json_extract(data, '$.task') IN "
        f"(SELECT json_extract(data, '$.task') FROM events WHERE {WAITS}) THEN -1 ELSE 0 END) OVER (ORDER BY seq) "
        "AS now FROM events)",
    )


def asked(place: Place, query: str) -> int:
    """The number that the journal answers with; 0 as long as there is none."""
    file = place.folder / "home" / "journal.db"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as journal:
        return int(journal.execute(query).fetchone()[0] or 0)
    return 0


def look(pid: int) -> dict[str, int]:
    """What the parent has: bytes that are its own, files, threads."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return {
        "memory": own,
        "files": entries(f"/proc/{pid}/fd"),
        "threads": entries(f"/proc/{pid}/task"),
    }


def entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def processes_of(place: Place) -> Iterator[int]:
    """Live processes that were started by one that is measured, and itself: by the folder in their environment."""
    for pid in pids():
        if os.fsencode(str(place.folder)) in environment(pid):
            yield pid


def memory_of_agents(place: Place, parent: int) -> int:
    return sum(proportional(pid) or 0 for pid in processes_of(place) if pid != parent)


def crowd_table() -> Table:
    """All counts with ours, and the last with `query()` too; by differences of the first two what each agent takes."""
    found = {("ours", count): watch("ours", count) for count in COUNTS} | {
        ("query()", COUNTS[-1]): watch("query()", COUNTS[-1])
    }
    table = Table(title="Agents that are all at work at the same time")
    columns = ("agents", "at once", "done well", "all at work s", "wall s", "CPU s", "ms/agent", "×", "peak MB", "×")
    for column in ("", *columns, "files", "threads", "MB/agent", "left"):
        table.add_column(column, justify="right" if column else "left")
    for (way, count), seen in found.items():
        table.add_row(*row(way, count, seen, found["query()", COUNTS[-1]] if count == COUNTS[-1] else None))
    few, many = (found["ours", count] for count in COUNTS[:2])
    more = COUNTS[1] - COUNTS[0]
    kilobytes = [
        (getattr(many, when)["memory"] - getattr(few, when)["memory"]) / more / 1000 for when in ("at_work", "idle")
    ]
    table.caption = (
        "CPU, peak, files and threads: the parent's; at once: by the journal's events, of query() by its own count; "
        "MB/agent: of its processes (PSS); left: processes when the parent has ended\n"
        f"the parent's own memory: {kilobytes[0]:.0f} kB for an agent at work, {kilobytes[1]:.0f} kB for one whose "
        f"process is idle (the difference between {COUNTS[0]} and {COUNTS[1]}, by {more})"
    )
    return table


def row(way: str, count: int, seen: Seen, base: Seen | None) -> list[str]:
    """Ratios are to `base`."""
    cpu, peak = (f"{seen.cpu / base.cpu:.1f}", f"{seen.peak / base.peak:.1f}") if base else ("", "")
    return [
        *(way, f"{count:,}", f"{seen.at_once:,}", f"{seen.done:,}", f"{seen.started:.1f}", f"{seen.wall:.1f}"),
        *(f"{seen.cpu:.1f}", f"{1000 * seen.cpu / count:.0f}", cpu, f"{seen.peak / 1e6:.0f}", peak),
        *(f"{seen.at_work['files']:,}", f"{seen.at_work['threads']:,}"),
        *(f"{seen.agents_memory / count / 1e6:.1f}", f"{seen.left}"),
    ]
