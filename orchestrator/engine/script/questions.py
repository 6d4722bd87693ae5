"""What a script can ask of its run while it works: how things stand, and to wait for some."""

from typing import NamedTuple

import anyio

from orchestrator.engine.core import Core
from orchestrator.engine.script.asking import to_seconds
from orchestrator.engine.script.scope import Scope
from orchestrator.errors import UsageError
from orchestrator.plan.words import describe
from orchestrator.state import FINISHED
from orchestrator.task import HasTask, Result, Status


class Waited(NamedTuple):
    """What was waited for."""

    done: list[Result]
    """Of the tasks that have ended, first ended first."""
    pending: list[str]
    """The ids of the others, which go on."""


class Questions:
    """How the tasks of a Run stand. A task is named by its id, its handle or its result."""

    _scope: Scope

    def status(self, task: str | HasTask) -> Status:
        """Where the task stands. Raises UsageError when there is no such task."""
        return self._scope.core.state.tasks[self._scope.find(task)].status

    def statuses(self) -> dict[str, Status]:
        """Where each task stands, groups and their parts included, in the order in which they were added."""
        return {task: self.status(task) for task in self._scope.ids()}

    def is_complete(self, *tasks: str | HasTask) -> bool:
        """Whether these have ended, however they did; without any, whether all have that there are by now.

        Raises UsageError when there is no such task.
        """
        return all(self.status(task) in FINISHED for task in tasks or self._there())

    def results(self) -> dict[str, Result]:
        """What has ended so far, by task, groups and their parts included."""
        results = self._scope.results
        return {task: results[task] for task in self._scope.ids() if task in results}

    def by_session(self) -> dict[str, Result]:
        """What agents have given so far, by session; of several tasks in one session the last that was added."""
        tasks = self._scope.core.state.tasks
        ended = self.results().items()
        return {result.session_id: result for task, result in ended if result.session_id and tasks[task].runs_agent}

    async def wait(self, *tasks: str | HasTask, first: int | None = None, timeout: float | str | None = None) -> Waited:
        """Waits for these tasks (without any: for all that there are by now), or for the `first` so many of them.

        `timeout`: in seconds, or as `"10m"`; when it is over nothing is cancelled, and `pending` has what goes on.
        Raises UsageError when there is no such task.
        """
        wanted = list(dict.fromkeys(self._scope.find(task) for task in tasks or self._there()))
        needed = len(wanted) if first is None else first
        if type(needed) is not int or not 0 <= needed <= len(wanted) or (wanted and not needed):
            raise UsageError(f"wait: first: found {describe(first)}, expected 1 to {len(wanted)}, as many as there are")
        seconds = None if timeout is None else to_seconds(timeout, "wait")
        done = await first_of(self._scope.core, wanted, needed, seconds)
        ended = {result.task for result in done}
        return Waited(done, [task for task in wanted if task not in ended])

    def _there(self) -> list[str]:
        """The tasks that there are by now, without groups that are still open: these end with their blocks."""
        tasks = self._scope.core.state.tasks
        return [task for task in self._scope.ids() if not (tasks[task].is_group and tasks[task].more)]


async def first_of(core: Core, tasks: list[str], needed: int, seconds: float | None) -> list[Result]:
    """The results of the first so many of the tasks that end, and of those that had ended by then."""
    known = {task for task in tasks if task in core.results}
    done = [result for task, result in core.results.items() if task in known]
    if len(done) >= needed:
        return done

    async def take(task: str) -> None:
        done.append(await core.wait(task))
        if len(done) >= needed:
            group.cancel_scope.cancel()

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for task in tasks:
                if task not in known:
                    group.start_soon(take, task)
    return done
