"""Agents that speak with each other and add tasks: the real CLI, which reaches the run's tools through the SDK."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from command_line import Cli, leased, running, wait_until
from load import at_most

PLANNER = """
name: planner
limits: {concurrent: 2}
agents:
  boss: {tools: [], spawn: {count: 3}}
  q: {tools: []}
defaults: {agent: q}
tasks:
  plan:
    agent: boss
    prompt: Split it
    rehearsal:
      - call: {tool: spawn_task, input: {name: a, prompt: "What is 2 * 3?"}}
      - call: {tool: spawn_task, input: {name: b, prompt: "What is 3 * 3?"}}
      - call: {tool: spawn_task, input: {name: c, prompt: "What is 4 * 3?"}}
      - call: {tool: spawn_task, input: {name: d, prompt: "What is 5 * 3?"}}
      - call: {tool: await_tasks}
      - say: "<given>"
  after: {needs: [plan], prompt: "What is 6 * 3?"}
"""
TALK = """
name: talk
agents:
  silent: {tools: [Read]}
  asker: {tools: [], talk: true, mcp_servers: {own: {command: python3, args: [own.py]}}}
tasks:
  author:
    agent: silent
    prompt: Write it
    rehearsal: [{wait: LONGER}, {end: written}, {say: Because of the server.}]
  asker:
    agent: asker
    timeout: LONGs
    prompt: Ask about it
    rehearsal:
      - call: {tool: send_message, input: {to: nobody, text: hello}}
      - call: {tool: ask, input: {to: author, question: Why?}}
      - say: "<given>"
"""
OWN_SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    about = {"name": "own", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
    tools = {"tools": [{"name": "hello", "description": "Hello", "inputSchema": {"type": "object"}}]}
    answers = {"initialize": hello, "tools/list": tools}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answers.get(asked["method"], {})}), flush=True)
"""


def played(cli: Cli, plan: str) -> dict[str, Any]:
    """What the plan gave by its rehearsals."""
    done = cli("run", cli.plan(plan), "--offline", "--view", "none", "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def texts(done: dict[str, Any]) -> dict[str, str]:
    return {task["id"]: task["text"] for task in done["tasks"]}


def tools_of(cli: Cli, task: str) -> set[str]:
    """The tools of the run, and of MCP servers, that the task's agent had."""
    (first, *_) = [
        event for event in cli.events("AgentMessage") if event["task"] == task and event["type"] == "SystemMessage"
    ]
    return {name for name in first["data"]["data"]["tools"] if name.startswith("mcp__")}


def test_a_planner_spawns_workers(cli: Cli) -> None:
    """It adds as many as it may, is told that it may add no more, and gets what each gave, with one place for all."""
    done = played(cli, PLANNER.replace("concurrent: 2", "concurrent: 1"))
    said = texts(done)
    assert sorted(said) == ["after", "plan", "plan.a", "plan.b", "plan.c"]
    for worker, answer in (("plan.a", "= 6"), ("plan.b", "= 9"), ("plan.c", "= 12")):
        assert said[worker].endswith(answer)
        assert answer in said["plan"]
    assert said["plan"].count('"status": "done"') == 3
    shown = cli("logs", done["run"], "plan").stdout
    assert "# spawned plan.a: What is 2 * 3?" in shown
    assert "! you have added 3 tasks, which is the most that you may (spawn.count)" in shown
    ends = [event["task"] for event in cli.events("TaskFinished")]
    assert ends[-2:] == ["plan", "after"]
    assert tools_of(cli, "plan") == {"mcp__run__spawn_task", "mcp__run__await_tasks"}
    assert tools_of(cli, "plan.a") == set()


def test_killed_while_workers_are_at_work(cli: Cli) -> None:
    """After kill -9 all workers are there again, the planner goes on in its session, and nothing is paid twice."""
    plan = cli.plan(PLANNER)
    before = kill_after(cli, plan, "plan.a")
    assert "plan" not in before
    done = cli("resume", "--view", "none", "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    said = texts(json.loads(done.stdout))
    assert sorted(said) == ["after", "plan", "plan.a", "plan.b", "plan.c"]
    assert said["plan"].count('"status": "done"') == 3
    started = cli.events("AttemptStarted")
    counts = Counter(event["task"] for event in started)
    assert counts["plan"] == 2
    assert all(counts[task] == 1 for task in before), f"{before} had finished: {counts}"
    assert [event["session_id"] for event in cli.events("SessionStarted") if event["task"] == "plan"] == [
        started[0]["session_id"]
    ] * 2
    assert len(cli.json("runs")) == 1


def test_killed_after_the_planner_had_ended(cli: Cli) -> None:
    """A planner that does not wait for its workers is not asked again, and they are there before those that need it."""
    lazy = PLANNER.replace("      - call: {tool: await_tasks}\n", "").replace("concurrent: 2", "concurrent: 1")
    before = kill_after(cli, cli.plan(lazy), "plan")
    done = cli("resume", "--view", "none", "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(texts(json.loads(done.stdout))) == ["after", "plan", "plan.a", "plan.b", "plan.c"]
    counts = Counter(event["task"] for event in cli.events("AttemptStarted"))
    assert all(counts[task] == 1 for task in before), f"{before} had finished: {counts}"
    assert cli.events("TaskFinished")[-1]["task"] == "after"


def kill_after(cli: Cli, plan: Path, task: str) -> set[str]:
    """Kills the run once the task is done; gives all tasks that were done by then."""
    with running(cli, "run", plan, "--offline", "--view", "jsonl") as process:
        assert process.stderr is not None
        for text in process.stderr:
            event = json.loads(text)
            if event["kind"] == "TaskFinished" and event["task"] == task:
                break
        process.kill()
        process.wait()
    wait_until(lambda: not leased(cli.home), "the end of its processes")
    return {event["task"] for event in cli.events("TaskFinished") if event["status"] == "done"}


def test_asking_and_being_refused(cli: Cli) -> None:
    """An agent is told who is there when it writes to nobody; it waits for an answer longer than its own timeout.

    Its own MCP server is there beside the run's tools; the other agent has neither.
    """
    (cli.place / "own.py").write_text(OWN_SERVER)
    seconds = round(at_most(4))  # its own turns take a part of it
    done = played(cli, TALK.replace("LONGER", str(seconds + 1)).replace("LONG", str(seconds)))
    said = texts(done)
    assert json.loads(said["asker"]) == {"from": "author", "answer": "Because of the server."}
    assert said["asker.ask-1"] == "Because of the server."
    shown = cli("logs", done["run"], "asker").stdout
    assert "! to: found 'nobody': there is no such task" in shown
    assert "# waits for the end of author, to ask it" in shown
    assert cli.events("MessageSent") == []
    talk = ("ask", "lookup", "publish", "read_messages", "send_message")
    assert tools_of(cli, "asker") == {"mcp__own__hello", *(f"mcp__run__{name}" for name in talk)}
    assert tools_of(cli, "author") == set()


def test_a_planner_goes_on(cli: Cli) -> None:
    """An agent that may give tasks to others of its plan can be told more, and still may."""
    plan = """
name: boss
agents:
  boss: {tools: [], spawn: {agents: [hand]}}
  hand: {tools: []}
tasks:
  lead: {agent: boss, prompt: Lead, rehearsal: [{say: led}]}
"""
    assert cli("run", cli.plan(plan), "--offline").returncode == 0
    done = cli("continue", "boss", "lead", "What is 3 * 4?")
    assert (done.returncode, "12" in done.stdout) == (0, True), done.stdout + done.stderr
