"""Loopback Messages APIs whose replies take time, as the API's do."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from orchestrator.gateway.model.conversation import read_conversation
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.protocols import Traffic, Upstream

REPLY_TIME = 2.0
"""Seconds before each reply begins."""
QUICKEST, SLOWEST = 0.5, 2.5
"""Seconds before a reply of the paced model."""


class SlowModel(OfflineModel):
    """The offline model, `REPLY_TIME` later."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        await asyncio.sleep(REPLY_TIME)
        return await super().answer(call)


class PacedModel(OfflineModel):
    """The offline model, each conversation at a pace that its prompt determines: equal prompts, equal times."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        await asyncio.sleep(pace(read_conversation(call).turn.prompt))
        return await super().answer(call)


def pace(prompt: str) -> float:
    """Seconds per reply, from `QUICKEST` to `SLOWEST`."""
    words = re.sub(r"\s+", " ", prompt).strip()
    part = int.from_bytes(hashlib.sha256(words.encode()).digest()[:4]) / 2**32
    return QUICKEST + part * (SLOWEST - QUICKEST)


def open_slow(traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    """For `open_run(upstream="tests.benchmarks.servers:open_slow")`."""
    return open_gateway(SlowModel(), traffic)


def open_paced(traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    """For `open_run(upstream="tests.benchmarks.servers:open_paced")`."""
    return open_gateway(PacedModel(), traffic)
