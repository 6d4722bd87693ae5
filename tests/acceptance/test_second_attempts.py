"""Second attempts with the real Claude CLI: they go on in the session of the first, and do nothing twice."""

import json
from typing import Any

from command_line import Cli

INTERRUPTED = """
name: interrupted
agents: {worker: {tools: [Bash], allow: [Bash]}}
tasks:
  log:
    agent: worker
    workspace: {kind: directory, path: work}
    prompt: "Keep a log."
    retries: 1
    rehearsal:
      - bash: "echo one >> log.txt"
      - KILL
      - bash: "echo two >> log.txt"
      - say: "Both are there."
"""
WRONG_OUTPUT = """
name: wrong
tasks:
  count:
    prompt: "How many are there?"
    returns: {type: object, properties: {n: {type: integer}}, required: [n]}
    retries: 0
    rehearsal:
      - bash: "echo counted >> counts.txt"
      - {end: "There are three."}
      - {end: "Three, as I said."}
      - answer: {n: 3}
agents: {worker: {tools: [Bash], allow: [Bash]}}
defaults: {agent: worker}
"""


def run(cli: Cli, plan: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one task of the plan, and the starts of its attempts and sessions."""
    cli.plan(plan)
    done = cli("run", "plan.yaml", "--offline", "--view", "jsonl", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    (task,) = json.loads((cli.place / "out.json").read_text())["tasks"]
    return task, [event for event in events if event["kind"] in ("AttemptFinished", "SessionStarted")]


def test_a_killed_agent_goes_on(cli: Cli) -> None:
    """A CLI that is killed at work is gone on with: the second attempt does what was left, and nothing again."""
    # Killed at once it would not have written down yet that it called the tool.
    written = "grep -qsR 'kill -9' $CLAUDE_CONFIG_DIR/projects/"
    task, events = run(
        cli, INTERRUPTED.replace("KILL", f'bash: "until {written}; do sleep 0.1; done; kill -9 $PPID; sleep 60"')
    )
    assert (task["text"], task["attempts"]) == ("Both are there.", 2)
    assert [event.get("outcome") or event["how"] for event in events] == ["fresh", "killed", "continued", "ok"]
    assert {event["session_id"] for event in events if "how" in event} == {task["session_id"]}
    assert (cli.place / "work" / "log.txt").read_text() == "one\ntwo\n"


def test_an_overloaded_agent_goes_on(cli: Cli) -> None:
    """After an attempt that the API would not serve the next one goes on behind the last step."""
    task, events = run(cli, INTERRUPTED.replace("KILL", "fail: {status: 529, attempts: 1}"))
    assert task["text"] == "Both are there."
    assert [event.get("outcome") or event["how"] for event in events] == ["fresh", "overloaded", "continued", "ok"]
    assert (cli.place / "work" / "log.txt").read_text() == "one\ntwo\n"


def test_a_usage_limit_that_was_rehearsed_is_reset_soon(cli: Cli) -> None:
    """The run does not stand still for the minute after which it would try by itself: it is told of the reset."""
    task, events = run(cli, INTERRUPTED.replace("KILL", "fail: {status: 429, attempts: 1}"))
    assert task["text"] == "Both are there."
    assert [event.get("outcome") or event["how"] for event in events] == ["fresh", "quota", "continued", "ok"]
    starts = [event["at"] for event in events if "how" in event]
    assert starts[1] - starts[0] < 55
    assert (cli.place / "work" / "log.txt").read_text() == "one\ntwo\n"


def test_missing_output_is_repaired(cli: Cli) -> None:
    """An agent that ends without its structured output is asked for it in its session, which is no retry."""
    task, events = run(cli, WRONG_OUTPUT)
    assert (task["value"], task["status"]) == ({"n": 3}, "done")
    assert [event.get("outcome") or event["how"] for event in events] == ["fresh", "missing_output", "continued", "ok"]
    assert (cli.place / "counts.txt").read_text() == "counted\n"
