"""What agents are told that no user wrote: to go on, to split a goal and join its parts, to choose among answers.

The offline model knows the texts that tell an agent to go on by their beginnings.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from orchestrator.task import plain

INTERRUPTED = "This conversation was interrupted before its task was finished."
REPAIR = "The structured output of your last reply is not what was asked for."
FAILED_CHECK = "Your work was checked, and a check failed."
BEGINNINGS = (INTERRUPTED, REPAIR, FAILED_CHECK)
"""How each of these prompts begins: it goes on with a task and gives no new one."""

MOST_TASK = 4_000
"""Characters of a task's prompt that are worth repeating: a longer one is in the conversation already."""
MOST_OUTPUT = 8_000
"""Characters of a check's output: its end tells most."""
ASKED = "Your task has ended, and you are asked something"
_TASK = "\n\nThe task was:\n\n"
_QUESTION = "\n\nThe question is:\n\n"


def interrupted(prompt: str) -> str:
    """For a session that was cut off while it worked on `prompt`."""
    told = (
        f"{INTERRUPTED} Steps that you had begun may have taken effect already: look before you do one of them again. "
        "Then finish the task."
    )
    return f"{told}{_TASK}{prompt}" if len(prompt) <= MOST_TASK else told


def repair(error: str, schema: Mapping[str, Any] | None) -> str:
    """For a session whose structured output is missing or wrong: why, and the schema that it must fulfil."""
    wanted = f"\n\nIt must fulfil this JSON schema:\n\n{json.dumps(schema)}" if schema is not None else ""
    return f"{REPAIR} What is wrong: {error}\n\nDo not do the work again. Give the structured output now.{wanted}"


def failed_check(command: str, exit_code: int | None, output: str) -> str:
    """For a session whose work a command refuses; `exit_code` is None when it took too long or could not be run."""
    how = "did not end by itself" if exit_code is None else f"ended with exit code {exit_code}"
    said = output[-MOST_OUTPUT:].strip()
    printed = f"The end of what it printed:\n\n{said}" if said else "It printed nothing."
    return (
        f"{FAILED_CHECK} This command {how} in your working directory:\n\n{command}\n\n{printed}\n\n"
        "Mend what is wrong, then say in a few words what you changed. If your answer was structured output, give it "
        "again, whole."
    )


def asked_by(asker: str, question: str) -> str:
    """For a copy of a session whose task has ended: another task's agent wants to know something."""
    return (
        f"{ASKED} by the agent of another task, {asker}. Answer from what you know of your work. Do nothing else, and "
        f"change no files: your answer, as text, goes to that agent.{_QUESTION}{question}"
    )


def question_of(prompt: str) -> str | None:
    """The question, where a prompt puts one of another task's agent."""
    _, found, question = prompt.partition(_QUESTION)
    return question if found and prompt.lstrip().startswith(ASKED) else None


def goes_on(prompt: str) -> bool:
    """Whether the prompt goes on with a task that the conversation has already."""
    return prompt.lstrip().startswith(BEGINNINGS)


def task_of(prompt: str) -> str | None:
    """The task that a prompt repeats; the prompt itself when it gives a task; None when it names none."""
    if not goes_on(prompt):
        return prompt
    if not prompt.lstrip().startswith(INTERRUPTED):
        return None
    _, found, task = prompt.partition(_TASK)
    return task if found else None


class PartDone(NamedTuple):
    """What came of one part of a goal."""

    title: str
    text: str
    """What it gave, as a text; JSON where it is data."""
    error: str | None = None
    """Why it did not succeed; None: it did."""


def parts_schema(most: int) -> dict[str, Any]:
    """What a model gives that splits a goal: `{"parts": [{"title": …, "task": …}, …]}`, one to `most` of them."""
    text = {"type": "string", "minLength": 1}
    part = {
        "type": "object",
        "properties": {"title": text, "task": text},
        "required": ["title", "task"],
        "additionalProperties": False,
    }
    parts = {"type": "array", "items": part, "minItems": 1, "maxItems": most}
    return {"type": "object", "properties": {"parts": parts}, "required": ["parts"], "additionalProperties": False}


def split_prompt(goal: str, most: int) -> str:
    """For the agent that splits a goal into at most `most` parts."""
    return (
        f"Split a goal into parts that agents can work on at the same time, each without knowing of the others: "
        f"{most} parts at most, and no more than are of use.\n\n"
        "Give for each part a short title, and the task: all that its agent must know and do, and what it is to "
        "answer. Do not work on the parts yourself. When they have ended, another agent joins their answers.\n\n"
        f"The goal:\n\n{goal}"
    )


def part_prompt(goal: str, part: Mapping[str, Any]) -> str:
    """For the agent that works on one part, `{"title": …, "task": …}`, of a goal."""
    return (
        f"{part['task']}\n\n"
        f"This is one part of a larger goal: {part['title']}. Others work on the other parts at the same time: do this "
        "one alone, and answer with what it came to, since whoever joins the parts sees your answer and nothing else."
        f"\n\nThe larger goal, to know what it is for:\n\n{goal}"
    )


def join_prompt(goal: str, parts: Sequence[PartDone]) -> str:
    """For the agent that joins what the parts of a goal came to; those that failed are named, with their errors."""
    done = [part for part in parts if part.error is None]
    told = "".join(f"\n\n## {part.title}\n\n{part.text}" for part in done) or "\n\nNone of them succeeded."
    return (
        "A goal was split into parts, and agents worked on them. Join their answers into one that reaches the goal."
        f"\n\nThe goal:\n\n{goal}\n\nWhat the parts came to:{told}{missing_parts(parts)}"
    )


def missing_parts(parts: Sequence[PartDone]) -> str:
    """What to add for the agent that joins them: which failed; nothing when none did."""
    failed = "".join(f"\n- {part.title}: {part.error}" for part in parts if part.error is not None)
    return f"\n\nThese parts failed; say what is missing for want of them:\n{failed}" if failed else ""


def choice_schema(most: int) -> dict[str, Any]:
    """What a judge gives: `{"choice": 2, "reason": …}`, the number of one of `most` answers."""
    return {
        "type": "object",
        "properties": {
            "choice": {"type": "integer", "minimum": 1, "maximum": most},
            "reason": {"type": "string", "minLength": 1},
        },
        "required": ["choice", "reason"],
        "additionalProperties": False,
    }


def judge_prompt(asked: str, answers: Sequence[tuple[str, Any]], criteria: str | None = None) -> str:
    """For the agent that chooses among answers to one question, each as its text and its structured value, if any."""
    shown = [text if value is None else json.dumps(plain(value), ensure_ascii=False) for text, value in answers]
    listed = "".join(f"\n\n## Answer {number}\n\n{answer}" for number, answer in enumerate(shown, start=1))
    by = f"\n\nChoose by this:\n\n{criteria}" if criteria else ""
    return (
        "Several agents were asked the same, and their answers differ. Choose the best one: give its number, and the "
        f"reason in a sentence. Do not answer the question yourself.{by}\n\nWhat they were asked:\n\n{asked}{listed}"
    )
