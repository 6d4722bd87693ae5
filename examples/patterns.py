"""Patterns of parallel work in one script: a vote, a pipeline, a goal that is split, and a group inside the run.

python examples/patterns.py [--offline]
"""

import sys

import anyio

from orchestrator import Agent, Limits, Result, Task, open_run

PARTS = {"parts": [{"title": "price", "task": "What is 12 * 30?"}, {"title": "weight", "task": "What is 4 * 25?"}]}
NUMBER = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def square(item: int) -> Task:
    """The first stage for one item."""
    return Task(f"What is {item} * {item}?", returns=NUMBER)


def divide(first: Result, item: int) -> str:
    """The second stage for one item: it is given what came of its first, and the item."""
    return f"What is {first.value['n']} / {item}?"


async def main() -> None:
    async with open_run(
        "patterns",
        agent=Agent(tools=()),
        limits=Limits(concurrent=5),
        upstream="offline" if "--offline" in sys.argv else None,
    ) as run:
        # The same question three times; as soon as two agree, the third is not needed any more.
        vote = await run.vote("What is 6 * 7? Give the number alone.", times=3, key="vote")
        print(f"vote       {vote.text}  ({vote.note})")

        # Each item goes on to its second stage as soon as its own first is done: no item waits for another.
        for result in await run.pipeline([3, 5], square, divide, key="squares"):
            print(f"pipeline   {result.text if result.ok else result.error}  ({result.task})")

        # An agent splits the goal, others work on the parts, one joins what they gave. Rehearsals are for --offline.
        split = Task("Split this into parts: {goal}", rehearsal=({"answer": PARTS},))
        join = Task("{goal}, in a sentence: {results}", rehearsal=({"say": "It costs 360 and weighs 100."},))
        whole = await run.fan_out("Price and weight of our order", split=split, join=join, key="order")
        print(f"fan-out    {whole.text}  ({whole.note})")

        # A run inside the run: under the same limits and budget, with names and an agent of its own.
        async with run.group("letters", agent=Agent(tools=(), append_system="Answer in one line.")) as letters:
            first, second = await letters.map("Write a line about the letter {}.", ["A", "B"], key="line")
        print(f"group      {first.task}, {second.task}: {first.ok and second.ok}")


anyio.run(main)
