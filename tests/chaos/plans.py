"""Random plans, and what each of their tasks must give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml

from tests.chaos.places import Place

FEWEST, MOST = 6, 14
"""Tasks of a plan."""
MARKER = r"\[task ([\w-]+(?:\[\d+\])?)\]"
"""How every prompt names its task."""
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
AGENTS: Mapping[str, Mapping[str, Any]] = {
    "talker": {"tools": []},
    "reader": {"tools": ["Read"]},
    "writer": {"tools": ["Read", "Write", "Bash"], "allow": ["Bash"]},
}
FAIL_ONCE = "test -e checked || { touch checked; echo not yet; exit 1; }"
LEAVE_BEHIND = "setsid sleep 300 >/dev/null 2>&1 & sleep 0.7"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task."""

    agent: str
    steps: Sequence[Mapping[str, Any]]
    """What the model does, a step per reply; `NAME` stands for the task."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """What the plan says beside the prompt."""
    often: int = 2
    """How often it is taken, beside others."""

    @property
    def has_branch(self) -> bool:
        return self.spec.get("workspace") == "worktree"


WRITE = {"write": {"path": "written.txt", "text": "written by NAME\n"}}
SAY = {"say": "NAME is done"}
KINDS: Mapping[str, Kind] = {
    "say": Kind("talker", [SAY], often=4),
    "read": Kind("reader", [{"read": "a.md"}, SAY]),
    "typed": Kind("reader", [{"answer": {"n": 7}}], {"returns": SCHEMA}, often=3),
    "file": Kind("writer", [WRITE, SAY], {"workspace": "worktree"}, often=4),
    "checked": Kind("writer", [WRITE, SAY], {"workspace": "worktree", "checks": ["test -s written.txt"]}),
    "mended": Kind("writer", [WRITE, SAY], {"workspace": "worktree", "checks": [FAIL_ONCE, "test -s written.txt"]}, 1),
    "tool": Kind("writer", [{"bash": LEAVE_BEHIND}, SAY], {"workspace": "worktree"}, often=1),
}


@dataclass(frozen=True, slots=True)
class Expected:
    """A task that an agent does, and what it must give."""

    name: str
    kind: str

    @property
    def steps(self) -> list[Any]:
        return [named(step, self.name) for step in KINDS[self.kind].steps]

    @property
    def text(self) -> str | None:
        """Its last words; None when it gives a value."""
        return None if self.kind == "typed" else f"{self.name} is done"

    @property
    def file(self) -> tuple[str, str] | None:
        """The file that its branch must hold, and its text."""
        return next(((s["write"]["path"], s["write"]["text"]) for s in self.steps if "write" in s), None)


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, and what it must come to."""

    document: Mapping[str, Any]
    tasks: Mapping[str, Expected]
    """By id: all that agents do, the parts of loops too."""
    others: frozenset[str]
    """Loops, and what is done without an agent."""

    def write(self, place: Place) -> None:
        place.plan.write_text(yaml.safe_dump(dict(self.document), sort_keys=False), "utf-8")


def named(value: Any, name: str) -> Any:
    """The value with the task's name in place of `NAME`."""
    match value:
        case str():
            return value.replace("NAME", name)
        case Mapping():
            return {key: named(item, name) for key, item in value.items()}
        case list() | tuple():
            return [named(item, name) for item in value]
    return value


def choose_kinds(random: Random) -> list[str]:
    """The kinds of a plan's tasks."""
    return random.choices(list(KINDS), [kind.often for kind in KINDS.values()], k=random.randint(FEWEST, MOST))


def assemble(random: Random, place: Place, kinds: Sequence[str], options: Mapping[str, Any]) -> Plan:
    """A plan with a task of each of the kinds, in this order; the first three of a longer one become a loop."""
    tasks: dict[str, Any] = {}
    expected: dict[str, Expected] = {}
    loop = len(kinds) >= FEWEST and kinds[0] not in ("mended", "tool")
    if loop:
        tasks["each"] = {"foreach": [1, 2, 3], **spec_of("each[{{ index }}]", kinds[0])}
        expected |= {name: Expected(name, kinds[0]) for name in ("each[0]", "each[1]", "each[2]")}
    for number, kind in enumerate(kinds[3 if loop else 0 :]):
        name = f"w{number}"
        tasks[name] = spec_of(name, kind) | after(random, name, kind, list(tasks))
        expected[name] = Expected(name, kind)
    tasks["report"] = {"needs": list(tasks), "write": {"path": str(place.report), "text": report_of(expected)}}
    others = frozenset({"report", "each"} & set(tasks))
    return Plan(
        {
            "name": "chaos",
            "limits": {"concurrent": random.randint(3, 5)},
            "defaults": {"retries": 5},
            "agents": {name: {**agent, **options} for name, agent in AGENTS.items()},
            "tasks": tasks,
        },
        expected,
        others,
    )


def spec_of(name: str, kind: str) -> dict[str, Any]:
    """The task's entry. Its prompt begins with its marker."""
    return {"prompt": f"[task {name}] Do what is due.", "agent": KINDS[kind].agent, **named(KINDS[kind].spec, name)}


def after(random: Random, name: str, kind: str, before: Sequence[str]) -> dict[str, Any]:
    """What an entry says when the task is to come after some of the others: it needs them, or asks about their text."""
    if not before or random.random() > 0.4:
        return {}
    needs = random.sample(before, k=min(len(before), random.randint(1, 2)))
    if "each" in needs or random.random() < 0.5:
        return {"needs": needs}
    told = " ".join(f"{{{{ tasks.{need}.text }}}}" for need in needs)
    return {"prompt": f"[task {name}] Do what is due. You know: {told}"}


def report_of(expected: Mapping[str, Expected]) -> str:
    """The template of the report, which shows what all the others have given."""
    singles = [f"{{{{ tasks.{name}.text }}}}" for name in expected if "[" not in name and expected[name].text]
    return "\n".join([*singles, "{{ tasks.each.texts | join(' ') }}" if "each[0]" in expected else "", ""])
