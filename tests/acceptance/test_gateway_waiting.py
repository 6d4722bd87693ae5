"""Real CLI processes whose answers are long in coming: they wait, and when the run ends they end with it."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from anyio.to_thread import run_sync
from command_line import PATIENCE, Cli, leased, running, wait_until
from counting import at
from test_gateway import Api

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.protocols import Upstream

pytestmark = pytest.mark.anyio

PLAN = """
limits: {{concurrent: 4, {limits}}}
agents: {{q: {{tools: []}}}}
defaults: {{agent: q}}
tasks: {{each: {{foreach: {items}, prompt: "What is {{{{ item }}}} * 7?"}}}}
"""


class Endless(Api):
    """An API that begins to answer, and does not go on."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        events = await super().answer(call)

        async def begun() -> AsyncIterator[ApiEvent]:
            yield await anext(events)
            await asyncio.sleep(3600)

        return begun()


@pytest.fixture
def anyio_backend() -> str:
    """The command line has a loop of its own."""
    return "asyncio"


def user_of(cli: Cli, api: Upstream, **variables: str) -> Cli:
    return cli.with_variables(
        ANTHROPIC_BASE_URL=api.env["ANTHROPIC_BASE_URL"], ANTHROPIC_API_KEY="sk-ant-made-up", **variables
    )


def recorded(path: Path) -> list[dict[str, Any]]:
    """The requests in a recording, each of whose lines must be whole."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["kind"] == "exchange"]


@pytest.mark.parametrize("patience", [{}, {"API_TIMEOUT_MS": "2000", "BUN_CONFIG_HTTP_IDLE_TIMEOUT": "2"}])
async def test_a_request_may_wait_for_longer_than_the_cli_would(patience: dict[str, str], cli: Cli) -> None:
    """One of two agents waits for 15 seconds in the queue: its CLI asks once, and hangs up only with limits that the
    user has set himself; then it asks again, and has its answer all the same. To its timeouts that time is none."""
    patient = PLAN.replace("tools: []", "tools: [], idle_timeout: 8").replace("agent: q", "agent: q, timeout: 14")
    path = cli.plan(patient.format(limits="requests_per_minute: 4", items=[1, 2]))
    async with open_gateway(api := Api()) as upstream:
        user = user_of(cli, upstream, **patience)
        done = await at(user, "run", path, "--record", cli.home / "a.rec", "--view", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(api.calls) == 2
    waited = user.events("RequestQueued")
    assert len(waited) > 1 if patience else len(waited) == 1
    assert all(event["queued_s"] >= 1.0 for event in waited)
    assert len(user.events("RequestDequeued")) == len(waited)
    left = [each for each in recorded(cli.home / "a.rec") if not each["status"]]
    assert bool(left) == bool(patience)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
async def test_an_end_amid_streams_leaves_nothing(number: signal.Signals, cli: Cli) -> None:
    """No process, no port; and every line of the recording is whole."""
    path, recording = cli.plan(PLAN.format(limits="time: 1h", items=[1, 2, 3, 4])), cli.home / "a.rec"
    async with open_gateway(api := Endless()) as upstream:

        def end() -> None:
            with running(user_of(cli, upstream), "run", path, "--record", recording, "--view", "none") as process:
                wait_until(lambda: len(api.calls) == 4, "all agents' requests")
                check_end(cli, process.pid, number)
                assert process.wait(PATIENCE) in (-signal.SIGKILL, 130)

        await run_sync(end)
    assert number == signal.SIGKILL or len(recorded(recording)) == 4


async def test_an_end_amid_a_pause_leaves_nothing(cli: Cli) -> None:
    """Ctrl-C while all wait for a Retry-After: nobody waits for its end."""
    path = cli.plan(PLAN.format(limits="time: 1h", items=[1, 2, 3, 4]))
    async with open_gateway(api := Api({1: ApiError(429, retry_after=59)})) as upstream:

        def end() -> None:
            with running(user_of(cli, upstream), "run", path, "--gateway", "--view", "none") as process:
                wait_until(lambda: api.calls, "the refusal")
                check_end(cli, process.pid, signal.SIGINT)
                assert process.wait(PATIENCE) == 130

        await run_sync(end)


def check_end(cli: Cli, pid: int, number: signal.Signals) -> None:
    """Sends the signal to the orchestrator, and waits until its agents and its port are gone."""
    orchestrator = psutil.Process(pid)
    ports = [each.laddr.port for each in orchestrator.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert ports
    orchestrator.send_signal(number)
    wait_until(lambda: not leased(cli.home), "the agents' end", 20)
    for port in ports:
        wait_until(lambda port=port: is_closed(port), "the port's end", 20)


def is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
