"""The documentation audit as a script: 8 categories of questions, 50 checks, totals, a Markdown report.

python examples/doc_audit/audit.py DOCS [REPORT] [--offline] [--only=TEXT]

`--only` asks about those categories alone that have the text in them, as `--only=errors`.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Literal

import anyio
from pydantic import BaseModel, Field

from orchestrator import Agent, Limits, Result, open_run

CATEGORIES = {
    "installation and set-up": 7,
    "first steps and tutorial": 7,
    "configuration and options": 6,
    "commands and usage": 6,
    "errors and troubleshooting": 6,
    "security and credentials": 6,
    "performance and limits": 6,
    "upgrading and contributing": 6,
}
ASK = (
    "Look at the documentation in this folder. Then ask {count} questions about «{topic}» that a newcomer would ask "
    "and that it should answer."
)
CHECK = (
    "Is this question answered by the documentation in this folder? Look for it with your tools; judge only by what is "
    "written there.\n\nQuestion: {question}"
)


class Questions(BaseModel):
    questions: list[str] = Field(min_length=1, description="Questions, each different from the others")


class Verdict(BaseModel):
    answer: Literal["yes", "partial", "no"] = Field(description="Does the documentation answer the question?")
    obviousness: int = Field(ge=1, le=10, description="How easily a newcomer finds the answer: 10 is at once")
    gap: str = Field(description="What is missing; 'none' when nothing is")
    evidence: str = Field(description="file:line of the best passage; 'none' when there is none")


async def audit(
    docs: Path, categories: dict[str, int], offline: bool
) -> tuple[list[dict[str, str]], list[Result], int]:
    """The questions, each with its category, their checks, and how many tasks failed."""
    async with open_run(
        "doc-audit",
        agent=Agent(tools=("Read", "Glob", "Grep"), max_turns=30),
        workspace=docs,
        limits=Limits(concurrent=10),
        views=["live" if sys.stderr.isatty() else "lines"],
        upstream="offline" if offline else None,
    ) as run:
        topics = [{"topic": topic, "count": count} for topic, count in categories.items()]
        asked = await run.map(ASK, topics, returns=Questions, key="ask")
        questions = [
            {"category": topic, "question": question}
            for topic, result in zip(categories, asked, strict=True)
            if result.ok
            for question in result.value.questions
        ]
        checks = await run.map(CHECK, questions, returns=Verdict, key="check")
    report = run.report()
    print(
        f"{report.tasks} tasks, {report.failed} failed, {report.wall_s:.1f} s, {report.speedup:.1f}x", file=sys.stderr
    )
    return questions, checks, report.failed


def to_markdown(questions: list[dict[str, str]], checks: list[Result]) -> str:
    """Totals by answer, then a row per question."""
    verdicts = [check.value for check in checks if check.ok]
    counts = Counter(verdict.answer for verdict in verdicts)
    lines = [
        f"# Documentation audit\n\n{len(verdicts)} of {len(questions)} questions checked.\n",
        "| answer | questions |",
    ]
    lines += ["|---|---:|", *(f"| {answer} | {counts[answer]} |" for answer in ("yes", "partial", "no"))]
    lines += ["\n| category | question | answer | obviousness | gap | evidence |", "|---|---|---|---:|---|---|"]
    for question, check in zip(questions, checks, strict=True):
        verdict = check.value
        cells = (
            [verdict.answer, verdict.obviousness, verdict.gap, verdict.evidence]
            if check.ok
            else [check.error, "", "", ""]
        )
        row = [question["category"], question["question"], *map(str, cells)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    only = next((word.removeprefix("--only=") for word in sys.argv[1:] if word.startswith("--only=")), "")
    categories = {topic: count for topic, count in CATEGORIES.items() if only in topic}
    if not 1 <= len(words) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    if not Path(words[0]).is_dir():
        print(f"{words[0]}: found no folder, expected the one with the documentation", file=sys.stderr)
        return 2
    questions, checks, failed = anyio.run(audit, Path(words[0]), categories, "--offline" in sys.argv)
    if not any(check.ok for check in checks):
        print("nothing was checked, so there is no report", file=sys.stderr)
        return 1
    text = to_markdown(questions, checks)
    if len(words) == 2:
        Path(words[1]).write_text(text, encoding="utf-8")
    else:
        print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
