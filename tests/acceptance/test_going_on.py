"""Stopped in any way, a run goes on: the real CLI, its real sessions, and a server that counts what it is asked."""

import re
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from command_line import SMALL, Cli, leased, make_cli, running, wait_until
from counting import Counting, at, report, serving, stop_at

from orchestrator.journal.sqlite import open_sqlite
from orchestrator.prompts import INTERRUPTED

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

PLAN = """
name: going
limits: {concurrent: 3}
agents: {q: {tools: [Read, Write]}}
defaults: {agent: q}
tasks:
  a: {prompt: "[task a] What is 2 * 3?"}
  c: {needs: [a], prompt: "[task c] What is 4 * 3?"}
  w: {prompt: "[task w] Write a line about tea to tea.txt", workspace: worktree}
  hang: {needs: [c, w], prompt: "[task hang] What is 5 * 3?"}
"""
ONE = "".join(line for line in PLAN.splitlines(keepends=True) if not line.startswith(("  a:", "  c:", "  hang:")))
"""With `w` alone."""
TWO = "".join(line for line in PLAN.splitlines(keepends=True) if not line.startswith(("  a:", "  c:"))).replace(
    "[c, w]", "[w]"
)
"""With `w`, and `hang` that needs it."""


@pytest.mark.parametrize("again", ["run", "resume"])
async def test_killed_and_run_again(cli: Cli, again: str) -> None:
    """After kill -9 the same plan, or `resume`, asks for nothing that had finished, and goes on in the old session."""
    cli.repository()
    plan = cli.plan(PLAN)
    async with serving(cli, "hang") as (model, ours):
        await stop_at(ours, model, "hang", lambda process: process.kill(), plan)
        before = model.counts
        wait_until(lambda: not leased(cli.home), "the end of its processes")
        model.held.clear()
        words = ["run", plan] if again == "run" else ["resume"]
        done = report(await at(ours, *words, "--view", "none", "--json", "-"))
    assert done["totals"]["reused"] == 3
    assert model.counts - before == Counter({"hang": 1})
    assert INTERRUPTED in model.asked[-1][1]
    assert [task["attempts"] for task in done["tasks"]] == [1, 1, 1, 2]
    assert len(cli.json("runs")) == 1
    assert cli.git("branch", "--list", "orchestrator/*").split() == [f"orchestrator/{done['run']}/w"]


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
async def test_interrupted_and_resumed(cli: Cli, number: signal.Signals, times: int) -> None:
    """A signal ends a run with 130 and names the command that goes on; that command works from another directory."""
    cli.repository()
    plan = cli.plan(TWO)

    def stop(process: Any) -> None:
        for _ in range(times):
            process.send_signal(number)

    async with serving(cli, "hang") as (model, ours):
        done = await stop_at(ours, model, "hang", stop, plan)
        assert done.returncode == 130
        before = model.counts
        if times == 1:
            (run,) = re.findall(r"go on with: orchestrator resume (\S+)", done.stderr)
            assert cli.json("show", run, "hang")["status"] == "cancelled"
        else:
            wait_until(lambda: not leased(cli.home), "the end of its processes")
            run = "going"
        model.held.clear()
        elsewhere = Cli(cli.home, cli.home, ours.variables)
        result = report(await at(elsewhere, "resume", run, "--view", "none", "--json", "-"))
    assert result["totals"]["reused"] == 1
    assert model.counts - before == Counter({"hang": 1})
    assert cli.git("worktree", "list").count("\n") == 1


async def test_edits_are_heeded(cli: Cli) -> None:
    """What was edited runs again with what names it in `needs`; what was not does not, also in another order."""
    cli.repository()
    async with serving(cli, "hang") as (model, ours):
        await stop_at(ours, model, "hang", lambda process: process.kill(), cli.plan(PLAN))
        before = model.counts
        model.held.clear()
        lines = PLAN.replace("4 * 3", "4 * 4").splitlines(keepends=True)
        head, tasks = lines[:7], lines[7:]
        plan = cli.plan("".join([*head[:6], head[6], *sorted(tasks, reverse=True)]))
        done = report(await at(ours, "run", plan, "--view", "none", "--json", "-"))
    assert set(model.counts - before) == {"c", "hang"}
    assert {task["id"]: task["reused"] is not None for task in done["tasks"]} == {
        "a": True, "c": False, "w": True, "hang": False,
    }  # fmt: skip


async def test_which_results_are_taken(cli: Cli) -> None:
    """A finished run starts anew; `--reuse` takes its results, `--rerun` all but one, `--fresh` none."""
    plan = cli.plan("name: small\ntasks:\n  a: {prompt: '[task a] 1 + 1?'}\n  b: {prompt: '[task b] 1 + 2?'}\n")
    async with serving(cli) as (model, ours):
        asked = []
        for options in ([], ["--reuse"], ["--rerun", "b"], ["--fresh"], []):
            before = model.counts
            report(await at(ours, "run", plan, *options, "--view", "none", "--json", "-"))
            asked.append("".join(sorted(model.counts - before)))
        assert asked == ["ab", "", "b", "ab", "ab"]
        assert len({row["run"] for row in ours.json("runs")}) == 5
        wrong = await at(ours, "run", plan, "--rerun", "bb")
        assert (wrong.returncode, "did you mean b?" in wrong.stderr) == (2, True)
        both = await at(ours, "run", plan, "--fresh", "--reuse")
        assert (both.returncode, "--fresh: it takes no earlier results" in both.stderr) == (2, True)


async def test_two_at_once(cli: Cli) -> None:
    """The same plan started twice at the same time is two runs; one that is being driven cannot be resumed."""
    plan = cli.plan("name: small\ntasks:\n  a: {prompt: '[task a] 1 + 1?'}\n")

    def both(model: Counting, ours: Cli) -> list[int]:
        with running(ours, "run", plan) as one, running(ours, "run", plan) as other:
            wait_until(lambda: model.counts["a"] == 2, "two requests")
            refused = ours("resume", ours.json("runs")[0]["run"])
            assert (refused.returncode, "is being driven by another process" in refused.stderr) == (2, True)
            for process in (one, other):
                process.send_signal(signal.SIGINT)
            return [ours.finish(process).returncode for process in (one, other)]

    async with serving(cli, "a") as (model, ours):
        assert await to_thread.run_sync(both, model, ours) == [130, 130]
    assert len(cli.json("runs")) == 2


async def test_continue_a_task(cli: Cli) -> None:
    """An agent goes on in its session: in its worktree, made again from its branch, or, forked, in one of its own."""
    cli.repository()
    plan = cli.plan(ONE)
    async with serving(cli) as (model, ours):
        first = report(await at(ours, "run", plan, "--view", "none", "--json", "-"))
        (task,) = [task for task in first["tasks"] if task["id"] == "w"]
        words = "Write a line about coffee to coffee.txt"
        elsewhere = Cli(cli.home, cli.home, ours.variables)
        second = report(await at(elsewhere, "continue", "going", "w", words, "--view", "none", "--json", "-"))
        words = words.replace("coffee", "milk")
        fork = report(await at(elsewhere, "continue", "going", "w", words, "--fork", "--view", "none", "--json", "-"))
    (more,), (copy,) = second["tasks"], fork["tasks"]
    assert more["session_id"] == task["session_id"] != copy["session_id"]
    assert more["workspace"]["branch"] == task["workspace"]["branch"] != copy["workspace"]["branch"]
    assert more["workspace"]["changed"] == ["coffee.txt", "tea.txt"]
    assert copy["workspace"]["changed"] == ["milk.txt"]
    assert all("[task w]" in text for _, text in model.asked[-2:])
    assert cli.git("worktree", "list").count("\n") == 1


async def test_continue_on_another_machine(cli: Cli, tmp_path: Path) -> None:
    """With nothing but the journal, in another home, an agent goes on and knows what it was asked."""
    plan = cli.plan("name: small\ntasks:\n  a: {prompt: '[task a] What is 21 * 2?'}\n")
    async with serving(cli) as (model, ours):
        report(await at(ours, "run", plan, "--view", "none", "--json", "-"))
        other = tmp_path / "other"
        (other / "orchestrator").mkdir(parents=True)
        (other / "gitconfig").touch()
        shutil.copy(cli.home / "orchestrator" / "journal.db", other / "orchestrator")
        shutil.rmtree(cli.home)
        there = Cli(other, other, ours.variables)
        done = await at(there, "continue", "small", "a", "And times 3?", "--directory", other, "--view", "none")
    assert done.returncode == 0, done.stderr
    assert "[task a] What is 21 * 2?" in model.asked[-1][1]
    assert "And times 3?" in model.asked[-1][1]


@pytest.fixture(scope="module")
def asked_once(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A command line with one run in its journal."""
    cli = make_cli(tmp_path_factory.mktemp("asked"))
    assert cli("run", cli.plan(SMALL), "--offline").returncode == 0
    return cli


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["small", "zz", "x"], "has no task 'zz'; it has one"),
        (["nobody", "one", "x"], "no such run"),
    ],
)
async def test_continue_what_is_not_there(asked_once: Cli, arguments: list[str], words: str) -> None:
    """A run or a task that is not there is told, with those that are."""
    done = asked_once("continue", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


async def test_a_script_goes_on(cli: Cli) -> None:
    """A script that was killed asks, run again, for what had not finished alone; its sessions are in the journal."""
    script = cli.place / "script.py"
    script.write_text(
        "import anyio\nfrom orchestrator import Agent, open_run\n"
        "async def main():\n"
        "    async with open_run('mine', agent=Agent(tools=())) as run:\n"
        "        first = await run.map('[task m{item}] What is {item} + 1?', [1, 2, 3])\n"
        "        more = await run.resume(first[0], '[task more] And + 2?')\n"
        "        print([r.text for r in [*first, more]])\n"
        "anyio.run(main)\n"
    )

    def killed(model: Counting, ours: Cli) -> None:
        process = ours.start_python(script)
        wait_until(lambda: "[task more]" in model.asked[-1][1] if model.asked else False, "the last request")
        process.kill()
        process.communicate()

    async with serving(cli, "more") as (model, ours):
        await to_thread.run_sync(killed, model, ours)
        before = len(model.asked)
        model.held.clear()
        done = await to_thread.run_sync(lambda: ours.finish(ours.start_python(script)))
    assert done.returncode == 0, done.stderr
    assert len(model.asked) == before + 1
    keys = [row["run"] for row in cli.json("runs")]
    assert len(keys) == 1
    session = cli.json("show", keys[0], "resume-1")["session_id"]
    async with open_sqlite(cli.home / "orchestrator" / "journal.db") as journal:
        assert await journal.sessions.find_session(session)


async def test_secrets_are_not_written_down(cli: Cli) -> None:
    """A setting that may be secret is in no file, and is asked for again when the run is gone on with."""
    agents = "agents: {q: {tools: [], max_turns: 9, env: {TOKEN: none}}}"
    plan = cli.plan(f"name: small\n{agents}\ntasks:\n  a: {{agent: q, prompt: '[task a] 1 + 1?'}}\n")
    secret = ["--set", "agents.q.env.TOKEN=s3cr3t-value", "--set", "agents.q.max_turns=7"]
    async with serving(cli, "a") as (model, ours):

        def stop() -> None:
            with running(ours, "run", plan, *secret) as process:
                wait_until(lambda: model.counts["a"], "a request")
                process.send_signal(signal.SIGINT)
                assert ours.finish(process).returncode == 130

        await to_thread.run_sync(stop)
        model.held.clear()
        refused = await at(ours, "resume")
        assert refused.returncode == 2
        assert "--set agents.q.env.TOKEN=… was not written down: give it once more" in refused.stderr
        report(await at(ours, "resume", *secret[:2], "--view", "none", "--json", "-"))
    kept = [path for path in (cli.home / "orchestrator").rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if b"s3cr3t-value" in path.read_bytes()] == []


async def test_limits_are_those_of_the_plan_now(cli: Cli) -> None:
    """A budget that was raised in the plan counts; one that was given beside it stays until another is given."""
    text = (
        "name: small\nlimits: {usd: 0.0001, concurrent: 1}\ntasks:\n  a: {prompt: '1 + 1?'}\n  b: {prompt: '1 + 2?'}\n"
    )
    plan = cli.plan(text)
    first = await at(cli, "run", plan, "--offline", "--view", "none")
    assert first.returncode == 1
    assert "go on with: orchestrator resume small-" in first.stdout
    cli.plan(text.replace("0.0001", "5.0"))
    done = report(await at(cli, "run", plan, "--offline", "--view", "none", "--json", "-"))
    assert (done["totals"]["ok"], len(cli.json("runs"))) == (2, 1)


async def test_a_budget_that_was_given_stays(cli: Cli) -> None:
    """`resume` keeps the budget that the run was started with, until it is given another."""
    plan = cli.plan("name: small\nlimits: {concurrent: 1}\ntasks:\n  a: {prompt: '1 + 1?'}\n  b: {prompt: '1 + 2?'}\n")
    first = await at(cli, "run", plan, "--offline", "--usd", "0.0001", "--view", "none")
    again = await at(cli, "resume", "--view", "none")
    assert [each.returncode for each in (first, again)] == [1, 1]
    assert "the run's budget of 0.0001 USD is spent" in again.stdout
    done = report(await at(cli, "resume", "--usd", "5", "--view", "none", "--json", "-"))
    assert done["totals"]["ok"] == 2


PILOT = """
name: piloted
limits: {concurrent: 2}
agents: {q: {tools: []}}
defaults: {agent: q}
tasks:
  each: {foreach: [a1, a2, a3, a4], prompt: "[task {{ item }}] What is 2 * 3?"}
  report: {prompt: "[task report] How many are these: {{ tasks.each.texts | join(' ') }}"}
"""


@pytest.mark.parametrize("again", ["run", "resume"])
async def test_a_pilot_and_then_the_rest(cli: Cli, again: str) -> None:
    """A pilot asks of each loop one part, and tells what all would take; the same run then asks the rest alone."""
    plan = cli.plan(PILOT)
    async with serving(cli) as (model, ours):
        piloted = await at(ours, "run", plan, "--pilot", "1", "--view", "lines", "--json", "-")
        first = report(piloted)
        assert model.counts == Counter({"a1": 1, "report": 1})
        assert (first["complete"], first["forecast"]["tasks"], first["forecast"]["known"]) == (False, 5, 5)
        assert re.search(r"forecast of the whole: 5 tasks, about .* from its pilot", piloted.stderr)
        before = model.counts
        words = ["run", plan] if again == "run" else ["resume"]
        done = await at(ours, *words, "--view", "lines", "--json", "-")
    second = report(done)
    assert model.counts - before == Counter({"a2": 1, "a3": 1, "a4": 1, "report": 1})
    assert (second["run"], second["complete"], second["totals"]["reused"]) == (first["run"], True, 1)
    assert re.search(r"forecast: 4 tasks, about .* from its own beginning", done.stderr)
    assert second["totals"]["held_back"] in ("limit", "needs", "longest task", "start-up")
    assert 0 < second["totals"]["efficiency"] <= 1
    shown = cli.json("plan", "show", plan, "--forecast")
    assert (shown["forecast"]["tasks"], shown["forecast"]["basis"]) == (5, "1 earlier run")
    assert [task["name"] for task in shown["tasks"]] == ["each", "report"]


async def test_nothing_to_forecast_from(cli: Cli) -> None:
    """Without a journal, `plan show --forecast` shows the plan, says so, and makes no journal."""
    done = await at(cli, "plan", "show", cli.plan(PILOT), "--forecast")
    assert done.returncode == 0
    assert "forecast: none: no earlier run of 'piloted' tells anything" in done.stdout
    assert not (cli.home / "orchestrator" / "journal.db").exists()
