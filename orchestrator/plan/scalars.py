"""What an unquoted YAML scalar means: YAML 1.2's core schema. `yes`, `no`, `on`, `off` and dates are plain text."""

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MOST_DIGITS = 100


def resolve(text: str) -> Scalar:
    """The value of the unquoted scalar `text`. Raises ValueError for numbers that JSON cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _INFINITE.fullmatch(text):
        raise ValueError(f"found {text}, expected a finite number (quote it if it is text)")
    return _number(text)


def _number(text: str) -> Scalar:
    decimal, based = _DECIMAL.fullmatch(text), _BASED.fullmatch(text)
    if not (decimal or based or _FLOAT.fullmatch(text)):
        return text
    if len(text) > _MOST_DIGITS:
        raise ValueError(
            f"found a number of {len(text)} digits, expected at most {_MOST_DIGITS} (quote it if it is text)"
        )
    if decimal or based:
        return int(text, 10 if decimal else 0)
    if math.isinf(value := float(text)):
        raise ValueError(f"found {text}, which is too large for a number (quote it if it is text)")
    return value
