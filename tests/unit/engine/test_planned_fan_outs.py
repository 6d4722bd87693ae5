"""Goals in plans that agents split, work on in parts, and join."""

from pathlib import Path
from typing import Any

import pytest
from planning import TYPED, carry_out
from running import Stage

from orchestrator import Outcome
from orchestrator.events import AttemptStarted, TaskAdded
from orchestrator.prompts import PartDone, join_prompt, part_prompt, parts_schema, split_prompt
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

PARTS = [{"title": "North", "task": "Look north."}, {"title": "South", "task": "Look south."}]


def act(attempt: Attempt) -> Reply:
    if attempt.task.endswith("split"):
        return Reply(value={"parts": PARTS})
    if attempt.task.endswith("part[1]"):
        return Reply(outcome=Outcome.AUTH, error="no key")
    return Reply(f"found by {attempt.task}")


async def test_a_goal_is_split_worked_on_and_joined(tmp_path: Path) -> None:
    """Our own prompts name the goal, the part, what came of the parts, and those that failed."""
    stage = Stage(act)
    tasks = {
        "map": {"fan_out": {"most": 3}, "prompt": "Map the {{ vars.place }}"},
        "end": {"prompt": "{{ tasks.map.text }}"},
    }
    results = await carry_out(stage, tasks, tmp_path, vars={"place": "hill"})
    assert stage.prompt("map.split") == split_prompt("Map the hill", 3)
    assert stage.prompt("map.part[0]") == part_prompt("Map the hill", PARTS[0])
    done = [PartDone("North", "found by map.part[0]"), PartDone("South", "", "no key")]
    assert stage.prompt("map.join") == join_prompt("Map the hill", done)
    split = next(event for event in stage.of(AttemptStarted) if event.task == "map.split")
    assert split.schema == parts_schema(3)
    assert (results["map"].ok, results["map"].text) == (True, "found by map.join")
    assert results["map"].note == "1 of 2 parts succeeded; map.part[1]: no key"
    assert stage.prompt("end") == "found by map.join"
    kinds = {event.task: (event.task_kind, event.parent) for event in stage.of(TaskAdded)}
    assert kinds["map"] == ("group", None)
    assert kinds["map.part"] == ("loop", "map")


async def test_prompts_and_agents_of_ones_own(tmp_path: Path) -> None:
    """Each step may have a prompt and an agent; who joins is told what failed though the prompt does not ask."""
    stage = Stage(act)
    fan_out = {
        "split": "Split {{ goal }}",
        "part": {
            "prompt": "{{ goal }}: {{ item.task }} {{ index }}/{{ stages.split.value.parts | length }}",
            "agent": "b",
        },
        "join": "Join {{ stages.part.texts }}",
    }
    task = {"fan_out": fan_out, "prompt": "G", "agent": "a", "returns": TYPED, "retries": 0}
    agents = {"a": {"model": "opus"}, "b": {"model": "haiku"}}
    await carry_out(stage, {"x": task}, tmp_path, agents=agents)
    assert stage.prompt("x.split") == "Split G"
    assert stage.prompt("x.part[0]") == "G: Look north. 0/2"
    assert stage.prompt("x.join").startswith("Join ('found by x.part[0]',)\n\nThese parts failed;")
    asked = {event.task: event for event in stage.of(AttemptStarted)}
    assert [asked[f"x.{name}"].agent["model"] for name in ("split", "part[0]", "join")] == ["opus", "haiku", "opus"]
    assert (asked["x.join"].schema, asked["x.part[0]"].schema) == (TYPED, None)


async def test_a_split_that_fails_starts_no_part(tmp_path: Path) -> None:
    """The whole fails with the reason."""
    stage = Stage({"x.split": [Reply(outcome=Outcome.AUTH, error="no key")]})
    results = await carry_out(stage, {"x": {"fan_out": {}, "prompt": "G"}}, tmp_path)
    assert (results["x"].outcome, results["x"].error) == (Outcome.AUTH, "split: no key")
    assert stage.asked == ["x.split"]


async def test_nothing_is_joined_when_all_parts_fail(tmp_path: Path) -> None:
    """The joiner is not paid for nothing, and the parts' errors are told."""

    def fail(attempt: Attempt) -> Reply:
        split = attempt.task == "x.split"
        return Reply(value={"parts": PARTS}) if split else Reply(outcome=Outcome.AUTH, error="no key")

    stage = Stage(fail)
    results = await carry_out(stage, {"x": {"fan_out": {}, "prompt": "G"}}, tmp_path)
    assert "x.join" not in stage.asked
    assert results["x"].error == "none of its 2 parts succeeded: x.part[0]: no key; x.part[1]: no key"


async def test_in_a_loop_and_in_a_stage(tmp_path: Path) -> None:
    """In a loop a part sees the item that was split as `outer.item`; a stage that is split is a stage."""
    stage = Stage(act)
    fan_out: dict[str, Any] = {
        "part": "{{ outer.item }}: {{ item.title }}",
        "join": "{{ item }} {{ previous.texts | length }}",
    }
    tasks = {
        "l": {"foreach": ["a"], "fan_out": fan_out, "prompt": "G {{ item }}"},
        "p": {"pipeline": {"one": {"prompt": "x"}, "two": {"fan_out": {}, "prompt": "{{ previous.text }}"}}},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert stage.prompt("l[0].part[0]") == "a: North"
    assert stage.prompt("l[0].join").startswith("a 1\n")
    assert stage.prompt("p.two.split") == split_prompt("found by p.one", 8)
    assert results["p"].text == "found by p.two.join"
