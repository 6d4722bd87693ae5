"""Reads a recording, and says line by line what is wrong with one."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.gateway.recording.exchanges import VERSION, Exchange, Header, join
from orchestrator.plan.words import describe, shorten

EXCHANGE = {each.name for each in fields(Exchange)}
HEADER = {each.name for each in fields(Header)}
MAKE_ONE = "make one with `orchestrator run PLAN --record FILE`"


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds."""

    path: Path
    header: Header
    """The first one."""
    exchanges: list[Exchange] = field(default_factory=list)
    cut: bool = False
    """Whether its last line was cut off."""


def read_recording(path: Path) -> Recording:
    """The recording in a file. Raises UsageError, with the line, for what is not one that can be replayed."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise UsageError(f"--replay {path}: found {found}, expected a recording: {MAKE_ONE}") from error
    recording = Recording(path, read_first(path, lines[0]))
    parts: dict[str, Any] = {}
    cut = False
    for number, data in read_lines(path, lines):
        if data is None:
            cut = True
        elif data.get("kind") == "part":
            parts[data.get("name", "")] = data.get("value")
        elif data.get("kind") == "exchange":
            recording.exchanges.append(read_exchange(path, number, data, parts))
        elif data.get("kind") == "recording":
            check_header(path, number, data)
        else:
            raise wrong(path, number, f"found the kind {data.get('kind')!r}, expected recording, part or exchange")
    return Recording(path, recording.header, recording.exchanges, cut)


def read_first(path: Path, line: bytes) -> Header:
    """The header. Raises UsageError."""
    if not line.strip():
        raise UsageError(f"{path}:1: the file is empty, expected a recording: {MAKE_ONE}")
    try:
        data = json.loads(line)
    except ValueError:
        data = None
    if not isinstance(data, Mapping) or data.get("kind") != "recording":
        found = shorten(line.decode("utf-8", "replace"))
        raise UsageError(f"{path}:1: found {found!r}, expected the first line of a recording: {MAKE_ONE}")
    check_header(path, 1, data)
    try:
        return Header(**{name: value for name, value in data.items() if name in HEADER})
    except TypeError as error:
        raise wrong(path, 1, f"a recording's first line lacks something ({error})") from None


def check_header(path: Path, number: int, data: Mapping[str, Any]) -> None:
    """Raises UsageError for a recording of another version, or without texts."""
    if (found := data.get("version")) != VERSION:
        raise wrong(path, number, f"found the version {describe(found)}, expected {VERSION}")
    if not data.get("texts", True):
        what = "it was recorded with --no-texts, so that it holds no replies to be played"
        what += ": record again without it, with --overwrite"
        raise UsageError(f"{path}:{number}: {what}")


def read_lines(path: Path, lines: list[bytes]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each line with its number; None for the last one where a crash has cut it off. Raises UsageError."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            if number == len(lines) or goes_on_behind(lines, number):
                yield number, None
                continue
            raise wrong(path, number, f"the line is not JSON ({error})") from None
        if not isinstance(data, dict):
            raise wrong(path, number, f"found {describe(data)}, expected a mapping")
        yield number, data


def goes_on_behind(lines: list[bytes], number: int) -> bool:
    """Whether the run was gone on with right behind that line, which a crash had cut off."""
    return lines[number].startswith(b'{"kind":"recording"')


def read_exchange(path: Path, number: int, data: Mapping[str, Any], parts: Mapping[str, Any]) -> Exchange:
    """Raises UsageError for one that lacks something."""
    try:
        exchange = Exchange(**{name: value for name, value in data.items() if name in EXCHANGE})
        request = None if exchange.request is None else join(exchange.request, parts)
    except KeyError as error:
        raise wrong(path, number, f"it names the part {error}, which no line before it holds") from None
    except (TypeError, AttributeError) as error:
        raise wrong(path, number, f"an exchange lacks something ({error})") from None
    values = {each.name: getattr(exchange, each.name) for each in fields(Exchange)}
    return Exchange(**{**values, "request": request})


def wrong(path: Path, number: int, what: str) -> UsageError:
    return UsageError(f"{path}:{number}: {what}: record again with --record {path} --overwrite")
