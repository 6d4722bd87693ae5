"""An agent whose `env` lets it leave tasks in the background: nothing is cut short, and the last result counts."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.agents.claude import open_claude
from orchestrator.events import AgentMessage
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.gateway.wire import Block, stream, text_block, tool_block
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt
from orchestrator.testing.samples import Collected
from workspaces import Workspace, WorkspaceSpec

pytestmark = pytest.mark.anyio


class Delegator(OfflineModel):
    """Leaves a command in the background, says so, and says what it hears of it afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[list[Block]] = [
            [tool_block("Bash", {"command": "sleep 1.5 && touch done.txt", "run_in_background": True})],
            [text_block("It is under way.")],
            [text_block("It is done.")],
        ]

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        reply = self.replies.pop(0)

        async def tell() -> AsyncIterator[ApiEvent]:
            for event in stream(reply, model=call.body["model"], seed=str(len(self.replies)), input_tokens=10):
                yield event

        return tell()


async def test_the_last_result_counts(tmp_path: Path) -> None:
    """The first result does not end the attempt while something is at work in the background."""
    agent = Agent(tools=["Bash"], allow=["Bash"], env={"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "0"})
    named = {"run": "r", "task": "t", "number": 1, "workspace": WorkspaceSpec(), "session_id": str(uuid4())}
    attempt, events = Attempt(prompt="Do it.", agent=agent, **named), Collected()
    async with open_gateway(Delegator()) as upstream, open_claude(upstream) as claude:
        result = await claude.run(attempt, Workspace(path=tmp_path), events)
    assert (result.ok, result.text) == (True, "It is done."), result.error
    assert tmp_path.joinpath("done.txt").exists()
    costs = [event.cost_usd for event in events if isinstance(event, AgentMessage) and event.cost_usd is not None]
    assert len(costs) == 2
    assert 0 < costs[0] < costs[1] == result.cost_usd
