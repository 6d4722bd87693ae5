"""What agents are told when they are to go on. The offline model knows these texts by their beginnings."""

import json
from collections.abc import Mapping
from typing import Any

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
