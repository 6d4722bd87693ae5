"""Templates: jinja2 in its sandbox, where what is undefined is an error and what a template sees cannot be changed.

The sandbox keeps a template away from Python's insides, from huge ranges, repeats and powers. It does not bound the
time of nested loops, nor the width of padding (`center`, `indent`, `format`): a plan is trusted as a Makefile is.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Template, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from orchestrator.errors import OrchestratorError
from orchestrator.plan.views import LoopView, TaskView
from orchestrator.plan.words import describe, did_you_mean, listed, shorten

_MOST_LENGTH = 10_000_000
_MOST_BITS = 10_000


class TemplateError(OrchestratorError):
    """A template could not be filled in."""


class _Missing(StrictUndefined):
    """Says what is there when something is not."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name, owner = self._undefined_name, self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint
        if owner is missing:
            return f"{name} is not defined"
        there = _names_in(owner)
        if there is None:
            return f"found {describe(owner)}, which has no {name}"
        guess = did_you_mean(str(name), there) if there else ""
        return f"there is no {name}{guess}; there is {listed(there) or 'nothing'}"


def _names_in(owner: Any) -> list[str] | None:
    if isinstance(owner, Mapping):
        return [str(key) for key in owner]
    if isinstance(owner, TaskView | LoopView):
        return list(owner.__dataclass_fields__)
    return None


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A mapping's keys come before its methods: `item.items` is the key when there is one."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuses products and powers that would fill the memory."""
        if _size(operator, left, right) > 1:
            raise SecurityError(f"the result of {operator} would be too large")
        return super().call_binop(context, operator, left, right)


def _size(operator: str, left: Any, right: Any) -> float:
    """How large a product or power would be, in parts of what is allowed."""
    match left, right:
        case int(), int():
            bits = left.bit_length() * max(right, 0) if operator == "**" else left.bit_length() + right.bit_length()
            return bits / _MOST_BITS if bits < 1e300 else 2
        case (str() | list() | tuple() as many, int() as times) | (int() as times, str() | list() | tuple() as many):
            return len(many) * max(times, 0) / _MOST_LENGTH if times < 1e300 else 2
    return 0


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def _flatten(value: Iterable[Any]) -> list[Any]:
    """One level: lists in the list are replaced by their items."""
    return [item for part in value for item in (part if isinstance(part, list | tuple) else [part])]


def _make_environment() -> _Environment:
    environment = _Environment(undefined=_Missing, keep_trailing_newline=True, autoescape=False)
    environment.filters |= {"tojson": _to_json, "flatten": _flatten}
    # Both give something else each time, and a task's key is made from its prompt.
    del environment.filters["random"], environment.globals["lipsum"]
    return environment


ENVIRONMENT = _make_environment()


def render(template: str, scope: Mapping[str, Any], name: str = "the template") -> str:
    """The text that `template` gives. Raises TemplateError, which calls the template `name`."""
    try:
        return _compile(template).render(scope)
    except Exception as error:
        _explain(error, name, scope)


def evaluate(template: str, scope: Mapping[str, Any], name: str = "the template") -> Any:
    """The value of a template that is one `{{ expression }}`, as it is; the text of any other."""
    try:
        expression = _compile_expression(template)
        if expression is None:
            return _compile(template).render(scope)
        value = expression(scope)
        if isinstance(value, StrictUndefined):
            str(value)
        return list(value) if isinstance(value, Iterator) else value
    except Exception as error:
        _explain(error, name, scope)


def _explain(error: Exception, name: str, scope: Mapping[str, Any]) -> NoReturn:
    what = str(error) or type(error).__name__
    if isinstance(error, UndefinedError) and what.endswith("is not defined"):
        what = f"{what}; there is {listed(sorted(scope))}"
    elif isinstance(error, RecursionError):
        what = "it is nested too deeply"
    elif not isinstance(error, JinjaError):
        what = f"{type(error).__name__}: {what}"
    raise TemplateError(f"{name}: {shorten(what, 500)}") from error


@lru_cache(maxsize=1024)
def _compile(template: str) -> Template:
    return ENVIRONMENT.from_string(template)


@lru_cache(maxsize=1024)
def _compile_expression(template: str) -> TemplateExpression | None:
    """The expression of a template that is nothing but one; None for any other."""
    match ENVIRONMENT.parse(template.strip()).body:
        case [nodes.Output(nodes=[nodes.Expr() as expression])] if not isinstance(expression, nodes.TemplateData):
            result = nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)
            return TemplateExpression(ENVIRONMENT.from_string(nodes.Template([result], lineno=1)), False)
    return None
