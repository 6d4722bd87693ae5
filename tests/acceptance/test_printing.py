"""What commands print: into pipes that close, onto full disks, as help; and what `plan` prints."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PATIENCE, SMALL, Cli
from ran import MIXED, Failed, Mixed

ESCAPE = "\x1b"


class TestOutput:
    @pytest.mark.parametrize(
        "command",
        [
            ("show",),
            ("runs",),
            ("runs", "--json"),
            ("logs",),
            ("show", "--json"),
            ("logs", "--json"),
            ("plan", "schema"),
        ],
        ids=" ".join,
    )
    def test_a_reader_that_leaves_is_no_error(self, mixed: Mixed, command: tuple[str, ...]) -> None:
        """Output into a pipe that nobody reads ends with 0 and without a word."""
        process = mixed.cli.start(*command)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(PATIENCE) == 0

    def test_a_reader_that_leaves_costs_no_results(self, cli: Cli) -> None:
        """A run whose summary nobody reads still writes its JSON, and ends with the code of its tasks."""
        cli.plan(SMALL)
        process = cli.start("run", "plan.yaml", "--offline", "--view", "none", "--json", "result.json")
        assert process.stdout is not None
        process.stdout.close()
        process.wait(PATIENCE)
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert json.loads((cli.place / "result.json").read_text())["status"] == "done"
        assert process.returncode == 0

    @pytest.mark.parametrize("command", [("show",), ("runs", "--json"), ("logs",)], ids=" ".join)
    def test_output_onto_a_full_disk(self, mixed: Mixed, command: tuple[str, ...]) -> None:
        """What cannot be written ends with 2 and says why, once."""
        with Path("/dev/full").open("w") as full:
            process = mixed.cli.start_anew(*command, stdout=full)
            _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err.count("No space left on device"), len(err.splitlines())) == (2, 1, 1)

    def test_head_gets_its_line(self, mixed: Mixed) -> None:
        """`… | head -1` prints one line, and nothing is on stderr."""
        shell = f"{sys.executable} -m orchestrator logs {mixed.run} --json | head -1"
        done = subprocess.run(
            ["sh", "-c", shell],
            cwd=mixed.cli.place,
            check=False,
            env=mixed.cli.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (len(done.stdout.splitlines()), done.stderr) == (1, "")

    @pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["pipe", "no-color", "dumb"])
    def test_a_pipe_has_no_escape_codes(self, failed: Failed, variables: dict[str, str]) -> None:
        """What goes into a pipe is plain text."""
        cli = failed.cli.with_variables(**variables)
        for command in (("show", "failing"), ("runs",), ("logs", "failing"), ("plan", "show", "plan.yaml")):
            done = cli(*command)
            assert done.returncode == 0
            assert ESCAPE not in done.stdout + done.stderr

    @pytest.mark.parametrize(
        "command",
        ["", "demo", "run", "runs", "show", "logs", "plan", "plan check", "plan show", "plan schema"],
    )
    def test_help(self, cli: Cli, command: str) -> None:
        """Every command has a help that names its usage and each of its options with a sentence."""
        done = cli(*command.split(), "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.match(rf"Usage: (python -m )?orchestrator {command}".rstrip(), done.stdout)
        for line in done.stdout.partition("Options:")[2].splitlines():
            assert not re.fullmatch(r"\s+--[a-z-]+\s*", line), f"an option without a word on it: {line}"

    def test_every_command_is_in_the_help(self, cli: Cli) -> None:
        """The help of the whole lists the commands that there are."""
        listed = set(re.findall(r"^  ([a-z]+)  ", cli("--help").stdout, re.MULTILINE))
        assert {"demo", "run", "runs", "show", "logs", "plan"} <= listed

    @pytest.mark.parametrize(
        "command",
        [
            "run plan.yaml --no-such-option",
            "--no-such-option",
            "no-such-command",
            "run",
            "run plan.yaml --concurrent 0",
            "run plan.yaml --concurrent many",
            "run plan.yaml --usd 0",
            "runs --limit 0",
            "show a b c",
        ],
    )
    def test_wrong_options_end_with_2(self, cli: Cli, command: str) -> None:
        """An option or command that there is not, or a value out of its range, ends with 2 and starts nothing."""
        cli.plan(SMALL)
        done = cli(*command.split())
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr
        assert not cli.journal_has_run()

    def test_the_version(self, cli: Cli) -> None:
        """`--version` prints the number alone."""
        assert re.fullmatch(r"\d+\.\d+\.\d+\n", cli("--version").stdout)


class TestPlan:
    def test_check(self, cli: Cli) -> None:
        """`plan check` says that a good plan is good, starts nothing, and counts its tasks in JSON."""
        cli.plan(MIXED)
        done = cli("plan", "check", "plan.yaml")
        assert (done.returncode, done.stdout) == (0, "plan.yaml: the plan 'mixed' is good: 6 tasks\n")
        told = {"ok": True, "name": "mixed", "tasks": 6, "plans": [], "notes": []}
        assert cli.json("plan", "check", "plan.yaml") == told
        assert not cli.journal_has_run()

    def test_show(self, cli: Cli) -> None:
        """`plan show` draws each task below the last of its needs, and `--json` names kinds and needs."""
        cli.plan(MIXED)
        tree = cli("plan", "show", "plan.yaml").stdout
        indent = {name: line.index(name) for line in tree.splitlines() for name in re.findall(r"(hello|change)", line)}
        assert indent["change"] > indent["hello"]
        kinds = {node["name"]: node["kind"] for node in cli.json("plan", "show", "plan.yaml")}
        assert (kinds["hello"], kinds["each"], kinds["report"]) == ("agent", "loop", "write")

    def test_schema(self, cli: Cli) -> None:
        """`plan schema` prints a JSON schema that knows the keys of a plan."""
        schema = json.loads(cli("plan", "schema").stdout)
        assert {"name", "vars", "limits", "defaults", "agents", "tasks"} == schema["properties"].keys()
