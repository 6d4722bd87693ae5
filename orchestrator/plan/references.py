"""What a template refers to, read from its syntax tree without running it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from jinja2 import TemplateSyntaxError, nodes

from orchestrator.plan.render import ENVIRONMENT
from orchestrator.plan.words import did_you_mean

_MOST_DEPTH = 100
_MARKS = ("{{", "{%", "{#")
_RESERVED = frozenset({"vars", "tasks", "run"})
_METHODS = frozenset({"get", "items", "keys", "values"})
_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class Name(NamedTuple):
    """A name that the template uses, and the line of the template."""

    name: str
    line: int
    attribute: str | None = None
    """What is asked of it."""


@dataclass(frozen=True, slots=True)
class References:
    """All that one template refers to."""

    names: tuple[Name, ...] = ()
    """Top-level names other than `vars`, `tasks` and, where one stage is named, `stages`."""
    variables: tuple[Name, ...] = ()
    tasks: tuple[Name, ...] = ()
    stages: tuple[Name, ...] = ()
    """Stages of a pipeline."""
    chains: tuple[tuple[tuple[str, ...], int], ...] = ()
    """What is asked of tasks inside of tasks, as far as it is named (`build`, `tasks`, `tests`), and the line."""
    computed: int = 0
    """The line that takes tasks by a name made at run time; 0 for none."""
    wrong: tuple[tuple[int, str], ...] = ()
    """Lines, and what is wrong there whatever the plan says."""


@lru_cache(maxsize=8192)
def read_references(template: str) -> References:
    """What `template` refers to. A template that is none refers to nothing."""
    if not has_marks(template):
        return References()
    try:
        tree = ENVIRONMENT.parse(template)
    except TemplateSyntaxError as error:
        what = f"not a valid template: {error.message} (literal braces go between {{% raw %}} and {{% endraw %}})"
        # An end that is missing is missed after the last line.
        return References(wrong=((min(error.lineno, template.rstrip().count("\n") + 1), what),))
    except (RecursionError, ValueError, OverflowError):
        return References(
            wrong=((1, "not a valid template: it is nested too deeply, or has a number that is too large"),)
        )
    return _Reader(tree).read()


def has_marks(template: str) -> bool:
    """Whether `template` has anything to fill in."""
    return any(mark in template for mark in _MARKS)


class _Reader:
    """One pass over a syntax tree, without recursion: a long sum is a deep tree."""

    def __init__(self, tree: nodes.Template) -> None:
        self._all = list(_walk(tree))
        self._names: list[Name] = []
        self._variables: list[Name] = []
        self._members: dict[str, list[Name]] = {"tasks": [], "stages": []}
        self._wrong: list[tuple[int, str]] = []
        self._chains: list[tuple[tuple[str, ...], int]] = []
        self._in_chain: set[int] = set()
        self._computed = 0
        self._read: set[int] = set()
        """Nodes that were read as a part of another."""

    def read(self) -> References:
        assigned = set(self._assigned())
        for node, depth in self._all:
            if depth > _MOST_DEPTH:
                return References(wrong=((node.lineno, "not a valid template: it is nested too deeply"),))
            if id(node) not in self._in_chain:
                self._chain(node)
            if id(node) not in self._read:
                self._node(node)
        names = tuple(
            name for name in self._names if name.name not in assigned and name.name not in ENVIRONMENT.globals
        )
        return References(
            names=names,
            variables=tuple(self._variables),
            tasks=tuple(self._members["tasks"]),
            stages=() if "stages" in assigned else tuple(self._members["stages"]),
            chains=tuple(self._chains),
            computed=self._computed,
            wrong=tuple(self._wrong),
        )

    def _chain(self, node: nodes.Node) -> None:
        """Reads `tasks.build.tasks.tests.text` from its outer end, and from there the longest part that is named."""
        keys: list[str | None] = []
        inner = node
        while isinstance(inner, nodes.Getattr | nodes.Getitem):
            self._in_chain.add(id(inner))
            keys.append(_key(inner))
            inner = inner.node
        if not isinstance(inner, nodes.Name) or inner.name != "tasks":
            return
        named = list(takewhile(lambda key: key is not None, reversed(keys)))
        chain = tuple(key for key in takewhile(lambda key: key not in _METHODS, named) if key is not None)
        if len(chain) > 2 and chain[1] == "tasks":
            self._chains.append((chain, node.lineno))

    def _assigned(self) -> Iterator[str]:
        for node, _ in self._all:
            match node:
                case nodes.Name(ctx="store" | "param"):
                    if node.name in _RESERVED:
                        self._wrong.append(
                            (node.lineno, f"found {node.name} as a name of the template's own, expected another name")
                        )
                    yield node.name
                case nodes.Macro():
                    yield from (node.name, "varargs", "kwargs", "caller")
                case nodes.CallBlock():
                    yield "caller"
                case nodes.For():
                    yield "loop"

    def _node(self, node: nodes.Node) -> None:
        match node:
            case nodes.Filter() | nodes.Test():
                self._filter(node)
            case nodes.Call(node=nodes.Getattr(node=nodes.Name(name="vars"), attr=attr) as called) if attr in _METHODS:
                self._pass_over(called)
            case nodes.Getattr() | nodes.Getitem():
                self._access(node)
            case nodes.Name(ctx="load", name="tasks"):
                self._computed = self._computed or node.lineno
            case nodes.Name(ctx="load", name=name) if name != "vars":
                self._names.append(Name(name, node.lineno))
            case _ if isinstance(node, _FILES):
                self._wrong.append((node.lineno, "a template cannot take in other files; put the text here"))

    def _filter(self, node: nodes.Filter | nodes.Test) -> None:
        kind, known = ("filter", ENVIRONMENT.filters) if isinstance(node, nodes.Filter) else ("test", ENVIRONMENT.tests)
        if node.name not in known:
            self._wrong.append(
                (
                    node.lineno,
                    f"found the {kind} {node.name}, and there is none of that name{did_you_mean(node.name, known)}",
                )
            )
        asks = node.name in ("default", "d", "defined", "undefined")
        if asks and node.node is not None and not _is_task(node.node):
            # Asking whether a name is there is no fault if it is not.
            self._pass_over(node.node)

    def _pass_over(self, node: nodes.Node) -> None:
        self._read.add(id(node))
        inner = getattr(node, "node", None)
        if isinstance(inner, nodes.Name) and inner.name == "vars":
            self._read.add(id(inner))

    def _access(self, node: nodes.Getattr | nodes.Getitem) -> None:
        for root, found in self._members.items():
            if member := _member_of(node.node, root):
                found.append(Name(member, node.lineno, _key(node)))
                self._read |= {id(node.node), id(node.node.node)}  # type: ignore[attr-defined]
                return
            if (member := _member_of(node, root)) is not None and _key(node) not in _METHODS:
                found.append(Name(member, node.lineno))
                self._read.add(id(node.node))
                return
        if isinstance(node.node, nodes.Name) and node.node.name == "vars" and (key := _key(node)) is not None:
            self._variables.append(Name(key, node.lineno))
        elif isinstance(node.node, nodes.Name) and node.node.name not in _RESERVED - {"run"}:
            self._names.append(Name(node.node.name, node.lineno, _key(node)))
            self._read.add(id(node.node))


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int]]:
    stack = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        stack += [(child, depth + 1) for child in reversed(list(node.iter_child_nodes()))]


def _key(node: nodes.Node) -> str | None:
    """`b` of `a.b` and of `a['b']`; None for anything computed."""
    match node:
        case nodes.Getattr(attr=attr):
            return str(attr)
        case nodes.Getitem(arg=nodes.Const(value=str() as value)):
            return value
    return None


def _member_of(node: nodes.Node, root: str) -> str | None:
    """`x` of `tasks.x` and of `tasks['x']`, where `root` is `tasks`."""
    match node:
        case nodes.Getattr(node=nodes.Name(name=name)) | nodes.Getitem(node=nodes.Name(name=name)) if name == root:
            return _key(node)
    return None


def _is_task(node: nodes.Node | None) -> bool:
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return isinstance(node, nodes.Name) and node.name == "tasks"
