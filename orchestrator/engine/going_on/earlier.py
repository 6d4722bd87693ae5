"""What is known from before: results that need not be paid for again, and attempts that were cut off."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.engine.going_on.finished import Finished
from orchestrator.engine.talking.mail import Mail
from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    Event,
    MessageSent,
    MessagesRead,
    Published,
    Record,
    RunStarted,
    SessionStarted,
    TaskAdded,
    TaskFinished,
    TaskSpawned,
)
from orchestrator.task import Models, Outcome, Result, Spent, Status, Usage, to_models, together

MARKS = re.compile(r"[.\[]")
"""What stands in an id between a group and its part."""


@dataclass(slots=True)
class Begun:
    """A task that has begun and has no good result."""

    question: str | None
    session_id: str | None
    in_session: bool
    """Whether that session had begun."""
    attempts: int
    """How many there have been."""
    spent: Result
    """What they have come to: cost, time, tokens, turns."""
    told_usd: float = 0.0
    """What the last one has cost, as far as it has told, while its end is not written."""
    told_models: Models = field(default_factory=dict)
    """The same by model."""
    told_usage: Usage = field(default_factory=Usage)
    told_turns: int = 0
    outcome: Outcome | None = None
    """Of the last attempt; None when nobody was left to see its end."""

    @property
    def told_tokens(self) -> int:
        """Input, cached or not, and output."""
        return self.told_usage.all_input_tokens + self.told_usage.output_tokens

    @property
    def whole(self) -> Result:
        """What is known of all that its attempts have come to, with what the last one has told."""
        spent = self.spent
        return replace(
            spent,
            cost_usd=spent.cost_usd + self.told_usd,
            models=together(spent.models, self.told_models),
            usage=spent.usage + self.told_usage,
            turns=spent.turns + self.told_turns,
            attempts=self.attempts,
            session_id=self.session_id if self.in_session else None,
        )

    def settle(self) -> None:
        """Counts what the last attempt has told as spent."""
        self.spent = self.whole
        self.told_usd, self.told_models, self.told_usage, self.told_turns = 0.0, {}, Usage(), 0


@dataclass(slots=True)
class Earlier:
    """One run so far, folded for going on with it."""

    run: str
    finished: Finished = field(init=False)
    """Results that need not be paid for again."""
    begun: dict[str, Begun] = field(default_factory=dict)
    """By task."""
    resumed: int = 0
    """How often the run has been started, the first time included."""
    spent_usd: float = 0.0
    """What all its attempts have cost."""
    spent_tokens: int = 0
    """Input, cached or not, and output."""
    spent_turns: int = 0
    spent_by: dict[str, Models] = field(default_factory=dict)
    """What they have cost, by agent (empty: the run's own)."""
    _agents: dict[str, str] = field(default_factory=dict)
    """By task, what its agent is called."""
    spared: set[str] = field(default_factory=set)
    """Tasks that were ended, or not begun, since their groups had enough without them."""
    mail: Mail = field(default_factory=Mail)
    """What its agents have told each other."""
    _spawned: dict[tuple[str, str], dict[str, TaskSpawned]] = field(default_factory=dict)
    """By task and question: the tasks that its agent has added, by their ids."""
    _places: dict[str, dict[str, str]] = field(default_factory=dict)
    """By task and question: where the task worked."""
    _due: set[str] = field(default_factory=set)
    """Tasks and loops that were to be done again."""
    _redone: set[str] = field(default_factory=set)
    """Of these tasks, those that were."""

    def __post_init__(self) -> None:
        self.finished = Finished(self.run)

    @classmethod
    def of(cls, run: str, records: Iterable[Record]) -> "Earlier":
        earlier = cls(run)
        for record in records:
            earlier.apply(record.event)
        return earlier

    def apply(self, event: Event) -> None:
        """Folds one event of the run in."""
        if fold := _FOLDS.get(type(event)):
            fold(self, event)

    @property
    def unsettled_usd(self) -> float:
        """What attempts have told of their cost whose ends were never written."""
        return sum(begun.told_usd for begun in self.begun.values())

    @property
    def all_tokens(self) -> int:
        """`spent_tokens` with what such attempts have told."""
        return self.spent_tokens + sum(begun.told_tokens for begun in self.begun.values())

    @property
    def all_turns(self) -> int:
        """`spent_turns` with what such attempts have told."""
        return self.spent_turns + sum(begun.told_turns for begun in self.begun.values())

    @property
    def spent_with_unsettled(self) -> dict[str, Models]:
        """`spent_by` with what such attempts have told."""
        spent = dict(self.spent_by)
        for task, begun in self.begun.items():
            agent = self._agents.get(task, "")
            spent[agent] = together(spent.get(agent, {}), begun.told_models)
        return {agent: models for agent, models in spent.items() if models}

    def spawned(self, task: str, question: str) -> Sequence[TaskSpawned]:
        """What the agent of the task, as it was asked, has added to the run, in that order."""
        return list(self._spawned.get((task, question), {}).values())

    def is_due_again(self, task: str) -> bool:
        """Whether the task was to be done again, and has not been since."""
        return task not in self._redone and any(name in self._due for name in names(task))

    def place(self, run: str, task: str, question: str, *, again: bool) -> str | None:
        """What the workspace is to be called: as before for the same question, else as no edition of the task was.

        `again`: the task is to be done anew, whatever there is. None stands for the first one's name.
        """
        places = self._places.get(task, {})
        if not again and question in places:
            return places[question]
        taken = set(places.values())
        names = (f"{run}/{task}" + (f".{number}" if number > 1 else "") for number in range(1, len(taken) + 2))
        free = next(name for name in names if name not in taken)
        return None if free == f"{run}/{task}" else free

    def _run_started(self, event: RunStarted) -> None:
        self.resumed += 1
        for task, begun in self.begun.items():  # whose end was never written
            self.spent_usd += begun.told_usd
            self.spent_tokens += begun.told_tokens
            self.spent_turns += begun.told_turns
            self._count_models(task, begun.told_models)
            begun.settle()
        self._due.update(event.rerun)
        self._spawned = {
            asked: added for asked, added in self._spawned.items() if names(asked[0]).isdisjoint(event.rerun)
        }
        self._redone = {task for task in self._redone if names(task).isdisjoint(event.rerun)}

    def _attempt_started(self, event: AttemptStarted) -> None:
        if event.question is None:
            return
        before = self.begun.get(event.task)
        same = before is not None and before.question == event.question
        self.begun[event.task] = Begun(
            question=event.question,
            session_id=event.session_id if event.fork else event.resume or event.session_id,
            in_session=event.resume is not None and not event.fork,
            attempts=event.attempt,
            spent=before.spent if before and same else Result(task=event.task, outcome=Outcome.CANCELLED),
        )
        self._places.setdefault(event.task, {})[event.question] = event.place or f"{self.run}/{event.task}"

    def _session_started(self, event: SessionStarted) -> None:
        if begun := self.begun.get(event.task):
            begun.session_id, begun.in_session = event.session_id, True

    def _agent_message(self, event: AgentMessage) -> None:
        begun = self.begun.get(event.task)
        if begun:
            begun.told_usage += told_usage(event)
            begun.told_turns += event.turns
        if begun and event.cost_usd:
            begun.told_usd, begun.told_models = event.cost_usd, to_models(event.models)

    def _task_spawned(self, event: TaskSpawned) -> None:
        begun = self.begun.get(event.task)
        if begun and begun.question is not None:  # else it is only told once more
            self._spawned.setdefault((event.task, begun.question), {}).setdefault(event.child, event)

    def _attempt_finished(self, event: AttemptFinished) -> None:
        self.spent_usd += event.cost_usd
        self.spent_tokens += event.tokens
        self.spent_turns += event.turns
        models = to_models(event.models) or ({"": Spent(usd=event.cost_usd)} if event.cost_usd else {})
        self._count_models(event.task, models)
        if begun := self.begun.get(event.task):
            begun.told_usd, begun.told_models = event.cost_usd, to_models(event.models)
            begun.told_turns, begun.outcome = event.turns, Outcome(event.outcome)
            begun.settle()
            begun.spent = replace(begun.spent, duration=begun.spent.duration + event.duration)

    def _count_models(self, task: str, models: Models) -> None:
        agent = self._agents.get(task, "")
        self.spent_by[agent] = together(self.spent_by.get(agent, {}), models)

    def _task_added(self, event: TaskAdded) -> None:
        if event.agent:
            self._agents[event.task] = event.agent

    def _task_finished(self, event: TaskFinished) -> None:
        if event.result["outcome"] == Outcome.UNNEEDED:
            self.spared.add(event.task)
        else:
            self.spared.discard(event.task)
        if event.status != Status.DONE:
            self._ended_badly(event)
        elif event.key is not None:
            self._ended_well(event.task, event.key, event)

    def _ended_badly(self, event: TaskFinished) -> None:
        if begun := self.begun.get(event.task):
            usage, turns = Usage(**event.result["usage"]), event.result["turns"]
            if usage.all_input_tokens >= begun.spent.usage.all_input_tokens:  # and not cut off before its turn
                begun.spent = replace(begun.spent, usage=usage, turns=max(turns, begun.spent.turns))

    def _ended_well(self, task: str, key: str, event: TaskFinished) -> None:
        self.begun.pop(task, None)
        if event.result.get("reused") is None:
            self._redone.add(task)
        self.finished.add_own(task, key, event)


def told_usage(event: AgentMessage) -> Usage:
    """The tokens that a message tells of."""
    return Usage(
        input_tokens=event.input_tokens - event.cache_read_tokens - event.cache_write_tokens,
        output_tokens=event.output_tokens,
        cache_read_tokens=event.cache_read_tokens,
        cache_write_tokens=event.cache_write_tokens,
    )


def names(task: str) -> Set[str]:
    """The task's id, and those of the groups that it is in: `build.check[3].verify` is in `build.check[3]`."""
    return {task, *(task[: mark.start()] for mark in MARKS.finditer(task))}


_FOLDS: Mapping[type[Event], Callable[[Earlier, Any], None]] = {
    RunStarted: Earlier._run_started,
    TaskAdded: Earlier._task_added,
    AttemptStarted: Earlier._attempt_started,
    SessionStarted: Earlier._session_started,
    AgentMessage: Earlier._agent_message,
    AttemptFinished: Earlier._attempt_finished,
    TaskFinished: Earlier._task_finished,
    TaskSpawned: Earlier._task_spawned,
    MessageSent: lambda earlier, event: earlier.mail.apply(event),
    MessagesRead: lambda earlier, event: earlier.mail.apply(event),
    Published: lambda earlier, event: earlier.mail.apply(event),
}
