"""Agents that use memory, and the machine that they use it on: no processes, and with a jumping clock no time."""

from collections.abc import Callable, Sequence

import anyio

from orchestrator.events import ProcessesMeasured
from orchestrator.machine import MachineMemory
from orchestrator.protocols import CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result

MB = 10**6
Growth = Sequence[tuple[float, int]]
"""Seconds for which an agent uses so many bytes, one after the other."""


class Growing:
    """An Executor. `used` has what each agent at work uses, `most` the most they did together, in bytes."""

    def __init__(self, growth: Callable[[Attempt], Growth], total: int = 2**40, others: int = 0) -> None:
        """`others`: bytes that somebody else uses of the machine's `total`."""
        self.growth, self.total, self.others = growth, total, others
        self.used: dict[str, int] = {}
        self.most = self.most_at_once = 0
        self.most_of_several = 0
        """The most that two or more used together."""
        self.attempts: list[Attempt] = []

    def __call__(self) -> MachineMemory:
        """It is the `Machine` as well."""
        return MachineMemory(self.total, max(0, self.total - self.others - sum(self.used.values())))

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        """See `orchestrator.protocols.Executor`."""
        self.attempts.append(attempt)
        peak = 0
        try:
            self._use(attempt.task, 0)
            for seconds, memory in self.growth(attempt):
                peak = max(peak, memory)
                self._use(attempt.task, memory)
                emit(measured(attempt, memory, peak))
                await anyio.sleep(seconds)
        finally:
            del self.used[attempt.task]
            emit(measured(attempt, 0, peak))
        return Result(task=attempt.task, outcome=Outcome.OK, text="done", session_id=attempt.session_id)

    def _use(self, task: str, memory: int) -> None:
        self.used[task] = memory
        together = sum(self.used.values())
        self.most, self.most_at_once = max(self.most, together), max(self.most_at_once, len(self.used))
        if len(self.used) > 1:
            self.most_of_several = max(self.most_of_several, together)


def measured(attempt: Attempt, memory: int, peak: int) -> ProcessesMeasured:
    return ProcessesMeasured(task=attempt.task, attempt=attempt.number, memory=memory, peak=peak)
