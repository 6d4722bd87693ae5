"""`resume`: what cannot be said anew of a run."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from orchestrator import run_plan
from orchestrator.cli.resuming import resume
from orchestrator.cli.running import Options
from orchestrator.errors import UsageError
from orchestrator.testing.scripted import ScriptedExecutor


@pytest.mark.parametrize(
    ("option", "given"), [("--gateway", {"gateway": True}), ("--replay", {"replay": Path("a.rec")})]
)
def test_an_offline_run_stays_offline(option: str, given: dict[str, object], tmp_path: Path) -> None:
    """What would have another answer it is refused by its name, and not for an option that nobody has given."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("tasks: {a: {prompt: go}}\n")
    anyio.run(partial(run_plan, plan, executor=ScriptedExecutor(), upstream="offline"))
    with pytest.raises(UsageError, match=f"^{option}: run .* is answered by the offline model"):
        resume(None, [], Options(**given))  # type: ignore[arg-type]
