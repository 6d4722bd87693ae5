import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestrator.gateway.model.evidence import Evidence, Line
from orchestrator.gateway.model.fill import UnfillableError, fill
from orchestrator.gateway.model.meaning import Hints
from orchestrator.gateway.model.pattern import match_pattern
from orchestrator.gateway.model.words import find_topic

LINES = [
    Line("README.md", 1, "# Kettle", "Kettle"),
    Line("README.md", 5, "## Install the kettle", "Install the kettle"),
    Line("README.md", 7, "pip install kettle"),
]


def hints(prompt: str = "How do I install the kettle?", *, found: bool = True) -> Hints:
    return Hints(Evidence(find_topic(prompt), {"README.md": LINES} if found else {}), prompt)


def fill_field(
    name: str, schema: dict[str, Any], prompt: str = "How do I install the kettle?", *, found: bool = True
) -> Any:
    whole = {"type": "object", "properties": {name: schema}, "required": [name]}
    return fill(whole, hints(prompt, found=found))[name]


@pytest.mark.parametrize(
    ("name", "schema", "found", "missing"),
    [
        ("evidence", {"type": "string"}, "README.md:5", "nothing found"),
        ("whereFound", {"type": "string"}, "README.md:5", "nothing found"),
        ("note", {"type": "string", "description": "The source"}, "README.md:5", "nothing found"),
        ("gap", {"type": "string"}, "none", "install, kettle"),
        ("line", {"type": "integer"}, 5, 0),
        ("found", {"type": "boolean"}, True, False),
        ("title", {"type": "string"}, "Install the kettle", "How do I install the kettle"),
        ("answer", {"enum": ["yes", "partial", "no"]}, "yes", "no"),
        ("verdict", {"enum": ["unsupported", "partly supported", "supported"]}, "supported", "unsupported"),
        ("status", {"enum": ["fail", "pass"]}, "pass", "fail"),
        ("source", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "README.md:5", None),
    ],
)
def test_a_field_is_filled_by_its_meaning(name: str, schema: dict[str, Any], found: Any, missing: Any) -> None:
    """A field's name, or else its description, decides which part of the evidence it gets."""
    assert fill_field(name, schema) == found
    assert fill_field(name, schema, found=False) == missing


def test_a_score_grows_with_the_evidence() -> None:
    """A bounded number is at its least without evidence and high with a heading at the top of the README."""
    score = {"type": "integer", "minimum": 1, "maximum": 10}
    assert fill_field("obviousness", score, found=False) == 1
    assert fill_field("obviousness", score) >= 9


def test_an_enum_that_is_no_verdict_follows_the_prompt() -> None:
    """Of choices that grade nothing the one that the prompt names is taken."""
    colours = {"enum": ["red", "green", "blue"]}
    assert fill_field("colour", colours, "Paint the kettle green") == "green"


def test_a_list_has_as_many_items_as_asked() -> None:
    """A number in the prompt decides a list's length, within the schema's bounds."""
    titles = {"type": "array", "items": {"type": "string"}}
    assert len(fill_field("headlines", titles, "Three headlines for the kettle")) == 3
    assert len(fill_field("headlines", titles | {"maxItems": 2}, "Three headlines for the kettle")) == 2
    assert len(set(fill_field("questions", titles | {"minItems": 30}))) == 30


def test_references_and_recursion_are_followed() -> None:
    """References, merged parts and a schema that holds itself come to an end."""
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["name"],
    }
    named = {"allOf": [{"$ref": "#/$defs/node"}, {"required": ["children"]}]}
    schema = {"type": "object", "properties": {"root": named}, "required": ["root"], "$defs": {"node": node}}
    value = fill(schema, hints())
    assert "children" in value["root"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
        {
            "type": "object",
            "properties": {"a": {"type": "string", "pattern": r"^[A-Z]{3}-\d{2,4}$"}},
            "required": ["a"],
        },
        {"type": "object", "properties": {"a": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}}},
        {"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 7, "minimum": 15}}, "required": ["a"]},
        {
            "type": "object",
            "properties": {"a": {"type": "string", "minLength": 200, "maxLength": 210}},
            "required": ["a"],
        },
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {
            "oneOf": [
                {"type": "object", "required": ["a"]},
                {"type": "object", "required": ["b"], "not": {"required": ["a"]}},
            ]
        },
        {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}, "required": ["at"]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"const": {"b": [1]}}}},
        {},
    ],
)
def test_constraints_are_kept(schema: dict[str, Any]) -> None:
    """What people write in schemas is fulfilled."""
    assert Draft202012Validator(schema).is_valid(fill(schema, hints()))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"enum": []},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema.json"},
        {"type": "nonsense"},
        {"$ref": "#"},
        {"$ref": "#somewhere"},
        {"type": "string", "pattern": "("},
    ],
)
def test_a_schema_that_cannot_be_filled_is_refused(schema: dict[str, Any]) -> None:
    """Without a valid value there is an error and never an invalid value, and nothing is fetched."""
    with pytest.raises(UnfillableError):
        fill(schema, hints())


def test_a_schema_that_holds_itself_twice_comes_to_an_end() -> None:
    """A tree whose branches are required, or null, is filled to a small depth."""
    branch = {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    tree = {"type": "object", "properties": {"left": branch, "right": branch}, "required": ["left", "right"]}
    assert len(str(fill(tree, hints()))) < 2000


@pytest.mark.parametrize(
    "pattern", [r"^v\d+\.\d+$", "^(low|high)$", "[^a-z]{2}x?", r"^[\w.-]+@[\w]+\.[a-z]{2,}$", "a|b"]
)
def test_a_text_is_made_for_a_pattern(pattern: str) -> None:
    """Patterns of the usual kind get a text that they match."""
    made = match_pattern(pattern)
    assert made is not None
    assert re.search(pattern, made)


def test_a_pattern_that_is_not_understood_gives_nothing() -> None:
    """Look-around and broken patterns give None."""
    assert match_pattern(r"^(?=a)b$") is None
    assert match_pattern("(") is None


NAMES = st.sampled_from(["evidence", "gap", "questions", "score", "title", "items", "ok", "x"])
TEXTS = st.builds(
    lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
    st.integers(0, 30),
    st.integers(1, 30),
)
WHOLE = st.builds(
    lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-9, 9), st.integers(0, 9)
)
PLAIN = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["string", "null"]},
        {"enum": ["yes", "no", 3]},
        {"const": 5},
        {"$ref": "#/$defs/d"},
    ]
)


def objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def build(properties: dict[str, Any], *, required: bool, closed: bool) -> dict[str, Any]:
        needed = {"required": sorted(properties)} if required else {}
        return {"type": "object", "properties": properties, **needed} | (
            {"additionalProperties": False} if closed else {}
        )

    return st.builds(build, st.dictionaries(NAMES, parts, max_size=4), required=st.booleans(), closed=st.booleans())


def larger(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.builds(
        lambda part, low, more: {"type": "array", "items": part, "minItems": low, "maxItems": low + more},
        parts,
        st.integers(0, 3),
        st.integers(0, 3),
    )
    either = st.builds(lambda one, other: {"anyOf": [one, other]}, parts, parts)
    both = st.builds(lambda part: {"allOf": [part]}, parts)
    return st.one_of(objects(parts), lists, either, both)


SCHEMAS = objects(st.recursive(st.one_of(TEXTS, WHOLE, PLAIN), larger, max_leaves=8))


@given(
    schema=SCHEMAS, prompt=st.sampled_from(["How do I install the kettle?", "Ask 4 questions", ""]), found=st.booleans()
)
def test_every_filled_value_is_valid(schema: dict[str, Any], prompt: str, found: bool) -> None:
    """Whatever a schema is built of, the value that fills it is valid by it."""
    schema = schema | {"$defs": {"d": {"type": "object", "properties": {"again": {"$ref": "#/$defs/d"}}}}}
    assert Draft202012Validator(schema).is_valid(fill(schema, hints(prompt, found=found)))
