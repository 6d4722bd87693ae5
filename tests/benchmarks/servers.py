"""A loopback Messages API whose replies take time, as the API's do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from orchestrator.gateway.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.protocols import Upstream

REPLY_TIME = 2.0
"""Seconds before each reply begins."""


class SlowModel(OfflineModel):
    """The offline model, `REPLY_TIME` later."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        await asyncio.sleep(REPLY_TIME)
        return await super().answer(call)


def open_slow() -> AbstractAsyncContextManager[Upstream]:
    """For `open_run(upstream="tests.benchmarks.servers:open_slow")`."""
    return open_gateway(SlowModel())
