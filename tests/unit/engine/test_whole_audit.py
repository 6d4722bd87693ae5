"""The documentation audit in its full size, with scripted agents: the acceptance tests run a few of its categories."""

import re
import runpy
from itertools import count
from pathlib import Path

import pytest
from running import Stage

from orchestrator import run_plan
from orchestrator.plan.loading import load_plan
from orchestrator.task import Attempt
from orchestrator.testing import Reply

AUDIT = Path(__file__).parents[3] / "examples" / "doc_audit"


def script() -> Stage:
    """Agents that ask as many different questions as they are told to, and answer each."""
    numbers = count()

    def reply(attempt: Attempt) -> Reply:
        if asked := re.search(r"ask (\d+) questions about «(.*)»", attempt.prompt):
            questions = [{"category": asked[2], "question": f"Question {next(numbers)}?"} for _ in range(int(asked[1]))]
            return Reply(value={"questions": questions}, seconds=60)
        answer = {"answer": "yes", "obviousness": 7, "gap": "none", "evidence": "README.md:1"}
        return Reply(value=answer, seconds=30)

    return Stage(reply)


@pytest.mark.anyio
async def test_fifty_questions_of_eight_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan as it stands asks in 8 categories and checks 50 questions, 10 at a time; all are reported."""
    monkeypatch.chdir(tmp_path)
    stage = script()
    report = await run_plan(AUDIT / "plan.yaml", executor=stage.executor, journal=stage.journal)
    assert report.ok
    assert [sum(task.startswith(kind) for task in stage.asked) for kind in ("ask[", "check[")] == [8, 50]
    assert stage.executor.most_at_once == 10
    rows = re.findall(r"^\| ([\w -]+) \| (Question \d+\?) \| yes \|", (tmp_path / "doc-audit.md").read_text(), re.M)
    assert len(rows) == len({question for _, question in rows}) == 50
    assert len({category for category, _ in rows}) == 8
    assert report.wall_s == pytest.approx(60 + 5 * 30, abs=1)


def test_the_script_asks_the_same() -> None:
    """The script has the plan's categories, with as many questions of each."""
    plan = load_plan(str(AUDIT / "plan.yaml")).plan
    categories = runpy.run_path(str(AUDIT / "audit.py"))["CATEGORIES"]
    assert categories == {each["topic"]: each["questions"] for each in plan.vars["categories"]}
    assert sum(categories.values()) == 50
