"""Real CLI processes that ask an API through the gateway: here a server of the test's own behind it."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from command_line import Cli
from counting import at, report

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway

pytestmark = pytest.mark.anyio

PLAN = """
name: through
limits: {concurrent: 3}
agents:
  reader: {tools: [Read, Glob, Grep]}
tasks:
  look: {prompt: "What does `kettle` mean here?", agent: reader}
  count: {foreach: [1, 2, 3], prompt: "What is {{ item }} * 7?", agent: reader}
  typed:
    needs: [look]
    prompt: "What is 1 + 1?"
    agent: reader
    returns: {type: object, required: [sum], properties: {sum: {type: integer}}}
"""
LOOK = PLAN[: PLAN.index("  count: ")]
"""Its first task."""


class Api(OfflineModel):
    """The offline model, which refuses the requests with these numbers (counted from 1), and keeps what it was sent."""

    def __init__(self, refusals: Mapping[int, ApiError] | None = None) -> None:
        super().__init__()
        self.refusals = refusals or {}
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.calls.append(call)
        if error := self.refusals.get(len(self.calls)):
            raise error
        return await super().answer(call)


@pytest.fixture
def anyio_backend() -> str:
    """The command line has a loop of its own."""
    return "asyncio"


async def run(cli: Cli, api: Api, *more: str, plan: str = PLAN, **variables: str) -> tuple[dict[str, Any], Cli]:
    """What `run --gateway` gave, with the API at the address that the environment names."""
    (cli.place / "kettle.md").write_text("# Kettle\n\nA kettle boils water.\n")
    path = cli.plan(plan)
    async with open_gateway(api) as upstream:
        env = {"ANTHROPIC_BASE_URL": upstream.env["ANTHROPIC_BASE_URL"], "ANTHROPIC_API_KEY": "sk-ant-made-up"}
        user = cli.with_variables(**{**env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", **variables})
        done = await at(user, "run", path, "--view", "none", "--json", "-", *more)
        return report(done), user


async def test_a_run_through_the_gateway_is_metered(cli: Cli) -> None:
    """All tasks end as they would without it, and what the meter saw adds up to what the CLI says that it used."""
    api = Api()
    found, user = await run(cli, api, "--gateway")
    assert found["totals"]["ok"] == found["totals"]["tasks"] == 5
    assert found["upstream"] is None
    asked = found["totals"]["api"]
    assert asked["requests"] == len(api.calls)
    assert asked["refused"] == 0
    for task in found["tasks"]:
        metered = user.json("show", "through", task["id"])["api"]
        used = task["usage"]
        # The CLI leaves requests of its own out of what an agent used, as for a title: here they have no tools.
        own = [call for call in api.calls if not call.body.get("tools")]
        if not own:
            assert metered["input_tokens"] == used["input_tokens"]
            assert metered["output_tokens"] == used["output_tokens"]
        assert metered["input_tokens"] >= used["input_tokens"] > 0
        assert metered["output_tokens"] >= used["output_tokens"] > 0
    assert f"API: {len(api.calls)} requests, 0.0 % answered 429" in user("show", "through").stdout


async def test_agents_see_no_429(cli: Cli) -> None:
    """The gateway waits and asks again: no process tells of a retry, no attempt fails, the report has the refusals."""
    slow_down = ApiError(429, retry_after=1)
    found, user = await run(cli, Api({3: slow_down, 4: slow_down, 9: ApiError(529)}), "--gateway")
    assert found["totals"]["ok"] == 5
    assert found["totals"]["api"]["refused"] == 2
    assert [task["attempts"] for task in found["tasks"]] == [1] * 5
    assert "api_retry" not in user("logs", "through", "--json").stdout


async def test_limits_per_minute_put_the_gateway_before_the_api(cli: Cli) -> None:
    """Without --gateway, requests keep to the plan's limit, and agents wait for their turn in the queue."""
    paced = PLAN.replace("{concurrent: 3}", "{concurrent: 3, requests_per_minute: 60}")
    found, _ = await run(cli, Api(), plan=paced)
    asked = found["totals"]["api"]
    assert found["totals"]["ok"] == 5
    assert asked["mean_queued_s"] > 0
    assert found["totals"]["wall_s"] > (asked["requests"] - 2) * 1.0


async def test_a_login_passes_the_gateway(cli: Cli) -> None:
    """A user's OAuth token reaches the API as it would without the gateway, and is written down nowhere."""
    token = "sk-ant-oat01-" + "q" * 40
    api = Api()
    found, user = await run(cli, api, "--gateway", plan=LOOK, ANTHROPIC_API_KEY="", CLAUDE_CODE_OAUTH_TOKEN=token)
    assert found["totals"]["ok"] == 1
    assert {call.headers.get("authorization") for call in api.calls} == {f"Bearer {token}"}
    kept = [path for path in user.home.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if token.encode() in path.read_bytes()] == []


async def test_going_on_goes_through_the_gateway(cli: Cli) -> None:
    """What is resumed is metered again, and what had finished is taken from the journal, gateway or not."""
    api = Api()
    first, user = await run(cli, api, "--gateway", plan=LOOK)
    before = len(api.calls)
    async with open_gateway(api) as upstream:
        again = user.with_variables(ANTHROPIC_BASE_URL=upstream.env["ANTHROPIC_BASE_URL"])
        found = report(await at(again, "run", cli.place / "plan.yaml", "--reuse", "--view", "none", "--json", "-"))
    assert found["totals"]["reused"] == first["totals"]["tasks"]
    assert len(api.calls) == before


async def test_another_api_is_a_usage_error(cli: Cli) -> None:
    """With a variable that has the CLI ask another API, --gateway ends with 2 and says why; so do limits per minute."""
    path = cli.plan(PLAN)
    done = await at(cli.with_variables(CLAUDE_CODE_USE_BEDROCK="1"), "run", path, "--gateway", "--view", "none")
    assert done.returncode == 2
    assert "CLAUDE_CODE_USE_BEDROCK" in done.stderr
    assert json.dumps(str(path)) not in done.stdout
