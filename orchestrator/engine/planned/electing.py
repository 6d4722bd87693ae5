"""Votes of a plan: who votes, and who decides."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestrator.engine.patterns.votes import Rule, majority
from orchestrator.engine.patterns.voting import voting
from orchestrator.engine.planned.filling import agent_of, ask, based_on
from orchestrator.engine.planned.pieces import Piece, PlanInRun, Scope
from orchestrator.engine.steps import Ask, Expand, Node
from orchestrator.plan.render import render
from orchestrator.plan.specs import AskSpec, VoteSpec
from orchestrator.settings import load


def voters_of(group: Piece, vote: VoteSpec) -> tuple[Piece, ...]:
    """Those who vote: `title[0]`, `title[1]`, …"""
    return tuple(
        replace(
            group,
            id=f"{group.id}[{number}]",
            kind="agent",
            when=None,
            local={**group.local, "voter": number},
            gate=None,
            parent=group.id,
            needs=(),
            allows=(),
        )
        for number in range(vote.times)
    )


def vote(plan: PlanInRun, group: Piece, scope: Scope, voters: Sequence[Node]) -> Expand:
    """The voters, and the judge where there is one. Raises UsageError for a function that cannot be loaded."""
    assert group.spec.vote is not None
    spec = group.spec.vote
    criteria = spec.judge.prompt if spec.judge else None
    return voting(
        group.id,
        voters,
        plan.results,
        by=rule_of(spec, plan.loaded.directory),
        on=spec.on,
        ties=spec.ties,
        early=spec.early,
        judge=partial(ask_judge, plan, group, scope) if spec.by == "judge" else None,
        judge_agent=agent_of(plan, based_on(spec.judge or AskSpec(), group.spec)),
        criteria=None if criteria is None else render(criteria, scope, f"{group.where}.vote.judge.prompt"),
    )


def ask_judge(plan: PlanInRun, group: Piece, scope: Scope, prompt: str) -> Ask:
    assert group.spec.vote is not None
    spec = based_on(group.spec.vote.judge or AskSpec(), group.spec)
    return ask(plan, spec, scope, f"{group.where}.vote.judge", lambda _: prompt)


def rule_of(vote: VoteSpec, directory: Path) -> Rule:
    """Who decides where no judge does. Raises UsageError for a function that cannot be loaded."""
    if vote.by in ("majority", "judge"):
        return majority
    with importing_from(directory):
        rule: Rule = load("vote", vote.by)
    return rule


@contextmanager
def importing_from(directory: Path) -> Iterator[None]:
    """A block in which modules beside the plan are found."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))
