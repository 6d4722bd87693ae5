"""What commands print, and the files that they write."""

import io
import json
import sys
from pathlib import Path

import pytest

from orchestrator.cli.output import check_target, console, write_json
from orchestrator.errors import UsageError


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """`-` is stdout: one document, in its own alphabet, with a line end."""
    write_json({"a": "ä漢"}, "-")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": "ä漢"}
    assert "ä漢" in out
    assert out.endswith("}\n")
    assert err == ""


def test_a_file(tmp_path: Path) -> None:
    """A file holds the document, with a line end, and nothing else is left in its folder."""
    target = tmp_path / "x.json"
    write_json({"a": [1, "ä"]}, str(target))
    assert json.loads(target.read_text("utf-8")) == {"a": [1, "ä"]}
    assert target.read_text("utf-8").endswith("\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_relative_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is a file in the current directory."""
    monkeypatch.chdir(tmp_path)
    write_json({}, "x.json")
    assert (tmp_path / "x.json").exists()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """An older file is replaced, and stays as it was when the document cannot be written."""
    target = tmp_path / "x.json"
    target.write_text("old")
    with pytest.raises(TypeError):
        write_json({"a": object()}, str(target))
    assert target.read_text() == "old"
    write_json({"new": True}, str(target))
    assert json.loads(target.read_text()) == {"new": True}


def test_nothing_is_left_of_a_document_that_cannot_be_written(tmp_path: Path) -> None:
    """Neither a value that is no JSON nor a target that is a folder leaves a temporary file behind."""
    with pytest.raises(TypeError):
        write_json({"a": object()}, str(tmp_path / "x.json"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError):
        write_json({}, str(tmp_path / "folder"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_others_may_read_it(tmp_path: Path) -> None:
    """The file has the rights that any new file has, and not those of a temporary one."""
    plain = tmp_path / "plain"
    plain.write_text("")
    write_json({}, str(tmp_path / "x.json"))
    assert (tmp_path / "x.json").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("target", ["missing/x.json", "file/x.json"])
def test_a_target_that_cannot_be(tmp_path: Path, target: str) -> None:
    """A folder that is not there is an error that names the option, when it is checked and when it is written."""
    (tmp_path / "file").write_text("")
    path = tmp_path / target
    with pytest.raises(UsageError, match=f"--json {path}: there is no folder {path.parent}"):
        check_target(str(path))
    with pytest.raises(UsageError, match=f"--json {path}: the file cannot be written: "):
        write_json({}, str(path))


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    """A folder in the place of the file is found out before anything is started."""
    with pytest.raises(UsageError, match=f"--json {tmp_path}"):
        check_target(str(tmp_path))


@pytest.mark.parametrize("target", [None, "-", "x.json"])
def test_targets_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str | None) -> None:
    """No target, stdout, and a file in a folder that is there are good."""
    monkeypatch.chdir(tmp_path)
    check_target(target)


@pytest.mark.parametrize("stderr", [False, True])
def test_a_console_without_a_terminal(monkeypatch: pytest.MonkeyPatch, stderr: bool) -> None:
    """In a pipe the console is 100 columns wide, whatever the variables say, and has no colour."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", stream)
    made = console(stderr=stderr)
    made.print("x" * 150, style="red")
    assert made.width == 100
    assert stream.getvalue() == "x" * 100 + "\n" + "x" * 50 + "\n"
