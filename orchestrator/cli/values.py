"""The values of options: what is wrong with one is said in a line, in the words of plan files."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import UsageError
from orchestrator.plan.faults import explain
from orchestrator.plan.model import Limits
from orchestrator.plan.words import describe

WRONG = 2
EXAMPLES: Mapping[str, str] = {
    "concurrent": "8",
    "memory": "80%",
    "usd": "2.50",
    "tokens": "2M",
    "turns": "400",
    "time": "30m",
    "pilot": "2",
    "limit": "50",
}
"""By option a value that it can have."""
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")


def to_number(value: str) -> float | str:
    """The value as a plan file would have it: digits alone are a number there."""
    if not NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def to_limits(limits: Limits, changes: Mapping[str, Any]) -> Limits:
    """The limits with those in place that were given beside the plan. Raises UsageError for what they cannot be."""
    try:
        return Limits.model_validate({**limits.model_dump(), **changes})
    except ValidationError as error:
        raise UsageError("\n".join(told(error, changes))) from None


def told(error: ValidationError, given: Mapping[str, Any]) -> Iterator[str]:
    """A line for each option."""
    for path, what, _ in explain(error, Limits):
        yield wrong(str(path[0]), given.get(str(path[0])), what)


def to_whole(option: str, value: str) -> int:
    """A whole number of 1 or more. Raises UsageError."""
    number = to_number(value)
    if not isinstance(number, int) or number < 1:
        raise UsageError(wrong(option, value, f"found {describe(number)}, expected a whole number of 1 or more"))
    return number


def wrong(option: str, value: Any, what: str) -> str:
    """`--pilot 0: found the number 0, expected a whole number of 1 or more, as --pilot 2`."""
    example = "" if " as " in what else f", as --{option} {EXAMPLES[option]}"
    return f"--{option} {value}: {what}{example}"


def refused(error: Any) -> int:
    """Says what typer has against the command line, in a line; the exit code."""
    context = getattr(error, "ctx", None)
    if context is None and not hasattr(error, "option_name"):
        error.show()  # a group without a command: its help
        return WRONG
    named = getattr(error, "option_name", None)
    if hasattr(error, "possibilities"):
        guesses = " or ".join(error.possibilities or ())
        said = f"{named}: there is no such option" + (f" (did you mean {guesses}?)" if guesses else "")
    elif named:
        said = f"{'' if named.startswith('-') else '--'}{named}: found nothing, expected a value"
    else:
        said = error.format_message().rstrip(".")
        said = said[:1].lower() + said[1:]
    command = re.sub(r"^\S*python\S* -m ", "", context.command_path) if context else "orchestrator"
    print(f"{said}; see {command} --help", file=sys.stderr)
    return WRONG
