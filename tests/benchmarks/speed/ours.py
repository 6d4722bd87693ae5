"""A run of ours in the current directory: `python -m tests.benchmarks.speed.ours WORKSPACE AGENTS WIDTH`."""

import sys

import anyio

from orchestrator import Agent, Limits, open_run


async def main(workspace: str, agents: int, width: int) -> None:
    agent = Agent(tools=("Read", "Bash"), allow=("Read", "Bash"))
    async with open_run("speed", agent=agent, limits=Limits(concurrent=width), workspace=workspace) as run:
        results = await run.map("What is {} * 3?", range(agents))
    sys.exit(not all(result.ok for result in results))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
