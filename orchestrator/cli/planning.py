"""`plan check`, `plan show` and `plan schema`: look at a plan without starting anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from orchestrator.cli.output import console, print_json
from orchestrator.cli.running import to_overrides
from orchestrator.errors import PlanError
from orchestrator.plan.graph import Node, tree
from orchestrator.plan.loading import LoadedPlan, load_plan
from orchestrator.plan.schema import plan_schema
from orchestrator.views.words import plural


def check(path: str, settings: Sequence[str], as_json: bool) -> int:
    """Reads the plan; its faults, if any, are raised."""
    try:
        loaded = load_plan(path, to_overrides(settings))
    except PlanError as error:
        if as_json:
            print_json({"ok": False, "faults": [asdict(fault) for fault in error.faults]})
        raise
    if as_json:
        print_json({"ok": True, "name": loaded.plan.name, "tasks": len(loaded.plan.tasks)})
    else:
        print(f"{path}: the plan {loaded.plan.name!r} is good: {plural(len(loaded.plan.tasks), 'task')}")
    return 0


def show(path: str, settings: Sequence[str], as_json: bool) -> int:
    """Prints the graph: each task below the last of those that it waits for."""
    loaded = load_plan(path, to_overrides(settings))
    nodes = tree(loaded.plan)
    if as_json:
        print_json([asdict(node) | {"kind": kind(loaded, node.name)} for node in nodes.values()])
    else:
        console().print(picture(loaded, nodes))
    return 0


def schema() -> int:
    """Prints the JSON schema of plan files, for editors."""
    print_json(plan_schema())
    return 0


def picture(loaded: LoadedPlan, nodes: Mapping[str, Node]) -> RenderableType:
    """The graph as a tree."""
    limits = loaded.plan.limits
    root = Tree(
        Text.assemble((loaded.plan.name, "bold"), f" · {plural(len(nodes), 'task')} · {limits.concurrent} at once")
    )
    places: dict[str | None, Tree] = {None: root}
    # A task hangs below one that was defined anywhere in the file, so go by level.
    for node in sorted(nodes.values(), key=lambda node: node.level):
        places[node.name] = places[node.under].add(label(loaded, node))
    return root


def label(loaded: LoadedPlan, node: Node) -> Text:
    spec = loaded.plan.tasks[node.name]
    text = Text.assemble((node.name, "bold"))
    if spec.foreach is not None:
        items = f"{len(spec.foreach)} items" if isinstance(spec.foreach, list) else spec.foreach
        text.append(f"  for each of {items}", "cyan")
    if spec.write:
        text.append(f"  writes {spec.write.path}", "cyan")
    workspace = spec.workspace or loaded.plan.defaults.workspace
    if workspace and workspace.kind != "here":
        text.append(f"  in a {workspace.kind}", "cyan")
    if spec.when is not None:
        text.append(f"  when {spec.when}", "yellow")
    if node.also:
        text.append(f"  also waits for {', '.join(node.also)}", "dim")
    return text


def kind(loaded: LoadedPlan, name: str) -> str:
    spec = loaded.plan.tasks[name]
    return "loop" if spec.foreach is not None else "write" if spec.write else "agent"
