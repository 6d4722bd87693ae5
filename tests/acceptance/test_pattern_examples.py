"""The examples of patterns of parallel work do what each is about, with the offline model."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from command_line import Cli, Finished

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(cli: Cli, example: str, *more: str, code: int = 0) -> tuple[dict[str, Any], Finished]:
    """The report of the plan, run offline, and all that was printed."""
    done = cli("run", EXAMPLES / example, "--offline", "--view", "lines", "--json", "-", *more)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout), done


def script(cli: Cli, example: str, *words: str | Path) -> str:
    """What the script, run offline, prints."""
    done = cli.finish(cli.start_python(EXAMPLES / example, *words, "--offline"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def texts(report: dict[str, Any]) -> dict[str, str]:
    return {task["id"]: task["text"] for task in report["tasks"]}


def times(cli: Cli, kind: str) -> dict[str, float]:
    """When an event of this kind was last written of each task, Unix time in s."""
    with closing(sqlite3.connect(cli.home / "orchestrator" / "journal.db")) as connection:
        rows = connection.execute("SELECT json_extract(data, '$.task'), at FROM events WHERE kind = ?", (kind,))
        return dict(rows.fetchall())


def test_research_reads_in_two_groups(cli: Cli) -> None:
    """The second group starts when all of the first are done, and knows what they gave; the answer names documents."""
    report, _ = run(cli, "research/plan.yaml", "--set", f"vars.documents={EXAMPLES / 'research' / 'documents'}")
    assert report["totals"]["ok"] == 7
    begun, ended = times(cli, "AttemptStarted"), times(cli, "TaskFinished")
    first, second = [f"reports[{n}]" for n in range(3)], [f"frame[{n}]" for n in range(2)]
    assert min(begun[task] for task in second) >= max(ended[task] for task in first)
    assert max(begun[task] for task in first) < min(ended[task] for task in first), "all three are at work at once"
    assert max(begun[task] for task in second) < min(ended[task] for task in second), "both are at work at once"
    given = next(task["value"]["summary"] for task in report["tasks"] if task["id"] == "reports[2]")
    assert json.dumps(given)[1:-1] in cli("logs", report["run"], "frame[0]").stdout.replace("\\u0027", "'")
    written = (cli.place / "research.md").read_text()
    assert len(re.findall(r"^\| \d-[\w-]+\.md \| [^|]+ \| [^|]+ \| [^|]+ \|$", written, re.MULTILINE)) == 5
    answer = written.split("| document |")[0]
    assert len(set(re.findall(r"\d-[\w-]+\.md", answer))) >= 3


def test_a_section_that_failed_is_named(cli: Cli) -> None:
    """The merged review has the two others, names the third and says why; gone on with, it has all three."""
    report, _ = run(cli, "sectioning.yaml", "--set", "vars.sections.2.folder=no/such/folder", code=1)
    assert (report["totals"]["ok"], report["totals"]["failed"]) == (4, 1)
    review = (cli.place / "review.md").read_text()
    assert "problem of security (README.md:1)" in review
    assert "problem of performance (README.md:1)" in review
    assert re.search(r"^\* The coverage could not be looked at: .*no/such/folder, which does not", review, re.MULTILINE)
    (cli.place / "no" / "such" / "folder").mkdir(parents=True)
    gone_on = cli("resume", report["run"], "--view", "none")
    assert gone_on.returncode == 0, gone_on.stderr
    review = (cli.place / "review.md").read_text()
    assert "problem of coverage (README.md:1)" in review
    assert "could not be" not in review


def test_a_vote_is_decided_early(cli: Cli) -> None:
    """Three that agree decide it, whoever was still at work is not needed, and it is said; the judge gives a reason."""
    late = ("--fault", "slow:task=verdict[4],delay=60s")
    report, done = run(cli, "voting.yaml", "--set", "limits.concurrent=3", *late)
    outcome = {task["id"]: task["outcome"] for task in report["tasks"]}
    voters = [outcome[f"verdict[{number}]"] for number in range(5)]
    assert (voters.count("ok"), voters.count("unneeded")) in ((4, 1), (3, 2))
    assert voters[4] == "unneeded"
    assert re.search(r" verdict: done: 3 of 5 say 'yes'(, 1 says 'no')?, [12] not needed", done.stderr)
    assert "the judge chose 'Run Claude Code agents in parallel' (It needs no explanation.): 1 of 3" in done.stderr
    assert texts(report)["summary"].startswith("A newcomer would know (yes), and 'Run Claude Code agents in parallel'")


def test_plans_in_plans(cli: Cli) -> None:
    """Three levels of plans, their tasks under the limits of the outermost, and shown as a tree."""
    report, done = run(cli, "nested/release.yaml", "--set", "vars.components=[kettle]", "--set", "limits.concurrent=2")
    looks = {f"component[0].review.look[{number}]" for number in range(3)}
    assert looks | {"component[0].purpose", "component[0].summary", "notes", "report"} == texts(report).keys()
    assert most_at_once(done.stderr) == 2
    assert (cli.place / "release-notes.md").read_text() == "kettle: 3 reviewers have looked at it.\n"
    shown = [re.match(r"( *)✓ (\S+)", line) for line in cli("show", report["run"]).stdout.splitlines()]
    indents = [(len(found[1]) // 2, found[2]) for found in shown if found]
    tree = [(0, "component"), (1, "[0]"), (2, "purpose"), (2, "review"), (3, "look")]
    tree += [(4, "[0]"), (4, "[1]"), (4, "[2]"), (2, "summary"), (0, "notes"), (0, "report")]
    assert indents == tree


def most_at_once(lines: str) -> int:
    """How many agents were at work at the same time, by the lines view."""
    most, agents = 0, set[str]()
    for task, what in re.findall(r"^\S+ (\S+): (started|done|failed)", lines, re.MULTILINE):
        agents = agents | {task} if what == "started" else agents - {task}
        most = max(most, len(agents))
    return most


def test_an_audit_without_a_barrier(cli: Cli) -> None:
    """Checks of one category begin before another has been asked; every category and question is in the report."""
    (cli.place / "README.md").write_text("# Kettle\n\n## Installation\n\nInstall it with pip.\n\n## Options\n\nNone.\n")
    numbers = {"installation": 2, "options": 1, "errors": 1}
    topics = json.dumps([{"topic": topic, "questions": number} for topic, number in numbers.items()])
    late = ("--fault", "slow:task=audit[2].ask,delay=6s")
    report, _ = run(
        cli, "doc_audit/pipeline.yaml", "--set", f"vars.categories={topics}", "--set", "limits.concurrent=2", *late
    )
    assert report["totals"]["ok"] == 8
    begun, ended = times(cli, "AttemptStarted"), times(cli, "TaskFinished")
    checks = [at for task, at in begun.items() if ".check[" in task]
    asks = [at for task, at in ended.items() if task.endswith(".ask")]
    assert (len(checks), len(asks)) == (4, 3)
    assert min(checks) < max(asks)
    rows = re.findall(
        r"^\| (\w+) \| (\d) \| (\d) \| (\d) \| (\d) \|$", (cli.place / "doc-audit-pipeline.md").read_text(), re.M
    )
    assert {row[0]: int(row[1]) for row in rows} == numbers
    assert all(sum(map(int, row[2:])) == int(row[1]) for row in rows)


def test_patterns(cli: Cli) -> None:
    """The script's vote, pipeline, goal and group each come to their end, and say how."""
    lines = script(cli, "patterns.py").splitlines()
    assert len(lines) == 5, lines
    assert re.fullmatch(r"vote       .*6 \* 7 = 42  \((2 of|all) 3 say .*\)", lines[0]), lines[0]
    assert lines[1].endswith("9 / 3 = 3  (squares[0].divide)")
    assert lines[2].endswith("25 / 5 = 5  (squares[1].divide)")
    assert lines[3] == "fan-out    It costs 360 and weighs 100.  (2 of 2 parts succeeded)"
    assert lines[4] == "group      letters.line[0], letters.line[1]: True"


def test_batches(cli: Cli) -> None:
    """Of four documents the one that is too long is listed apart, with its error; three were read."""
    printed = script(cli, "batches.py", cli.place / "invoices", "4")
    assert "3 of 4 documents were read:\n  read[0]  R-0 from Bergen\n  read[1]  R-1 from Cork\n" in printed
    assert re.search(r"^Not read: 1\n  read\[3\]  too_long: Prompt is too long", printed, re.MULTILINE)
    assert len(list((cli.place / "invoices").iterdir())) == 4


def test_batches_without_a_folder(cli: Cli) -> None:
    """Without a folder the script says how it is used, and does nothing."""
    done = cli.finish(cli.start_python(EXAMPLES / "batches.py", "--offline"))
    assert done.returncode == 1
    assert "batches.py FOLDER" in done.stderr


def test_sessions(cli: Cli) -> None:
    """The script tells how each stands, which two came first, when not yet all and when all are complete."""
    printed = script(cli, "sessions.py")
    first = re.search(r"^ended first: (\S+), (\S+); at work: (\S+), (\S+)$", printed, re.MULTILINE)
    assert first is not None, printed
    assert "garbage-collector" in first.groups()[2:]
    assert re.search(r"^parser and linker have ended: parser done, linker done, .*; not all complete$", printed, re.M)
    assert re.search(r"^in the end: (\S+ done(, |; )){4}all complete$", printed, re.MULTILINE)
    rows = re.findall(r"^(\w{8})  (\S+) +ok +The (\S+) does what its name says\.$", printed, re.MULTILINE)
    assert [row[1] for row in rows] == ["parser", "linker", "loader", "garbage-collector"]
    assert all(row[1] == row[2] for row in rows)
    assert len({row[0] for row in rows}) == 4
