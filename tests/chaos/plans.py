"""Random plans, and what each of their tasks must give."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml

from tests.chaos.kinds import AGENTS, KINDS, Expected
from tests.chaos.patterns import PATTERNS, Pattern, entry
from tests.chaos.places import Place

FEWEST, MOST = 4, 8
"""Tasks of a plan, beside its patterns."""
MOST_PATTERNS = 3


@dataclass(slots=True)
class Plan:
    """A plan, and what it must come to."""

    document: dict[str, Any]
    tasks: dict[str, Expected] = field(default_factory=dict)
    """By id: all that agents do, the parts of groups too."""
    others: set[str] = field(default_factory=set)
    """Groups, what fails at once, and what is done without an agent."""
    fails: set[str] = field(default_factory=set)
    """What fails, whatever is done."""
    votes: dict[str, int] = field(default_factory=dict)
    """Votes, and how many voters each must have heard."""
    reported: set[str] = field(default_factory=set)
    """Whose texts are in the report."""
    plans: dict[str, Any] = field(default_factory=dict)
    """Further plan files, by name; their agents are those of the plan."""

    def write(self, place: Place) -> None:
        for name, document in {place.plan.name: self.document, **self.plans}.items():
            whole = {"agents": self.document["agents"], **document}
            place.plan.with_name(name).write_text(yaml.safe_dump(whole, sort_keys=False), "utf-8")

    def vote_of(self, task: str) -> str | None:
        """The vote that the task is a voter of."""
        vote = task.partition("[")[0]
        return vote if vote in self.votes else None

    def may_be_unneeded(self, task: str) -> bool:
        """Whether the task is a voter without which a vote can be decided."""
        vote = self.vote_of(task)
        return vote is not None and vote + f"[{self.votes[vote]}]" in self.tasks

    def add(self, kinds: Mapping[str, str]) -> None:
        """Expects these tasks, by id, of these kinds."""
        self.tasks |= {name: Expected(name, kind) for name, kind in kinds.items()}

    def bind(self, limits: Mapping[str, Any]) -> None:
        """Has the run keep to these limits."""
        self.document["limits"] = {**self.document["limits"], **limits}

    def count_requests(self, normal: Mapping[str, int]) -> int:
        """Those that it takes undisturbed, by what a task of each kind takes."""
        return sum(normal.get(task.kind, 1) for task in self.tasks.values())

    def take(self, pattern: Pattern) -> None:
        """Expects what comes of the pattern."""
        self.add(pattern.kinds)
        self.others |= set(pattern.groups)
        self.fails |= set(pattern.fails)
        self.votes |= pattern.voters
        self.reported |= set(pattern.reported)
        self.plans |= pattern.plans


def choose_kinds(random: Random) -> list[str]:
    """The kinds of a plan's tasks."""
    return random.choices(list(KINDS), [kind.often for kind in KINDS.values()], k=random.randint(FEWEST, MOST))


def choose_patterns(random: Random) -> list[str]:
    return random.sample(list(PATTERNS), k=random.randint(1, MOST_PATTERNS))


def assemble(
    random: Random, place: Place, kinds: Sequence[str], patterns: Sequence[str], options: Mapping[str, Any]
) -> Plan:
    """A plan with a task of each of the kinds, in this order, and the patterns, somewhere between them.

    The first three tasks of a longer plan become a loop.
    """
    tasks: dict[str, Any] = {}
    agents = {name: {**agent, **options} for name, agent in AGENTS.items()}
    plan = Plan(
        {
            "name": "chaos",
            "limits": {"concurrent": random.randint(3, 5)},
            "defaults": {"retries": 5},
            "agents": agents,
            "tasks": tasks,
        },
        others={"report"},
    )
    shown: list[str] = []
    loop = len(kinds) >= FEWEST and kinds[0] not in ("mended", "tool")
    if loop:
        take_loop(plan, tasks, kinds[0], shown)
    due = [*enumerate(kinds[3 if loop else 0 :]), *((None, name) for name in patterns)]
    random.shuffle(due)
    for number, what in due:
        if number is None:
            take_pattern(random, plan, tasks, PATTERNS[what](), shown)
        else:
            take_task(random, plan, tasks, f"w{number}", what, shown)
    needs = [{"task": name, "allow": "failed"} if name in plan.fails else name for name in tasks]
    tasks["report"] = {"needs": needs, "write": {"path": str(place.report), "text": "\n".join([*shown, ""])}}
    return plan


def take_loop(plan: Plan, tasks: dict[str, Any], kind: str, shown: list[str]) -> None:
    """A loop of three tasks."""
    names = [f"each[{index}]" for index in range(3)]
    tasks["each"] = entry("each[{{ index }}]", kind, foreach=[1, 2, 3])
    plan.add(dict.fromkeys(names, kind))
    plan.others.add("each")
    plan.reported |= set(names)
    shown.append("{{ tasks.each.texts | join(' ') }}")


def take_task(random: Random, plan: Plan, tasks: dict[str, Any], name: str, kind: str, shown: list[str]) -> None:
    """A task that perhaps comes after others."""
    tasks[name] = entry(name, kind) | after(random, name, plan, tasks)
    plan.add({name: kind})
    plan.reported.add(name)
    shown.append(f"{{{{ tasks.{name}.text }}}}")


def take_pattern(random: Random, plan: Plan, tasks: dict[str, Any], pattern: Pattern, shown: list[str]) -> None:
    """A pattern that perhaps comes after other tasks."""
    first, *_ = pattern.tasks
    needs = choose_needs(random, plan, tasks)
    tasks |= pattern.tasks
    tasks[first] = {**tasks[first], **({"needs": needs} if needs else {})}
    plan.take(pattern)
    shown.append(pattern.report)


def choose_needs(random: Random, plan: Plan, tasks: Iterable[str]) -> list[str]:
    """What a task is to come after: one or two of those that there are and do not fail, or nothing."""
    before = [name for name in tasks if name not in plan.fails]
    return random.sample(before, k=min(len(before), random.randint(1, 2))) if random.random() < 0.4 else []


def after(random: Random, name: str, plan: Plan, tasks: Iterable[str]) -> dict[str, Any]:
    """What an entry says when the task is to come after some of the others: it needs them, or asks about their text."""
    needs = choose_needs(random, plan, tasks)
    if not needs or set(needs) & plan.others or random.random() < 0.5:
        return {"needs": needs} if needs else {}
    told = " ".join(f"{{{{ tasks.{need}.text }}}}" for need in needs)
    return {"prompt": f"[task {name}] Do what is due. You know: {told}"}
