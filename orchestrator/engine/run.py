"""Run: what a script holds while its agents work."""

import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, Unpack, cast

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from orchestrator.engine.asking import Setting, fill, to_node, to_resuming_node
from orchestrator.engine.core import Core
from orchestrator.engine.planned import as_loaded, plan_nodes
from orchestrator.engine.returns import to_reading
from orchestrator.engine.steps import Call, Node
from orchestrator.errors import UsageError, bare_errors
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.model import Plan
from orchestrator.report import RunReport, report_of
from orchestrator.task import Result, Task, TaskOptions

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Handle:
    """A task that was submitted."""

    task: str
    """Its id in the run."""
    _core: Core

    async def result(self) -> Result:
        """Waits for the task's end."""
        return await self._core.wait(self.task)

    def cancel(self) -> None:
        """Ends the task, and its agent's processes, if it has not ended yet."""
        self._core.cancel(self.task)


Prompt = str | Callable[[Any], str | Task]
"""A template with `{}` or `{field}`s for an item's values, or a function from an item to a prompt or a Task."""


class Run:
    """Takes tasks as long as its block is open; make one with `open_run`.

    A task that fails gives a Result with `ok == False`; nothing is raised for it unless the run is `fail_fast`.
    """

    def __init__(self, name: str, core: Core, setting: Setting) -> None:
        self.name = name
        self._core = core
        self._setting = setting
        self._numbers: dict[str, count[int]] = {}

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
        name = self._next("agent") if task.key is None else task.key
        self._core.add([to_node(task, name, self._setting)])
        return Handle(name, self._core)

    async def agent(
        self,
        prompt: str,
        *,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Result:
        """Asks one agent and waits for its result; the arguments are those of `Task`, `timeout` also as `"10m"`."""
        (result,) = await _results([self.submit(Task(prompt, key=key, **options))])
        return result

    async def map(
        self,
        prompt: Prompt,
        items: Iterable[Any],
        *,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> list[Result]:
        """One task per item, all at once within the run's limits; their results in the items' order.

        `prompt` is a template with `{}` or `{field}`s for an item's values, or a function from an item to a prompt or a
        Task. With `key` the tasks are called `key[0]`, `key[1]`, …
        """
        same = Task("", **options)
        handles = self._submit_each(prompt, items, same, key or self._next("map"))
        return await _results(handles)

    @asynccontextmanager
    async def as_completed(
        self,
        prompt: Prompt,
        items: Iterable[Any],
        *,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> AsyncIterator[MemoryObjectReceiveStream[Result]]:
        """As `map`, but a stream of the results, first finished first. Leaving the block early cancels the rest."""
        same = Task("", **options)
        handles = self._submit_each(prompt, items, same, key or self._next("as-completed"))
        send, receive = anyio.create_memory_object_stream[Result](len(handles) + 1)
        try:
            with bare_errors():
                async with anyio.create_task_group() as group:
                    for handle in handles:
                        group.start_soon(_forward, handle, send.clone())
                    send.close()
                    with receive:
                        yield receive
                    group.cancel_scope.cancel()
        finally:
            for handle in handles:
                handle.cancel()

    async def call(self, function: Callable[..., Value], *args: Any, key: str | None = None, **kwargs: Any) -> Value:
        """Runs a blocking function in a thread beside the agents, journaled like a task. Raises what it raises."""
        name = key or self._next(getattr(function, "__name__", "call").strip("<>"))
        if inspect.iscoroutinefunction(function):
            raise UsageError(f"call {name!r}: it is an async function, expected a blocking one: await it instead")
        raised: list[BaseException] = []

        def run() -> Value:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                raised.append(error)
                raise

        self._core.add([Node(id=name, title=name, kind="call", prepare=lambda: Call(run))])
        (result,) = await _results([Handle(name, self._core)])
        if raised:
            raise raised[0]
        if not result.ok:
            raise UsageError(f"call {name!r}: {result.outcome}: {result.error}")
        return cast("Value", result.value)

    async def plan(self, plan: Plan | LoadedPlan | str | Path) -> dict[str, Result]:
        """Runs a plan inside this run, under the same limits; results by the names of its tasks.

        Raises PlanError when the plan is wrong (nothing is started then).
        """
        loaded = await to_thread.run_sync(as_loaded, plan, self._setting.directory)
        nodes = plan_nodes(loaded, self._core.results, self._setting)
        self._core.add(nodes)
        await self._core.forecast()
        results = await _results([Handle(node.id, self._core) for node in nodes])
        return {result.task: result for result in results}

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
        name = key or self._next("resume")
        node = to_resuming_node(Task(prompt, **options), name, self._setting, earlier, fork=fork)
        self._core.add([node])
        (result,) = await _results([Handle(name, self._core)])
        return result

    def report(self) -> RunReport:
        """The run so far."""
        return report_of(self.id, self._core.state, now=time.time())

    def _submit_each(self, prompt: Prompt, items: Iterable[Any], same: Task, key: str) -> list[Handle]:
        tasks = [
            replace(_task_for(prompt, item, index, same), key=f"{key}[{index}]") for index, item in enumerate(items)
        ]
        reading = to_reading(same.returns, self._setting.directory)  # once for all of them
        nodes = [
            to_node(task, cast("str", task.key), self._setting, reading if task.returns is same.returns else None)
            for task in tasks
        ]
        self._core.add(nodes)
        return [Handle(node.id, self._core) for node in nodes]

    def _next(self, kind: str) -> str:
        """`agent-1`, `agent-2`, …: names that this run does not have yet."""
        numbers = self._numbers.setdefault(kind, count(1))
        return next(name for number in numbers if not self._core.has(name := f"{kind}-{number}"))


async def _results(handles: Sequence[Handle]) -> list[Result]:
    """The results, in order; whoever stops waiting for them stops the tasks too."""
    try:
        return [await handle.result() for handle in handles]
    except BaseException:
        for handle in handles:
            handle.cancel()
        raise


async def _forward(handle: Handle, stream: MemoryObjectSendStream[Result]) -> None:
    with stream:
        await stream.send(await handle.result())


def _task_for(prompt: Prompt, item: Any, index: int, same: Task) -> Task:
    """The task for one item. Raises UsageError when the template or the function does not fit it."""
    made = fill(prompt, item, index) if isinstance(prompt, str) else prompt(item)
    if isinstance(made, Task):
        return made
    if isinstance(made, str):
        return replace(same, prompt=made)
    raise UsageError(f"the function gave {type(made).__name__} for item {index}, expected a prompt (str) or a Task")
