"""How faults are worded: what was found, what is expected."""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
"""Where in a plan's data, as `("tasks", "check", "needs", 0)`."""


class Finding(NamedTuple):
    """One thing that is wrong, by its path in the plan."""

    path: Path
    what: str
    line: int = 1
    """Of the text at `path`."""


_KINDS = ((str, "text"), (list | tuple, "list"), (dict, "mapping"))


def describe(value: Any) -> str:
    """`value` for the middle of a sentence; never longer than a line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {shorten(_digits(value))}"
    if isinstance(value, str) and value:
        return f"the text {shorten(repr(value))}"
    kind = next((word for types, word in _KINDS if isinstance(value, types)), type(value).__name__)
    return f"an empty {kind}" if isinstance(value, str | list | tuple | dict) and not value else f"a {kind}"


def _digits(value: float) -> str:
    """Python refuses to print integers of thousands of digits; so do we."""
    return repr(value) if isinstance(value, float) or value.bit_length() < 1000 else "of more than 300 digits"


def shorten(text: str, most: int = 60) -> str:
    """At most `most` characters of `text`."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def listed(names: Iterable[str], most: int = 20) -> str:
    """`a, b, c`, with a count in place of the tail of a long list."""
    every = list(names)
    tail = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(shorten(name if name.isprintable() else repr(name)) for name in every[:most]) + tail


def did_you_mean(name: str, known: Collection[str]) -> str:
    """` (did you mean x?)`, or nothing."""
    # Comparing is slow: of very many names only some that begin alike and are about as long are tried.
    near = [other for other in known if other[:1].lower() == name[:1].lower() and abs(len(other) - len(name)) < 4]
    found = get_close_matches(name[:80], [other for other in (near or known) if other != name][:50], n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def dotted(path: Sequence[str | int]) -> str:
    """`tasks.check.needs[0]`; a key that is no plain word is quoted: `tasks['my task']`."""
    return "".join(_step(step) for step in path).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.replace("-", "_").isidentifier() else f"[{shorten(repr(step))}]"
