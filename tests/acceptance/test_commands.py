"""Every command as users run it: the real command line, the real Claude CLI, and the offline model behind it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import PATIENCE, SMALL, Cli, contents, make_cli, running, wait_until

MIXED = """
name: mixed
vars: {who: nobody, report: out/report.md}
limits: {concurrent: 3}
agents:
  reader: {tools: [Read, Glob, Grep]}
  writer: {tools: [Read, Write]}
  runner: {tools: [Bash]}
defaults: {agent: reader, retries: 0}
tasks:
  hello: {prompt: "What is 17 * 23, {{ vars.who }}?"}
  typed:
    prompt: "Rate it."
    returns: {type: object, required: [mark], properties: {mark: {type: integer, minimum: 1, maximum: 5}}}
    rehearsal: [{answer: {mark: 4}}]
  each:
    foreach: [a, b]
    prompt: "Say {{ item }} {{ tasks.typed.value.mark }}."
    rehearsal: [{say: "{{ item }}{{ index }}{{ tasks.typed.value.mark }}"}]
  change:
    agent: writer
    workspace: worktree
    needs: [hello]
    prompt: "Write notes."
    rehearsal: [{write: {path: notes.txt, text: "one\\n"}}, {say: "Wrote it."}]
  denied:
    agent: runner
    prompt: "Touch it."
    rehearsal: [{bash: "touch x"}, {say: "I could not."}]
  report:
    write: {path: "{{ vars.report }}", text: "{{ tasks.each.texts | join(',') }} {{ tasks.change.files | join(',') }}"}
"""
TASKS = ["hello", "typed", "each[0]", "each[1]", "change", "denied", "report"]

FAILING = """
name: failing
limits: {concurrent: 4}
defaults: {agent: quiet, retries: 0}
agents: {quiet: {tools: []}}
tasks:
  good: {prompt: "What is 2 + 2?"}
  bad: {prompt: "Fail.", rehearsal: [{fail: {status: 400, message: no such luck, attempts: 1}}]}
  after: {needs: [bad], prompt: "Never asked."}
  later: {needs: [after], prompt: "Never asked either."}
"""

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

ESCAPE = "\x1b"


class Mixed:
    """The mixed plan, run once for all tests that only look at what came of it."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        cli.repository()
        cli.plan(MIXED)
        self.done = cli("run", "plan.yaml", "--offline", "--set", "vars.who=world", "--json", "-")
        self.data: dict[str, Any] = json.loads(self.done.stdout)
        self.run: str = self.data["run"]
        self.tasks: dict[str, Any] = {task["id"]: task for task in self.data["tasks"]}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    return Mixed(make_cli(tmp_path_factory.mktemp("mixed")))


class Failed:
    """The failing plan, run once."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        cli.plan(FAILING)
        self.done = cli("run", "plan.yaml", "--offline", "--json", "result.json")
        self.data: dict[str, Any] = json.loads((cli.place / "result.json").read_text())
        self.tasks: dict[str, Any] = {task["id"]: task for task in self.data["tasks"]}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    return Failed(make_cli(tmp_path_factory.mktemp("failed")))


class TestDemo:
    def test_it_brings_documents_of_its_own(self, cli: Cli) -> None:
        """In an empty directory it audits its own documents, prints the report, and leaves the directory empty."""
        done = cli("demo")
        assert done.returncode == 0, done.stderr
        assert "# Documentation audit" in done.stdout
        assert "9 questions checked" in done.stdout
        assert "offline model" in done.stdout
        assert list(cli.place.iterdir()) == []

    def test_it_audits_the_documents_that_are_there(self, cli: Cli) -> None:
        """In a directory with documents it quotes these, and changes nothing there."""
        (cli.place / "README.md").write_text(
            "# Zymurgy\n\n## Installation\n\nInstall zymurgy with pip.\n\n## Configuration\n\nSet ZYMURGY_HOME.\n"
        )
        before = contents(cli.place)
        done = cli("demo", "--view", "none")
        assert done.returncode == 0, done.stderr
        assert f"questions checked in `{cli.place}`" in done.stdout
        assert "README.md:" in done.stdout
        assert contents(cli.place) == before


class TestRun:
    def test_json_is_the_one_thing_on_stdout(self, mixed: Mixed) -> None:
        """`--json -` puts one document with the promised keys on stdout, and the summary on stderr."""
        assert mixed.done.returncode == 0, mixed.done.stderr
        assert {"run", "name", "status", "tasks", "totals"} <= mixed.data.keys()
        assert (mixed.data["name"], mixed.data["status"]) == ("mixed", "done")
        promised = {"id", "status", "outcome", "text", "value", "session_id", "cost_usd", "usage", "turns", "duration"}
        for task in mixed.data["tasks"]:
            assert promised | {"attempts", "workspace", "error"} <= task.keys()
        assert re.search(r"7 tasks: 7 ok", mixed.done.stderr)
        assert "what it gave" in mixed.done.stderr

    def test_totals_are_the_sums(self, mixed: Mixed) -> None:
        """The totals count and add up what the tasks say."""
        totals, tasks = mixed.data["totals"], mixed.data["tasks"]
        promised = {"tasks", "ok", "failed", "skipped", "cost_usd", "input_tokens", "output_tokens", "wall_s", "sum_s"}
        assert promised | {"speedup", "parallel"} <= totals.keys()
        assert (totals["tasks"], totals["ok"], totals["failed"], totals["skipped"]) == (7, 7, 0, 0)
        assert totals["cost_usd"] == pytest.approx(sum(task["cost_usd"] for task in tasks), abs=1e-5)
        assert totals["output_tokens"] == sum(task["usage"]["output_tokens"] for task in tasks) > 0
        assert totals["speedup"] == pytest.approx(totals["sum_s"] / totals["wall_s"], abs=0.01)

    def test_tasks_stand_in_order(self, mixed: Mixed) -> None:
        """Every task is there, behind what it needs, and the parts of a loop stand together in the items' order."""
        names = list(mixed.tasks)
        assert sorted(names) == sorted(TASKS)
        assert names.index("each[1]") == names.index("each[0]") + 1
        for need, task in (("hello", "change"), ("typed", "each[0]"), ("each[1]", "report"), ("change", "report")):
            assert names.index(need) < names.index(task)

    def test_a_prompt_is_answered(self, mixed: Mixed) -> None:
        """A plain task gives the agent's last words and its session."""
        assert mixed.tasks["hello"]["text"] == "[offline model] 17 * 23 = 391"
        assert re.fullmatch(r"[0-9a-f-]{36}", mixed.tasks["hello"]["session_id"])

    def test_a_typed_value_reaches_a_loop(self, mixed: Mixed) -> None:
        """`returns` gives a value, and the items of a loop are told it."""
        assert mixed.tasks["typed"]["value"] == {"mark": 4}
        assert [mixed.tasks[f"each[{index}]"]["text"] for index in (0, 1)] == ["a04", "b14"]

    def test_a_worktree_leaves_a_branch(self, mixed: Mixed) -> None:
        """A worktree task's file is on its branch alone, its worktree is gone, and the summary names the branch."""
        workspace = mixed.tasks["change"]["workspace"]
        assert workspace["branch"] == f"orchestrator/{mixed.run}/change"
        assert workspace["changed"] == ["notes.txt"]
        assert mixed.cli.git("show", f"{workspace['branch']}:notes.txt") == "one\n"
        assert not (mixed.cli.place / "notes.txt").exists()
        assert len(mixed.cli.git("worktree", "list").splitlines()) == 1
        assert f"1 file changed on branch {workspace['branch']}" in mixed.done.stderr

    def test_a_write_task_writes(self, mixed: Mixed) -> None:
        """`write` fills its file from what came before, below the directory of the command."""
        assert (mixed.cli.place / "out" / "report.md").read_text() == "a04,b14 notes.txt"

    def test_a_refused_call_is_named(self, mixed: Mixed) -> None:
        """A command that nobody allowed does not run; the result and the summary name it and what would allow it."""
        assert not (mixed.cli.place / "x").exists()
        assert mixed.tasks["denied"]["denials"] == ["Bash(touch x)"]
        assert re.search(r"refused: .*Bash\(touch x\)", mixed.done.stderr)
        assert "`allow`" in mixed.done.stderr

    def test_nothing_is_left_behind(self, mixed: Mixed) -> None:
        """After a run the place holds the plan, the report and the repository, and nothing else."""
        assert sorted(path.name for path in mixed.cli.place.iterdir()) == [".git", "README.md", "out", "plan.yaml"]

    def test_set_reaches_the_prompt(self, mixed: Mixed) -> None:
        """`--set` replaced the variable in what was asked."""
        assert "What is 17 * 23, world?" in mixed.cli("logs", mixed.run, "hello").stdout

    def test_concurrent_and_usd_are_heeded(self, cli: Cli) -> None:
        """`--concurrent 1` runs one at a time; `--usd` starts nothing more once it is spent, and says so."""
        cli.plan(SMALL.replace("{one:", "{two: {prompt: hello}, one:"))
        narrow = cli("run", "plan.yaml", "--offline", "--concurrent", "1", "--usd", "0.0001", "--json", "-")
        data = json.loads(narrow.stdout)
        assert narrow.returncode == 1
        assert "1 at once" in narrow.stderr
        assert [task["status"] for task in data["tasks"]] == ["cancelled", "cancelled"]
        assert "the run's budget of" in data["tasks"][1]["error"]
        assert "0.0001" in data["tasks"][1]["error"], "the budget is named as it was given"

    def test_concurrent_bounds_the_overlap(self, cli: Cli) -> None:
        """With `--concurrent 1` no second task starts before the first has ended."""
        cli.plan(SMALL.replace("{one:", "{two: {prompt: hello}, one:"))
        done = cli("run", "plan.yaml", "--offline", "--concurrent", "1")
        said = [line.split()[2].rstrip(":") for line in done.stderr.splitlines() if re.search(r"(two|one): ", line)]
        assert said == ["started", "done", "started", "done"]

    def test_two_runs_share_a_journal(self, cli: Cli) -> None:
        """Two runs at once write one journal, and each keeps its own results."""
        cli.plan(SMALL)
        other = cli.plan(SMALL.replace("small", "other").replace("6 * 7", "5 * 5"), "other.yaml")
        first, second = cli.start("run", "plan.yaml", "--offline"), cli.start("run", other, "--offline")
        assert [cli.finish(first).returncode, cli.finish(second).returncode] == [0, 0]
        assert {row["name"] for row in cli.json("runs")} == {"small", "other"}
        assert "42" in cli.json("show", "small", "one")["text"]
        assert "25" in cli.json("show", "other", "one")["text"]

    def test_views_are_chosen_by_name(self, cli: Cli) -> None:
        """`jsonl` gives a document per line on stderr, and `none` gives nothing there."""
        cli.plan(SMALL)
        spoken = cli("run", "plan.yaml", "--offline", "--view", "jsonl")
        kinds = [json.loads(line)["kind"] for line in spoken.stderr.splitlines()]
        assert (kinds[0], kinds[-1]) == ("RunStarted", "RunFinished")
        assert "AgentMessage" in kinds
        silent = cli("run", "plan.yaml", "--offline", "--view", "none")
        assert (silent.returncode, silent.stderr) == (0, "")


class TestFailure:
    def test_it_ends_with_1(self, failed: Failed) -> None:
        """One task that failed makes the command end with 1, and the run failed."""
        assert failed.done.returncode == 1
        assert failed.data["status"] == "failed"
        totals = failed.data["totals"]
        assert (totals["ok"], totals["failed"], totals["skipped"]) == (1, 1, 2)

    def test_its_cause_is_told(self, failed: Failed) -> None:
        """The cause, in the API's words, is in the JSON, in the progress and in the summary."""
        task = failed.tasks["bad"]
        assert (task["status"], task["outcome"]) == ("failed", "bad_request")
        assert "no such luck" in task["error"]
        assert "no such luck" in failed.done.stderr
        assert "✗ bad" in failed.done.stdout
        assert "no such luck" in failed.done.stdout

    def test_dependents_are_skipped(self, failed: Failed) -> None:
        """What needs it, directly or not, is skipped with the need named, and no agent is started for it."""
        after, later = failed.tasks["after"], failed.tasks["later"]
        assert (after["status"], later["status"]) == ("skipped", "skipped")
        assert after["error"] == "it needs bad, which is failed"
        assert later["error"] == "it needs after, which is skipped"
        assert after["attempts"] == later["attempts"] == 0

    def test_the_others_go_on(self, failed: Failed) -> None:
        """A task that does not need the failed one gives its result."""
        assert failed.tasks["good"]["status"] == "done"

    def test_fail_fast_stops_the_rest(self, cli: Cli) -> None:
        """With `--fail-fast` the first failure cancels what still runs; the results are there all the same."""
        cli.plan(FAILING.replace("tasks:", 'tasks:\n  slow: {prompt: "Wait.", rehearsal: [{wait: 600}, {say: never}]}'))
        done = cli("run", "plan.yaml", "--offline", "--fail-fast", "--json", "-")
        data = json.loads(done.stdout)
        assert done.returncode == 1
        assert {task["id"]: task["status"] for task in data["tasks"]}["slow"] == "cancelled"
        assert "no such luck" in done.stderr
        assert cli.json("runs")[0]["status"] != "running"


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
            wait_until(lambda: begun(cli), "the second task's start")
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


def begun(cli: Cli) -> bool:
    """Whether the second task of the waiting plan is at work."""
    done = cli("show", "waiting", "--json")
    return done.returncode == 0 and json.loads(done.stdout)["tasks"][1]["status"] == "running"


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The process's lines up to the one that has the text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"it ended without {text!r}: {lines}")


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
            process = mixed.cli.start(*command, stdout=full)
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
