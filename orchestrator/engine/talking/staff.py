"""How agents have work done by others: tasks that they add and wait for, and questions to those that have ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import anyio

from orchestrator.engine.steps import Ask, Node
from orchestrator.engine.talking.floor import Caller, Floor
from orchestrator.engine.talking.mail import Replays
from orchestrator.engine.talking.spawning import to_answering_node, to_spawned_node
from orchestrator.errors import UsageError
from orchestrator.events import TaskSpawned
from orchestrator.plan.words import did_you_mean, listed, shorten
from orchestrator.state import FINISHED
from orchestrator.task import Result, plain


class Add(Protocol):
    """Adds a task for an agent."""

    def __call__(self, node: Node, attempt: int, asked: Mapping[str, Any], *, later: bool = False) -> None:
        """`later`: whoever calls makes the run's decisions afterwards. Raises UsageError."""
        ...


@dataclass(slots=True)
class Staff:
    """Adds tasks for agents, and knows what each has added, also before the run was gone on with."""

    floor: Floor
    add: Add
    most: int
    """Tasks that all agents of the run may add, all together."""
    _known: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    """By task: what it has asked for, by the id of the task that came of it."""
    _replays: Replays = field(default_factory=Replays)
    _count: int = 0

    async def spawn_task(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """Adds a task; the same once more is the same task."""
        child, known = f"{caller.task}.{given['name']}", self._known.get(caller.task, {})
        if known.get(child, given) != given:
            raise UsageError(f"name: found {given['name']!r}, which you have given to another task: choose another")
        if child not in self.floor.nodes:
            step = self._step(caller.task)
            if child not in known:
                self._check_bounds(caller.task, step)
            self._add(caller, to_spawned_node(step, caller.task, given, self._needs(caller.task, given)), given)
            await self.floor.flush()
        elif child not in known:
            raise UsageError(f"name: found {given['name']!r}, and the run has a task {child} already: choose another")
        return {"task": child, "status": self.floor.state.tasks[child].status}

    async def await_tasks(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """What the caller's tasks gave, once all have ended, or as many as it wants."""
        tasks = self._named(caller.task, given.get("names"))
        wanted = min(given.get("first", len(tasks)), len(tasks))
        if len(self._ended(tasks)) < wanted:
            self._check_circle(caller.task, self._open(tasks), wanted - len(self._ended(tasks)))
            async with self.floor.waiting(caller, said(self._open(tasks)), self._open(tasks)):
                await self._await_ends(self._open(tasks), wanted - len(self._ended(tasks)))
        return {"tasks": [self._told(task) for task in tasks]}

    async def ask(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """The answer of the agent that did another task, out of a copy of its session."""
        other = self._other(caller.task, given["to"])
        result = await self._end_of(caller, other)
        question = {"to": other, "question": given["question"]}
        child = self._child(caller, question)
        if child not in self.floor.nodes:
            if child not in self._known.get(caller.task, {}):
                self._check_total()
            step = self._step(other)
            node = to_answering_node(caller.task, child, given["question"], step, self._with_session(other, result))
            self._add(caller, node, question)
            await self.floor.flush()
        async with self.floor.waiting(caller, f"the answer of {other}", [child]):
            answer = await self.floor.wait(child)
        if not answer.ok:
            raise UsageError(f"{other} gave no answer: {answer.outcome}: {answer.error}")
        return {"from": other, "answer": answer.text}

    def restore(self, task: str, step: Ask, before: Sequence[TaskSpawned]) -> None:
        """Adds the tasks that the agent of a task had added before the run was gone on with.

        Questions are asked again only if the agent does so: then they are the same tasks.
        """
        for event in before:
            self._known.setdefault(task, {})[event.child] = event.asked
            if "question" not in event.asked and event.child not in self.floor.nodes and step.agent.spawn:
                with suppress(UsageError):  # an edit of the plan may have taken what it needs
                    self._restore_one(task, step, event)

    def _restore_one(self, task: str, step: Ask, event: TaskSpawned) -> None:
        node = to_spawned_node(step, task, event.asked, self._needs(task, event.asked))
        self._add(Caller(task, event.attempt, ""), node, event.asked, later=True)

    def _add(self, caller: Caller, node: Node, asked: Mapping[str, Any], *, later: bool = False) -> None:
        self.add(node, caller.attempt, asked, later=later)
        self._known.setdefault(caller.task, {})[node.id] = asked
        self._count += 1

    def _step(self, task: str) -> Ask:
        step = self.floor.nodes[task].prepare()
        if not isinstance(step, Ask):
            raise UsageError(f"{task} has no agent")
        return step

    def _check_bounds(self, task: str, step: Ask) -> None:
        assert step.agent.spawn is not None
        most, added = step.agent.spawn.count, sum("question" not in each for each in self._known.get(task, {}).values())
        if added >= most:
            raise UsageError(
                f"you have added {added} tasks, which is the most that you may (spawn.count): nothing was added; await "
                "those that you have, or do the rest yourself"
            )
        self._check_total()

    def _check_total(self) -> None:
        if self._count >= self.most:
            raise UsageError(
                f"the agents of this run have added {self._count} tasks, which is the most that they may "
                "(limits.spawned): nothing was added; what has been added goes on"
            )

    def _needs(self, task: str, given: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(self._named(task, given["needs"], "needs")) if given.get("needs") else ()

    def _named(self, task: str, names: Sequence[str] | None, key: str = "names") -> list[str]:
        """The ids of tasks that the agent has added. Raises UsageError that lists them."""
        own = {child.removeprefix(f"{task}."): child for child in self._spawned(task)}
        if names is None and not own:
            raise UsageError("you have added no tasks yet: add some with spawn_task")
        for name in names or ():
            if name not in own and name not in own.values():
                there = f"you have added {listed(own)}" if own else "you have added none"
                raise UsageError(
                    f"{key}: found {shorten(repr(name))}{did_you_mean(name, own)}, expected tasks of yours: {there}"
                )
        return list(dict.fromkeys(own.get(name, name) for name in names)) if names is not None else list(own.values())

    def _spawned(self, task: str) -> Iterator[str]:
        known = self._known.get(task, {})
        return (child for child, asked in known.items() if "question" not in asked and child in self.floor.nodes)

    def _ended(self, tasks: Sequence[str]) -> list[str]:
        return [task for task in tasks if task in self.floor.results]

    def _open(self, tasks: Sequence[str]) -> list[str]:
        return [task for task in tasks if task not in self.floor.results]

    async def _await_ends(self, tasks: Sequence[str], wanted: int) -> None:
        """Returns when so many of the tasks have ended."""
        left = wanted

        async def await_one(task: str) -> None:
            nonlocal left
            await self.floor.wait(task)
            left -= 1
            if left <= 0:
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(await_one, task)

    def _check_circle(self, task: str, others: Sequence[str], wanted: int) -> None:
        """Raises UsageError when fewer of the others can end than the task wants to wait for."""
        circles = [circle for other in others if (circle := self.floor.waits.find_circle(task, other))]
        if len(others) - len(circles) < wanted:
            raise UsageError(f"you would wait for yourself: {circles[0]}: go on without it, or end first")

    def _told(self, task: str) -> dict[str, Any]:
        """What an agent is told of a task that it has added."""
        result = self.floor.results.get(task)
        if result is None:
            return {"task": task, "status": self.floor.state.tasks[task].status}
        gave = {"value": plain(result.value)} if result.value is not None else {"text": result.text}
        return {
            "task": task,
            "status": result.outcome.status,
            **(gave if result.ok or result.text else {}),
            **({} if result.ok else {"error": f"{result.outcome}: {result.error}"}),
            **({"branch": result.workspace.branch} if result.workspace and result.workspace.branch else {}),
        }

    def _other(self, task: str, to: str) -> str:
        """Who is asked. Raises UsageError that says who is there."""
        other, nodes = self.floor.named(task, to), self.floor.nodes
        if other != task and other in nodes and nodes[other].kind == "agent":
            return other
        agents = [each for each, node in nodes.items() if node.kind == "agent" and each != task]
        if other == task:
            why = "that is you"
        elif other not in nodes:
            why = f"there is no such task{did_you_mean(to, agents)}"
        elif parts := self.floor.state.tasks[other].parts:
            why = f"that is a {nodes[other].kind} of several tasks, each with an agent of its own: {listed(parts)}"
        else:
            why = f"that is a task without an agent (a {nodes[other].kind})"
        raise UsageError(f"to: found {to!r}: {why}; {f'you can ask {listed(agents)}' if agents else 'nobody is there'}")

    async def _end_of(self, caller: Caller, other: str) -> Result:
        """What the other task gave; it is waited for, unless it waits for the caller in turn. Raises UsageError."""
        if self.floor.state.tasks[other].status in FINISHED and other in self.floor.results:
            return self.floor.results[other]
        if circle := self.floor.waits.find_circle(caller.task, other):
            raise UsageError(
                f"to: {other} has not ended, and cannot before you do: {circle}; expected a task that does not wait "
                "for you. You may write to it with send_message if it is at work"
            )
        async with self.floor.waiting(caller, f"the end of {other}, to ask it", [other]):
            return await self.floor.wait(other)

    def _with_session(self, other: str, result: Result) -> Result:
        if result.session_id is None:
            why = f"its task ended without one ({result.outcome}: {result.error})"
            raise UsageError(f"to: {other} has no session that could answer: {why}")
        return result

    def _child(self, caller: Caller, question: Mapping[str, Any]) -> str:
        """The id of the task that answers: an earlier attempt may have asked the same."""
        known = self._known.get(caller.task, {})
        same = [child for child, asked in known.items() if asked == question]
        before = self._replays.take(caller.task, caller.attempt, (question["to"], question["question"]))
        if before < len(same):
            return same[before]
        names = (f"{caller.task}.ask-{number}" for number in count(1))
        return next(name for name in names if name not in known and name not in self.floor.nodes)


def said(tasks: Sequence[str]) -> str:
    return listed(tasks, most=3)
