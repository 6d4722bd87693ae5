"""`demo` and `run` as users run them: the real command line, the real Claude CLI, and the offline model behind it."""

import json
import re
import signal

import pytest
from command_line import SMALL, Cli, contents, running, wait_until
from ran import FAILING, Failed, Mixed

TASKS = ["hello", "typed", "each[0]", "each[1]", "change", "denied", "report"]


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

    def test_an_interrupted_demo_goes_on(self, cli: Cli) -> None:
        """The command that it names goes on with it, in the same documents, and takes all that had finished."""
        (cli.place / "README.md").write_text(
            "# Zymurgy\n\n## Installation\n\nInstall zymurgy with pip.\n\n## Configuration\n\nSet ZYMURGY_HOME.\n"
        )
        before = contents(cli.place)
        with running(cli, "demo", "--view", "none") as process:
            wait_until(lambda: len(cli.done()) >= 2, "two results")
            process.send_signal(signal.SIGINT)
            stopped = cli.finish(process)
        assert f"auditing the documentation in {cli.place}" in stopped.stderr
        (run,) = re.findall(r"go on with: orchestrator resume (\S+)", stopped.stderr)
        had = cli.json("runs")[0]["ok"]
        done = cli("resume", run, "--view", "none", "--json", "-")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["totals"]["reused"] >= min(had, 2)
        report = (cli.home / "orchestrator" / "demo" / "audit.md").read_text("utf-8")
        assert f"questions checked in `{cli.place}`" in report
        assert "README.md:" in report
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
