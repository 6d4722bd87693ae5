"""Writing a file whole or not at all."""

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Puts the text in the file's place at once: readers see the old file or the new one, and a failure leaves the old.

    The file keeps its mode; a new one gets what the umask leaves of 0666. A link stays one: what it points to is
    replaced. A pipe or a device is written to. Raises OSError.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_text(text, "utf-8", errors="replace")
        return
    number, part = tempfile.mkstemp(dir=path.absolute().parent)
    try:
        with open(number, "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - it is open already
            file.write(text)
        os.chmod(part, mode_of(path))  # noqa: PTH101
        os.replace(part, path)  # noqa: PTH105
    except BaseException:
        os.unlink(part)  # noqa: PTH108
        raise


def mode_of(path: Path) -> int:
    """The file's mode, or that of a new file."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
