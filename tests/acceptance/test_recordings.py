"""A run that is recorded, and played again elsewhere."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from command_line import Cli, make_cli, wait_until

from orchestrator.gateway.model.offline import open_offline

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = """
name: many
limits: {concurrent: 4}
agents:
  reader: {tools: [Read, Glob, Grep]}
  writer: {tools: [Read, Write, Edit, Bash], allow: ["Bash(*)"]}
defaults: {agent: reader}
tasks:
  ask:
    prompt: "What does it need? Which Python?"
    returns: {type: object, required: [facts], properties: {facts: {type: array, items: {type: string}}}}
  each: {foreach: ["Python", "pip"], prompt: "What do the files say of {{ item }}?"}
  name: {vote: {times: 2}, prompt: "What is 6 * 7?"}
  change:
    agent: writer
    workspace: worktree
    prompt: "Change the README, as {{ tasks.ask.value.facts | join(' ') }} says"
    checks: ["grep -q better README.md"]
    rehearsal:
      - bash: "pwd; date; ls -la; git log -1 --format=%H; git branch --show-current"
      - write: {path: notes/new.txt, text: "a note\\n"}
      - edit: {path: README.md, old: "# Kettle", new: "# Kettles"}
      - end: "Changed once."
      - edit: {path: README.md, old: "# Kettles", new: "# A better kettle"}
      - say: "Changed twice."
  look: {prompt: "Sum up: {{ tasks.change.text }} {{ tasks.change.files | join(', ') }}"}
"""


@pytest.fixture
def other(tmp_path: Path) -> Cli:
    """Another machine, as it were: its directories are called otherwise."""
    folder = tmp_path / "another" / "machine"
    folder.mkdir(parents=True)
    return make_cli(folder)


def results(target: Path, place: Path | str = "") -> dict[str, Any]:
    """What each task gave, without what must differ: ids, times, and the place where it was."""
    told = json.loads(target.read_text().replace(str(place), "PLACE") if place else target.read_text())
    names = ("status", "outcome", "text", "value", "turns", "denials", "note", "error")
    return {each["id"]: {name: each.get(name) for name in names} for each in told["tasks"] + told["groups"]}


def changed(cli: Cli, target: Path, task: str) -> dict[str, str]:
    """The files that a task left on its branch, and what is in them."""
    told = next(each for each in json.loads(target.read_text())["tasks"] if each["id"] == task)
    place = told["workspace"]
    return {name: cli.git("show", f"{place['branch']}:{name}") for name in place["changed"]}


def test_a_recording_gives_the_same_results_elsewhere(cli, other, tmp_path):
    """Loops, votes, typed results, edits in worktrees, checks with fixes: the same, in another place, with another home
    and no offline model, to the letter, whichever of them share a process; and no credential is in the file."""
    recording, first, second = tmp_path / "many.rec", tmp_path / "1.json", tmp_path / "2.json"
    cli.repository()
    done = cli("run", cli.plan(PLAN), "--offline", "--record", recording, "--json", first, "--view", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"recorded: {recording}: " in done.stderr
    assert recording.stat().st_mode & 0o777 == 0o600
    other.repository()
    one_by_one = ("--concurrent", "1", "--view", "none")
    played = other("run", other.plan(PLAN), "--replay", recording, "--json", second, *one_by_one)
    assert played.returncode == 0, played.stdout + played.stderr
    assert results(second, other.place) == results(first, cli.place)
    assert changed(other, second, "change") == changed(cli, first, "change")
    assert changed(other, second, "change")["README.md"].startswith("# A better kettle")
    assert "not recorded" not in played.stdout
    assert "not asked for" not in played.stderr
    assert json.loads(second.read_text())["upstream"] == "replay"
    text = recording.read_text()
    assert str(tmp_path) not in text
    assert "x-api-key" not in text


@pytest.mark.parametrize("account", [{"ANTHROPIC_API_KEY": "sk-ant-made-up"}, {"CLAUDE_CODE_OAUTH_TOKEN": "made-up"}])
def test_what_was_recorded_with_an_account_is_replayed_without(account, cli, other, tmp_path):
    """A plan that names no model, and whose agents have the user's settings: the CLI's choice of a model is kept, and
    the user's own CLAUDE.md makes no difference where there is none."""
    recording, first, second = tmp_path / "a.rec", tmp_path / "1.json", tmp_path / "2.json"
    text = (
        "agents: {q: {tools: [Read, Glob], settings: [user]}}\ndefaults: {agent: q}\n"
        "tasks: {sum: {prompt: What is 6 * 7?}, look: {prompt: Which Python do the files ask for?}}\n"
    )
    for each in (cli, other):
        each.repository()
    (cli.home / ".claude").mkdir()
    (cli.home / ".claude" / "CLAUDE.md").write_text("Never say more than needed.\n")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_offline()) as api:
        user = cli.with_variables(
            ANTHROPIC_BASE_URL=api.env["ANTHROPIC_BASE_URL"], ANTHROPIC_MODEL="claude-sonnet-4-5", **account
        )
        done = user("run", user.plan(text), "--record", recording, "--json", first, "--view", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Never say more" in recording.read_text()
    assert "`settings: [user]`" in done.stderr
    played = other("run", other.plan(text), "--replay", recording, "--json", second, "--view", "none")
    assert played.returncode == 0, played.stdout + played.stderr
    assert results(second, other.place) == results(first, cli.place)
    assert "not asked for" not in played.stderr


def test_agents_that_talk_are_replayed(cli, other, tmp_path):
    """Messages, questions and answers between agents come out the same; and the example is what it says.

    A copy of the author answers the reviewer; the testers' message arrives; the verdict is on the blackboard.
    """
    recording, first, second = tmp_path / "review.rec", tmp_path / "1.json", tmp_path / "2.json"
    for each in (cli, other):
        shutil.copy(EXAMPLES / "review.yaml", each.place)
    done = cli("run", "review.yaml", "--offline", "--record", recording, "--json", first)
    text = {task["id"]: task["text"] for task in json.loads(first.read_text())["tasks"]}
    assert text["review.ask-1"] == "Seven times, since the server behind it needs up to a minute to start."
    assert "With times=0 nothing is tried at all." in text["load"]
    assert "accepted;" in text["unit"]
    assert "Seven times" in text["unit"]
    assert "review: asks author (review.ask-1): Why are there seven tries?" in done.stderr
    played = other("run", "review.yaml", "--replay", recording, "--json", second, "--view", "none")
    assert (done.returncode, played.returncode) == (0, 0), played.stdout + played.stderr
    assert results(second, other.place) == results(first, cli.place)


def test_a_changed_plan_is_told_where_it_differs(cli, tmp_path):
    """A prompt that was not recorded fails its task at once, with the place, both texts and what to do."""
    recording = tmp_path / "a.rec"
    text = "agents: {q: {tools: []}}\ndefaults: {agent: q}\ntasks: {one: {prompt: What is 6 * 7?}}\n"
    cli("run", cli.plan(text), "--offline", "--record", recording, "--view", "none")
    played = cli("run", cli.plan(text.replace("7", "8")), "--replay", recording)
    assert played.returncode == 1
    said = " ".join(played.stdout.split())
    assert said.count("asked 'What is 6 * 8?', recorded 'What is 6 * 7?': record again with --record") == 1
    assert "replay: 1 task asked what was not recorded; all of it: orchestrator logs" in said
    assert played.stderr.count("asked 'What is 6 * 8?'") == 1
    assert "differs: recorded 'What is 6 * 7?', found 'What is 6 * 8?': record again" in cli("logs", "plan").stdout
    assert "1 recorded request was not asked for: of one (1)" in played.stderr


def test_a_replayed_run_goes_on_after_a_kill(cli, tmp_path):
    """The recording is known to the run: killed in its middle and resumed, it ends as it was recorded."""
    recording, first, second = tmp_path / "a.rec", tmp_path / "1.json", tmp_path / "2.json"
    text = (
        "limits: {concurrent: 1}\nagents: {q: {tools: []}}\ndefaults: {agent: q}\n"
        "tasks:\n  one: {prompt: What is 6 * 7?}\n  two: {needs: [one], prompt: What is 2 + 3?}\n"
    )
    done = cli("run", cli.plan(text), "--offline", "--record", recording, "--json", first, "--view", "none")
    assert done.returncode == 0, done.stderr
    process = cli.start("run", cli.plan(text), "--fresh", "--replay", recording, "--fault", "slow:task=two,delay=60s")
    wait_until(lambda: any(event["note"] == "fault" for event in cli.events("RequestNoted")), "the fault")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = cli("resume", "--json", second, "--view", "none")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert {task: told["text"] for task, told in results(second).items()} == {
        task: told["text"] for task, told in results(first).items()
    }


def test_a_run_is_recorded_on_when_it_is_resumed(cli, tmp_path):
    """What is done after a failure goes into the same file, and all of it is replayed."""
    recording = tmp_path / "a.rec"
    text = (
        "limits: {concurrent: 1, wait_for_reset: false}\nagents: {q: {tools: []}}\ndefaults: {agent: q}\n"
        "tasks:\n  one: {prompt: What is 6 * 7?}\n  two: {prompt: What is 2 + 3?}\n"
    )
    stopped = cli("run", cli.plan(text), "--offline", "--record", recording, "--fault", "402:task=two")
    assert stopped.returncode == 1, stopped.stdout
    assert "faults played: 1" in stopped.stdout
    resumed = cli("resume", "--view", "none")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"recorded: {recording}: 1 request of 1 task" in resumed.stderr
    assert recording.read_text().count('{"kind":"recording"') == 2
