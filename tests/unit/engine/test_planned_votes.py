"""Votes in plans."""

from pathlib import Path
from typing import Any

import pytest
from planning import TYPED, carry_out
from running import Stage

from orchestrator import Outcome
from orchestrator.events import AttemptStarted
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

SHOWN = "{{ tasks.title.text }} {{ tasks.title.texts }} {{ tasks.title.votes | tojson }} {{ tasks.title.tie }}"


def voting(**votes: str) -> Stage:
    """Agents whose answers are by their numbers: `a="blue"` is the first one's."""
    answers = list(votes.values())
    return Stage(lambda attempt: Reply(answers[int(attempt.task[-2])] if attempt.task.endswith("]") else "done"))


async def test_the_majority_wins(tmp_path: Path) -> None:
    """The same prompt is asked of each; templates see the winner, all texts and who voted for what."""
    stage = voting(a="blue", b="Green", c="green.")
    tasks = {"title": {"vote": {"early": False}, "prompt": "Colour?"}, "end": {"prompt": SHOWN}}
    results = await carry_out(stage, tasks, tmp_path)
    assert {stage.prompt(f"title[{index}]") for index in range(3)} == {"Colour?"}
    assert (results["title"].text, results["title"].note) == ("Green", "2 of 3 say 'Green', 1 says 'blue'")
    votes = '[{"text": "Green", "count": 2, "tasks": ["title[1]", "title[2]"]}, '
    votes += '{"text": "blue", "count": 1, "tasks": ["title[0]"]}]'
    assert stage.prompt("end") == f"Green ('blue', 'Green', 'green.') {votes} False"


async def test_a_tie_is_no_success(tmp_path: Path) -> None:
    """By default a tie fails the vote, and is told; with `ties: first` the first answer wins."""
    vote = {"times": 2, "ties": "fail"}
    tasks: dict[str, Any] = {"title": {"vote": vote, "prompt": "x", "allow_failure": True}, "end": {"prompt": SHOWN}}
    stage = voting(a="blue", b="red")
    results = await carry_out(stage, tasks, tmp_path)
    assert results["title"].outcome is Outcome.UNDECIDED
    assert stage.prompt("end").endswith("True")
    tasks["title"]["vote"] = {"times": 2, "ties": "first"}
    assert (await carry_out(voting(a="blue", b="red"), tasks, tmp_path))["title"].text == "blue"


async def test_one_field_is_counted(tmp_path: Path) -> None:
    """With `on` the rest of the value makes no difference; the winner's value is whole."""
    values = [{"found": {"level": level}, "why": index} for index, level in enumerate(["low", "high", "high"])]
    stage = Stage({f"v[{index}]": [Reply(value=value)] for index, value in enumerate(values)})
    tasks = {
        "v": {"vote": {"on": "found.level"}, "prompt": "x", "returns": TYPED},
        "end": {"prompt": "{{ tasks.v.value.why }} {{ tasks.v.votes[0].value }}"},
    }
    await carry_out(stage, tasks, tmp_path)
    assert stage.prompt("end") == "1 high"


async def test_the_rest_is_ended_early(tmp_path: Path) -> None:
    """Once two of three agree the third is ended, and is neither a failure nor a text."""
    stage = Stage(lambda attempt: Reply("yes", seconds=1e6 if attempt.task == "v[1]" else 1))
    tasks = {"v": {"vote": {}, "prompt": "x"}, "end": {"prompt": "{{ tasks.v.texts | length }} {{ tasks.v.failed }}"}}
    results = await carry_out(stage, tasks, tmp_path)
    assert results["v[1]"].outcome is Outcome.UNNEEDED
    assert stage.prompt("end") == "2 ()"


@pytest.mark.parametrize("judge", [None, "Take the shortest.", {"prompt": "By {{ vars.rule }}", "agent": "wise"}])
async def test_a_judge_chooses(tmp_path: Path, judge: Any) -> None:
    """A further agent is shown the answers and what to choose by; its number decides."""

    def act(attempt: Attempt) -> Reply:
        number = attempt.task[-2]
        return Reply(value={"choice": 2, "reason": "short"}) if attempt.task == "v.judge" else Reply(f"answer {number}")

    stage = Stage(act)
    vote = {"times": 2, "by": "judge", **({"judge": judge} if judge else {})}
    agents = {"wise": {"model": "opus"}, "quick": {"model": "haiku"}}
    task = {"vote": vote, "prompt": "Which?", "agent": "quick"}
    results = await carry_out(stage, {"v": task}, tmp_path, agents=agents, vars={"rule": "taste"})
    assert (results["v"].ok, results["v"].text) == (True, "answer 1")
    prompt = stage.prompt("v.judge")
    assert all(each in prompt for each in ("Which?", "answer 0", "answer 1"))
    asked = next(event for event in stage.of(AttemptStarted) if event.task == "v.judge")
    assert asked.agent["model"] == ("opus" if isinstance(judge, dict) else "haiku")
    if judge:
        assert ("Take the shortest." if isinstance(judge, str) else "By taste") in prompt


async def test_a_function_chooses(tmp_path: Path) -> None:
    """`by: module:function` is found beside the plan."""
    (tmp_path / "choosers.py").write_text("def longest(results):\n    return max(results, key=lambda r: len(r.text))\n")
    stage = voting(a="a", b="aaa", c="aa")
    tasks = {"v": {"vote": {"by": "choosers:longest"}, "prompt": "x"}}
    assert (await carry_out(stage, tasks, tmp_path))["v"].text == "aaa"


async def test_a_function_that_is_not_there_fails_its_vote(tmp_path: Path) -> None:
    """Nobody is asked, and the error names it."""
    stage = Stage()
    results = await carry_out(stage, {"v": {"vote": {"by": "json:no_such"}, "prompt": "x"}}, tmp_path)
    assert results["v"].outcome is Outcome.INVALID_TASK
    assert "json:no_such" in (results["v"].error or "")
    assert not stage.asked


async def test_votes_in_loops_and_stages(tmp_path: Path) -> None:
    """A part of a loop, and a stage, may be voted on; `voter` is the number of who is asked."""
    stage = Stage(lambda attempt: Reply(attempt.prompt))
    vote = {"vote": {"times": 2, "ties": "first"}, "prompt": "{{ item }} {{ voter }}"}
    tasks = {
        "loop": {"foreach": ["a", "b"], **vote},
        "p": {
            "foreach": ["c"],
            "pipeline": {"pick": vote, "use": {"prompt": "{{ previous.text }} {{ previous.votes | length }}"}},
        },
        "end": {"prompt": "{{ tasks.loop.texts }} {{ tasks.loop.results[1].votes[1].tasks }}"},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert (results["loop[1]"].text, results["loop[1][1]"].text) == ("b 0", "b 1")
    assert stage.prompt("p[0].use") == "c 0 2"
    assert stage.prompt("end") == "('a 0', 'b 0') ['loop[1][1]']"
