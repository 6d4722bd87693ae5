"""A goal that a model splits, its parts, and a model that joins what they came to: a group of tasks."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.engine.patterns.dividing import Dividing
from orchestrator.engine.script.asking import Setting, agent_of, fill_in, once, title, to_node, wanted
from orchestrator.engine.steps import Ask, Expand, Node
from orchestrator.engine.telling import told
from orchestrator.errors import UsageError
from orchestrator.plan.words import describe
from orchestrator.prompts import PartDone, join_prompt, missing_parts, part_prompt, parts_schema, split_prompt
from orchestrator.task import Result, Task, plain

MOST_PARTS = 100
KNOWN: Mapping[str, frozenset[str]] = {
    "split": frozenset({"goal", "most"}),
    "part": frozenset({"goal", "title", "task", "index"}),
    "join": frozenset({"goal", "results"}),
}
"""What the template of each step knows besides `{}`."""
Maker = str | Task | Callable[[Any], str | Task]
"""A template, a Task whose prompt is one, or a function that gives a prompt or a Task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """How a goal is split, worked on and joined."""

    name: str
    goal: str
    split: Maker | None
    part: Maker | None
    join: Maker | None
    most: int
    same: Task
    """What all of its tasks have in common."""
    setting: Setting
    results: Mapping[str, Result]
    needs: tuple[str, ...] = ()
    """What the whole of it needs."""

    def __post_init__(self) -> None:
        if not isinstance(self.goal, str) or not self.goal.strip():
            raise UsageError(
                f"fan_out {self.name!r}: goal: found {describe(self.goal)}, expected what is to be reached"
            )
        if type(self.most) is not int or not 1 <= self.most <= MOST_PARTS:
            found = describe(self.most)
            raise UsageError(f"fan_out {self.name!r}: most: found {found}, expected 1 to {MOST_PARTS}")
        for what, maker in (("split", self.split), ("part", self.part), ("join", self.join)):
            if isinstance(maker, str | Task):
                self.check_names(what, template_of(maker))
            elif maker is not None and (not callable(maker) or inspect.iscoroutinefunction(maker)):
                expected = "expected a template, a Task or a function that is not async"
                raise UsageError(f"fan_out {self.name!r}: {what}: found {describe(maker)}, {expected}")
            if isinstance(maker, Task) and maker.needs:
                raise UsageError(f"fan_out {self.name!r}: {what}: needs: give them to the whole of it")

    def check_names(self, what: str, template: str) -> None:
        """Raises UsageError for a template that wants what nobody has; one with its own schema may give parts more."""
        missing = sorted(wanted(template) - KNOWN[what] - {"0"})
        own = (isinstance(self.split, Task) and self.split.returns is not None) or callable(self.split)
        if missing and not (what == "part" and own):
            known = ", ".join(f"{{{name}}}" for name in sorted(KNOWN[what]))
            found = f"found {{{missing[0]}}} in its template, expected one of {known}"
            raise UsageError(f"fan_out {self.name!r}: {what}: {found}")

    def id(self, what: str) -> str:
        return f"{self.name}.{what}"

    def expand(self) -> Expand:
        split, part, join = self.id("split"), self.id("part"), self.id("join")
        return self.dividing.expand(
            self.node(split, f"split: {self.goal}", self.ask_split, self.split),
            Node(id=part, title=title(f"parts of: {self.goal}"), kind="loop", prepare=self.expand_parts),
            replace(self.node(join, f"join: {self.goal}", self.ask_join, self.join), refers=(part,)),
        )

    @property
    def dividing(self) -> Dividing:
        def titles() -> list[str]:
            return [part["title"] for part in self.parts()]

        return Dividing(name=self.name, results=self.results, titles=titles)

    def node(self, name: str, heading: str, ask: Callable[[], Ask], maker: Maker | None) -> Node:
        runs = agent_of(maker, self.same, self.setting)
        return Node(id=name, title=title(heading), kind="agent", prepare=once(ask), named=self.needs, runs=runs)

    def ask_split(self) -> Ask:
        known = {"goal": self.goal, "most": self.most}
        task = self.task("split", self.split, self.goal, known, split_prompt(self.goal, self.most))
        returns = parts_schema(self.most) if task.returns is None else task.returns
        return self.ask(replace(task, returns=returns), self.id("split"))

    def parts(self) -> list[dict[str, Any]]:
        """What the goal was split into, as `{title, task}`s. Raises UsageError when it is not that."""
        value = plain(self.results[self.id("split")].value)
        found = value.get("parts") if isinstance(value, Mapping) else value
        if not isinstance(found, list) or not found:
            raise UsageError(f"{self.id('split')} gave {describe(found)}, expected a list of parts, as {{title, task}}")
        if len(found) > self.most:
            raise UsageError(f"{self.id('split')} gave {len(found)} parts, expected {self.most} at most")
        return [self.read_part(each, index) for index, each in enumerate(found)]

    def read_part(self, part: Any, index: int) -> dict[str, Any]:
        given = {"title": title(part), "task": part} if isinstance(part, str) else part
        if not isinstance(given, Mapping) or not isinstance(given.get("task"), str) or not given["task"].strip():
            raise UsageError(f"{self.id('split')}: part {index} is {describe(part)}, expected {{title, task}}")
        return {**given, "title": str(given.get("title") or title(given["task"]))}

    def expand_parts(self) -> Expand:
        return Expand(tuple(self.part_node(part, index) for index, part in enumerate(self.parts())))

    def part_node(self, part: Mapping[str, Any], index: int) -> Node:
        name = f"{self.id('part')}[{index}]"
        node = self.node(name, part["title"], lambda: self.ask_part(part, index), self.part)
        return replace(node, parent=self.id("part"), allow_failure=True)

    def ask_part(self, part: Mapping[str, Any], index: int) -> Ask:
        known = {**part, "goal": self.goal, "index": index}
        task = self.task("part", self.part, part["task"], known, part_prompt(self.goal, part), part)
        return self.ask(task, f"{self.id('part')}[{index}]")

    def ask_join(self) -> Ask:
        dividing, loop = self.dividing, self.id("part")
        done = dividing.done(loop)
        told_parts = "\n\n".join(map(heading_and_words, done))
        known = {"goal": self.goal, "results": told_parts}
        task = self.task("join", self.join, told_parts, known, join_prompt(self.goal, done), dividing.parts(loop))
        if isinstance(self.join, str | Task) and not shows_results(template_of(self.join)):
            task = replace(task, prompt=task.prompt + missing_parts(done))  # they are told in any case
        returns = self.same.returns if task.returns is None else task.returns
        return self.ask(replace(task, returns=returns), self.id("join"))

    def task(
        self, what: str, maker: Maker | None, given: Any, known: Mapping[str, Any], default: str, to: Any = None
    ) -> Task:
        """The task of a step: by the user's template or function, else with the prompt that we have for it.

        Checks, a rehearsal and `returns` that are given for all are the parts', the parts' and the join's.
        """
        plainly = replace(self.same, returns=None)
        same = plainly if what == "part" else replace(plainly, checks=(), rehearsal=None)
        match maker:
            case None:
                return replace(same, prompt=default)
            case str():
                return replace(same, prompt=fill_in(maker, given, known, f"{what} of {self.name!r}"))
            case Task():
                return replace(maker, prompt=fill_in(maker.prompt, given, known, f"{what} of {self.name!r}"))
        try:
            made = maker(given if to is None else to)
        except Exception as error:
            raise UsageError(f"fan_out {self.name!r}: {what} raised {told(error)}") from error
        if isinstance(made, Task):
            return made
        if isinstance(made, str):
            return replace(same, prompt=made)
        raise UsageError(f"fan_out {self.name!r}: {what} gave {describe(made)}, expected a prompt or a Task")

    def ask(self, task: Task, name: str) -> Ask:
        if task.needs:
            raise UsageError(f"task {name!r}: needs: give those of the fan_out to the whole of it")
        step = to_node(task, name, self.setting).prepare()
        assert isinstance(step, Ask)
        return step


def shows_results(template: str) -> bool:
    """Whether what the parts gave is in a join's prompt."""
    return "results" in wanted(template) or "{}" in template.replace("{{", "")


def template_of(maker: str | Task) -> str:
    return maker if isinstance(maker, str) else maker.prompt


def heading_and_words(part: PartDone) -> str:
    """What the `{results}` of a template say of a part."""
    return f"## {part.title}\n\n{part.text if part.error is None else f'It failed: {part.error}'}"
