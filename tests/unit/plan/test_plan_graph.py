"""What waits for what."""

from orchestrator.plan.graph import find_cycles, needs_of, order, tree
from orchestrator.plan.model import Plan, TaskSpec, Write


def task(*needs, prompt="x", **rest):
    return TaskSpec(prompt=prompt, needs=needs, **rest)


def test_needs_are_named_or_referred_to():
    """A task needs those it names, then those that any of its templates refers to, each once."""
    spec = TaskSpec(
        needs=("z", "a"),
        prompt="{{ tasks.a.text }} {{ tasks['b-c'].text }}",
        when="{{ tasks.d.ok }}",
        foreach="{{ tasks.e.values }}",
        workspace={"path": "{{ tasks.f.text }}"},
        checks=("ls", "grep {{ tasks.i.text }}"),
        inputs=("{{ tasks.j.text }}",),
        rehearsal=({"write": {"path": "p", "text": "{{ tasks.g.text }}"}}, {"answer": {"x": ["{{ tasks.h }}"]}}),
    )
    assert needs_of(spec) == ("z", "a", "b-c", "e", "d", "f", "i", "j", "g", "h")
    assert needs_of(TaskSpec(write=Write(path="{{ tasks.a.text }}", text="{{ tasks.b.text }}"))) == ("a", "b")


def test_order_keeps_the_plans():
    """Needs come first; what is free to choose stays as the plan has it."""
    plan = Plan(tasks={"c": task("b"), "a": task(), "b": task("a"), "d": task()})
    assert order(plan) == ("a", "d", "b", "c")


def test_circles_are_named_in_full():
    """Each knot of tasks gives a circle, read from a task to its need, from its first task in the plan."""
    needs = {"a": ("c",), "b": ("a",), "c": ("b",), "x": ("y",), "y": ("x",), "z": ("x",)}
    assert sorted(find_cycles(needs)) == [("a", "c", "b"), ("x", "y")]


def test_thousands_of_circles_end():
    """Very many circles are not all looked for, and a very long one is no trouble."""
    assert len(find_cycles({f"{n}{half}": (f"{n}{other}",) for n in range(3000) for half, other in ("ab", "ba")})) == 20
    long = {str(n): (str((n + 1) % 5000),) for n in range(5000)}
    assert len(find_cycles(long)[0]) == 5000


def test_the_tree_has_every_task_once():
    """A task hangs under the need that is met last, and says what else it waits for."""
    nodes = tree(Plan(tasks={"a": task(), "b": task("a"), "c": task("a", "b"), "d": task("b", "c"), "e": task()}))
    assert [(node.name, node.under, node.level) for node in nodes.values()] == [
        ("a", None, 0), ("b", "a", 1), ("c", "b", 2), ("d", "c", 3), ("e", None, 0),
    ]  # fmt: skip
    assert nodes["d"].also == ("b",)
    assert nodes["a"].dependents == ("b", "c")
    assert nodes["a"].children == ("b",)
