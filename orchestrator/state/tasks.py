"""Folds what happens to tasks: who is ready, who waits for whom, and what came of each."""

from collections.abc import Collection, Mapping

from orchestrator.events import TaskAdded, TaskExpanded, TaskFinished, TaskSpawned
from orchestrator.state.figures import Figures, Folds
from orchestrator.state.task import TaskState
from orchestrator.task import Status


def task_added(run: Figures, event: TaskAdded, at: float) -> None:
    task = TaskState(
        event.task,
        event.title,
        event.task_kind,
        tuple(event.needs),
        event.parent,
        event.allow_failure,
        frozenset(event.allows),
        event.agent,
        event.account,
        event.model,
    )
    run.tasks[task.id] = task
    run.counts[task.status] += task.counts
    for need in task.needs:
        if not run.tasks[need].is_over:
            task.unmet += 1
            run.dependents.setdefault(need, []).append(task.id)
        elif not run.tasks[need].lets(task):
            run.doomed.append((task, need))
    if not task.unmet:
        make_ready(run, task)


def task_expanded(run: Figures, event: TaskExpanded, at: float) -> None:
    task = run.tasks[event.task]
    task.more, task.of = event.more, event.of or task.of
    add_parts(run, task, event.parts)
    if task.status is Status.PENDING:
        run.move_to(task, Status.RUNNING)
        task.started = at
    if not task.open_parts and not task.more:
        run.complete.append(task)


def task_spawned(run: Figures, event: TaskSpawned, at: float) -> None:
    add_parts(run, run.tasks[event.task], [event.child])


def task_finished(run: Figures, event: TaskFinished, at: float) -> None:
    task = run.tasks[event.task]
    if run.running.pop(task.id, None):
        run.places -= task.runs_agent
    run.move_to(task, Status(event.status))
    task.finished, task.result, task.doing = at, event.result, None
    run.use_memory(task, 0)
    task.reused = event.result.get("reused") is not None
    run.reused += task.reused
    if not event.loop and not task.reused:
        settle_tokens(run, task, event.result["usage"])
    if task.parent is not None:
        part_ended(run, run.tasks[task.parent])
    if task.is_over:
        release_dependents(run, task)


def make_ready(run: Figures, task: TaskState) -> None:
    if all(run.tasks[need].lets(task) for need in task.needs):
        (run.ready if task.runs_agent else run.ready_free).append(task)
        if task.runs_agent:
            run.arrived.append(task)


def add_parts(run: Figures, task: TaskState, parts: Collection[str]) -> None:
    if task.parts is None:
        task.parts = []
    task.parts.extend(parts)  # not a new list: an open group may get 100,000 parts, one by one
    task.open_parts += len(parts)


def part_ended(run: Figures, parent: TaskState) -> None:
    parent.open_parts -= 1
    if parent.open_parts:
        return
    if parent.is_over:  # an agent's task that ended before those that it spawned
        release_dependents(run, parent)
    elif parent.is_group and not parent.more:
        run.complete.append(parent)


def release_dependents(run: Figures, task: TaskState) -> None:
    for dependent in map(run.tasks.__getitem__, run.dependents.pop(task.id, ())):
        dependent.unmet -= 1
        if not task.lets(dependent):
            run.doomed.append((dependent, task.id))
        elif not dependent.unmet:
            make_ready(run, dependent)


def settle_tokens(run: Figures, task: TaskState, usage: Mapping[str, int]) -> None:
    """Puts the result's count in place of what the messages told along the way, where there is one."""
    spent = usage["input_tokens"] + usage["cache_read_tokens"] + usage["cache_write_tokens"]
    if not spent:
        return
    run.input_tokens += spent - task.input_tokens
    run.output_tokens += usage["output_tokens"] - task.output_tokens
    task.input_tokens, task.output_tokens = spent, usage["output_tokens"]


FOLDS: Folds = {
    TaskAdded: task_added,
    TaskExpanded: task_expanded,
    TaskSpawned: task_spawned,
    TaskFinished: task_finished,
}
