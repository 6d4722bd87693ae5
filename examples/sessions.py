"""Sessions of several agents, kept in view: how each stands, what has come first, and whether all are complete.

python examples/sessions.py [--offline]

Offline, one of them takes its time.
"""

import sys

import anyio

from orchestrator import Agent, Limits, Run, Task, open_run

SESSIONS = {
    "parser": ("Say in a sentence what a parser does.", 0),
    "linker": ("Say in a sentence what a linker does.", 0),
    "loader": ("Say in a sentence what a loader does.", 0),
    "garbage-collector": ("Say in a sentence what a garbage collector does.", 6),
}


def tell(run: Run, when: str) -> None:
    standing = ", ".join(f"{task} {status}" for task, status in run.statuses().items())
    print(f"{when}: {standing}; {'all' if run.is_complete() else 'not all'} complete")


async def main() -> None:
    async with open_run(
        "sessions",
        agent=Agent(tools=()),
        limits=Limits(concurrent=4),
        upstream="offline" if "--offline" in sys.argv else None,
    ) as run:
        for name, (prompt, seconds) in SESSIONS.items():
            rehearsal = ({"wait": seconds}, {"say": f"The {name} does what its name says."})
            run.submit(Task(prompt, key=name, rehearsal=rehearsal))
        tell(run, "at once")
        done, pending = await run.wait(first=2)  # the first two that end; the others go on
        print(f"ended first: {', '.join(result.task for result in done)}; at work: {', '.join(pending)}")
        await run.wait("parser", "linker", timeout="2m")
        tell(run, "parser and linker have ended")
        await run.wait()
        tell(run, "in the end")
        for session, result in run.by_session().items():
            print(f"{session[:8]}  {result.task:<18} {result.outcome:<8} {result.text}")


anyio.run(main)
