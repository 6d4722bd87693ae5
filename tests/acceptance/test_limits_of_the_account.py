"""An account at its limits: the real CLI, and a server that refuses as the API does."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from command_line import Cli, Finished
from counting import at
from load import at_most

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

PLAN = """
name: limits
limits: {concurrent: 2}
agents: {q: {tools: []}}
defaults: {agent: q, retries: 0}
tasks: {each: {foreach: [1, 2, 3, 4, 5], prompt: "What is {{ item }} * 7?"}}
"""
LOGIN = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-none", "ANTHROPIC_API_KEY": ""}
"""A subscription's login, of a kind: of an API key's usage limit the CLI does not read when it is reset."""


@dataclass
class UsageLimit(ApiError):
    """A 429 with the headers of a subscription's usage limit."""

    resets_at: float = 0.0
    """Unix time, s."""

    def headers(self, request_id: str) -> dict[str, str]:
        """With the limit that is reached, and its reset."""
        limit = {"status": "rejected", "reset": f"{self.resets_at:.0f}", "representative-claim": "five_hour"}
        unified = {f"anthropic-ratelimit-unified-{name}": value for name, value in limit.items()}
        return super().headers(request_id) | unified


class Refusing(OfflineModel):
    """The offline model, where `refuse` has no error for a request. It is given the request's number, from 1."""

    def __init__(self, refuse: Callable[[int], ApiError | None]) -> None:
        super().__init__()
        self._refuse = refuse
        self.asked: list[tuple[float, str | None]] = []
        """When (Unix time, s), and in which session."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.asked.append((time.time(), call.session_id))
        if error := self._refuse(len(self.asked)):
            raise error
        return await super().answer(call)

    @property
    def begun(self) -> list[float]:
        """When each session asked for the first time."""
        first: dict[str | None, float] = {}
        for moment, session in self.asked:
            first.setdefault(session, moment)
        return list(first.values())


@asynccontextmanager
async def account(
    cli: Cli, refuse: Callable[[int], ApiError | None], **more: str
) -> AsyncIterator[tuple[Refusing, Cli]]:
    """The server, and a command line whose agents ask it."""
    model = Refusing(refuse)
    async with open_gateway(model) as upstream:
        yield model, cli.with_variables(**{**upstream.env, **more})


def told(done: Finished) -> dict[str, Any]:
    return dict(json.loads(done.stdout))


def outcomes(report: dict[str, Any]) -> list[str | None]:
    return [task.get("outcome") for task in report["tasks"]]


async def test_a_rate_limit_is_one_episode(cli: Cli) -> None:
    """Three 429 with a Retry-After are retried by the CLI, are told as signals of one episode, and harm no task."""
    plan = cli.plan(PLAN.replace("concurrent: 2", "concurrent: auto"))
    async with account(cli, lambda number: ApiError(429, retry_after=1) if number <= 3 else None) as (_, asking):
        done = await at(asking, "run", plan, "--view", "lines", "--json", "-")
    report = told(done)
    assert done.returncode == 0, done.stderr
    assert outcomes(report) == ["ok"] * 5
    assert report["totals"]["signals"] == {"rate_limit": 3}
    assert report["totals"]["rate_limit_episodes"] == 1
    assert report["totals"]["width"] < report["totals"]["widest"]
    assert "the API answers 429" in done.stderr


async def test_a_subscription_s_usage_limit_is_waited_for(cli: Cli) -> None:
    """With the limit reached no agent is started until its reset, then all goes on, in the same sessions."""
    seconds, resets_at = at_most(4), 0.0

    def refuse(number: int) -> ApiError | None:
        nonlocal resets_at
        if number == 2:
            resets_at = float(int(time.time() + seconds))
        return (
            UsageLimit(429, retry_after=3600, resets_at=resets_at) if number >= 2 and time.time() < resets_at else None
        )

    async with account(cli, refuse, **LOGIN) as (model, asking):
        done = await at(asking, "run", cli.plan(PLAN), "--view", "lines", "--json", "-")
    report = told(done)
    assert done.returncode == 0, done.stderr
    assert outcomes(report) == ["ok"] * 5
    records = [json.loads(line) for line in (await at(asking, "logs", "limits", "--json")).stdout.splitlines()]
    told_of = [record["regime"] if record["kind"] == "RegimeChanged" else record["kind"] for record in records]
    held = told_of.index("hold")
    ended = next(number for number in range(held, len(records)) if told_of[number] in ("canary", "go"))
    assert "AttemptStarted" not in told_of[held:ended]
    assert "AttemptStarted" in told_of[ended:]
    assert records[ended]["at"] >= resets_at
    assert len(model.begun) == 5, "an attempt began in a new session"
    assert report["totals"]["signals"]["quota"] >= 1
    assert report["totals"]["held_s"] > 0
    assert "held until" in done.stderr


async def test_an_api_key_s_usage_limit_can_stop_a_run(cli: Cli) -> None:
    """A 429 that the CLI does not retry is the usage limit; a run that does not wait for it stops, and can be gone on
    with once it is reset."""
    text = PLAN.replace("concurrent: 2", "concurrent: 1, wait_for_reset: false").replace(", 4, 5]", "]")
    plan = cli.plan(text)
    full = True
    async with account(cli, lambda number: ApiError(429, retry_after=3600) if full else None) as (_, asking):
        stopped = await at(asking, "run", plan, "--view", "none", "--json", "-")
        full = False
        again = await at(asking, "resume", "--view", "none", "--json", "-")
    assert stopped.returncode == 1
    assert outcomes(told(stopped)) == ["quota"] + ["stopped"] * 2
    assert again.returncode == 0, again.stderr
    assert outcomes(told(again)) == ["ok"] * 3


async def test_refused_credentials_stop_the_run(cli: Cli) -> None:
    """The first 401 is the last: nobody else is started, and what is left says what to do."""
    plan = cli.plan(PLAN.replace("concurrent: 2", "concurrent: 1"))
    async with account(cli, lambda number: ApiError(401)) as (model, asking):
        done = await at(asking, "run", plan, "--view", "none", "--json", "-")
    assert done.returncode == 1
    assert outcomes(told(done)) == ["auth"] + ["stopped"] * 4
    assert len(model.begun) == 1
    assert "log in" in told(done)["tasks"][-1]["error"]
