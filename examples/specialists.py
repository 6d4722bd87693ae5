"""Five specialists at once, each in a directory of its own; then each is asked to go on in its own session.

python examples/specialists.py [--offline]

Stop it in the middle (Ctrl-C, or kill -9) and run it again: who had finished is not asked a second time.
"""

import sys

import anyio

from orchestrator import Agent, Result, Run, open_run

SPECIALISTS = {
    "poet": ("Write a haiku about the sea to poem.txt, then say its first line.", "Write a second verse to verse.txt."),
    "mathematician": ("What is 12345 * 6789? Write the product to product.txt.", "What is 83810205 + 1?"),
    "historian": ("Write three sentences about the first printed books to books.txt.", "Which file did you write?"),
    "chef": ("Write a recipe for tomato soup to soup.txt.", "Write a shopping list for it to list.txt."),
    "translator": ("Write 'good morning' in five languages to greetings.txt.", "Write 'good night' to night.txt."),
}


async def main() -> None:
    async with open_run(
        "specialists",
        agent=Agent(tools=("Read", "Write")),
        workspace="directory",
        upstream="offline" if "--offline" in sys.argv else None,
    ) as run:
        firsts = await run.map(lambda item: f"You are a {item[0]}. {item[1][0]}", SPECIALISTS.items(), key="specialist")
        seconds: dict[str, Result] = {}
        async with anyio.create_task_group() as group:
            for first, (name, (_, more)) in zip(firsts, SPECIALISTS.items(), strict=True):
                group.start_soon(go_on, run, first, name, more, seconds)
    for name, first in zip(SPECIALISTS, firsts, strict=True):
        tell(name, first)
        tell("  and then", seconds[name])
    report = run.report()
    print(f"\n{report.wall_s:.1f} s for {report.sum_s:.1f} s of work, ${report.cost_usd:.4f} in all; {report.parallel}")


async def go_on(run: Run, first: Result, name: str, more: str, seconds: dict[str, Result]) -> None:
    """The same agent, in the same session and directory: it knows what it did."""
    seconds[name] = await run.resume(first, more, key=f"more-{name}")


def tell(name: str, result: Result) -> None:
    files = ", ".join(result.workspace.changed) if result.workspace else ""
    session = (result.session_id or "")[:8]
    took = "from before" if result.reused else f"{result.duration:5.1f} s"
    print(f"{name:<14} {result.outcome:<8} {took:>11}  ${result.cost_usd:.4f}  session {session}  {files}")


anyio.run(main)
