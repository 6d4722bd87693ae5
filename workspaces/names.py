"""Names and paths that users gave, made fit for directories and git refs."""

import hashlib
import re
import unicodedata
from pathlib import Path

LONGEST = 60
"""Characters of one part: 240 bytes at worst, so that a part and git's `.lock` fit into a file name."""


def make_safe(name: str) -> str:
    """`<run>/<task>` as a relative path that is valid as a directory and as the end of a git ref.

    A part that had to be changed gets a short hash of what it was, so that `a-1` and `a[1]` stay two names.
    """
    return "/".join(_make_part_safe(part) for part in name.split("/", 1))


def _make_part_safe(part: str) -> str:
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", part))
    plain = re.sub(r"\.\.+", ".", plain).strip("-.")[:LONGEST].strip("-.")
    if plain == part and plain and not plain.endswith(".lock"):
        return plain
    digest = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{plain}-{digest}" if plain else digest


def find_place(path: str | None) -> Path:
    """The absolute path that a spec's `path` means; the current directory when it is None."""
    return Path(path or ".").expanduser().absolute()


def spell(path: str) -> str:
    """A file's name as text that any encoder takes: bytes that are not UTF-8 become `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
