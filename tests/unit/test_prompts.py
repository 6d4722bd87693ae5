"""What agents are told when they are to go on."""

import pytest
from jsonschema import Draft202012Validator

from orchestrator.prompts import (
    MOST_OUTPUT,
    MOST_TASK,
    choice_schema,
    failed_check,
    goes_on,
    interrupted,
    judge_prompt,
    repair,
    task_of,
)

TASK = "Write the report.\n\nThe task was:\n\nlong."


@pytest.mark.parametrize("prompt", [interrupted(TASK), repair("$.n: missing", {}), failed_check("ls", 1, "")])
def test_prompts_of_ours_are_known(prompt: str) -> None:
    """Each text that goes on with a task is told from one that gives a task."""
    assert goes_on(prompt)
    assert not goes_on(TASK)
    assert not goes_on(f"Translate: {prompt}")


def test_an_interrupted_task_is_repeated_when_it_is_short() -> None:
    """A short task is in the prompt, word for word; of a long one nothing is."""
    assert task_of(interrupted(TASK)) == TASK
    assert interrupted("x" * MOST_TASK).endswith("x" * MOST_TASK)
    assert task_of(interrupted("x" * (MOST_TASK + 1))) is None
    assert "xx" not in interrupted("x" * (MOST_TASK + 1))


def test_a_task_is_its_own() -> None:
    """A prompt that gives a task is that task; what tells of a fault names none, whatever it quotes."""
    assert task_of(TASK) == TASK
    assert task_of(repair("x", None)) is None
    assert task_of(failed_check("cat", 1, TASK)) is None


def test_a_repair_says_what_is_wanted() -> None:
    """The fault and the schema are in the prompt; without a schema none is mentioned."""
    assert "$.n: missing" in repair("$.n: missing", {"required": ["n"]})
    assert '{"required": ["n"]}' in repair("$.n: missing", {"required": ["n"]})
    assert "schema" not in repair("$.n: missing", None)


def test_a_failed_check_has_the_end_of_its_output() -> None:
    """Command, exit code and the last part of a long output are told; a check without output or end says so."""
    told = failed_check("pytest -q", 2, "first\n" + "x" * MOST_OUTPUT + "last")
    assert "pytest -q" in told
    assert "exit code 2" in told
    assert "last" in told
    assert "first" not in told
    assert "did not end by itself" in failed_check("sleep 9", None, "")
    assert "It printed nothing." in failed_check("sleep 9", None, " \n")


def test_a_judge_is_shown_everything() -> None:
    """A judge's prompt has the question, each answer by its number, data as JSON, and what to choose by."""
    told = judge_prompt("Which?", [("blue\nsea", None), ("", {"a": "ü"})], "Be strict.")
    assert told.index("Be strict.") < told.index("Which?") < told.index("## Answer 1\n\nblue\nsea")
    assert told.endswith('## Answer 2\n\n{"a": "ü"}')
    assert "Choose by this" not in judge_prompt("Which?", [("a", None)])


def test_a_choice_is_one_of_them() -> None:
    """The schema of a judge's answer takes the number of an answer that is there, with a reason."""
    valid = Draft202012Validator(choice_schema(2)).is_valid
    assert valid({"choice": 2, "reason": "x"})
    assert not any(map(valid, [{"choice": 3, "reason": "x"}, {"choice": 0, "reason": "x"}, {"choice": 1}, {}]))
