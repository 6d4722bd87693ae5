"""A run of ours in the current directory: `python -m tests.benchmarks.speed.ours WORKSPACE AGENTS WIDTH [WAIT]`.

WAIT: seconds that agents wait for the first of them to fill the prompt cache, 0 for not at all; by default as usual.
"""

import sys

import anyio

from orchestrator import Agent, Limits, open_run


async def main(workspace: str, agents: int, width: int, wait: bool | float = True) -> None:
    agent, limits = Agent(tools=("Read", "Bash"), allow=("Read", "Bash")), Limits(concurrent=width, wait_for_cache=wait)
    async with open_run("speed", agent=agent, limits=limits, workspace=workspace) as run:
        results = await run.map("What is {} * 3?", range(agents))
    sys.exit(not all(result.ok for result in results))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *(float(word) or False for word in sys.argv[4:]))
