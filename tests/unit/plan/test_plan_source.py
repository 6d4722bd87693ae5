"""YAML text to data with lines."""

import pytest
import yaml

from orchestrator.errors import PlanError
from orchestrator.plan.scalars import resolve
from orchestrator.plan.source import parse_source

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request):
    return request.param


def fault(text, loader):
    with pytest.raises(PlanError) as caught:
        parse_source(text, "plan.yaml", loader)
    return str(caught.value)


def test_data_and_lines(loader):
    """Keys, items and block texts know the lines they stand in."""
    source = parse_source("a:\n  - x\n  - b: |\n      one\n      two\n", "plan.yaml", loader)
    assert source.data == {"a": ["x", {"b": "one\ntwo\n"}]}
    assert source.lines[("a", 1, "b")] == 3
    assert source.fault(("a", 1, "b"), "wrong", 2).line == 5
    assert source.fault(("a", 0, "no", "such"), "wrong").line == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("off", "off"), ("2020-01-01", "2020-01-01"), ("12:30", "12:30"), ("1_000", "1_000"),
        ("true", True), ("False", False), ("~", None), ("", None), ("null", None),
        ("12", 12), ("-3", -3), ("007", 7), ("0o17", 15), ("0x1f", 31), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
        ("0o9", "0o9"), ("1.2.3", "1.2.3"), ("-", "-"), ("'3'", "'3'"),
    ],
)  # fmt: skip
def test_scalars_are_yaml_1_2(text, value):
    """Unquoted scalars follow YAML 1.2: words such as yes and dates stay text."""
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "9" * 5000, "1e999"])
def test_numbers_that_json_cannot_hold_are_refused(text):
    """A number that is infinite, no number or endless is refused, not passed on."""
    with pytest.raises(ValueError, match="number"):
        resolve(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "plan.yaml:2: a: the key is given twice, first in line 1"),
        ("a: &a [*a]", "plan.yaml:1: a[0]: found the alias *a inside its own anchor"),
        (LAUGHS, "plan.yaml:6: f[0]: the aliases blow up to more than 200,000 values"),
        ("- " * 500, "nested more than 64 deep"),
        ("1: x", "plan.yaml:1: found the number 1 as a key, expected text"),
        ("? [a]\n: x", "found a list or an alias as a key"),
        ("a: &a x\n*a : y", "plan.yaml:2: found a list or an alias as a key"),
        ("b: *nope", "found the alias *nope, which names nothing before it"),
        ("a: &a {x: 1}\nb:\n  <<: *a", "plan.yaml:3: b: found a merge key (<<), which is not supported"),
        ("a: !!python/object:os.system x", "found the tag !!python/object:os.system"),
        ("a: !mine {x: 1}", "found the tag !mine"),
        ("a: 1\n---\nb: 2", "plan.yaml:2: found a second document"),
        ("a: .inf", "plan.yaml:1: a: found .inf"),
        ("a: {{ x }}", "a value that begins with a template is written in quotes"),
        ("a: {{ x }} more", "a value that begins with a template is written in quotes"),
        ("a:\n\tb: 1", "expected spaces, found a tab"),
        ("a: b: c", "a text with a colon in it is written in quotes"),
        ("a: 1\nb: \x07", "plan.yaml:2: not valid YAML: found the control character '\\x07'"),
        ("a: \ud800", "plan.yaml"),
        ('a: "x', "not valid YAML"),
        ("", "the file is empty"),
        ("# nothing\n", "nothing but comments"),
    ],
)
def test_what_yaml_may_not_say(text, said, loader):
    """Each kind of YAML that is refused is refused in words, with its line, by either parser."""
    assert said in fault(text, loader)


@pytest.mark.parametrize("text", ["[", "{a: ", "- ", "? ", "{", "[{"])
def test_deep_nesting_ends_early(text, loader):
    """A hundred thousand levels give a fault, not a crash of the process."""
    assert "deep" in fault(text * 100_000, loader)


def test_aliases_add_to_the_depth(loader):
    """Nesting that is made of aliases counts like written nesting."""
    text = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(100))
    assert "nested more than 64 deep" in fault(text, loader)


def test_an_alias_is_a_copy(loader):
    """What two places share in the text, they do not share in memory."""
    data = parse_source("a: &a {x: [1]}\nb: *a", "plan.yaml", loader).data
    assert data["a"] == data["b"]
    assert data["a"]["x"] is not data["b"]["x"]


def test_very_many_values():
    """A list beyond all measure is refused as such, not as aliases."""
    assert "found more than 200,000 values" in fault("[" + "1," * 200_001 + "]", LOADERS[-1])


def test_several_faults_at_once(loader):
    """All faults of the YAML are said together, each line once."""
    assert len(fault("a: 1\na: 2\n3: 4\nb: !x 1\n{{ c }}: 1\n", loader).splitlines()) == 4
