"""`workspaces list` and `workspaces clean`: what ended runs left, and its putting away."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import anyio
from rich.table import Table

from orchestrator.cli.inspecting import is_alive
from orchestrator.cli.output import console, print_json
from orchestrator.errors import UsageError
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.settings import home
from orchestrator.views.words import one_line, plural
from workspaces import WorkspaceError
from workspaces.cleaning import Cleaned, Wishes, clean
from workspaces.leftovers import Leftover, find_branches, find_places, find_repositories
from workspaces.names import make_safe

ALL = 1_000_000
"""Runs: as many as there are."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def list_workspaces(as_json: bool) -> int:
    """Lists what is there, of all runs."""
    leftovers = anyio.run(find_all)
    if as_json:
        print_json([leftover.to_json() for leftover in leftovers])
    elif leftovers:
        console().print(leftover_table(leftovers))
    else:
        print(f"nothing is left in {home().workspaces}, nor in branches of a repository here")
    return 0


def clean_workspaces(
    runs: Sequence[str],
    older: str | None,
    unmerged: bool,
    directories: bool,
    dry_run: bool,
    as_json: bool,
    ignored: bool = False,
) -> int:
    """Puts away what may be, and says of each thing what became of it. 1 when something could not be."""
    age = seconds(older) if older else 0.0
    wishes = Wishes(older=age, unmerged=unmerged, directories=directories, ignored=ignored, dry_run=dry_run)
    done = anyio.run(_clean, runs, wishes, not as_json)
    if as_json:
        print_json([cleaned.leftover.to_json() | {"what": cleaned.what, "why": cleaned.why} for cleaned in done])
    else:
        print(total(done, wishes))
    return int(any(cleaned.what == "failed" for cleaned in done))


async def _clean(runs: Sequence[str], wishes: Wishes, aloud: bool) -> list[Cleaned]:
    if runs:
        known = {leftover.run for leftover in await find_all()}
        wishes = replace(wishes, runs=[choose(run, known) for run in runs])
    done: list[Cleaned] = []
    with told():
        async for cleaned in clean(home().workspaces, Path.cwd(), wishes, await find_live(), drive):
            done.append(cleaned)
            if aloud:
                print(line(cleaned, wishes), flush=True)
    return done


async def find_all() -> list[Leftover]:
    """What is below the home, then the branches of the repositories there and of the one here."""
    live = await find_live()
    with told():
        places = await find_places(home().workspaces, Path.cwd(), live)
        repositories = await find_repositories([place.path for place in places if place.path], Path.cwd())
        return [*places, *await find_branches(repositories, home().workspaces, live)]


async def find_live() -> set[str]:
    """The folders of the runs whose process lives."""
    path = home().journal
    rows = await SqliteJournal(path).runs(ALL) if path.exists() else []
    return {make_safe(row["run"]) for row in rows if row["status"] is None and is_alive(row)}


def drive(run: str) -> AbstractContextManager[bool]:
    """Keeps others from going on with the run; where no run was ever begun, nobody can."""
    journal = home().journal
    return SqliteJournal(journal).drive(run) if journal.exists() else nullcontext(True)


@contextmanager
def told() -> Iterator[None]:
    """What keeps all from being looked at is the user's to mend."""
    try:
        yield
    except WorkspaceError as error:
        raise UsageError(str(error)) from error


def choose(run: str, known: Collection[str]) -> str:
    """The run of that id, or the only one whose id begins so. Raises UsageError."""
    found = [run] if run in known else sorted(each for each in known if each.startswith(run))
    if len(found) > 1:
        raise UsageError(f"run {run!r}: more than one run begins so: {', '.join(found)}")
    return found[0] if found else run


def seconds(age: str) -> float:
    """The seconds of `30m`, `12h`, `7d`. Raises UsageError."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", age):
        return float(found[1]) * UNITS[found[2]]
    raise UsageError(f"--older {age}: found the text {age!r}, expected a number and s, m, h or d, as 12h or 7d")


def leftover_table(leftovers: Sequence[Leftover]) -> Table:
    """A row per thing; where it is stands last, as it may be long."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("kind", "of"):
        table.add_column(name, no_wrap=True)
    for name in ("age", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("state", "where"):
        table.add_column(name, overflow="fold")
    for leftover in leftovers:
        size = "" if leftover.kind == "branch" else amount(leftover.size)
        where = leftover.path or leftover.repository
        table.add_row(leftover.kind, one_line(leftover.name), old(leftover.age), size, state(leftover), str(where))
    return table


def state(leftover: Leftover) -> str:
    """What there is to know of it before it is put away."""
    facts = {
        "at work": leftover.at_work,
        f"{leftover.uncommitted} uncommitted": leftover.uncommitted,
        f"{plural(leftover.ignored.files, 'file')} ignored by git ({amount(leftover.ignored.size)})": (
            leftover.ignored.files
        ),
        f"{plural(leftover.unmerged, 'commit')} nowhere else": leftover.unmerged,
        one_line(leftover.fault or ""): leftover.fault,
    }
    return ", ".join(words for words, true in facts.items() if true)


def line(cleaned: Cleaned, wishes: Wishes) -> str:
    """What became of it, in a line."""
    what = f"would be {cleaned.what}" if wishes.dry_run else cleaned.what
    start = f"{what}: {cleaned.leftover.kind} {one_line(cleaned.leftover.name)}"
    return f"{start}: {one_line(cleaned.why)}" if cleaned.why else start


def total(done: Sequence[Cleaned], wishes: Wishes) -> str:
    """How many of each, and what would take away more."""
    counts = Counter(cleaned.what for cleaned in done)
    kept = [cleaned.leftover for cleaned in done if cleaned.what == "kept" and not cleaned.leftover.at_work]
    more = {
        "--unmerged": not wishes.unmerged and any(each.kind == "branch" and each.unmerged for each in kept),
        "--ignored": not wishes.ignored and any(each.ignored.files for each in kept),
        "--directories": not wishes.directories and any(each.kind == "directory" for each in kept),
    }
    flags = " and ".join(flag for flag, helps in more.items() if helps)
    said = ", ".join(f"{number} {what}" for what, number in sorted(counts.items(), reverse=True))
    said = said or "nothing to put away"
    return f"{said}; {flags} would take away more" if flags else said


def old(age: float) -> str:
    """`5 m`, `3 h`, `12 d`."""
    unit = next(unit for unit in ("d", "h", "m", "s") if age >= UNITS[unit] or unit == "s")
    return f"{age / UNITS[unit]:.0f} {unit}"


def amount(size: float) -> str:
    """`950 B`, `12 kB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
