"""Amounts in a plan: numbers of tokens, shares, sizes of memory."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from orchestrator.plan.fields import read_duration
from orchestrator.plan.words import describe

_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kMG]?)")
_TIMES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([kMGT]i?)B?|B)")
_BYTES = {None: 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
MOST_COUNT = 10**15
ROUNDING = 1e-6
"""What `2.3k` may be beside a whole number: 2.3 is none that a computer has."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How much memory a run's agents may use: a share of what the machine has, or so many bytes."""

    share: float | None = None
    """Above 0, up to 1."""
    size: int | None = None
    """Bytes."""

    def __str__(self) -> str:
        return f"{self.share * 100:g}%" if self.share is not None else f"{self.size}B"


def read_count(value: Any) -> int:
    """A whole number from `50`, `"400k"`, `"2M"`."""
    found = _COUNT.fullmatch(value) if isinstance(value, str) else None
    number = float(found[1]) * _TIMES[found[2]] if found else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool) and 1 <= number <= MOST_COUNT
    if not is_number or abs(number - round(number)) > ROUNDING:
        raise ValueError(f"found {describe(value)}, expected a whole number of 1 or more, as 50, 400k or 2M")
    return round(number)


def read_usd(value: Any) -> float:
    """US dollars, more than 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"found {describe(value)}, expected US dollars, more than 0, as 2.50")
    return float(value)


def read_share(value: Any) -> float:
    """A share, above 0 and up to 1, from `"80%"` or `0.8`."""
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    share = float(found[1]) / 100 if found else value
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"found {describe(value)}, expected a share, as 80% or 0.8")
    return float(share)


def read_memory(value: Any) -> Memory:
    """Memory from `"80%"`, `0.8` or `"4GB"`."""
    if isinstance(value, Memory):
        return value
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)) and (size := float(found[1]) * _BYTES[found[2]]):
        return Memory(size=int(size))
    try:
        return Memory(share=read_share(value))
    except ValueError:
        raise ValueError(f"found {describe(value)}, expected a share or a size, as 80% or 4GB") from None


def read_patience(value: Any) -> bool | float:
    """Yes, no, or seconds."""
    if isinstance(value, bool):
        return value
    try:
        return read_duration(value)
    except ValueError:
        raise ValueError(f"found {describe(value)}, expected true, false, or the longest time, as 6h") from None


_MEMORY = core_schema.no_info_plain_validator_function(
    read_memory, serialization=core_schema.plain_serializer_function_ser_schema(str)
)
_AMOUNT = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}

Concurrent = Literal["auto"] | int
Usd = Annotated[float, BeforeValidator(read_usd), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Count = Annotated[int, BeforeValidator(read_count), WithJsonSchema(_AMOUNT)]
Share = Annotated[float, BeforeValidator(read_share), WithJsonSchema(_AMOUNT)]
MemoryLimit = Annotated[Memory, GetPydanticSchema(lambda _source, _handler: _MEMORY), WithJsonSchema(_AMOUNT)]
Patience = Annotated[
    bool | float,
    BeforeValidator(read_patience),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, *_AMOUNT["anyOf"]]}),
]
