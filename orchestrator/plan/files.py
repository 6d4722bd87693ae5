"""Small text files, read with care: what can be wrong with a file is said in words."""

import stat
from pathlib import Path

from orchestrator.plan.words import did_you_mean


def read_text(path: Path, most: int) -> str:
    """The text of a UTF-8 file of at most `most` bytes. Raises ValueError that says what is wrong with it."""
    try:
        _judge(path, most)
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise ValueError(f"there is no such file{_near(path)}") from None
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror or error}") from None
    if len(data) > most:
        raise ValueError(f"the file is larger than {most / 1e6:g} MB, the most that is read")
    return _decode(data)


def _near(path: Path) -> str:
    """A file beside that has almost this name, or the directory that is missing as well."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f": nor is there a directory {path.parent}"
    return did_you_mean(path.name, names)


def _judge(path: Path, most: int) -> None:
    if "\0" in str(path):
        raise ValueError("found a NUL character in the file's name")
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise ValueError("found a directory, expected a file")
    if not stat.S_ISREG(found.st_mode):
        # Reading a pipe or a device may never end.
        raise ValueError("found a pipe or a device, expected a file")
    if found.st_size > most:
        raise ValueError(f"the file has {found.st_size / 1e6:.1f} MB, expected at most {most / 1e6:g} MB")


def _decode(data: bytes) -> str:
    if b"\0" in data:
        raise ValueError("the file is not text: found a NUL byte, expected UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"the file is not UTF-8 text: found the byte 0x{data[error.start]:02x} in line {line}"
        ) from None
