"""Templates."""

import pytest

from orchestrator.plan.expand import items_of, make_scope
from orchestrator.plan.references import read_references
from orchestrator.plan.render import TemplateError, evaluate, render
from orchestrator.plan.views import LoopView, TaskView

TASKS = {
    "one": TaskView(text="done", value={"items": [1], "values": 2, "ä": "é<"}, files=("a.py",)),
    "my-loop": LoopView(texts=("a", "b"), values=([1, 2], [3]), failed=(TaskView(ok=False),), ok=False),
}
SCOPE = make_scope(
    {"topics": ["x", "y"], "none": None, "deep": {"keys": 1}}, TASKS, "audit", item={"items": 7}, index=0
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain\n", "plain\n"),
        ("{{ tasks.one.text }} {{ tasks['my-loop'].texts | join('+') }}", "done a+b"),
        ("{{ item.items }} {{ tasks.one.value.items }} {{ tasks.one.value.values }} {{ vars.deep.keys }}", "7 [1] 2 1"),
        ("{{ tasks.one.value | tojson }}", '{"items": [1], "values": 2, "ä": "é<"}'),
        ("{{ tasks['my-loop'].values | flatten | tojson }}", "[1, 2, 3]"),
        ("{{ tasks['my-loop'].failed | length }} {{ run }} {{ run.name }} {{ index }}", "1 audit audit 0"),
        ("{% set n = 1 %}{% for t in vars.topics %}{{ loop.index + n }}{% endfor %}", "23"),
        ("{{ vars.nope | default('-') }}{{ vars.nope is defined }}", "-False"),
        ("{{ tasks.one | tojson | length > 10 }}{{ (vars.topics | map('upper')) | tojson }}", 'True["X", "Y"]'),
        ("<{{ '&' }}>", "<&>"),
    ],
)
def test_render(template, text):
    """A template is filled in with what is in scope; a mapping's keys come before its methods."""
    assert render(template, SCOPE) == text


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ tasks['my-loop'].values }}", ([1, 2], [3])),
        ("  {{ vars.topics }}\n", ["x", "y"]),
        ("{{- -1 -}}", -1),
        ("{{ vars.topics | map('upper') }}", ["X", "Y"]),
        ("{{ vars.none }}", None),
        ("{{ 1 }}{{ 2 }}", "12"),
        ("{{ 1 }}!", "1!"),
        ("text", "text"),
    ],
)
def test_evaluate(template, value):
    """A template that is one expression gives the object itself, any other its text."""
    assert evaluate(template, SCOPE) == value


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nope }}", "t: nope is not defined; there is index, item, run, tasks, vars"),
        ("{{ vars.topcs }}", "t: there is no topcs (did you mean topics?); there is topics, none, deep"),
        ("{{ tasks.two.text }}", "t: there is no two; there is one, my-loop"),
        ("{{ tasks.one.txt }}", "t: there is no txt (did you mean text?); there is text, value, ok"),
        ("{{ vars.none.x }}", "t: found nothing, which has no x"),
        ("{{ vars.topics[7] }}", "t: found a list, which has no 7"),
        ("{{ tasks.one.value.nope + 1 }}", "t: there is no nope"),
        ("{{ 1 / 0 }}", "t: ZeroDivisionError"),
        ("{{ 'a' + 1 }}", "t: TypeError"),
        ("{{ a b }}", "t: expected token"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ ''['__class__'] }}", "unsafe"),
        ("{{ (''|attr('__class__')).x }}", "unsafe"),
        ("{{ vars.topics.append(1) }}", "unsafe"),
        ("{{ range(10**9) }}", "t: "),
        ("{{ 'a' * 10**10 }}", "would be too large"),
        ("{{ [1] * (10**10) }}", "would be too large"),
        ("{{ 9 ** (9 ** 9) }}", "would be too large"),
        ("{{ lipsum(5) }}", "lipsum is not defined"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
    ],
)
@pytest.mark.parametrize("fill", [render, evaluate])
def test_what_goes_wrong_is_said(fill, template, said):
    """An error at run time names the template, what was missing and what is there; nothing dangerous gets through."""
    with pytest.raises(TemplateError) as caught:
        fill(template, SCOPE, "t")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("foreach", "items"),
    [([1, "{{ x }}"], [1, "{{ x }}"]), ("{{ vars.topics }}", ["x", "y"]), ("{{ range(2) }}", [0, 1]), ("{{ [] }}", [])],
)
def test_items(foreach, items):
    """A loop's items are the list as written, or what its template gives."""
    assert items_of(foreach, SCOPE) == items


@pytest.mark.parametrize(
    ("foreach", "found"),
    [
        ("{{ run.name }}", "the text 'audit'"),
        ("{{ vars.deep }}", "a mapping"),
        ("{{ 3 }}", "the number 3"),
        ("{{ vars.none }}", "nothing"),
    ],
)
def test_items_that_are_no_list(foreach, found):
    """Anything but a list is refused, text and mappings too."""
    with pytest.raises(TemplateError, match=f"tasks.a.foreach: found {found}, expected a list"):
        items_of(foreach, SCOPE, "tasks.a.foreach")


def test_references_know_their_lines():
    """What a template refers to is known with its line, without running it."""
    found = read_references("a\n{{ vars.x }}\n{{ tasks['b-c'].text }} {{ tasks.d }} {{ y }}")
    assert found.variables == (("x", 2, None),)
    assert found.tasks == (("b-c", 3, "text"), ("d", 3, None))
    assert found.names == (("y", 3, None),)


def test_a_deep_template_is_refused():
    """A template too deep to run is found before it runs, however it is deep."""
    assert "nested too deeply" in read_references("{{ " + "(" * 5000 + " }}").wrong[0][1]
    assert "nested too deeply" in read_references("{{ " + "+".join("1" * 5000) + " }}").wrong[0][1]
    assert read_references("{{ " + "9" * 5000 + " }}").wrong
