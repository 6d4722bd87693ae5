"""A pipeline as a group of tasks: each item goes through its stages by itself, and no stage waits for all items."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from orchestrator.engine.script.asking import Setting, agent_of, fill, fill_in, once, title, to_node, wanted
from orchestrator.engine.steps import Ask, Expand, Node, Omit, deciding, sum_up_stages
from orchestrator.engine.telling import told
from orchestrator.errors import UsageError
from orchestrator.plan.words import describe
from orchestrator.task import Result, Task, plain

Stage = str | Task | Callable[..., str | Task | None]
"""A template, a Task whose prompt is one, or a function that gives a prompt, a Task, or None when the item is done."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages, and what they are made with."""

    name: str
    stages: tuple[Stage, ...]
    same: Task
    """What each stage's task has in common."""
    setting: Setting
    results: Mapping[str, Result]
    needs: tuple[str, ...] = ()
    """What the whole pipeline needs."""

    def __post_init__(self) -> None:
        check(self.name, self.stages)

    def expand(self, items: Sequence[Any]) -> Expand:
        return Expand(tuple(self.item_node(item, index) for index, item in enumerate(items)))

    def item_node(self, item: Any, index: int) -> Node:
        name = f"{self.name}[{index}]"
        return Node(
            id=name,
            title=title(item if isinstance(item, str) else json.dumps(plain(item), ensure_ascii=False)),
            kind="pipeline",
            prepare=lambda: Expand(tuple(self.stage_nodes(name, item, index)), gather=sum_up_stages),
            parent=self.name,
        )

    def stage_nodes(self, parent: str, item: Any, index: int) -> list[Node]:
        ids = self.ids(index)
        return [
            Node(
                id=ids[number],
                title=f"stage {number + 1} of {parent}",
                kind="agent",
                prepare=once(partial(self.step, number, item, index)),
                runs=agent_of(self.stages[number], self.same, self.setting),
                parent=parent,
                needs=ids[number - 1 : number] if number else (),
                named=self.needs,
                refers=ids[number - 1 : number] if number else (),
            )
            for number in range(len(self.stages))
        ]

    def ids(self, index: int) -> tuple[str, ...]:
        """Of the tasks of one item."""
        return tuple(f"{self.name}[{index}].{stage}" for stage in names_of(self.stages))

    def step(self, number: int, item: Any, index: int) -> Ask | Omit:
        """What the stage asks for that item, after what the stage before gave. Raises UsageError."""
        name = self.ids(index)[number]
        before = self.results[self.ids(index)[number - 1]] if number else None
        task = self.task(number, item, index, before)
        if task is None:
            return Omit("its item is done")
        if task.needs:
            raise UsageError(f"task {name!r}: needs: a stage needs the one before it and nothing else")
        step = to_node(task, name, self.setting).prepare()
        assert isinstance(step, Ask)
        return step

    def task(self, number: int, item: Any, index: int, before: Result | None) -> Task | None:
        """The stage's task for the item. Raises UsageError when the template, or the function, does not fit it."""
        stage = self.stages[number]
        if isinstance(stage, str | Task):
            template = stage if isinstance(stage, str) else stage.prompt
            prompt = filled_after(template, item, index, before)
            return replace(self.same if isinstance(stage, str) else stage, prompt=prompt)
        where = f"stage {names_of(self.stages)[number]!r} of item {index}"
        try:
            made = called(stage, item, before)
        except Exception as error:
            raise UsageError(f"{where} raised {told(error)}") from error
        if made is None or isinstance(made, Task):
            return made
        if isinstance(made, str):
            return replace(self.same, prompt=made)
        raise UsageError(f"{where} gave {describe(made)}, expected a prompt, a Task, or None when the item is done")

    def came_to(self, index: int, whole: Result) -> Result:
        """The result of one item, of the whole pipeline's when that never began."""
        parts = [self.results[part] for part in self.ids(index) if part in self.results]
        return deciding(parts) if parts else replace(whole, task=f"{self.name}[{index}]")


def check(name: str, stages: Sequence[Any]) -> None:
    """Raises UsageError for stages that can be none."""
    if not stages:
        raise UsageError(f"pipeline {name!r}: it has no stages: give templates or functions behind the items")
    for number, stage in enumerate(stages, start=1):
        if isinstance(stage, Task) and stage.needs:
            raise UsageError(f"pipeline {name!r}: stage {number}: needs: give them to the whole pipeline")
        if isinstance(stage, str | Task):
            wanted(stage if isinstance(stage, str) else stage.prompt)
        elif not callable(stage) or inspect.iscoroutinefunction(stage):
            expected = "expected a template, a Task or a function that is not async"
            raise UsageError(f"pipeline {name!r}: stage {number}: found {describe(stage)}, {expected}")
        elif number == 1 and takes_two(stage):
            why = "it takes two arguments, but the first stage has no result before it: it is given the item alone"
            raise UsageError(f"pipeline {name!r}: stage 1: {why}")


def names_of(stages: Sequence[Stage]) -> list[str]:
    """What the stages are called: by their functions' names where these are unique, else by their numbers."""
    functions = [getattr(stage, "__name__", "") if callable(stage) else "" for stage in stages]
    return [
        name if name.isidentifier() and functions.count(name) == 1 else str(number)
        for number, name in enumerate(functions, start=1)
    ]


def called(stage: Callable[..., Any], item: Any, before: Result | None) -> Any:
    """What the function gives: for the first stage from the item, for another from the result before it."""
    if before is None:
        return stage(item)
    return stage(before, item) if takes_two(stage) else stage(before)


def takes_two(function: Callable[..., Any]) -> bool:
    """Whether it has to be given two arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of some builtins Python knows none
        return False
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return sum(each.default is each.empty for each in positional) == 2


def filled_after(template: str, item: Any, index: int, before: Result | None) -> str:
    """The template with what came before in its braces, as data written as JSON; `{item}` and `{index}` beside it."""
    if before is None:
        return fill(template, item, index)
    given = shown(plain(before.value)) if before.value is not None else before.text
    fields = given if isinstance(given, dict) else {}
    return fill_in(template, given, {"item": item, "index": index, **fields}, f"what {before.task} gave")


class _Shown(dict[str, Any]):
    """Data that stands in a prompt as JSON."""

    def __format__(self, spec: str) -> str:
        return format(json.dumps(self, ensure_ascii=False), spec)


class _ShownList(list[Any]):
    """The same for a list."""

    __format__ = _Shown.__format__


def shown(value: Any) -> Any:
    """JSON data that a template shows as JSON, at any depth."""
    match value:
        case dict():
            return _Shown({key: shown(item) for key, item in value.items()})
        case list():
            return _ShownList(shown(item) for item in value)
    return value
