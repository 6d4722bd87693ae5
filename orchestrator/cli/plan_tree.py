"""A plan's graph for people: each task below the last of those that it waits for, with what it unfolds to."""

from collections.abc import Iterator, Mapping

from rich.text import Text
from rich.tree import Tree

from orchestrator.engine.planned.pieces import kind_of
from orchestrator.plan.graph import Node, tree
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.model import Limits
from orchestrator.plan.specs import StageSpec, TaskSpec
from orchestrator.plan.spots import FOR_PARTS, stages_of
from orchestrator.views.words import plural


def picture(loaded: LoadedPlan) -> Tree:
    """The graph as a tree."""
    limits, nodes = loaded.plan.limits, tree(loaded.plan)
    root = Tree(Text.assemble((loaded.plan.name, "bold"), f" · {plural(len(nodes), 'task')} · {at_once(limits)}"))
    add_tasks(root, loaded, nodes, "")
    return root


def at_once(limits: Limits) -> str:
    """How many agents are at work at once, in words."""
    return f"{limits.width} at once" + (" to begin with" if limits.concurrent == "auto" else "")


def add_tasks(root: Tree, loaded: LoadedPlan, nodes: Mapping[str, Node], prefix: str) -> None:
    places: dict[str | None, Tree] = {None: root}
    # A task hangs below one that was defined anywhere in the file, so go by level.
    for node in sorted(nodes.values(), key=lambda node: node.level):
        spec = loaded.plan.tasks[node.name]
        text = label(loaded, f"{prefix}{node.name}", spec)
        if node.also:
            text.append(f"  also waits for {', '.join(node.also)}", "dim")
        places[node.name] = places[node.under].add(text)
        add_inside(places[node.name], loaded, spec)


def add_inside(place: Tree, loaded: LoadedPlan, spec: StageSpec) -> None:
    """The stages, judges and tasks that a task comes to, by the ends of their ids, as `.verify`."""
    for name, inner in inside(spec):
        add_inside(place.add(label(loaded, f".{name}", inner)), loaded, inner)
    if spec.plan is not None:
        nested = loaded.nested[spec.plan]
        add_tasks(place, nested, tree(nested.plan), ".")


def inside(spec: StageSpec) -> Iterator[tuple[str, StageSpec]]:
    """What is in a task besides the tasks of another plan, by name."""
    if isinstance(spec, TaskSpec) and spec.pipeline is not None:
        yield from spec.pipeline.items()
    if spec.fan_out is not None:
        yield from stages_of(spec.fan_out).items()
    if spec.vote is not None and spec.vote.by == "judge":
        yield "judge", StageSpec()


def label(loaded: LoadedPlan, name: str, spec: StageSpec) -> Text:
    """One line: what it is called, and what is special about it."""
    text = Text.assemble((name, "magenta" if name.startswith(".") else "bold"))
    for words in described(spec):
        text.append(f"  {words}", "cyan")
    workspace = spec.workspace or (loaded.plan.defaults.workspace if kind_of(spec, part=True) == "agent" else None)
    if workspace and workspace.kind != "here":
        text.append(f"  in a {workspace.kind}", "cyan")
    if spec.when is not None:
        text.append(f"  when {spec.when}", "yellow")
    if tolerated := [need.task for need in spec.needs if need.allow]:
        text.append(f"  also if {', '.join(tolerated)} failed", "yellow")
    if spec.plan is not None and has_limits(loaded.nested[spec.plan]):
        text.append("  its own limits do not count here", "dim")
    return text


def described(spec: StageSpec) -> Iterator[str]:
    """What a task does beside asking one agent."""
    if spec.foreach == FOR_PARTS:
        yield "for each part"
    elif spec.foreach is not None:
        items = plural(len(spec.foreach), "item") if isinstance(spec.foreach, list) else spec.foreach
        yield f"for each of {items}"
    if spec.matrix is not None:
        yield f"for each combination of {', '.join(spec.matrix)}"
    if spec.write is not None:
        yield f"writes {spec.write.path}"
    if spec.vote is not None:
        rule = f"by {spec.vote.by}" + (f" on {spec.vote.on}" if spec.vote.on else "")
        yield f"a vote of {spec.vote.times} {rule}"
    if spec.fan_out is not None:
        yield f"split into {spec.fan_out.most} parts at most"
    if spec.plan is not None:
        yield f"the plan {spec.plan}"


def has_limits(loaded: LoadedPlan) -> bool:
    """Whether a plan sets limits, which count only where it is run by itself."""
    return "limits" in loaded.plan.model_fields_set


def plans_below(loaded: LoadedPlan) -> Iterator[tuple[str, LoadedPlan]]:
    """The plans in a plan, and in these, each file once, by the paths that they are named by."""
    seen = set[str]()
    waiting = list(loaded.nested.items())
    while waiting:
        name, nested = waiting.pop(0)
        if str(nested.file) not in seen:
            seen.add(str(nested.file))
            yield name, nested
            waiting += nested.nested.items()
