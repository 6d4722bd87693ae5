"""Loopback Messages APIs that take only so much: so many requests at once, or so many agents until a reset."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.protocols import Traffic, Upstream

AT_ONCE = int(os.environ.get("BENCH_AT_ONCE", "8"))
"""Requests that the narrow server answers at the same time."""
REPLY_TIME = float(os.environ.get("BENCH_REPLY_TIME", "5"))
"""Seconds that an answer of the narrow server takes."""
QUOTA_AT = int(os.environ.get("BENCH_QUOTA_AT", "20"))
"""The agent whose first request meets the usage limit."""
RESET_AFTER = float(os.environ.get("BENCH_RESET_AFTER", "30"))
"""Seconds from then to the reset."""
LOGIN = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-offline", "ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": ""}
"""A subscription's login, of a kind: the CLI reads the headers of its usage limit for no API key."""


class NarrowModel(OfflineModel):
    """The offline model, answering so many at once, and any further request by a 429 with a Retry-After of 1 s."""

    def __init__(self, at_once: int = AT_ONCE, reply_time: float = REPLY_TIME) -> None:
        super().__init__()
        self._most, self._time = at_once, reply_time
        self.answering = self.answered = self.refused = 0

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        if self.answering >= self._most:
            self.refused += 1
            raise ApiError(429, retry_after=1)
        self.answering += 1
        try:
            await asyncio.sleep(self._time)
            self.answered += 1
            return await super().answer(call)
        finally:
            self.answering -= 1


@dataclass
class LimitReached(ApiError):
    """What the API answers once a usage limit is reached."""

    resets_at: float = 0.0
    """Unix time, s."""

    def headers(self, request_id: str) -> dict[str, str]:
        """Those of a subscription's limit as well."""
        limit = {"status": "rejected", "reset": f"{self.resets_at:.0f}", "representative-claim": "five_hour"}
        limit |= {"5h-status": "rejected", "5h-reset": f"{self.resets_at:.0f}", "5h-utilization": "1.0"}
        unified = {f"anthropic-ratelimit-unified-{name}": value for name, value in limit.items()}
        return super().headers(request_id) | unified


class QuotaModel(OfflineModel):
    """The offline model of an account whose usage limit the `at`-th agent reaches, and which is reset later."""

    def __init__(self, at: int = QUOTA_AT, reset_after: float = RESET_AFTER, reply_time: float = 1.0) -> None:
        super().__init__()
        self._at, self._after, self._time = at, reset_after, reply_time
        self._sessions: set[str | None] = set()
        self.reached_at = self.resets_at = float("inf")
        """Unix time, s."""
        self.refused = 0

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self._sessions.add(call.session_id)
        now = time.time()
        if len(self._sessions) >= self._at and self.reached_at > now:
            self.reached_at, self.resets_at = now, now + self._after
        if self.reached_at <= now < self.resets_at:
            self.refused += 1
            # The CLI gives up at once: it waits for no more than a minute.
            raise LimitReached(429, retry_after=max(self._after, 3600.0), resets_at=self.resets_at)
        await asyncio.sleep(self._time)
        return await super().answer(call)


class LoginQuotaModel(QuotaModel):
    """The same for a subscription, whose limit says when it is reset."""

    env: Mapping[str, str] = {**OfflineModel.env, **LOGIN}


SERVERS: list[NarrowModel | QuotaModel] = []
"""Those that were opened, for their figures."""


def _open(model: NarrowModel | QuotaModel, traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    SERVERS.append(model)
    return open_gateway(model, traffic)


def open_narrow(traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    """For `open_run(upstream="tests.benchmarks.limited:open_narrow")`."""
    return _open(NarrowModel(), traffic)


def open_quota(traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    """An API key's usage limit, which does not say when it is reset."""
    return _open(QuotaModel(), traffic)


def open_login_quota(traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    """A subscription's usage limit, which says when it is reset."""
    return _open(LoginQuotaModel(), traffic)
