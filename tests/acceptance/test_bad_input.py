"""What is wrong is said at once, in a line per fault that names the place, what was found and what is expected."""

import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import Cli, Finished, make_cli

GOOD = 'name: good\nagents: {q: {tools: []}}\ndefaults: {agent: q}\ntasks: {one: {prompt: "What is 6 * 7?"}}\n'

BOMB = "name: bomb\nvars:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9)
)


@dataclass(frozen=True)
class Bad:
    """A plan file that is wrong."""

    text: str
    lines: list[str]
    """A regular expression for each line on stderr; the file's name stands before them."""
    files: dict[str, str] = field(default_factory=dict)


BAD: dict[str, Bad] = {
    "unknown key": Bad(
        "tasks:\n  one:\n    promt: hello\n",
        [r"3: tasks\.one\.promt: unknown key \(did you mean prompt\?\), expected one of .*prompt.*"],
    ),
    "unknown key at the top": Bad(
        "task: {}\ntasks: {one: {prompt: hello}}\n",
        [r"1: task: unknown key \(did you mean tasks\?\), expected one of name, vars, .*"],
    ),
    "duplicate key": Bad(
        "tasks:\n  one: {prompt: hello}\n  one: {prompt: again}\n",
        [r"3: tasks\.one: the key is given twice, first in line 2; expected once"],
    ),
    "cycle": Bad(
        "tasks:\n  a: {needs: [c], prompt: x}\n  b: {needs: [a], prompt: x}\n  c: {needs: [b], prompt: x}\n",
        [r"\d: tasks\.\w.*: .*(a|b|c) .*(a|b|c) .*(a|b|c).*"],
    ),
    "itself": Bad("tasks:\n  a: {needs: [a], prompt: x}\n", [r"2: tasks\.a.*: .*itself.*|2: tasks\.a.*: .*a → a.*"]),
    "unknown need": Bad(
        "tasks:\n  first: {prompt: x}\n  b:\n    needs: [fist]\n    prompt: x\n",
        [r"4: tasks\.b\.needs\[0\]: .*'fist'.*did you mean first\?.*"],
    ),
    "unknown task in a template": Bad(
        "tasks:\n  first: {prompt: x}\n  b:\n    prompt: 'say {{ tasks.fist.text }}'\n",
        [r"4: tasks\.b\.prompt: .*fist.*first.*"],
    ),
    "undefined name in a template": Bad(
        "tasks:\n  a:\n    prompt: 'say {{ topic }}'\n", [r"3: tasks\.a\.prompt: .*topic.*expected.*"]
    ),
    "undefined variable": Bad(
        "vars: {topic: x}\ntasks:\n  a:\n    prompt: 'say {{ vars.topik }}'\n",
        [r"4: tasks\.a\.prompt: .*topik.*topic.*"],
    ),
    "broken template": Bad("tasks:\n  a:\n    prompt: 'say {{ vars.'\n", [r"3: tasks\.a\.prompt: .+"]),
    "bad duration": Bad(
        "tasks:\n  a: {prompt: x, timeout: soon}\n", [r"2: tasks\.a\.timeout: found the text 'soon', expected .*10m.*"]
    ),
    "negative duration": Bad(
        "tasks:\n  a: {prompt: x, timeout: -3}\n", [r"2: tasks\.a\.timeout: found .*3.*expected.*"]
    ),
    "unknown agent": Bad(
        "agents: {writer: {}}\ntasks:\n  a: {prompt: x, agent: writr}\n",
        [r"3: tasks\.a\.agent: .*'writr'.*writer.*"],
    ),
    "unknown permission mode": Bad(
        "agents:\n  w:\n    permission_mode: yolo\ntasks: {a: {prompt: x, agent: w}}\n",
        [r"3: agents\.w\.permission_mode: found the text 'yolo', expected one of .*dontAsk.*"],
    ),
    "a number that is text": Bad(
        "limits: {concurrent: many}\ntasks: {a: {prompt: x}}\n",
        [r"1: limits\.concurrent: found the text 'many', expected a whole number from 1 to 1000, or auto"],
    ),
    "too few at once": Bad(
        "limits: {concurrent: 0}\ntasks: {a: {prompt: x}}\n",
        [r"1: limits\.concurrent: found the number 0, expected a whole number from 1 to 1000, or auto"],
    ),
    "neither prompt nor write": Bad("tasks:\n  a: {}\n", [r"2: tasks\.a: .*prompt.*write.*"]),
    "no tasks": Bad("name: x\n", [r"tasks: found nothing, expected a mapping.*"]),
    "empty tasks": Bad("tasks: {}\n", [r"1: tasks: found an empty mapping, expected at least one entry"]),
    "a list": Bad("- one\n- two\n", [r"found a list, expected a plan: a mapping with tasks"]),
    "bad name": Bad("name: 'a b'\ntasks: {a: {prompt: x}}\n", [r"1: name: found the text 'a b', expected letters.*"]),
    "missing schema file": Bad(
        "tasks:\n  a: {prompt: x, returns: nowhere.json}\n", [r"2: tasks\.a\.returns: .*nowhere\.json.*no such file.*"]
    ),
    "schema file that is no JSON": Bad(
        "tasks:\n  a: {prompt: x, returns: broken.json}\n",
        [r"2: tasks\.a\.returns: .*broken\.json.*"],
        {"broken.json": "{"},
    ),
    "bad schema": Bad("tasks:\n  a: {prompt: x, returns: {type: objekt}}\n", [r"2: tasks\.a\.returns.*: .*objekt.*"]),
    "bad rehearsal": Bad(
        "tasks:\n  a: {prompt: x, rehearsal: [{sing: la}]}\n",
        [r"2: tasks\.a\.rehearsal\[0\]: found the text 'sing'.*expected one of say, .*"],
    ),
    "bad YAML": Bad("tasks: {a: [1, 2\nb: c\n", [r"[23]: .+"]),
    "unquoted template": Bad("tasks:\n  a: {prompt: {{ vars.x }}}\n", [r"2: .*quotes.*"]),
    "a tab": Bad("tasks:\n\ta: {prompt: x}\n", [r"2: .*tab.*"]),
    "aliases that blow up": Bad(BOMB + "tasks: {a: {prompt: x}}\n", [r"\d+: .*(200,000|values).*"]),
    "two documents": Bad(
        "tasks: {a: {prompt: x}}\n---\ntasks: {}\n", [r"2: found a second document \(after ---\), expected one"]
    ),
    "empty file": Bad("", [r"the file is empty, expected a plan: a mapping with tasks"]),
    "comments alone": Bad("# nothing\n", [r"the file holds nothing but comments, expected a plan.*"]),
    "three faults": Bad(
        "limits: {concurrent: 0}\ntasks:\n  a: {prompt: x, timeout: soon}\n  b: {prompt: x, needs: [z]}\n",
        [r"1: limits\.concurrent: .*", r"3: tasks\.a\.timeout: .*", r"4: tasks\.b\.needs.*: .*z.*"],
    ),
}


def refused(cli: Cli, done: Finished) -> list[str]:
    """The lines on stderr of a command that ended with 2, printed nothing else, and started nothing."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith("\n")
    assert not cli.journal_has_run()
    return done.stderr.splitlines()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_plan(cli: Cli, bad: Bad) -> None:
    """Every fault of a plan is one line with its file, line and path; nothing is started."""
    cli.plan(bad.text)
    for name, text in bad.files.items():
        (cli.place / name).write_text(text)
    lines = refused(cli, cli("run", "plan.yaml", "--offline"))
    assert len(lines) == len(bad.lines), lines
    for line, expected in zip(lines, bad.lines, strict=True):
        assert re.fullmatch(rf"plan\.yaml:\s?{expected}", line), line
        assert len(line) < 500


@pytest.mark.parametrize("command", ["check", "show"])
def test_plan_commands_say_the_same(cli: Cli, command: str) -> None:
    """`plan check` and `plan show` refuse a plan in the same words as `run`."""
    cli.plan(BAD["three faults"].text)
    assert refused(cli, cli("plan", command, "plan.yaml")) == refused(cli, cli("run", "plan.yaml", "--offline"))


def rubbish(path: Path) -> None:
    path.write_bytes(os.urandom(2000) + b"\0\xff")


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "there is no such file"),
    "a directory": (Path.mkdir, "found a directory, expected a file"),
    "binary rubbish": (rubbish, "the file is not (UTF-8 )?text: found .*"),
    "latin-1": (
        lambda path: path.write_bytes(b"name: x\ntasks: {a: {prompt: caf\xe9}}\n"),
        "the file is not UTF-8 text: found the byte 0xe9 in line 2",
    ),
    "10 MB": (
        lambda path: path.write_text("#" * 10_000_000),
        "the file has 10.0 MB, expected at most 5 MB",
    ),
    "a pipe": (os.mkfifo, "found a pipe or a device, expected a file"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "there is no such file"),
}


@pytest.mark.parametrize(("make", "expected"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_no_plan(cli: Cli, make: Callable[[Path], object], expected: str) -> None:
    """A file that cannot be read as text is named, with the reason, in one line."""
    make(cli.place / "plan.yaml")
    (line,) = refused(cli, cli("run", "plan.yaml", "--offline"))
    assert re.fullmatch(rf"plan\.yaml: {expected}", line), line


OPTIONS: dict[str, tuple[list[str], str]] = {
    "--set without =": (["--set", "vars.x"], r"--set vars\.x: found no key and value, expected a\.b=c, as .*"),
    "--set without a key": (["--set", "=x"], r"--set =x: found no key and value, expected a\.b=c, as .*"),
    "--set of an unknown key": (
        ["--set", "limits.concurent=3"],
        r"--set limits\.concurent: limits has no 'concurent' \(did you mean concurrent\?\); there is .*",
    ),
    "--set of an unknown task": (
        ["--set", "tasks.two.prompt=x"],
        r"--set tasks\.two\.prompt: tasks has no 'two'.* one",
    ),
    "--set of a bad value": (
        ["--set", "limits.concurrent=many"],
        r"--set limits\.concurrent: limits\.concurrent: found the text 'many', expected a whole number from 1 to 1000, "
        r"or auto",
    ),
    "--set inside text": (["--set", "name.x=1"], r"--set name\.x: name is the text 'good', which has nothing inside"),
    "--usd": (["--usd", "x"], r"--usd x: found the text 'x', expected US dollars, more than 0, as 2\.50"),
    "--usd of nothing": (["--usd", "0"], r"--usd 0: found the number 0, expected US dollars, more than 0, as 2\.50"),
    "--tokens": (["--tokens", "x"], r"--tokens x: found the text 'x', expected a whole number .*, as 50, 400k or 2M"),
    "--turns": (
        ["--turns", "1.5"],
        r"--turns 1\.5: found the number 1\.5, expected a whole number of 1 or more, as .*",
    ),
    "--time": (["--time", "abc"], r"--time abc: found the text 'abc', expected seconds or a time as 90s, .*"),
    "--memory": (["--memory", "3 cows"], r"--memory 3 cows: found the text '3 cows', expected .*, as 80% or 4GB"),
    "--concurrent": (
        ["--concurrent", "0"],
        r"--concurrent 0: found the number 0, expected a whole number from 1 to 1000, or auto, as --concurrent 8",
    ),
    "--pilot": (["--pilot", "x"], r"--pilot x: found the text 'x', expected a whole number of 1 .*, as --pilot 2"),
    "--fault": (
        ["--fault", "bad"],
        r"--fault bad: found the kind 'bad', expected one of 429, .*, as --fault 429:at=3.*",
    ),
    "--rerun": (["--rerun", "twoo"], r"--rerun twoo: found no such task, expected one of one"),
    "--no-texts": (["--no-texts"], r"--no-texts: found no recording .*, expected one, as --record FILE --no-texts"),
    "an unknown one": (["--no-text"], r"--no-text: there is no such option \(did you mean .*\?\); see .* run --help"),
    "one without its value": (["--usd"], r"--usd: found nothing, expected a value; see .* --help"),
    "--view": (
        ["--view", "livee"],
        r"--view livee: found 'livee', expected one of live, lines, jsonl, .*none.*",
    ),
    "--view of a module": (["--view", "nowhere:View"], r".*'nowhere:View' cannot be loaded: .*"),
    "--json into a missing folder": (
        ["--json", "no/where/x.json"],
        r"--json no/where/x\.json: there is no folder /.*/no/where",
    ),
    "--json onto a folder": (["--json", "."], r"--json \.: .*(folder|directory).*"),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS.keys())
def test_a_bad_option(cli: Cli, options: list[str], expected: str) -> None:
    """A value that an option cannot have is named with what it expects, before anything is started."""
    cli.plan(GOOD)
    (line,) = refused(cli, cli("run", "plan.yaml", "--offline", *options))
    assert re.fullmatch(expected, line), line


def test_json_into_a_folder_that_takes_no_files(cli: Cli) -> None:
    """A folder in which no file can be made is found out before the run, not after it."""
    cli.plan(GOOD)
    (line,) = refused(cli, cli("run", "plan.yaml", "--offline", "--json", "/proc/x.json"))
    assert re.match(r"--json /proc/x\.json: ", line)


def text_file(home: Path) -> Path:
    """A home that is a file."""
    path = home / "file"
    path.write_text("no folder")
    return path


def no_database(home: Path) -> Path:
    path = home / "rubbish"
    path.mkdir()
    path.joinpath("journal.db").write_text("this is no database " * 500)
    return path


def newer(home: Path) -> Path:
    path = home / "newer"
    path.mkdir()
    with sqlite3.connect(path / "journal.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    return path


def folder_for_database(home: Path) -> Path:
    path = home / "folder"
    path.joinpath("journal.db").mkdir(parents=True)
    return path


HOMES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (text_file, r"(Not a directory|File exists).*set ORCHESTRATOR_HOME to a folder"),
    "below a file": (lambda home: text_file(home) / "below", r"Not a directory.*set ORCHESTRATOR_HOME to a folder"),
    "on a file system without files": (lambda home: Path("/proc/orchestrator"), r".*ORCHESTRATOR_HOME"),
    "a journal that is no database": (no_database, r"not a database.*move it away, or set ORCHESTRATOR_HOME"),
    "a journal of a newer version": (newer, r"version 999, expected 2 or lower.*install that one"),
    "a journal that is a folder": (folder_for_database, r"(directory|folder).*ORCHESTRATOR_HOME|unable to open"),
}


@pytest.mark.parametrize("command", ["run plan.yaml --offline", "runs", "show"])
@pytest.mark.parametrize(("make", "expected"), HOMES.values(), ids=HOMES.keys())
def test_a_home_that_cannot_be(cli: Cli, make: Callable[[Path], Path], expected: str, command: str) -> None:
    """A home or a journal that cannot be used is named in one line with what to do; nothing is started."""
    cli.plan(GOOD)
    home = make(cli.home)
    done = cli.with_variables(ORCHESTRATOR_HOME=str(home))(*command.split())
    (line,) = refused(cli, done)
    assert line.startswith(f"{home}/journal.db: "), line
    if command.startswith("run ") or "there is no journal here yet" not in line:
        assert re.search(expected, line), line


@pytest.mark.parametrize("command", ["show", "logs", "logs --follow", "runs", "show --json"])
def test_no_journal_yet(cli: Cli, command: str) -> None:
    """Before the first run the commands that look at runs say that there is none, and what to do."""
    (line,) = refused(cli, cli(*command.split()))
    assert line == (
        f"{cli.home}/orchestrator/journal.db: there is no journal here yet: start a run, or set ORCHESTRATOR_HOME to "
        "where one is"
    )


def test_looking_makes_nothing(cli: Cli) -> None:
    """A command that only looks makes no folder and no journal."""
    cli("runs")
    assert not (cli.home / "orchestrator").exists()


def test_a_refused_plan_makes_nothing(cli: Cli) -> None:
    """A plan that is refused leaves no folder and no journal behind."""
    cli.plan("tasks: {}\n")
    cli("run", "plan.yaml", "--offline")
    assert not (cli.home / "orchestrator").exists()
    assert [path.name for path in cli.place.iterdir()] == ["plan.yaml"]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A command line with one run in its journal."""
    cli = make_cli(tmp_path_factory.mktemp("used"))
    cli.plan(GOOD)
    assert cli("run", "plan.yaml", "--offline").returncode == 0
    return cli


@pytest.mark.parametrize("command", ["show nothing", "logs nothing", "logs nothing --follow", "show nothing one"])
def test_an_unknown_run(used: Cli, command: str) -> None:
    """An unknown run is named, with those that there are."""
    done = used(*command.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"run 'nothing': no such run; expected an id or a name, as good-[a-z0-9]{6}\n", done.stderr)


@pytest.mark.parametrize("command", ["show", "logs", "logs --follow", "show --json"])
def test_an_unknown_task(used: Cli, command: str) -> None:
    """An unknown task is named, with those that the run has."""
    done = used(*command.split(), "good", "two")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"run good-[a-z0-9]{6} has no task 'two'; it has one\n", done.stderr)
