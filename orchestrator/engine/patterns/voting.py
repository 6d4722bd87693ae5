"""A vote as a group of tasks: its voters, the judge where there is one, and what it comes to."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from orchestrator.engine.patterns.votes import (
    Rule,
    Ties,
    Vote,
    count_votes,
    first_of,
    is_decided,
    is_tie,
    lacks,
    majority,
)
from orchestrator.engine.steps import Ask, Expand, Node, Omit, carried
from orchestrator.engine.telling import told
from orchestrator.errors import UsageError
from orchestrator.plan.model import Agent
from orchestrator.plan.words import describe
from orchestrator.prompts import choice_schema, judge_prompt
from orchestrator.task import Outcome, Result, Status, plain

MOST_VOTERS = 100
JudgeMaker = Callable[[str], Ask]
"""From the prompt that shows the candidates to what is asked of the judge; its schema is set by the vote."""


def voting(
    name: str,
    voters: Sequence[Node],
    results: Mapping[str, Result],
    *,
    by: Rule = majority,
    on: str | None = None,
    ties: Ties = "fail",
    early: bool = True,
    judge: JudgeMaker | None = None,
    judge_agent: Agent | None = None,
    criteria: str | None = None,
) -> Expand:
    """The parts of the vote `name` and what they come to. `results` fills while the run goes on.

    `by`: `majority`, or a function that chooses among the voters that succeeded. `judge`: an agent that chooses among
    the answers, by `criteria`, in its place (it is `judge_agent`); it is not asked when there is only one. `early`:
    under `majority` the voters that are left are ended once they can change nothing. Raises UsageError.
    """
    options: dict[str, Any] = {"by": by, "on": on, "ties": ties, "early": early, "judge": judge, "criteria": criteria}
    return Voting(name, tuple(voters), results, judge_agent=judge_agent, **options).expand()


@dataclass(slots=True)
class Voting:
    """A vote that is going on."""

    name: str
    voters: tuple[Node, ...]
    results: Mapping[str, Result]
    by: Rule = field(default=majority, kw_only=True)
    on: str | None = field(default=None, kw_only=True)
    ties: Ties = field(default="fail", kw_only=True)
    early: bool = field(default=True, kw_only=True)
    judge: JudgeMaker | None = field(default=None, kw_only=True)
    judge_agent: Agent | None = field(default=None, kw_only=True)
    criteria: str | None = field(default=None, kw_only=True)
    vote: Vote | None = field(default=None, init=False)
    """What it came to, once it has."""

    def __post_init__(self) -> None:
        check(self.name, len(self.voters), self.by, self.on, self.ties, judged=self.judge is not None)

    def expand(self) -> Expand:
        # A vote goes on without the voters that fail, also where the first failure ends the run.
        parts = tuple(replace(voter, parent=self.name, allow_failure=True) for voter in self.voters)
        counted = self.by is majority and self.judge is None
        enough = self.has_enough if self.early and counted else None
        return Expand((*parts, *self.judge_nodes()), gather=self.gather, enough=enough)

    def judge_nodes(self) -> list[Node]:
        if self.judge is None:
            return []
        names = tuple(voter.id for voter in self.voters)
        return [
            Node(
                id=f"{self.name}.judge",
                title=f"choose among the answers of {self.name}",
                kind="agent",
                prepare=partial(self.ask_judge, self.judge),
                parent=self.name,
                needs=names,
                allows=names,
                refers=names,
                allow_failure=True,
                runs=self.judge_agent,
            )
        ]

    def ask_judge(self, judge: JudgeMaker) -> Ask | Omit:
        """What the judge is asked, now that all have voted."""
        voted = [self.results[voter.id] for voter in self.voters]
        candidates = count_votes(voted, self.on)
        if len(candidates) < 2:
            return Omit("all who voted gave one answer" if candidates else "nobody has voted")
        answers = [first_of(candidate, voted) for candidate in candidates]
        first = self.voters[0].prepare()
        asked = first.prompt if isinstance(first, Ask) else self.voters[0].title
        prompt = judge_prompt(asked, [(answer.text, answer.value) for answer in answers], self.criteria)
        return replace(judge(prompt), schema=choice_schema(len(answers)), parse=None)

    def has_enough(self, ended: Mapping[str, Result]) -> bool:
        """Whether the voters that are left can change nothing."""
        voted = [ended[voter.id] for voter in self.voters if voter.id in ended]
        return is_decided(count_votes(voted, self.on), len(self.voters) - len(voted))

    def gather(self, parts: Sequence[Result]) -> Result:
        """What the vote comes to: the winner's text, value and session, and how it came about."""
        vote = self.vote = self.decide(parts[: len(self.voters)], *parts[len(self.voters) :])
        won = vote.winner or Result(task=self.name, outcome=vote.outcome)
        return replace(carried(won, vote.error, vote.note), outcome=vote.outcome)

    def decide(self, voted: Sequence[Result], judge: Result | None = None) -> Vote:
        vote = Vote(task=self.name, results=list(voted), candidates=count_votes(voted, self.on), by=self.rule)
        stopped = [result for result in voted if result.outcome.status is Status.CANCELLED]
        if stopped and (self.rule != "majority" or not is_decided(vote.candidates, len(stopped))):
            why = f"{len(stopped)} of {len(voted)} had not voted yet: {stopped[0].error}"
            return replace(vote, outcome=stopped[0].outcome, error=why)
        if not vote.candidates:
            return replace(vote, outcome=Outcome.UNDECIDED, error=self.why_nobody(voted))
        if judge is not None:
            return self.judged(vote, judge)
        return self.counted(vote) if self.by is majority else self.chosen(vote)

    @property
    def rule(self) -> str:
        """What decides: `majority`, `judge`, or the function's name."""
        if self.judge is not None:
            return "judge"
        return "majority" if self.by is majority else getattr(self.by, "__name__", type(self.by).__name__)

    def counted(self, vote: Vote) -> Vote:
        if is_tie(vote.candidates) and self.ties == "fail":
            first = [each for each in vote.candidates if each.count == vote.candidates[0].count]
            names = " and ".join([", ".join(each.name for each in first[:-1]), first[-1].name])
            votes = f"{first[0].count} vote{'s' if first[0].count > 1 else ''} each"
            why = f"a tie for the first place: {names} have {votes}: more voters, a judge or ties='first' would decide"
            return replace(vote, outcome=Outcome.UNDECIDED, error=why)
        return replace(vote, winner=first_of(vote.candidates[0], vote.results))

    def chosen(self, vote: Vote) -> Vote:
        """By the user's function."""
        try:
            winner = self.by([result for result in vote.results if result.ok])
        except Exception as error:
            return replace(vote, outcome=Outcome.RAISED, error=f"{self.rule} raised {told(error)}")
        if isinstance(winner, Result):
            return replace(vote, winner=winner)
        names = ", ".join(each.name for each in vote.candidates)
        why = f"chose none of {names}" if winner is None else f"gave {describe(winner)}, expected a Result or None"
        outcome = Outcome.UNDECIDED if winner is None else Outcome.RAISED
        return replace(vote, outcome=outcome, error=f"{self.rule} {why}")

    def judged(self, vote: Vote, judge: Result) -> Vote:
        if vote.unanimous:
            return replace(vote, winner=first_of(vote.candidates[0], vote.results))
        if not judge.ok:
            ended = judge.outcome.status is Status.CANCELLED
            outcome = judge.outcome if ended else Outcome.UNDECIDED
            return replace(vote, outcome=outcome, error=f"the judge {judge.task} gave no verdict: {judge.error}")
        given = judge.value if isinstance(judge.value, Mapping) else {}
        number, most = given.get("choice"), len(vote.candidates)
        if type(number) is not int or not 1 <= number <= most:
            why = f"the judge {judge.task} chose {describe(number)}, expected a number from 1 to {most}"
            return replace(vote, outcome=Outcome.UNDECIDED, error=why)
        winner = first_of(vote.candidates[number - 1], vote.results)
        return replace(vote, winner=winner, reason=str(given.get("reason") or "") or None)

    def why_nobody(self, voted: Sequence[Result]) -> str:
        if lacking := [result for result in voted if lacks(result, self.on)]:
            found = "a text" if lacking[0].value is None else describe(plain(lacking[0].value))
            return f"on: {self.on!r} is in no voter's value: {lacking[0].task} gave {found}"
        return f"no voter succeeded: {voted[0].task}: {voted[0].outcome}: {voted[0].error}"


def check(name: str, voters: int, by: Any, on: Any, ties: Any, *, judged: bool) -> None:
    """Raises UsageError for what is no vote."""
    if not 1 <= voters <= MOST_VOTERS:
        raise UsageError(f"vote {name!r}: times: found {voters}, expected 1 to {MOST_VOTERS}")
    if not callable(by) or inspect.iscoroutinefunction(by):
        raise UsageError(
            f"vote {name!r}: by: found {describe(by)}, expected majority, or a function from the results to one of them"
        )
    if judged and by is not majority:
        raise UsageError(f"vote {name!r}: found both by and judge: one of them chooses, leave the other out")
    if on is not None and (not isinstance(on, str) or not all(on.split("."))):
        raise UsageError(f"vote {name!r}: on: found {describe(on)}, expected a path into the value, as 'finding.level'")
    if ties not in cast("Any", ("fail", "first")):
        raise UsageError(f"vote {name!r}: ties: found {describe(ties)}, expected 'fail' or 'first'")
