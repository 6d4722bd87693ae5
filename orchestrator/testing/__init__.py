"""What users' tests need: scripted agents, a fake Claude CLI, a jumping clock, and the contract suite of every seam.

async def test_report(tmp_path):
    executor = ScriptedExecutor({"report": [Reply("Overloaded.", outcome=Outcome.OVERLOADED), Reply("All is well.")]})
    async with open_run("nightly", executor=executor, journal="memory") as run:
        result = await run.agent("Report.", key="report")
    assert result.text == "All is well."
"""

from orchestrator.testing.agent_runners import check_agent_runner
from orchestrator.testing.clock import backends, jumping
from orchestrator.testing.executors import check_executor
from orchestrator.testing.fake_claude import fake_claude_path
from orchestrator.testing.journals import check_journal
from orchestrator.testing.scripted import Reply, ScriptedAgent, ScriptedChecks, ScriptedExecutor
from orchestrator.testing.views import check_view

__all__ = [
    "Reply",
    "ScriptedAgent",
    "ScriptedChecks",
    "ScriptedExecutor",
    "backends",
    "check_agent_runner",
    "check_executor",
    "check_journal",
    "check_view",
    "fake_claude_path",
    "jumping",
]
