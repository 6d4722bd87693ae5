"""All patterns in one plan, with the real CLI: a matrix, a pipeline, a vote, a fan-out, and plans in plans."""

import json
from collections import Counter
from typing import Any

import pytest
from anyio import to_thread
from command_line import Cli, leased, running, wait_until
from counting import Counting, at, report, serving

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

PLAN = """
name: patterns
vars: {numbers: [2, 3]}
limits: {concurrent: 3}
agents: {q: {tools: []}}
defaults: {agent: q}
tasks:
  grid:
    matrix: {a: "{{ vars.numbers }}", b: "{{ [item.a + 2] }}"}
    prompt: "[task grid] What is {{ item.a }} * {{ item.b }}?"
  check:
    foreach: "{{ vars.numbers }}"
    pipeline:
      one: {prompt: "[task one{{ item }}] What is {{ item }} * 7?"}
      two: {prompt: "[task two{{ item }}] What is {{ item }} * 100? Before: {{ previous.text }}"}
  title: {vote: {times: 2, early: false}, prompt: "[task title] What is 6 * 7?"}
  out:
    prompt: a goal
    fan_out:
      split: "[task split] {{ goal }}"
      part: "[task part{{ index }}] What is 4 * 4? {{ item.title }}"
      join: "[task join] What is 1 * 1? {{ stages.part.texts | join(' ') }}"
  nest: {plan: plans/middle.yaml, vars: {each: "{{ vars.numbers }}"}}
  end:
    needs: [title]
    write:
      path: end.json
      text: |
        {{ {"grid": tasks.grid.texts, "check": tasks.check.texts, "votes": tasks.title.votes, "out": tasks.out.ok,
        "deep": tasks.nest.value.deep, "first": tasks.nest.tasks.deep.results[0].tasks.ask.text} | tojson }}
"""
MIDDLE = """
vars: {each: []}
limits: {concurrent: 9}
tasks:
  deep: {foreach: "{{ vars.each }}", plan: inner.yaml, vars: {x: "{{ item }}"}}
"""
INNER = """
vars: {x: 0}
agents: {r: {tools: []}}
defaults: {agent: r}
tasks:
  ask: {prompt: "[task ask{{ vars.x }}] What is {{ vars.x }} * 9?"}
"""
ASKED = Counter(
    {"grid": 2, "one2": 1, "one3": 1, "two2": 1, "two3": 1, "title": 2, "part0": 1, "join": 1, "ask2": 1, "ask3": 1}
)
"""What the whole plan asks, besides the structured output."""
HELD = ("two3", "join", "ask3")
"""One in a pipeline, one in a fan-out, one in a plan in a plan in a plan: as many as may be at work."""


async def killed_in_the_middle(cli: Cli, model: Counting, plan: Any) -> None:
    """Runs the plan until the three that are held have all places, and kills it."""

    def act() -> None:
        with running(cli, "run", plan, "--view", "none") as process:
            wait_until(lambda: all(model.counts[mark] for mark in HELD), "requests for what is held")
            process.kill()
        wait_until(lambda: not leased(cli.home), "the end of its processes")

    await to_thread.run_sync(act)


async def test_all_patterns_and_none_paid_twice(cli: Cli) -> None:
    """Killed in the middle and run again, the plan comes to its end, and asks nothing that had been answered."""
    (cli.place / "plans").mkdir()
    cli.plan(MIDDLE, "plans/middle.yaml")
    cli.plan(INNER, "plans/inner.yaml")
    plan = cli.plan(PLAN)
    async with serving(cli, *HELD) as (model, ours):
        await killed_in_the_middle(ours, model, plan)
        assert (answered := model.counts - Counter(HELD))["title"] + answered["one2"] > 0
        model.held.clear()
        done = report(await at(ours, "run", plan, "--view", "none", "--json", "-"))
    counts = model.counts
    split = counts.pop("split")
    assert counts == ASKED + Counter(HELD)
    assert split <= 2
    end = json.loads((cli.place / "end.json").read_text())
    assert [text.strip("*. ")[-1] for text in end["grid"]] == ["8", "5"]
    assert [vote["count"] for vote in end["votes"]] == [2]
    assert [list(each) for each in end["deep"]] == [["ask"], ["ask"]]
    assert "18" in end["first"]
    assert end["out"] is True
    assert {"check[1].two", "title[1]", "out.part[0]", "nest.deep[1].ask"} <= {task["id"] for task in done["tasks"]}
    assert done["status"] == "done"
