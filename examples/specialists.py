"""Five specialists at once, each in a directory of its own, with time and cost.

python examples/specialists.py [--offline]
"""

import sys

import anyio

from orchestrator import Agent, open_run

SPECIALISTS = {
    "poet": "Write a haiku about the sea to poem.txt, then say its first line.",
    "mathematician": "What is 12345 * 6789? Write the product to product.txt.",
    "historian": "Write three sentences about the first printed books to books.txt.",
    "chef": "Write a recipe for tomato soup to soup.txt.",
    "translator": "Write 'good morning' in five languages to greetings.txt.",
}


async def main() -> None:
    async with open_run(
        "specialists",
        agent=Agent(tools=("Read", "Write")),
        workspace="directory",
        upstream="offline" if "--offline" in sys.argv else None,
    ) as run:
        results = await run.map(lambda item: f"You are a {item[0]}. {item[1]}", SPECIALISTS.items(), key="specialist")
    for name, result in zip(SPECIALISTS, results, strict=True):
        files = ", ".join(result.workspace.changed) if result.workspace else ""
        print(f"{name:<14} {result.outcome:<8} {result.duration:5.1f} s  ${result.cost_usd:.4f}  {files}")
    report = run.report()
    print(f"\n{report.wall_s:.1f} s for {report.sum_s:.1f} s of work, ${report.cost_usd:.4f} in all; {report.parallel}")


anyio.run(main)
