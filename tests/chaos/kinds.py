"""Kinds of tasks that agents do: what the model does, and what each must give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARKER = r"\[task ([\w.-]+(?:\[\d+\](?:\.[\w.-]+)?)*)\]"
"""How every prompt names its task."""
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
AGENTS: Mapping[str, Mapping[str, Any]] = {
    "talker": {"tools": []},
    "reader": {"tools": ["Read"]},
    "writer": {"tools": ["Read", "Write", "Bash"], "allow": ["Bash"]},
    "boss": {"tools": [], "spawn": {"count": 3, "agents": ["talker"]}},
    "mate": {"tools": [], "talk": True},
}
FAIL_ONCE = "test -e checked || { touch checked; echo not yet; exit 1; }"
LEAVE_BEHIND = "setsid sleep 300 >/dev/null 2>&1 & sleep 0.7"
NEWS = "the bridge is open"
PARTS = {"parts": [{"title": "a", "task": "Do a."}, {"title": "b", "task": "Do b."}]}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task."""

    agent: str
    steps: Sequence[Mapping[str, Any]]
    """What the model does, a step per reply; `NAME` stands for the task."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """What the plan says beside the prompt."""
    often: int = 2
    """How often it is taken, beside others; 0: it has a place in a pattern alone."""
    value: Any = None
    """What it must give; None: text."""

    @property
    def has_branch(self) -> bool:
        return self.spec.get("workspace") == "worktree"


def call(tool: str, **given: Any) -> dict[str, Any]:
    return {"call": {"tool": tool, "input": given}}


WRITE = {"write": {"path": "written.txt", "text": "written by NAME\n"}}
SAY = {"say": "NAME is done"}
SPAWN = [call("spawn_task", name=name, agent="talker", prompt=f"[task NAME.{name}] Do what is due.") for name in "ab"]
HEAR = [call("read_messages", wait_s=300), {"say": "NAME was told <given>"}]
KINDS: Mapping[str, Kind] = {
    "say": Kind("talker", [SAY], often=4),
    "read": Kind("reader", [{"read": "a.md"}, SAY]),
    "typed": Kind("reader", [{"answer": {"n": 7}}], {"returns": SCHEMA}, often=3, value={"n": 7}),
    "file": Kind("writer", [WRITE, SAY], {"workspace": "worktree"}, often=4),
    "checked": Kind("writer", [WRITE, SAY], {"workspace": "worktree", "checks": ["test -s written.txt"]}),
    "mended": Kind("writer", [WRITE, SAY], {"workspace": "worktree", "checks": [FAIL_ONCE, "test -s written.txt"]}, 1),
    "tool": Kind("writer", [{"bash": LEAVE_BEHIND}, SAY], {"workspace": "worktree"}, often=1),
    "alone": Kind("talker", [SAY], {"fresh": True}, often=3),
    "lonely": Kind("writer", [WRITE, SAY], {"workspace": "worktree", "fresh": True}, often=2),
    "voter": Kind("talker", [{"say": "agreed"}], often=0),
    "split": Kind("talker", [{"answer": PARTS}], often=0, value=PARTS),
    "boss": Kind("boss", [*SPAWN, call("await_tasks"), SAY], often=0),
    "tell": Kind("mate", [call("send_message", to="hear", text=NEWS), SAY], often=0),
    "hear": Kind("mate", HEAR, often=0),
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
    def value(self) -> Any:
        return KINDS[self.kind].value

    @property
    def text(self) -> str | None:
        """Its last words; None when it gives a value, or more than is known beforehand."""
        last = self.steps[-1].get("say")
        return None if last is None or "<given>" in last else str(last)

    @property
    def holds(self) -> str:
        """What is in its last words."""
        return NEWS if self.kind == "hear" else ""

    @property
    def file(self) -> tuple[str, str] | None:
        """The file that its branch must hold, and its text."""
        return next(((s["write"]["path"], s["write"]["text"]) for s in self.steps if "write" in s), None)


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
