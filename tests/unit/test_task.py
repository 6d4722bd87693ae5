"""Results and attempts as plain data."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest
from pydantic import BaseModel

from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome, Result, Usage, WorkspaceInfo, plain
from workspaces import WorkspaceSpec


class Model(BaseModel):
    place: PurePosixPath = PurePosixPath("a/b")


@dataclass
class Data:
    items: tuple[int, ...] = (1, 2)


FULL = Result(
    task="a",
    outcome=Outcome.OK,
    text="t",
    value={"x": [1, None]},
    session_id="s",
    usage=Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4),
    cost_usd=0.5,
    turns=3,
    duration=1.5,
    attempts=2,
    workspace=WorkspaceInfo(kind="worktree", path="/w", branch="b", base="c", commit="d", changed=("e", "f")),
    denials=("Bash(rm)",),
    error="e",
    message={"m": 1},
)


def test_a_result_comes_back_from_json() -> None:
    """A result with every field is the same after JSON."""
    assert Result.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_a_results_json_is_plain() -> None:
    """`to_json` gives what JSON gives back, so that the engine folds the same data as a reader of the journal."""
    assert json.loads(json.dumps(FULL.to_json())) == FULL.to_json()


@pytest.mark.parametrize("value", [Model(), Data(), {"x": Model()}, [Data()], ({1},), PurePosixPath("a"), {1: 2}])
def test_values_of_every_kind_become_plain(value: object) -> None:
    """Models, dataclasses, paths, sets and odd keys become data that JSON keeps."""
    assert json.loads(json.dumps(plain(value))) == plain(value)


def test_usage_adds_up() -> None:
    """Tokens are summed field by field, and all input counts, cached or not."""
    one = Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4)
    assert one + one == Usage(input_tokens=2, output_tokens=4, cache_read_tokens=6, cache_write_tokens=8)
    assert one.all_input_tokens == 8


@pytest.mark.parametrize(
    ("kind", "mode"), [("here", "dontAsk"), ("worktree", "acceptEdits"), ("directory", "acceptEdits")]
)
def test_permission_mode_fits_the_workspace(kind: str, mode: str) -> None:
    """In a place of its own an agent may edit files; an agent's own mode comes first."""
    attempt = Attempt(
        run="r", task="t", number=1, prompt="p", agent=Agent(), workspace=WorkspaceSpec(kind=kind), session_id="s"
    )
    assert attempt.permission_mode == mode
    assert attempt.name == "r/t"


def test_only_ok_is_a_success() -> None:
    """No other outcome counts as a success."""
    assert [outcome for outcome in Outcome if outcome.ok] == [Outcome.OK]
