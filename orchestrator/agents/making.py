"""Makes processes, which are not started yet: with the options of an attempt, or ahead for whichever comes."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from claude_agent_sdk import ClaudeAgentOptions

from orchestrator.agents.config import find_projects, open_config
from orchestrator.agents.moving import PARKED
from orchestrator.agents.opening import Opening
from orchestrator.agents.options import to_options
from orchestrator.agents.process import Process
from orchestrator.agents.tools import Calls
from orchestrator.agents.transcripts import forget, mirror
from orchestrator.processes.den import Den
from orchestrator.protocols import Sessions, Upstream
from orchestrator.task import Attempt


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the processes of a run."""

    den: Den
    upstream: Upstream | None
    sessions: Sessions | None
    """Where their transcripts are kept."""

    def describe(self, attempt: Attempt, opening: Opening, directory: Path) -> ClaudeAgentOptions:
        """The options of a process, but for what no two have in common."""
        return to_options(attempt, opening, directory, self.den, {}, self.upstream)

    async def make(
        self, attempt: Attempt, opening: Opening, directory: Path, *, lock: Path | None = None, parked: bool = False
    ) -> Process:
        """One for the attempt, in the directory. It holds the lock as long as it lives. Raises OSError.

        One that is parked waits there to be claimed, and need not be the attempt's.
        """
        calls = Calls()
        async with AsyncExitStack() as stack:
            config = await stack.enter_async_context(open_config(attempt, self.den, self.upstream))
            lease = self.den.lease(uuid4().hex)
            variables = {**config.env, "ORCHESTRATOR_LEASE": str(lease)}
            if lock:
                variables["ORCHESTRATOR_SESSION_LOCK"] = str(lock)
            options = to_options(attempt, opening, directory, self.den, variables, self.upstream, calls)
            if parked:
                options.extra_args |= PARKED
            if self.sessions:
                options.session_store, options.session_store_flush = mirror(self.sessions), "eager"
            process = Process(options, lease, opening.session_id, calls, kept := stack.pop_all())
            process.locks = lock is not None
            projects = find_projects(attempt, self.den, self.upstream)
            kept.push_async_callback(forget, process.unused, projects, self.sessions)
            return process
