"""Blocking work on the disk."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")


async def in_thread(function: Callable[[*Arguments], Value], *arguments: *Arguments) -> Value:
    """What the function gives, from a thread that no other blocking work can keep from us."""
    return await to_thread.run_sync(function, *arguments, limiter=CapacityLimiter(1))
