"""`runs`, `show` and `logs`, of runs that have ended and of one at work."""

import json
import re
import subprocess

import pytest
from command_line import SMALL, Cli, running, wait_until
from ran import Failed, Mixed

WAITING = """
name: waiting
defaults: {agent: quiet}
agents: {quiet: {tools: []}}
tasks:
  first: {prompt: "Begin.", rehearsal: [{say: "I have begun."}]}
  second:
    needs: [first]
    prompt: "Go on."
    rehearsal: [{wait: 600}, {say: "never said"}]
"""


class TestInspecting:
    def test_runs_lists_newest_first(self, failed: Failed) -> None:
        """`runs` has a row per run, newest first, with counts and how it ended; its table says the same."""
        failed.cli.plan(SMALL, "small.yaml")
        failed.cli("run", "small.yaml", "--offline")
        rows = failed.cli.json("runs")
        assert [(row["name"], row["status"], row["ok"], row["failed"]) for row in rows] == [
            ("small", "done", 1, 0),
            ("failing", "failed", 1, 1),
        ]
        table = failed.cli("runs").stdout
        assert table.index("small-") < table.index("failing-")
        assert len(failed.cli.json("runs", "--limit", "1")) == 1

    def test_show_gives_the_run_again(self, mixed: Mixed) -> None:
        """`show RUN --json` is the document of the run itself, and `show RUN` its summary."""
        assert mixed.cli.json("show", mixed.run) == mixed.data
        assert "7 tasks: 7 ok" in mixed.cli("show", mixed.run).stdout

    @pytest.mark.parametrize("name", ["mixed", "mixed-", None])
    def test_show_takes_a_name_or_a_beginning(self, mixed: Mixed, name: str | None) -> None:
        """A run's name, the beginning of its id, and nothing at all find it too."""
        assert mixed.cli.json("show", *([name] if name else []))["run"] == mixed.run

    def test_show_a_task(self, mixed: Mixed) -> None:
        """`show RUN TASK` has value, branch, files and session of the task; `--json` all of it."""
        text = mixed.cli("show", mixed.run, "change").stdout
        for part in ("change", "done", f"orchestrator/{mixed.run}/change", "notes.txt", "Wrote it."):
            assert part in text
        assert '"mark": 4' in mixed.cli("show", mixed.run, "typed").stdout
        whole = mixed.cli.json("show", mixed.run, "change")
        assert whole["id"] == "change"
        assert whole["workspace"] == mixed.tasks["change"]["workspace"]

    def test_show_a_loop(self, mixed: Mixed) -> None:
        """A loop is shown by its own name: its status is that of its parts together."""
        assert mixed.cli.json("show", mixed.run, "each")["status"] == "done"

    def test_logs_tell_what_was_said_and_done(self, mixed: Mixed) -> None:
        """`logs` has the prompt, the tool call, its refusal and the last words of a task, each with its sign."""
        lines = mixed.cli("logs", mixed.run, "denied").stdout.splitlines()
        signs = [re.sub(r"^\d\d:\d\d:\d\d denied ", "", line) for line in lines]
        assert "? Touch it." in signs
        assert any(line.startswith("* Bash command=touch x") for line in signs)
        assert any(line.startswith("! Permission") for line in signs)
        assert "> I could not." in signs

    def test_logs_as_json(self, mixed: Mixed) -> None:
        """`logs --json` has every record of the run, a document per line, in the journal's order."""
        lines = mixed.cli("logs", mixed.run, "--json").stdout.splitlines()
        records = [json.loads(line) for line in lines]
        assert [record["seq"] for record in records] == sorted(record["seq"] for record in records)
        assert {record["run"] for record in records} == {mixed.run}
        assert records[-1]["kind"] == "RunFinished"

    def test_logs_of_an_unknown_task(self, mixed: Mixed) -> None:
        """A task that the run does not have is an error with 2, as for `show`, and not an empty log."""
        done = mixed.cli("logs", mixed.run, "nothing")
        assert (done.returncode, done.stdout) == (2, "")
        assert "'nothing'" in done.stderr

    def test_following_a_run_at_work(self, cli: Cli) -> None:
        """Another process sees messages while the run goes on, `runs` calls it running, and both end when it does."""
        cli.plan(WAITING)
        with running(cli, "run", "plan.yaml", "--offline") as run:
            wait_until(lambda: "second" in cli.started(), "the second task's start")
            assert cli.json("runs")[0]["status"] == "running"
            with running(cli, "logs", "--follow") as logs:
                seen = read_until(logs, "second ? Go on.")
                assert any("I have begun." in line for line in seen)
                assert run.poll() is None, "the run was to be at work still"
                run.terminate()
                rest = cli.finish(logs)
            assert rest.returncode == 0
            assert cli.finish(run).returncode == 130
        assert "never said" not in "".join(seen) + rest.stdout


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The process's lines up to the one that has the text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"it ended without {text!r}: {lines}")
