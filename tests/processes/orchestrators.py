"""An orchestrator in a process of its own, with two agents at work: one has a grandchild, one ignores SIGTERM."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CODE = """
    import sys, anyio
    from pathlib import Path
    from orchestrator.agents.claude import open_claude
    from orchestrator.plan.model import Agent
    from orchestrator.task import Attempt
    from workspaces import Workspace, WorkspaceSpec
    def attempt(prompt, number):
        session = f"5a0c7f9e-0000-4000-8000-00000000000{number}"
        place = {"workspace": WorkspaceSpec(), "session_id": session}
        return Attempt(run="r", task="t", number=1, prompt=prompt, agent=Agent(), **place)
    def tell(event):
        print(getattr(event, "doing", None), flush=True)
    async def main():
        async with open_claude() as claude, anyio.create_task_group() as group:
            for number, prompt in enumerate(["family", "stubborn"]):
                group.start_soon(claude.run, attempt(prompt, number), Workspace(path=Path(sys.argv[1])), tell)
    anyio.run(main)
"""


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """One at work."""

    process: subprocess.Popen[str]
    said: str
    """What its agents have said so far: among it the grandchild's id."""


@contextmanager
def orchestrator(place: Path) -> Iterator[Orchestrator]:
    """An orchestrator whose agents are at work in the folder. Whoever asks for it ends it."""
    command = [sys.executable, "-c", textwrap.dedent(CODE), str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        while len([line for line in said if "grandchild" in line or "hangs" in line]) < 3:
            said.append(process.stdout.readline())
            assert said[-1], f"it ended: {said}"
        try:
            yield Orchestrator(process, "".join(said))
        except BaseException:
            process.kill()  # else the test would wait for its end
            raise
