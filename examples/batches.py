"""A batch of 100 documents, ten at a time: what could be read and what could not, apart; no failure loses the others.

python examples/batches.py FOLDER [HOW_MANY] [--offline]

The script makes the documents itself. Offline, every tenth of them is more than the model takes. Stop it in the middle
and run it again: what was read is not read a second time.
"""

import sys
from pathlib import Path

import anyio
from pydantic import BaseModel, Field

from orchestrator import Agent, Limits, Task, open_run

CITIES = ["Bergen", "Cork", "Delft", "Evora", "Fulda"]


class Invoice(BaseModel):
    reference: str = Field(description="As R-17")
    city: str = Field(description="Where it comes from")


def make_documents(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = f"# Invoice R-{number}\n\nFrom {CITIES[number % 5]}, payable within 30 days.\n"
        folder.joinpath(f"invoice-{number:03}.md").write_text(text)
    return sorted(folder.iterdir())


def to_task(document: Path) -> Task:
    """What is asked about a document; offline, the rehearsal says what the model does."""
    number = int(document.stem.removeprefix("invoice-"))
    fails = {"fail": {"status": 400, "message": "prompt is too long", "attempts": 9}}
    answers = {"answer": {"reference": f"R-{number}", "city": CITIES[number % 5]}}
    return Task(
        f"Read {document.name} and give its reference and its city.",
        returns=Invoice,
        inputs=(str(document),),
        rehearsal=(fails if number % 10 == 3 else answers,),
    )


async def main(folder: Path, count: int, offline: bool) -> None:
    documents = make_documents(folder, count)
    async with open_run(
        "batches",
        agent=Agent(tools=("Read",)),
        workspace=folder,
        limits=Limits(concurrent=10),
        views=["live" if sys.stderr.isatty() else "lines"],
        upstream="offline" if offline else None,
    ) as run:
        results = await run.map(to_task, documents, key="read")
    print(f"{len(results.succeeded)} of {count} documents were read:")
    for result in results.succeeded[:3]:
        print(f"  {result.task}  {result.value.reference} from {result.value.city}")
    print(f"  …\nNot read: {len(results.failed)}")
    for result in results.failed:
        print(f"  {result.task}  {result.outcome}: {result.error}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--offline"]
    if not words:
        sys.exit(__doc__)
    anyio.run(main, Path(words[0]).resolve(), int(words[1]) if words[1:] else 100, "--offline" in sys.argv)
