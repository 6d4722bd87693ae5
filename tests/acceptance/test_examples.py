"""Every file in examples/ runs by the command that stands in it, with the offline model, and gives what it says."""

import json
import re
import shutil
from itertools import accumulate
from pathlib import Path

import pytest
from command_line import Cli, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTED = {
    "batches.py",
    "doc_audit/audit.py",
    "doc_audit/pipeline.yaml",
    "doc_audit/plan.yaml",
    "doc_audit/questions.schema.json",
    "doc_audit/verdict.schema.json",
    "feature_team.yaml",
    "five_agents.py",
    "nested/component.yaml",
    "nested/release.yaml",
    "nested/review.yaml",
    "patterns.py",
    "research/documents/1-street-trees.md",
    "research/documents/2-white-roofs.md",
    "research/documents/3-water-squares.md",
    "research/documents/4-budget.md",
    "research/documents/5-letters.md",
    "research/finding.schema.json",
    "research/plan.yaml",
    "review.yaml",
    "sectioning.yaml",
    "sessions.py",
    "spawning.yaml",
    "specialists.py",
    "timing.py",
    "voting.yaml",
}
"""Here, in test_pattern_examples.py, and one in test_recordings.py."""

SECTIONS = {
    "README.md": ("Kettle", "Installation", "First steps", "Upgrading"),
    "docs/configuration.md": ("Configuration", "Options", "Credentials"),
    "docs/operation.md": ("Commands", "Errors", "Performance", "Limits", "Contributing"),
}


@pytest.fixture
def docs(cli: Cli) -> Path:
    """A folder of documentation."""
    folder = cli.place / "documents"
    for name, headings in SECTIONS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(f"## {each}\n\nThe {each.lower()} of kettle: set it to 30.\n" for each in headings))
    return folder


def test_no_example_is_untested() -> None:
    """Every file in the folder has a test, or belongs to an example that has one."""
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert {name for name in found if "__pycache__" not in name} == TESTED


def test_each_says_how_it_is_run() -> None:
    """A script and a plan name their own command near their top."""
    for name in TESTED:
        if name.endswith((".py", ".yaml")):
            head = "\n".join((EXAMPLES / name).read_text().splitlines()[:8])
            assert f"examples/{name}" in head, name
            assert "--offline" in head, name


def rows_of(report: str) -> list[list[str]]:
    """The cells of the rows that are no headings."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in report.splitlines()]
    return [row for row in rows if len(row) == 6 and row[0] not in ("category", "---")]


def check_report(report: str, questions: int, categories: int) -> None:
    """Different questions, each with a verdict whose evidence is in the documents, and totals that fit."""
    rows = rows_of(report)
    assert len(rows) == questions
    assert len({row[1] for row in rows}) == questions, "the questions differ"
    assert len({row[0] for row in rows}) == categories
    assert {row[2] for row in rows} <= {"yes", "partial", "no"}
    assert len({row[2] for row in rows}) > 1, "the verdicts differ"
    assert all(1 <= int(row[3]) <= 10 for row in rows)
    for row in rows:
        assert re.fullmatch(r"none|(README|docs/\w+)\.md:\d+", row[5]), row
    for answer in ("yes", "partial", "no"):
        counted = sum(row[2] == answer for row in rows)
        assert re.search(rf"^\| {answer} \| {counted} \|", report, re.MULTILINE), answer


def test_doc_audit_plan(cli: Cli, docs: Path) -> None:
    """The plan asks questions in parallel, checks each, and writes the report; at most 10 work at once.

    Here it is 2 of its 8 categories; tests/unit has it in its full size.
    """
    plan = EXAMPLES / "doc_audit" / "plan.yaml"
    topics = ("installation and set-up", 6), ("configuration and options", 5)
    fewer = json.dumps([{"topic": topic, "questions": number} for topic, number in topics])
    done = cli(
        "run", plan, "--offline", "--set", f"vars.docs={docs}", "--set", f"vars.categories={fewer}", "--json", "-"
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["totals"]["tasks"], data["totals"]["ok"]) == (14, 14)
    check_report((cli.place / "doc-audit.md").read_text(), 11, 2)
    assert most_at_once(done.stderr) <= 10
    assert most_at_once(done.stderr) > 5


def most_at_once(lines: str) -> int:
    """How many tasks were at work at the same time, by the lines view."""
    now = most = 0
    for line in lines.splitlines():
        now += line.endswith(": started") - bool(re.search(r": (done|failed) \(", line))
        most = max(most, now)
    return most


def test_doc_audit_script(cli: Cli, docs: Path) -> None:
    """The script does the same with the categories that are chosen, and writes its report where it is told."""
    script = EXAMPLES / "doc_audit" / "audit.py"
    done = cli.finish(cli.start_python(script, docs, cli.place / "report.md", "--only=steps", "--offline"))
    assert done.returncode == 0, done.stderr
    assert "8 tasks, 0 failed" in done.stderr
    report = (cli.place / "report.md").read_text()
    assert "7 of 7 questions checked" in report
    check_report(report, 7, 1)


def test_doc_audit_script_without_documents(cli: Cli) -> None:
    """The script without a folder says how it is used, and ends with 2."""
    done = cli.finish(cli.start_python(EXAMPLES / "doc_audit" / "audit.py", "--offline"))
    assert done.returncode == 2
    assert "audit.py DOCS" in done.stderr


def test_five_agents(cli: Cli) -> None:
    """Five questions have five answers, in the order of the questions; the sums are right, the files are those here."""
    (cli.place / "README.md").write_text("# Kettle\n\nPython 3.11 is needed.\n\n## Licence\n\nThe licence is MIT.\n")
    done = cli.finish(cli.start_python(EXAMPLES / "five_agents.py", "--offline"))
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout.strip()
    places = [answers.index(text) for text in ("17 * 23?", "Which files", "Python version", "licence", "32 * 32?")]
    assert places == sorted(places)
    for part in ("391", "README.md", "3.11", "MIT", "1024"):
        assert part in answers, answers


def test_specialists(cli: Cli) -> None:
    """Each specialist is listed with time, cost, session and file, then goes on in the same session and directory."""
    done = cli.finish(cli.start_python(EXAMPLES / "specialists.py", "--offline"))
    assert (done.returncode, done.stderr) == (0, "")
    line = r"^{} +ok +\d+\.\d s +\$\d\.\d{{4}}  session (\w{{8}})  {}$"
    for name, file, more in (
        ("poet", "poem.txt", "verse.txt"),
        ("mathematician", "product.txt", ""),
        ("chef", "soup.txt", "list.txt"),
        ("translator", "greetings.txt", "night.txt"),
    ):
        pattern = line.format(name, re.escape(file)) + "\n" + line[1:].format("  and then", re.escape(more))
        found = re.search(pattern, done.stdout, re.MULTILINE)
        assert found, done.stdout
        assert found[1] == found[2]
    assert re.search(r"\d+\.\d s for \d+\.\d s of work, \$\d", done.stdout)
    assert list(cli.place.iterdir()) == []


def test_specialists_that_were_stopped(cli: Cli) -> None:
    """Killed after seven of its ten results and run again, the example asks for the others alone."""
    process = cli.start_python(EXAMPLES / "specialists.py", "--offline")
    wait_until(lambda: len(cli.done()) >= 7, "seven results")
    process.kill()
    process.communicate()
    before = len(cli.done())
    done = cli.finish(cli.start_python(EXAMPLES / "specialists.py", "--offline"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("from before") >= before
    assert done.stdout.count(" ok ") == 10
    assert len(cli.json("runs")) == 1


def test_timing(cli: Cli) -> None:
    """Five are at work at once, which is faster, and the words and figures for it are right."""
    done = cli.finish(cli.start_python(EXAMPLES / "timing.py", "--offline"))
    assert (done.returncode, done.stderr) == (0, "")
    one = re.search(r"^sequential +([\d.]+) s +([\d.]+) s +SEQUENTIAL$", done.stdout, re.MULTILINE)
    many = re.search(r"^parallel +([\d.]+) s +([\d.]+) s +(PARALLEL|PARTIAL)$", done.stdout, re.MULTILINE)
    assert one is not None, done.stdout
    assert many is not None, done.stdout
    assert float(one[1]) >= 15, "each of the five waits for 3 s"
    assert [at_once(cli, f"timing-{width}") for width in (1, 5)] == [1, 5]
    assert float(many[1]) < float(one[1])
    assert float(many[2]) > float(many[1])
    ratio = re.search(r"^([\d.]+) times as fast with 5 at once: efficiency (\d+)%$", done.stdout, re.MULTILINE)
    assert ratio is not None, done.stdout
    assert float(ratio[1]) == pytest.approx(float(one[1]) / float(many[1]), abs=0.1)


def at_once(cli: Cli, name: str) -> int:
    """How many agents of the run were at work at the same time, by its journal."""
    kinds = [json.loads(line)["kind"] for line in cli("logs", name, "--json").stdout.splitlines()]
    return max(accumulate((kind == "AttemptStarted") - (kind == "AttemptFinished") for kind in kinds))


def test_spawning(cli: Cli) -> None:
    """The planner adds three workers, waits for them, and what they found is in the report."""
    (cli.place / "README.md").write_text("# Kettle\n\nPython 3.11 is needed.\n\nThe licence is MIT.\n")
    done = cli("run", EXAMPLES / "spawning.yaml", "--offline", "--json", "-")
    assert done.returncode == 0, done.stderr
    tasks = [task["id"] for task in json.loads(done.stdout)["tasks"]]
    assert sorted(tasks) == ["plan", "plan.files", "plan.licence", "plan.python", "report"]
    report = (cli.place / "spawning.md").read_text()
    for part in ("3.11", "README.md", "MIT"):
        assert part in report, report


def test_feature_team(cli: Cli) -> None:
    """Twelve tasks leave two branches with one file each and a report that names them; the rest is unchanged."""
    cli.repository()
    shutil.copy(EXAMPLES / "feature_team.yaml", cli.home)
    done = cli("run", cli.home / "feature_team.yaml", "--offline", "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["totals"]["ok"] == data["totals"]["tasks"] == 12
    tasks = {task["id"]: task for task in data["tasks"]}
    for name, file in (("code", "version_option.py"), ("tests", "test_version_option.py")):
        branch = f"orchestrator/{data['run']}/{name}"
        assert tasks[name]["workspace"]["branch"] == branch
        assert cli.git("diff", "--name-only", "main", branch).split() == [file]
    assert isinstance(tasks["verdict"]["value"]["ready"], bool)
    report = (cli.place / "feature-team.md").read_text()
    assert f"orchestrator/{data['run']}/code" in report
    assert f"orchestrator/{data['run']}/tests" in report
    assert cli.git("status", "--porcelain").split() == ["??", "feature-team.md"]
