"""Works out the arithmetic that a prompt holds."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

_EXPRESSION = re.compile(r"\(?\d[\d\s()+\-*/×x÷.,]{0,100}\d\)*")
_ASKED = re.compile(
    r"\b(?:what(?:'s| is| are)|how much is|calculate|compute|evaluate|solve|work out|(?:result|value|sum|product) of)"
    r"\W*\Z",
    re.IGNORECASE,
)
_SPELLED = {r"\s+times\s+": " * ", r"\s+plus\s+": " + ", r"\s+minus\s+": " - ", r"\s+divided by\s+": " / "}
_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def find_sum(prompt: str) -> tuple[str, float] | None:
    """The first arithmetic expression that the prompt asks for, and its value: numbers with + - * / and brackets."""
    for spelled, sign in _SPELLED.items():
        prompt = re.sub(rf"(?<=\d){spelled}(?=\d)", sign, prompt)
    for match in _EXPRESSION.finditer(prompt):
        written = match.group().strip()
        code = re.sub(r"[×x]", "*", written).replace("÷", "/").replace(",", "")
        # A range, as in "a score of 1-10", is no question.
        alone = not re.search(r"\w", prompt[: match.start()] + prompt[match.end() :])
        if (alone or _ASKED.search(prompt[: match.start()])) and re.search(r"[-+*/]", code):
            with suppress(SyntaxError, ValueError, ZeroDivisionError, KeyError, OverflowError, RecursionError):
                return written, _evaluate(ast.parse(code, mode="eval").body)
    return None


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() as number) if abs(number) < 10**12:
            return number
        case ast.BinOp(left=left, op=op, right=right):
            value = _OPERATIONS[type(op)](_evaluate(left), _evaluate(right))
            return int(value) if isinstance(value, float) and value.is_integer() else value
    raise ValueError(ast.dump(node))
