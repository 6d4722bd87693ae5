"""Patterns of parallel work, as a script asks for them. Each is a group of tasks; the engine knows nothing else."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Unpack, cast

from orchestrator.engine.patterns.votes import Rule, Ties, Vote, majority
from orchestrator.engine.patterns.voting import MOST_VOTERS, JudgeMaker, Voting
from orchestrator.engine.script.asking import title, to_items, to_needs, to_node
from orchestrator.engine.script.fan_out import FanOut, Maker
from orchestrator.engine.script.handles import Handle, Results, results_of
from orchestrator.engine.script.scope import Scope
from orchestrator.engine.script.stages import Pipeline, Stage
from orchestrator.engine.steps import Ask, Expand, Node
from orchestrator.errors import UsageError
from orchestrator.plan.model import Agent
from orchestrator.plan.words import describe
from orchestrator.task import Result, Task, TaskOptions

Judge = str | Agent | Task
"""What the judge is to choose by; or its agent; or both and more, in a Task whose prompt is what to choose by."""


class Patterns:
    """Votes, pipelines and goals that are split, of a Run."""

    _scope: Scope

    async def vote(
        self,
        prompt: str,
        *,
        times: int,
        by: Rule = majority,
        on: str | None = None,
        ties: Ties = "fail",
        early: bool = True,
        judge: Judge | None = None,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Vote:
        """Asks `times` agents (1 to 100) the same, all at once, and gives the answer that most of them give.

        Answers are compared as `majority` does, with `on`, a dotted path, by that part of their values alone. `by`: a
        function that is given the results of the voters that succeeded, in their order, and returns one of them (None:
        none will do). `judge`: an agent that chooses among the answers, where there is more than one: what it is to
        choose by, or its Agent, or a Task with both. `ties`: on a tie there is no winner (`"fail"`), or the answer of
        the earliest voter wins (`"first"`). `early`: once no vote that is left can change the winner, the rest is ended
        (not so with a function or a judge).

        A voter that fails has no vote. The other arguments are those of `Task`. Raises UsageError for what is no vote.
        """
        task, name = Task(prompt, **options), self._scope.id(key, "vote")
        if type(times) is not int or not 1 <= times <= MOST_VOTERS:
            raise UsageError(f"vote {name!r}: times: found {describe(times)}, expected 1 to {MOST_VOTERS}")
        group = self._group(name, "vote", prompt, task)
        judged = None if judge is None else self._judge(judge, task, name)
        voting = Voting(
            name,
            self._voters(task, name, times, group.named),
            self._scope.results,
            by=by,
            on=on,
            ties=ties,
            early=early,
            judge=judged,
            judge_agent=judged and judged("x").agent,
            criteria=criteria_of(judge),
        )
        if on is not None and task.returns is None:
            raise UsageError(f"vote {name!r}: on: found {describe(on)} in a vote without returns, expected both")
        result = await self._run_group(replace(group, prepare=voting.expand))
        return voting.vote or Vote(
            task=name, results=[], candidates=(), outcome=result.outcome, error=result.error, by=voting.rule
        )

    async def pipeline(
        self, items: Iterable[Any], *stages: Stage, key: str | None = None, **options: Unpack[TaskOptions]
    ) -> Results:
        """Takes each item through the stages by itself: its second stage begins when its own first is done.

        A stage is a template, a Task whose prompt is one, or a function that gives a prompt, a Task, or None when the
        item is done. The first is given the item, as in `map`. In a later template `{}` is what the stage before gave
        (its value, as JSON, or its text), `{field}` a field of that value, `{item}` the item and `{index}` its number;
        a later function is given the result before it, or, if it takes two arguments, that and the item.

        Gives a result per item, in their order: the last stage's, or that of the stage that failed, as `result.task`
        tells (`key[0].1`, `key[0].2`, …, or by the functions' names). Other items go on when one fails, also when a
        function raises or a template does not fit. The other arguments are those of `Task`, for every stage that is
        given as a prompt. Raises UsageError for what is no stage.
        """
        same, name = Task("", **options), self._scope.id(key, "pipeline")
        items = to_items(items, f"pipeline {name!r}")
        group = self._group(name, "pipeline", f"{len(items)} items through {len(stages)} stages", same)
        stripped = replace(same, needs=())
        pipeline = Pipeline(name, stages, stripped, self._scope.setting, self._scope.results, group.named)
        result = await self._run_group(replace(group, prepare=partial(pipeline.expand, items)))
        return Results(pipeline.came_to(index, result) for index in range(len(items)))

    async def fan_out(
        self,
        goal: str,
        *,
        split: Maker | None = None,
        part: Maker | None = None,
        join: Maker | None = None,
        most: int = 8,
        key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Result:
        """Has an agent split the goal into at most `most` parts (1 to 100), agents work on them, and one join them.

        `split`, `part`, `join`: templates; Tasks whose prompts are templates, with agents and workspaces of their own;
        or functions that give a prompt or a Task; None for our own prompts. Templates know `{goal}`, and `split`
        `{most}`, `part` `{title}`, `{task}` and `{index}`, `join` `{results}`: what each part gave, and which failed.
        Functions are given the goal, the part (`{"title": …, "task": …}`), and the list of the parts' results.

        Tasks are `key.split`, `key.part[0]`, … and `key.join`; the result has text, value and session of the last. A
        part that fails is named to the join and in the result's `note`; when all fail so does the whole. The other
        arguments are those of `Task`, for all of them; but `returns` is the join's, `checks` and `rehearsal` are the
        parts'. Raises UsageError.
        """
        same, name = Task("", **options), self._scope.id(key, "fan-out")
        fan_out = FanOut(
            name=name,
            goal=goal,
            split=split,
            part=part,
            join=join,
            most=most,
            same=replace(same, needs=()),
            setting=self._scope.setting,
            results=self._scope.results,
        )
        group = self._group(name, "group", goal, same)
        prepare = replace(fan_out, needs=group.named).expand
        return await self._run_group(replace(group, prepare=prepare))

    def _voters(self, task: Task, name: str, times: int, needs: tuple[str, ...]) -> tuple[Node, ...]:
        bare = replace(task, needs=())
        nodes = [to_node(bare, f"{name}[{number}]", self._scope.setting) for number in range(times)]
        return tuple(replace(node, named=needs) for node in nodes)

    def _judge(self, judge: Judge, task: Task, name: str) -> JudgeMaker:
        """Raises UsageError for what is no judge."""
        if not isinstance(judge, str | Agent | Task):
            expected = "expected what to choose by (a text), an Agent or a Task"
            raise UsageError(f"vote {name!r}: judge: found {describe(judge)}, {expected}")
        base = judge
        if not isinstance(base, Task):
            agent = base if isinstance(base, Agent) else task.agent
            base = Task("", agent=agent, timeout=task.timeout, retries=task.retries)
        if base.needs:
            raise UsageError(f"vote {name!r}: judge: needs: it needs the voters and nothing else")
        known = replace(base, returns=None)

        def made(prompt: str) -> Ask:
            return cast("Ask", to_node(replace(known, prompt=prompt), f"{name}.judge", self._scope.setting).prepare())

        made("x")  # what is wrong with the task is told now
        return made

    def _group(self, name: str, kind: str, heading: str, same: Task) -> Node:
        """The node of a group, with the needs that are given for the whole of it. Raises UsageError."""
        needs, allows = (tuple(map(self._scope.near, some)) for some in to_needs(same.needs, name))
        return Node(id=name, title=title(heading), kind=kind, prepare=unset, needs=needs, allows=allows, named=needs)

    async def _run_group(self, node: Node) -> Result:
        self._scope.add([node])
        (result,) = await results_of([Handle(node.id, self._scope.core)])
        return result


def unset() -> Expand:
    """What a group's node does until it is known."""
    return Expand(())


def criteria_of(judge: Any) -> str | None:
    """What the judge is to choose by, in words, if that was said."""
    said = judge.prompt if isinstance(judge, Task) else judge
    return said if isinstance(said, str) and said.strip() else None
