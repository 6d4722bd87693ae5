"""Carries out attempts in this process."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.checks import RunCheck, run_check
from orchestrator.processes.turns import Turns
from orchestrator.protocols import AgentRunner, CallTool, Emit, Expecting, no_tools
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.work import work
from workspaces import WorkspaceProvider


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """Workspaces and agents on this machine."""

    runner: AgentRunner
    providers: Mapping[str, WorkspaceProvider]
    check: RunCheck = run_check
    """How the attempts' checks are run."""
    _turns: Turns = field(default_factory=Turns, init=False)

    def expect(self, attempt: Attempt) -> None:
        """See `orchestrator.protocols.Expecting`."""
        if isinstance(self.runner, Expecting):
            self.runner.expect(attempt)

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        """See `orchestrator.protocols.Executor`."""
        if attempt.workspace.kind not in self.providers:
            known = ", ".join(sorted(self.providers))
            error = f"workspace: found {attempt.workspace.kind!r}, expected one of {known}"
            return Result(task=attempt.task, outcome=Outcome.WORKSPACE, error=error)
        if attempt.workspace.kind == "here":  # where anybody may work at any time
            return await work(attempt, emit, self.runner, self.providers, self.check, call)
        # Two tasks may go on with the work of one. Who waits takes it up as the other has left it.
        async with self._turns.take(attempt.name):
            return await work(attempt, emit, self.runner, self.providers, self.check, call)
