"""Patterns of parallel work, as parts of random plans, and what each of their tasks must give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.kinds import KINDS, named


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A few entries of a plan that belong together."""

    tasks: Mapping[str, Any]
    """The entries. The first of them may come after other tasks of the plan."""
    kinds: Mapping[str, str]
    """By id: the kinds of all tasks that agents do."""
    groups: Sequence[str]
    """The ids of what has parts."""
    report: str
    """A template that shows what it gave."""
    reported: Sequence[str]
    """Whose texts the template shows."""
    voters: Mapping[str, int] = field(default_factory=dict)
    """By the id of a vote: how many voters must have been heard; the others may be unneeded."""
    fails: Sequence[str] = ()
    """What fails, whatever is done."""
    plans: Mapping[str, Any] = field(default_factory=dict)
    """Further plan files, by name, without their agents."""


def entry(name: str, kind: str = "say", **more: Any) -> dict[str, Any]:
    """A task's entry. Its prompt begins with its marker."""
    spec = named(KINDS[kind].spec, name)
    return {"prompt": f"[task {name}] Do what is due.", "agent": KINDS[kind].agent, **spec, **more}


def pipeline() -> Pattern:
    """Two items, each through two stages by itself."""
    stages = {
        "one": entry("pipe[{{ index }}].one"),
        "two": entry("pipe[{{ index }}].two", prompt="[task pipe[{{ index }}].two] You know: {{ previous.text }}"),
    }
    return Pattern(
        tasks={"pipe": {"foreach": [1, 2], "pipeline": stages}},
        kinds={f"pipe[{item}].{stage}": "say" for item in range(2) for stage in stages},
        groups=["pipe", "pipe[0]", "pipe[1]"],
        report="{{ tasks.pipe.texts | join(' ') }}",
        reported=["pipe[0].two", "pipe[1].two"],
    )


def matrix() -> Pattern:
    """All combinations of two lists."""
    names = [f"grid[{index}]" for index in range(4)]
    return Pattern(
        tasks={"grid": entry("grid[{{ index }}]", matrix={"a": [1, 2], "b": ["x", "y"]})},
        kinds=dict.fromkeys(names, "say"),
        groups=["grid"],
        report="{{ tasks.grid.texts | join(' ') }}",
        reported=names,
    )


def vote(name: str, early: bool) -> Pattern:
    """Three voters that agree: two of them decide it."""
    voters = [f"{name}[{number}]" for number in range(3)]
    return Pattern(
        tasks={name: entry(f"{name}[{{{{ voter }}}}]", "voter", vote={"times": 3, "early": early})},
        kinds=dict.fromkeys(voters, "voter"),
        groups=[name],
        report=f"{{{{ tasks.{name}.text }}}}",
        reported=voters[:1],
        voters={name: 2 if early else 3},
    )


def fan_out() -> Pattern:
    """One splits, two work, one joins."""
    steps = {
        "split": {"prompt": "[task out.split] Split it: {{ goal }}"},
        "part": {"prompt": "[task out.part[{{ index }}]] {{ item.task }}"},
        "join": {"prompt": "[task out.join] {{ stages.part.texts | join(' ') }}"},
    }
    return Pattern(
        tasks={"out": {"prompt": "a goal", "agent": "talker", "fan_out": steps}},
        kinds={"out.split": "split", "out.part[0]": "say", "out.part[1]": "say", "out.join": "say"},
        groups=["out", "out.part"],
        report="{{ tasks.out.text }}",
        reported=["out.join"],
    )


def nested() -> Pattern:
    """A plan in the plan, and in it a loop over a third."""
    head = {"name": "inner", "vars": {"at": ""}, "defaults": {"retries": 5}}
    inner = {
        "one": entry("{{ vars.at }}.one"),
        "deep": {"foreach": [1, 2], "plan": "deepest.yaml", "vars": {"at": "{{ vars.at }}.deep[{{ index }}]"}},
        "two": entry("{{ vars.at }}.two", prompt="[task {{ vars.at }}.two] You know: {{ tasks.one.text }}"),
    }
    deepest = {"ask": entry("{{ vars.at }}.ask")}
    names = ["nest.one", "nest.deep[0].ask", "nest.deep[1].ask", "nest.two"]
    deep = "{% for each in tasks.nest.tasks.deep.results %}{{ each.tasks.ask.text }} {% endfor %}"
    return Pattern(
        tasks={"nest": {"plan": "inner.yaml", "vars": {"at": "nest"}}},
        kinds=dict.fromkeys(names, "say"),
        groups=["nest", "nest.deep", "nest.deep[0]", "nest.deep[1]"],
        report=f"{{{{ tasks.nest.tasks.one.text }}}} {{{{ tasks.nest.tasks.two.text }}}} {deep}",
        reported=names,
        plans={
            "inner.yaml": {**head, "tasks": inner},
            "deepest.yaml": {**head, "tasks": deepest},
        },
    )


def allowed_failure() -> Pattern:
    """A loop one of whose parts fails, and a task that goes on nevertheless."""
    place = {"kind": "here", "path": "{{ 'nowhere' if item == 2 else '.' }}"}
    told = "[task after] {{ tasks.broken.failed | length }} of them failed: {{ tasks.broken.texts | join(' ') }}"
    return Pattern(
        tasks={
            "broken": entry("broken[{{ index }}]", foreach=[1, 2, 3], workspace=place),
            "after": entry("after", prompt=told, needs=[{"task": "broken", "allow": "failed"}]),
        },
        kinds=dict.fromkeys(["broken[0]", "broken[2]", "after"], "say"),
        groups=["broken", "broken[1]"],
        report="{{ tasks.after.text }} {{ tasks.broken.texts | join(' ') }}",
        reported=["broken[0]", "broken[2]", "after"],
        fails=["broken", "broken[1]"],
    )


def spawning() -> Pattern:
    """An agent that adds two tasks, and waits for them."""
    return Pattern(
        tasks={"boss": entry("boss", "boss")},
        kinds={"boss": "boss", "boss.a": "say", "boss.b": "say"},
        groups=[],
        report="{{ tasks.boss.text }}",
        reported=["boss"],
    )


def message() -> Pattern:
    """An agent that waits for what another has to tell."""
    return Pattern(
        tasks={"tell": entry("tell", "tell"), "hear": entry("hear", "hear")},
        kinds={"tell": "tell", "hear": "hear"},
        groups=[],
        report="{{ tasks.tell.text }} {{ tasks.hear.text }}",
        reported=["tell"],
    )


PATTERNS: Mapping[str, Callable[[], Pattern]] = {
    "pipeline": pipeline,
    "matrix": matrix,
    "vote": lambda: vote("title", early=True),
    "poll": lambda: vote("poll", early=False),
    "fan-out": fan_out,
    "nested": nested,
    "allowed failure": allowed_failure,
    "spawning": spawning,
    "message": message,
}
"""By name. A plan has each at most once."""
