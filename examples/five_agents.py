"""The smallest example: five agents at once, their answers in the order of the questions.

python examples/five_agents.py [--offline]
"""

import sys

import anyio

from orchestrator import open_run

QUESTIONS = [
    "What is 17 * 23?",
    "Which files are in this folder?",
    "Which Python version is needed here?",
    "Where is the licence stated?",
    "What is 32 * 32?",
]


async def main() -> None:
    async with open_run("five-agents", upstream="offline" if "--offline" in sys.argv else None) as run:
        for question, result in zip(QUESTIONS, await run.map("{}", QUESTIONS), strict=True):
            print(f"{question}  {result.text if result.ok else result.error}")


anyio.run(main)
