"""Run: what a script holds while its agents work."""

import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack, cast

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from orchestrator.engine.core import Core
from orchestrator.engine.planned.nodes import as_loaded, plan_nodes
from orchestrator.engine.script.asking import Setting, fill, to_items, to_node, to_resuming_node
from orchestrator.engine.script.groups import open_group, setting_of
from orchestrator.engine.script.handles import Forwarding, Handle, Results, results_of
from orchestrator.engine.script.patterns import Patterns
from orchestrator.engine.script.questions import Questions
from orchestrator.engine.script.returns import to_reading
from orchestrator.engine.script.scope import Scope
from orchestrator.engine.steps import Call, Expand, Node
from orchestrator.errors import UsageError, bare_errors
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.model import MOST_AT_ONCE, Agent, Plan
from orchestrator.report import RunReport, report_of
from orchestrator.task import Result, Task, TaskOptions
from workspaces import WorkspaceSpec

Value = TypeVar("Value")


Prompt = str | Callable[[Any], str | Task]
"""A template with `{}` or `{field}`s for an item's values, or a function from an item to a prompt or a Task."""


class Run(Patterns, Questions):
    """Takes tasks as long as its block is open; make one with `open_run`, and one inside it with `group`.

    A task that fails gives a Result with `ok == False`; nothing is raised for it unless the run is `fail_fast`.
    """

    def __init__(self, name: str, core: Core, setting: Setting, scope: Scope | None = None) -> None:
        self.name = name
        self._core = core
        self._setting = setting
        self._scope = scope or Scope(core, setting)

    @property
    def id(self) -> str:
        """What `orchestrator show` and the other commands call this run."""
        return self._core.run

    def submit(self, task: Task) -> Handle:
        """Adds a task, which starts as soon as its needs are met and there is a place.

        Raises UsageError when the task is not valid.
        """
        if not isinstance(task, Task):
            raise UsageError(f"submit: found {type(task).__name__}, expected a Task, as Task('What is here?')")
        name = self._scope.id(task.key, "agent")
        self._scope.add([to_node(task, name, self._setting)])
        return Handle(name, self._core)

    async def agent(
        self,
        prompt: str,
        *,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Result:
        """Asks one agent and waits for its result; the arguments are those of `Task`, `timeout` also as `"10m"`."""
        (result,) = await results_of([self.submit(Task(prompt, key=key, **options))])
        return result

    async def map(
        self,
        prompt: Prompt,
        items: Iterable[Any],
        *,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Results:
        """One task per item, all at once within the run's limits; their results in the items' order.

        `prompt` is a template with `{}` or `{field}`s for an item's values, or a function from an item to a prompt or a
        Task. With `key` the tasks are called `key[0]`, `key[1]`, … Successes and failures can be had apart, as
        `results.succeeded` and `results.failed`.
        """
        same, name = Task("", **options), self._scope.id(key, "map")
        handles = self._submit_each(prompt, enumerate(to_items(items, f"map {name!r}")), same, name)
        return await results_of(handles)

    @asynccontextmanager
    async def as_completed(
        self,
        prompt: Prompt,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> AsyncIterator[MemoryObjectReceiveStream[Result]]:
        """As `map`, but a stream of the results, first finished first. Leaving the block early cancels the rest.

        The items may come from an async iterable, as the receiving end of a queue: each begins when it comes, and the
        stream ends when no more can come and all are done.
        """
        name = self._scope.id(key, "as-completed")
        submit = partial(self._submit_each, prompt, same=Task("", **options), key=name)
        later = isinstance(items, AsyncIterable)
        handles = [] if later else submit(enumerate(to_items(items, f"as_completed {name!r}")))
        try:
            with bare_errors():
                async with anyio.create_task_group() as group:
                    forwarding = Forwarding(group, handles)
                    if isinstance(items, AsyncIterable):
                        forwarding.feed(items, submit)
                    forwarding.close()
                    with forwarding.receive as receive:
                        yield receive
                    group.cancel_scope.cancel()
        finally:
            for handle in handles:
                handle.cancel()

    async def call(self, function: Callable[..., Value], *args: Any, key: str | None = None, **kwargs: Any) -> Value:
        """Runs a blocking function in a thread beside the agents, journaled like a task. Raises what it raises."""
        name = self._scope.id(key, getattr(function, "__name__", "call").strip("<>"))
        if inspect.iscoroutinefunction(function):
            raise UsageError(f"call {name!r}: it is an async function, expected a blocking one: await it instead")
        raised: list[BaseException] = []

        def run() -> Value:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                raised.append(error)
                raise

        self._scope.add([Node(id=name, title=name, kind="call", prepare=lambda: Call(run))])
        (result,) = await results_of([Handle(name, self._core)])
        if raised:
            raise raised[0]
        if not result.ok:
            raise UsageError(f"call {name!r}: {result.outcome}: {result.error}")
        return cast("Value", result.value)

    async def plan(
        self,
        plan: Plan | LoadedPlan | str | Path,
        *,
        key: str | None = None,
        vars: Mapping[str, Any] | None = None,
    ) -> dict[str, Result]:
        """Runs a plan inside this run, under the same limits; results by the names of its tasks.

        With `key` it is a group of that name, and its tasks are `key.NAME`: so a plan can be in a run more than once,
        with other `vars` each time. Raises PlanError when the plan is wrong, UsageError for vars that it does not have
        (nothing is started then).
        """
        loaded = await to_thread.run_sync(as_loaded, plan, self._setting.directory)
        if key is None:
            nodes = self._plan_nodes(loaded, self._scope.prefix, self._scope.group, vars)
            self._scope.add(nodes)
            await self._core.forecast()
            await results_of([Handle(node.id, self._core) for node in nodes])
            return self._results_of(nodes, self._scope.prefix)
        name = self._scope.id(key, "plan")
        nodes = self._plan_nodes(loaded, f"{name}.", name, vars)
        await self._run_group(
            Node(id=name, title=loaded.plan.name or name, kind="plan", prepare=partial(Expand, tuple(nodes)))
        )
        return self._results_of(nodes, f"{name}.")

    @asynccontextmanager
    async def group(
        self, name: str, *, agent: Agent | None = None, workspace: WorkspaceSpec | str | Path | None = None
    ) -> AsyncIterator["Run"]:
        """A run inside this one, under the same limits, budget and journal: give it tasks inside the block.

        Its tasks are `name.KEY`, in groups inside groups `name.inner.KEY`; a need may be named as seen from inside.
        `agent`, `workspace`: what its tasks get that name none. Leaving the block waits for its tasks; an exception
        cancels them. Raises UsageError for a name that is taken.
        """
        setting = setting_of(self._setting, agent, workspace)
        async with open_group(self._scope, name, setting) as inside:
            yield Run(self.name, self._core, setting, inside)

    async def resume(
        self,
        earlier: Result | str,
        prompt: str,
        *,
        fork: bool = False,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Result:
        """Goes on with the session of an earlier result, or with the session of that id: the agent knows all of it.

        It works where the earlier task worked (a worktree that was removed is made again from its branch), unless
        `workspace` says otherwise; after a bare id, where the run's tasks work. With `fork` the session itself stays
        as it is, and a copy goes on under an id of its own. Raises UsageError for a result that has no session.
        """
        name = self._scope.id(key, "resume")
        node = to_resuming_node(Task(prompt, **options), name, self._setting, earlier, fork=fork)
        self._scope.add([node])
        (result,) = await results_of([Handle(name, self._core)])
        return result

    def resize(self, concurrent: int) -> None:
        """From now on so many agents may be at work at once, whatever the run's limits said; those at work go on.

        Raises UsageError for anything but 1 to 1000.
        """
        if type(concurrent) is not int or not 1 <= concurrent <= MOST_AT_ONCE:
            raise UsageError(f"resize: found {concurrent!r}, expected a whole number from 1 to {MOST_AT_ONCE}")
        self._core.governing.resize(concurrent)

    def report(self) -> RunReport:
        """The run so far."""
        return report_of(self.id, self._core.state, now=time.time())

    def _plan_nodes(
        self, loaded: LoadedPlan, prefix: str, parent: str | None, values: Mapping[str, Any] | None
    ) -> list[Node]:
        return plan_nodes(loaded, self._core.results, self._setting, prefix=prefix, parent=parent, vars=values)

    def _results_of(self, nodes: Sequence[Node], prefix: str) -> dict[str, Result]:
        """The results of nodes that have ended, without the prefix of their ids."""
        return {node.id.removeprefix(prefix): self._core.results[node.id] for node in nodes}

    def _submit_each(self, prompt: Prompt, items: Iterable[tuple[int, Any]], same: Task, key: str) -> list[Handle]:
        """Adds the tasks for the items, each with its number."""
        tasks = [(f"{key}[{index}]", _task_for(prompt, item, index, same)) for index, item in items]
        reading = to_reading(same.returns, self._setting.directory)  # once for all of them
        nodes = [
            to_node(task, name, self._setting, reading if task.returns is same.returns else None)
            for name, task in tasks
        ]
        self._scope.add(nodes)
        return [Handle(node.id, self._core) for node in nodes]


def _task_for(prompt: Prompt, item: Any, index: int, same: Task) -> Task:
    """The task for one item. Raises UsageError when the template or the function does not fit it."""
    made = fill(prompt, item, index) if isinstance(prompt, str) else prompt(item)
    if isinstance(made, Task):
        return made
    if isinstance(made, str):
        return replace(same, prompt=made)
    raise UsageError(f"the function gave {type(made).__name__} for item {index}, expected a prompt (str) or a Task")
