"""Patterns of parallel work in a script, with the real CLI and the offline model: they end, and go on after a crash."""

import json

from command_line import Cli

SCRIPT = """
import json, os, sys, time
import anyio
from orchestrator import Agent, Limits, Task, open_run

PARTS = {"parts": [{"title": "one", "task": "What is 1 + 1?"}, {"title": "two", "task": "What is 2 + 2?"}]}


def check(before):
    return f"What is {before.value['n']} + 10?"


def crash():
    if not os.path.exists("crashed"):
        open("crashed", "w").close()
        os._exit(9)


async def main():
    quick = Agent(tools=())
    async with open_run("patterns", agent=quick, upstream="offline", limits=Limits(concurrent=4)) as run:
        vote = await run.vote("What is 6 * 7?", times=3, key="vote", rehearsal=[{"say": "**42**."}])
        returns = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
        first = Task("What is {} + 1?", agent=quick, returns=returns)
        staged = await run.pipeline([1, 2], first, check, key="staged")
        await run.call(crash, key="crash")
        async with run.group("inner") as inner:
            split = Task("Split: {goal}", rehearsal=[{"answer": PARTS}])
            whole = await inner.fan_out("Add it all up.", split=split, join="Say {results}", key="sums")
        by_session = run.by_session()
        complete = run.is_complete()
    results = [*vote.results, *staged]
    print(json.dumps({
        "vote": [vote.text, vote.unanimous, vote.note],
        "staged": [[result.task, result.ok, result.text] for result in staged],
        "whole": [whole.ok, whole.note],
        "statuses": {task: status.value for task, status in run.report().statuses.items()},
        "reused": sorted(result.task for result in run.report().reused),
        "sessions": len(by_session),
        "complete": complete,
        "run": run.id,
    }))


anyio.run(main)
"""


def test_patterns(cli: Cli) -> None:
    """A script with a vote, a pipeline, and a goal that is split in a group: run again after a crash, it ends well.

    Nothing that had finished is asked a second time.
    """
    script = cli.place / "script.py"
    script.write_text(SCRIPT, "utf-8")
    assert cli.finish(cli.start_python(script)).returncode == 9
    done = cli.finish(cli.start_python(script))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    text, unanimous, note = told["vote"]
    assert (text, unanimous) == ("**42**.", True)
    assert note in ("all 3 say '**42**.'", "2 of 3 say '**42**.', 1 not needed")
    assert [(task, ok) for task, ok, _ in told["staged"]] == [("staged[0].check", True), ("staged[1].check", True)]
    assert told["whole"] == [True, "2 of 2 parts succeeded"]
    assert told["complete"] is True
    asked = {task for task, status in told["statuses"].items() if status == "done" and task != "crash"}
    new = {"inner.sums.split", "inner.sums.part[0]", "inner.sums.part[1]", "inner.sums.join"}
    assert new < asked
    assert set(told["reused"]) == asked - new
    assert told["sessions"] == len(asked)
    shown = cli("show", told["run"]).stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("    ✓ ")][-3:] == [
        "split",
        "part",
        "join",
    ]
    assert set(told["statuses"]) <= {task["id"] for task in cli.json("show", told["run"])["tasks"]}
