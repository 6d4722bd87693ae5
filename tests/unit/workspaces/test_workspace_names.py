"""Names become directories and refs that are valid, readable and apart."""

import subprocess

import pytest

from workspaces.names import make_safe

ODD = [
    "a",
    "a b",
    "a[1]",
    "a..b",
    "a.",
    ".a",
    "-a",
    "a.lock",
    "",
    "@",
    "@{x}",
    "a~^:?*\\",
    "ä→ö",
    "\x01",
    "a/b/c",
    "..",
    "x" * 300,
]


@pytest.mark.parametrize("name", ["run/task", "run/check-3", "2024.1/a_b", "läufe/prüfung"])
def test_a_good_name_stays(name: str) -> None:
    """A name that is valid already is not changed."""
    assert make_safe(name) == name


def test_a_changed_name_stays_readable() -> None:
    """A name that had to be changed keeps what can be kept, and gets a hash."""
    start, _, digest = make_safe("run/check[3]").rpartition("-")
    assert (start, len(digest)) == ("run/check-3", 6)


def test_names_stay_apart() -> None:
    """Two names never become one."""
    names = [f"run/{odd}" for odd in (*ODD, "a-1", "a]1[", "a(1)", "x" * 299, "x" * 60)]
    assert len({make_safe(name) for name in names}) == len(names)


@pytest.mark.parametrize("odd", ODD)
def test_names_are_valid_refs(odd: str) -> None:
    """Git takes what comes out as a branch, and it stays inside its directory."""
    safe = make_safe(f"{odd}/{odd}")
    assert ".." not in safe
    assert len(safe.split("/")) == 2
    subprocess.run(["git", "check-ref-format", "--branch", f"orchestrator/{safe}"], check=True, capture_output=True)
