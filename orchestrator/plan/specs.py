"""What a plan can say of one task: the models of the entries under `tasks:`."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from orchestrator.plan.base import Model, Short
from orchestrator.plan.fields import TASK_NAME, Duration, Schema, Template, TemplateOrList, Workspace
from orchestrator.plan.rehearsal import Step
from orchestrator.plan.words import describe, did_you_mean

_NAMES: dict[str, Any] = {"propertyNames": {"pattern": TASK_NAME}}
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*")
_RULES = ("majority", "judge")


class Write(Model):
    """A file that the run writes by itself, with no agent."""

    path: Template
    """Relative to the directory that the plan runs in."""
    text: Template
    """What the file holds."""


class NeedSpec(Model):
    """A task that must have ended first."""

    task: str
    """Its name."""
    allow: Literal["failed"] | None = None
    """`failed`: it need only have ended, however it did. None: it must have succeeded."""


class AskSpec(Model):
    """What an agent is asked, and how."""

    prompt: Template | None = Field(default=None, max_length=1_000_000)
    """What the agent is asked."""
    agent: str | None = None
    """Which of `agents` does it. None: the one under `defaults`, or an agent with no options."""
    workspace: Workspace | None = None
    """Where it is done: `here`, `directory`, `worktree`, or a mapping of kind, path and base."""
    returns: Schema | None = None
    """A JSON schema, or the path of one: the agent's result is data of that shape."""
    timeout: Duration | None = None
    """Seconds that an attempt may take."""
    retries: int | None = Field(default=None, ge=0, le=20, strict=True)
    """How many more attempts a failed task gets, where trying again can help."""
    checks: tuple[Template, ...] = ()
    """Shell commands that must succeed in the workspace when the agent has ended. The output of one that fails goes
    back to the agent, as often as `retries` says."""
    inputs: tuple[Template, ...] = ()
    """Files and folders that the result depends on, relative to the directory that the plan runs in: once one has
    changed, an earlier result is not taken again."""
    fresh: bool = Field(default=False, strict=True)
    """Never take an earlier result."""
    rehearsal: tuple[Step, ...] | None = None
    """What the offline model does for this task, a step per reply: say, write, edit, bash, read, call, answer, end,
    fail, wait."""


NeedForm = Annotated[NeedSpec, Short("task", "the name of a task, or {task: …, allow: failed}")]
AskForm = Annotated[AskSpec, Short("prompt", "a prompt, or a mapping of prompt, agent, …")]


def check_rule(value: str) -> str:
    """`value`, if it says who decides a vote."""
    if value in _RULES or _FUNCTION.fullmatch(value):
        return value
    raise ValueError(
        f"found {describe(value)}{did_you_mean(value, _RULES)}, expected majority, judge, or a function as module:name"
    )


class VoteSpec(Model):
    """The prompt is asked several times at once, and one of the answers wins."""

    times: int = Field(default=3, ge=1, le=100, strict=True)
    """How many agents are asked."""
    by: Annotated[str, AfterValidator(check_rule)] = "majority"
    """Who decides. `majority`: the answer that most agents give. `judge`: a further agent chooses, where they differ.
    `module:function`: a function of your own from the results of those that succeeded to one of them, or None."""
    on: str | None = Field(default=None, min_length=1, max_length=1000)
    """For `majority`: the field that is counted, as `verdict` or `answer.kind`. None: all of the answer."""
    ties: Literal["fail", "first"] = "fail"
    """What happens when several answers have most votes. `fail`: the vote is undecided, which is a failure. `first`:
    the one that was given first, in the agents' order, wins."""
    early: bool = Field(default=True, strict=True)
    """For `majority`: end the agents that are still at work once they can change nothing."""
    judge: AskForm | None = None
    """For `by: judge`: what it chooses by, as `prompt`, and which agent it is. It is shown the question and the
    answers."""


class FanOutSpec(Model):
    """A goal, the task's prompt, is split by an agent; others work on the parts at once; one joins their answers.

    In the templates of the three `goal` is the task's prompt. What the task says of its agent is for all of them; but
    its `returns` is the joiner's, its `checks` and `rehearsal` are the parts'.
    """

    split: AskForm | None = None
    """Who splits the goal, and how it is asked. It gives `{parts: [{title, task}, …]}`."""
    part: AskForm | None = None
    """Who works on a part, and how it is asked; `item` has the part's `title` and `task`."""
    join: AskForm | None = None
    """Who joins the answers, and how it is asked; `stages.part` is what came of the parts."""
    most: int = Field(default=8, ge=1, le=100, strict=True)
    """How many parts there may be."""


class StageSpec(AskSpec):
    """One stage of a pipeline."""

    write: Write | None = None
    """A file to write from a template, without an agent; the text is also the task's result."""
    foreach: TemplateOrList | None = None
    """A list, or a template that gives one: the task is done once per `item`."""
    matrix: dict[str, TemplateOrList] | None = Field(default=None, min_length=1, json_schema_extra=_NAMES)
    """Lists by name: the task is done once per combination; `item` has one value of each. A later list may depend on
    the values of the earlier ones, which its template sees in `item`."""
    when: Template | None = None
    """A template: the task, or the part of a loop, is skipped when this is false, empty or zero."""
    needs: tuple[NeedForm, ...] = ()
    """Tasks that must be done first; in a stage: earlier stages, with `allow: failed` for one that may fail. A task
    that a template refers to is needed without being named here."""
    allow_failure: bool = Field(default=False, strict=True)
    """What needs this one goes on even if it fails, and a plan in a plan does not fail with it."""
    vote: VoteSpec | None = None
    """Ask the prompt several times, and let one answer win."""
    fan_out: FanOutSpec | None = None
    """Let an agent split the prompt into parts, and join what comes of them."""
    plan: str | None = Field(default=None, min_length=1, max_length=4096)
    """The path of another plan file, relative to this one, which is run in the task's place. Its tasks run under this
    run's limits: its own `limits` count only where it is run by itself."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Values in place of those under `vars` of that plan; texts in them are templates."""


class TaskSpec(StageSpec):
    """One entry under `tasks:`. It has one of `prompt`, `write`, `pipeline` and `plan`."""

    pipeline: dict[str, StageSpec] | None = Field(default=None, min_length=1, json_schema_extra=_NAMES)
    """Stages by name, one after the other, for each item of a loop by itself: it goes on as soon as it can. In a stage
    `previous` is the stage before, and `stages` has all earlier ones by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks that it names as needs."""
        return tuple(need.task for need in self.needs)
