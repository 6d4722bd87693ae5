"""How votes are counted: which answers are the same, who has the most, when the rest can change nothing."""

from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator.engine.patterns.votes import count_votes, is_decided, is_tie, majority, normal
from orchestrator.task import Outcome, Result


class Colour(BaseModel):
    colour: str
    parts: dict[str, int] = {}


def said(*answers: Any) -> list[Result]:
    """A result per answer: text, or a value; None for a voter that failed."""
    return [
        Result(
            task=f"v[{number}]",
            outcome=Outcome.OK if answer is not None else Outcome.REFUSED,
            text=answer if isinstance(answer, str) else "",
            value=None if isinstance(answer, str) else answer,
        )
        for number, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "blue", " Blue ", "BLUE.", "**Blue**", "`blue`", '"Blue!"', "“blue”", "# Blue", "- blue", "> blue",
        "```\nblue\n```", "```text\nBlue.\n```", "**Blue.**", "***blue***", "_blue_", "(blue)", "blue…",
    ],
)  # fmt: skip
def test_texts_that_are_the_same(text: str) -> None:
    """Case, white space, and punctuation and markdown around it make no difference to an answer."""
    assert normal(text) == "blue"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5", "-5"),
        ("5", ".5"),
        ("C", "C++"),
        ("C", "C#"),
        ("50", "50%"),
        ("a b", "ab"),
        ("x = '1'", "x = 1"),
        ("!", "?"),
    ],
)
def test_texts_that_are_not(one: str, other: str) -> None:
    """A sign that belongs to an answer is no punctuation."""
    assert normal(one) != normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1.0}),
        (Colour(colour="blue"), {"parts": {}, "colour": "blue"}),
        (0, 0.0),
        (False, False),
    ],
)
def test_values_that_are_the_same(one: Any, other: Any) -> None:
    """Structured values are compared as JSON data: neither keys' order nor a number's spelling matters."""
    assert len(count_votes(said(one, other))) == 1


@pytest.mark.parametrize(("one", "other"), [({"a": 1}, {"a": True}), ([1, 2], [2, 1]), ({"a": "x"}, {"a": "X"})])
def test_values_that_are_not(one: Any, other: Any) -> None:
    """True is not 1, a list has an order, and text within data is taken to the letter."""
    assert len(count_votes(said(one, other))) == 2


def test_the_most_votes_come_first_then_the_earliest() -> None:
    """Candidates are in the order of their votes, and at equal votes of their first voters."""
    counted = count_votes(said("red", "blue", None, "green", "Blue.", "red", "grey"))
    assert [(each.name, each.count) for each in counted] == [("'red'", 2), ("'blue'", 2), ("'green'", 1), ("'grey'", 1)]
    assert counted[1].tasks == ("v[1]", "v[4]")
    assert is_tie(counted)


def test_majority_is_the_first_of_the_most() -> None:
    """The winner is the earliest result that gave the answer with the most votes; those that failed have none."""
    results = said("red", "blue", None, "Blue", None)
    assert majority(results) is results[1]
    assert majority(results[:2]) is None
    assert majority(said(None, None)) is None


def test_majority_on_a_part() -> None:
    """With a path only that part of the values is compared; a value without it has no vote."""
    results = said({"x": {"y": [1]}, "n": 1}, {"x": {"y": [2]}}, {"x": {"y": [1.0]}, "n": 3}, {"x": {"z": 0}})
    assert majority(results, on="x.y.0") is results[0]
    assert [each.value for each in count_votes(results, "x.y.0")] == [1, 2]
    assert majority(results) is None


@pytest.mark.parametrize(
    ("answers", "outstanding", "decided"),
    [(["a"], 1, False), (["a", "a"], 1, True), (["a", "b"], 0, False), (["a", "a", "b"], 1, False), ([], 0, False),
     (["a", "a", "b"], 0, True), (["a", "a"], 2, False), (["a"], 0, True), (["a", None, "a"], 1, True)],
)  # fmt: skip
def test_when_it_is_decided(answers: list[Any], outstanding: int, decided: bool) -> None:
    """A vote is decided when the second could not draw level, whoever got the votes that are outstanding."""
    assert is_decided(count_votes(said(*answers)), outstanding) is decided
