"""Writes a recording: a line as soon as there is one, so that a crash costs no more than the last."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.gateway.recording.exchanges import Exchange, Header, Parts
from orchestrator.plan.words import shorten


def check_writable(path: Path) -> None:
    """Raises UsageError for a file that cannot be written, and for one with something else in it than a recording."""
    if path.is_dir():
        raise UsageError(f"--record {path}: found a folder, expected a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--record {path}: there is no folder {path.absolute().parent}")
    if path.exists() and not path.is_file():
        raise UsageError(f"--record {path}: found something that is no file, expected one")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise UsageError(f"--record {path}: it may not be written")
    try:
        with path.open("rb") as file:
            line = file.readline(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror}") from error
    if line.strip() and read_header(line) is None:
        found = shorten(line.decode("utf-8", "replace").strip())
        raise UsageError(
            f"--record {path}: found a file that is no recording ({found}); it is left alone: name another"
        )


def check_free(path: Path, run: str | None) -> None:
    """Raises UsageError for a file that holds the recording of another run: it would be lost."""
    if (found := recorded_run(path)) not in (None, run):
        raise UsageError(
            f"--record {path}: found the recording of the run {found}, expected a file that is not there yet: "
            "name another, or replace it with --overwrite"
        )


def read_header(line: bytes) -> Mapping[str, Any] | None:
    """The first line of a recording; None when it is something else."""
    try:
        header = json.loads(line)
    except ValueError:
        return None
    return header if isinstance(header, dict) and header.get("kind") == "recording" else None


@dataclass
class Writer:
    """Appends to a file, of mode 0600. It is opened by the first exchange, which tells whose run it is: what the file
    holds of the same run stays, another run's recording is replaced. Raises OSError."""

    path: Path
    texts: bool = True
    requests: int = 0
    """How many it has written."""
    tasks: set[str] = field(default_factory=set)
    _parts: Parts = field(default_factory=Parts)
    _file: int | None = None

    def keep(self, run: str, cli: str | None, exchange: Exchange) -> None:
        """Writes an exchange down."""
        if self._file is None:
            self._file = self._open(run, cli)
        lines: list[Mapping[str, Any]] = []
        if exchange.request is not None:
            parts, short = self._parts.split(exchange.request)
            lines += parts
            exchange = replace(exchange, request=short)
        self._write([*lines, exchange.to_json()])
        self.requests += 1
        self.tasks |= {exchange.task} if exchange.task else set()

    def close(self) -> None:
        """No more comes."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, run: str, cli: str | None) -> int:
        goes_on = recorded_run(self.path) == run
        how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if goes_on else os.O_TRUNC)
        self._file = os.open(self.path, how, 0o600)
        os.fchmod(self._file, 0o600)
        header = Header(
            run=run,
            name=run.rpartition("-")[0] or run,
            date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            orchestrator=version("claude-agent-orchestrator"),
            cli=cli,
            texts=self.texts,
        )
        was_cut_off = goes_on and not ends_with_newline(self.path)  # by a crash
        try:
            self._write([header.to_json()], before="\n" if was_cut_off else "")
        except OSError:
            self.close()  # the next exchange tries again
            raise
        return self._file

    def _write(self, lines: Iterable[Mapping[str, Any]], before: str = "") -> None:
        text = before + "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        data = memoryview(text.encode("utf-8", "replace"))
        assert self._file is not None
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            # The disk is full: behind half a line nothing could be read, nor what names parts that are not there.
            os.ftruncate(self._file, size)
            self._parts = Parts()
            raise


def recorded_run(path: Path) -> str | None:
    """The run that a file is the recording of."""
    try:
        with path.open("rb") as file:
            header = read_header(file.readline())
    except OSError:
        return None
    return str(header["run"]) if header and "run" in header else None


def ends_with_newline(path: Path) -> bool:
    """Whether the last line of a file is whole."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"\n", b"")
