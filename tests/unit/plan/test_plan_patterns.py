"""Matrices, pipelines, votes, fan-outs and plans in plans: what a file may say of them, and what it may not."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.expand import combinations_of
from orchestrator.plan.finding import find_spec
from orchestrator.plan.graph import allows_of, needs_of
from orchestrator.plan.loading import load_plan, parse_plan
from orchestrator.plan.model import Plan
from orchestrator.plan.render import TemplateError
from orchestrator.plan.schema import plan_schema
from orchestrator.plan.source import parse_source

FULL = """
vars: {docs: [{name: a, pages: [1, 2]}], n: 3}
agents: {q: {talk: true, spawn: {count: 3, depth: 2, agents: [q]}}}
tasks:
  find: {matrix: {doc: "{{ vars.docs }}", page: "{{ item.doc.pages }}"}, prompt: "{{ item.page }}"}
  check:
    foreach: "{{ vars.docs }}"
    when: "{{ item.name }}"
    pipeline:
      one: {prompt: "{{ item }} {{ index }}"}
      two:
        needs: [{task: one, allow: failed}]
        when: "{{ stages }}"
        prompt: "{{ previous.text }} {{ stages.one.value }}"
      three: {foreach: "{{ item.pages }}", prompt: "{{ outer.item.name }} {{ item }} {{ previous.ok }}"}
      four: {write: {path: x, text: "{{ stages.three.texts }} {{ tasks.find.values }}"}}
      five: {vote: {times: 2, by: "mine:pick"}, prompt: "{{ voter }} {{ previous.text }}"}
      six: {fan_out: {part: "{{ outer.index }} {{ item.title }} {{ goal }}"}, prompt: "{{ stages.five.votes }}"}
      seven: {plan: inner.yaml, vars: {x: "{{ stages.six.stages.part.failed }}"}}
  vote: {vote: {times: 5, on: a.b, ties: first, early: false}, prompt: x, returns: {type: object}}
  judge: {vote: {by: judge, judge: {prompt: "{{ tasks.vote.tie }}", agent: q}}, prompt: x}
  out: {fan_out: {split: {prompt: "{{ goal }}", agent: q}, join: "{{ previous.failed }}", most: 2}, prompt: x}
  plan: {foreach: [1], plan: inner.yaml, vars: {x: ["{{ item }}", 3]}}
  end:
    needs: [out, {task: judge, allow: failed}]
    prompt: "{{ tasks.plan.values }} {{ tasks.check.results[0].stages }}"
"""
INNER = "vars: {x: 1}\nlimits: {concurrent: 2}\ntasks: {a: {foreach: '{{ vars.x }}', prompt: '{{ item }}'}}\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("raise RuntimeError('a plan that is read runs nothing')")

    def write(text: str, **others: str) -> Path:
        for name, content in {"plan": text, "inner": INNER, **others}.items():
            Path(f"{name}.yaml").write_text(content)
        return Path("plan.yaml")

    return write


def faults(path: Path) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    return [str(fault) for fault in caught.value.faults]


def test_every_form_is_read(write: Any) -> None:
    """A file with all patterns, in each other too, is good; it survives JSON, and knows its inner plans."""
    loaded = load_plan(write(FULL))
    assert Plan.model_validate_json(loaded.plan.model_dump_json()) == loaded.plan
    assert loaded.nested["inner.yaml"].plan.limits.concurrent == 2
    assert loaded.nested["inner.yaml"].file == Path("inner.yaml").absolute()
    tasks = loaded.plan.tasks
    assert needs_of(tasks["check"]) == ("find",)
    assert (needs_of(tasks["end"]), allows_of(tasks["end"])) == (("out", "judge", "plan", "check"), ("judge",))
    assert needs_of(tasks["judge"]) == ("vote",)


def pipeline(*stages: str) -> str:
    return "tasks:\n  p:\n    pipeline:\n" + "".join(f"      {stage}\n" for stage in stages)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "vars: {n: 3}\ntasks:\n  a: {foreach: '{{ vars.n }}', prompt: x}",
            "plan.yaml:3: tasks.a.foreach: found the number 3, expected a list",
        ),
        (
            "vars: {n: 3}\ntasks:\n  a: {matrix: {x: [1], y: '{{ vars.n }}'}, prompt: x}",
            "plan.yaml:3: tasks.a.matrix.y: found the number 3, expected a list",
        ),
        ("tasks: {a: {matrix: {x: 3}, prompt: x}}", "tasks.a.matrix.x: found the number 3, expected a list"),
        ("tasks: {a: {matrix: {}, prompt: x}}", "tasks.a.matrix: found an empty mapping, expected at least one entry"),
        ("tasks: {a: {matrix: {x: plain}, prompt: x}}", "tasks.a.matrix.x: found the text 'plain', in which nothing"),
        ("tasks: {a: {matrix: {x: [1]}, foreach: [1], prompt: x}}", "tasks.a.matrix: found foreach and matrix"),
        (
            "vars: {n: [1]}\ntasks: {a: {matrix: {x: '{{ item.y }}', y: '{{ vars.n }}'}, prompt: x}}",
            "tasks.a.matrix.x: found item.y, and item has nothing: it is the first list",
        ),
        (
            "tasks: {a: {matrix: {x: '{{ range(400) }}', y: '{{ range(400) }}'}, prompt: x}}",
            "tasks.a.matrix: found more than 100,000 combinations, expected fewer",
        ),
        ("tasks: {a: {prompt: x}, b: {prompt: '{{ tasks.a.values }}'}}", "(a has no foreach)"),
        (
            "tasks: {a: {matrix: {x: [1]}, prompt: x}, b: {prompt: '{{ tasks.a.text }}'}}",
            "tasks.a.text, which is not there (a has a matrix)",
        ),
        (pipeline("a: {prompt: '{{ previous.text }}'}"), "found previous, which is not defined, expected one of vars"),
        (
            pipeline("a: {prompt: x}", "b: {prompt: '{{ stages.c.text }}'}", "c: {prompt: x}"),
            "plan.yaml:5: tasks.p.pipeline.b.prompt: found the stage 'c', expected an earlier one: a",
        ),
        (
            pipeline("a: {prompt: x}", "b: {prompt: '{{ stages.a.txt }}'}"),
            "found stages.a.txt, which is not there (did you mean text?)",
        ),
        ("tasks: {a: {prompt: '{{ stages.x.text }}'}}", "found stages, which is not defined"),
        (
            pipeline("a: {foreach: [1], prompt: '{{ outer.item }}'}"),
            "found outer, which is not defined, expected one of vars, tasks, run, item, index; it is there in a loop",
        ),
        (pipeline("a: {prompt: x}", "b: {prompt: x, needs: [c]}"), "needs[0]: found the text 'c', expected an earlier"),
        (pipeline("a: {prompt: x, needs: [p]}"), "needs[0]: found the text 'p', expected nothing: it is the first"),
        (pipeline("a: {pipeline: {b: {prompt: x}}}"), "a stage has no pipeline of its own"),
        (pipeline("a: {}"), "plan.yaml:4: tasks.p.pipeline.a: found neither prompt nor write or plan, expected one of"),
        (pipeline("'a b': {prompt: x}"), "found the text 'a b' as a stage's name"),
        (pipeline("a: {prompt: x, agent: no}"), "tasks.p.pipeline.a.agent: found the text 'no'"),
        (pipeline("a: {prompt: x, returns: {type: strin}}"), "tasks.p.pipeline.a.returns: not a valid JSON schema"),
        (pipeline("a: {prompt: x, promt: y}"), "tasks.p.pipeline.a.promt: unknown key (did you mean prompt?)"),
        ("tasks: {p: {pipeline: {}}}", "tasks.p.pipeline: found an empty mapping"),
        ("tasks: {p: {prompt: x, pipeline: {a: {prompt: x}}}}", "tasks.p.pipeline: found prompt and pipeline"),
        (
            "tasks: {p: {retries: 2, pipeline: {a: {prompt: x}}}}",
            "tasks.p.retries: found retries in a task with a pipeline, expected it in its stages",
        ),
        ("tasks: {a: {vote: {times: 0}, prompt: x}}", "tasks.a.vote.times: found the number 0, expected 1 or more"),
        ("tasks: {a: {vote: {times: 101}, prompt: x}}", "found the number 101, expected 100 or less"),
        ("tasks: {a: {vote: {by: majorty}, prompt: x}}", "tasks.a.vote.by: found the text 'majorty' (did you mean maj"),
        ("tasks: {a: {vote: {on: x}, prompt: x}}", "expected it in a vote with returns"),
        ("tasks: {a: {vote: {on: x.., by: majority}, prompt: x, returns: {}}}", "expected a path into the value"),
        ("tasks: {a: {vote: {judge: x}, prompt: x}}", "found judge in a vote by majority, expected by: judge"),
        ("tasks: {a: {vote: {judge: 3, by: judge}, prompt: x}}", "judge: found the number 3, expected a prompt, or a"),
        (
            "tasks: {a: {vote: {by: judge, judge: {agent: no}}, prompt: x}}",
            "tasks.a.vote.judge.agent: found the text 'no', and there is nothing under agents",
        ),
        ("tasks: {a: {vote: {by: judge, judge: {returns: {}}}, prompt: x}}", "expected none: a judge gives the number"),
        ("tasks: {a: {vote: {}, write: {path: x, text: x}}}", "tasks.a.vote: found vote in a task that writes a file"),
        ("tasks: {a: {vote: {}, fan_out: {}, prompt: x}}", "found vote beside fan_out, expected one of them"),
        ("tasks: {a: {prompt: '{{ voter }}'}}", "found voter, which is not defined"),
        (
            "tasks: {a: {fan_out: {}}}",
            "tasks.a: found fan_out without prompt, expected the goal as prompt",
        ),
        ("tasks: {a: {vote: {}}}", "tasks.a: found vote without prompt, expected what all are asked as prompt"),
        (
            "tasks: {a: {vote: {by: 'nowhere:pick'}, prompt: x}}",
            "tasks.a.vote.by: found the text 'nowhere:pick', and there is no module nowhere beside the plan",
        ),
        (
            "tasks: {a: {vote: {on: b.d}, prompt: x, returns: {properties: {b: {properties: {c: {}}, "
            "additionalProperties: false}}, additionalProperties: false}}}",
            "tasks.a.vote.on: found the text 'b.d', and what returns says has no d, expected one of c",
        ),
        (
            "vars: {l: [{q: 1}, {z: 2}]}\ntasks:\n  a:\n    foreach: '{{ vars.l }}'\n    prompt: '{{ item.q }}'",
            "plan.yaml:5: tasks.a.prompt: there is no q; there is z; item 1 is {'z': 2}",
        ),
        (
            "tasks: {a: {matrix: {x: [1, {y: 1}]}, pipeline: {b: {prompt: '{{ item.x.y }}'}}}}",
            "tasks.a.pipeline.b.prompt: found the number 1, which has no y; item 0 is {'x': 1}",
        ),
        ("tasks: {a: {fan_out: {most: 0}, prompt: x}}", "tasks.a.fan_out.most: found the number 0"),
        ("tasks: {a: {fan_out: {split: {returns: {}}}, prompt: x}}", "expected none: it gives the list of the parts"),
        (
            "tasks:\n  a:\n    prompt: x\n    fan_out:\n      part: '{{ item.task }} {{ x }}'",
            "plan.yaml:5: tasks.a.fan_out.part.prompt: found x, which is not defined, expected one of vars, tasks,",
        ),
        (
            "tasks: {a: {fan_out: {join: '{{ stages.parts.texts }}'}, prompt: x}}",
            "the stage 'parts' (did you mean part?)",
        ),
        ("tasks: {a: {prompt: x, vars: {x: 1}}}", "tasks.a.vars: found vars in a task without plan"),
        (
            "tasks: {a: {plan: inner.yaml, agent: q}}",
            "found agent in a task that is a plan, expected it in that plan's",
        ),
        (
            "tasks: {a: {plan: inner.yaml, vars: {y: 1}}}",
            "tasks.a.vars.y: found vars.y, which inner.yaml does not have",
        ),
        (
            "tasks: {a: {plan: iner.yaml}}",
            "plan.yaml:1: tasks.a.plan: 'iner.yaml': there is no such file (did you mean",
        ),
        (
            "tasks: {p: {plan: inner.yaml}, b: {prompt: '{{ tasks.p.tasks.aa.texts }}'}}",
            "tasks.b.prompt: found tasks.p.tasks.aa, which inner.yaml does not have (did you mean a?), expected one of",
        ),
        (
            "tasks: {p: {plan: inner.yaml}, b: {prompt: \"{{ tasks['p'].tasks['a'].text }}\"}}",
            "found tasks.p.tasks.a.text, which is not there (did you mean texts?), expected one of",
        ),
        ("tasks: {a: {plan: '{{ vars.x }}'}}", "expected the path of a plan as it stands: it is read before the run"),
        (
            "tasks: {a: {plan: plan.yaml}}",
            "tasks.a.plan: the plans contain each other in a circle: plan.yaml -> plan.yaml",
        ),
        ("tasks: {a: {prompt: x, needs: [{task: b}]}}", "tasks.a.needs[0]: found the task 'b', which is not there"),
        ("tasks: {a: {prompt: x, needs: [3]}}", "needs[0]: found the number 3, expected the name of a task, or {task:"),
        ("tasks: {a: {prompt: x, needs: [{allow: failed}]}}", "tasks.a.needs[0].task: found nothing, expected text"),
        (
            "tasks: {a: {prompt: x, needs: [{task: b, allow: x}]}}",
            "needs[0].allow: found the text 'x', expected one of",
        ),
        ("tasks: {a: {prompt: x, needs: [{tsk: b}]}}", "needs[0].tsk: unknown key (did you mean task?)"),
        (
            "agents: {a: {spawn: {agents: [b]}}}\ntasks: {a: {prompt: x}}",
            "agents.a.spawn.agents[0]: found the text 'b'",
        ),
        ("agents: {a: {spawn: {cuont: 1}}}\ntasks: {a: {prompt: x}}", "spawn.cuont: unknown key (did you mean count?)"),
    ],
    ids=lambda value: None,
)
def test_what_patterns_may_not_say(write: Any, text: str, said: str) -> None:
    """Each mistake is named with its place, what was found and what is expected."""
    assert said in "\n".join(faults(write(text)))


@pytest.mark.parametrize(
    "text",
    [
        "tasks: {a: {foreach: [1, {q: 2}], when: '{{ item.q is defined }}', prompt: '{{ item.q }}'}}",
        "tasks: {a: {foreach: [1], pipeline: {b: {foreach: [{q: 2}], prompt: '{{ item.q }}'}}}}",
        "tasks: {a: {foreach: [1], pipeline: {b: {when: '{{ false }}', prompt: '{{ item.q }}'}}}}",
        "tasks: {a: {foreach: [{}], prompt: '{{ item.q | default(1) }}'}}",
        "tasks: {a: {vote: {on: b.c}, prompt: x, returns: {properties: {b: {type: object}}}}}",
        "tasks: {a: {vote: {by: 'json:loads'}, prompt: x}}",
        "tasks: {p: {plan: inner.yaml}, b: {prompt: \"{{ tasks.p.tasks.a.texts }} {{ tasks.p.tasks['a'].results }}\"}}",
        "tasks: {p: {plan: inner.yaml}, b: {prompt: '{{ tasks.p.tasks.items() }} {{ tasks.p.tasks[vars] }}'}}",
        "tasks: {p: {plan: inner.yaml, foreach: [1]}, b: {prompt: '{{ tasks.p.results[0].tasks.a.texts }}'}}",
    ],
)
def test_what_may_be_right_is_not_refused(write: Any, text: str) -> None:
    """Items that a condition leaves out, lists of other items, open schemas and modules that are installed are good."""
    load_plan(write(text))


def test_a_circle_through_files(write: Any) -> None:
    """The whole way is named, where it closes."""
    found = faults(
        write(
            "tasks:\n  a: {plan: b.yaml}\n",
            b="tasks:\n  x: {prompt: x}\n  b: {plan: c.yaml}\n",
            c="tasks: {c: {plan: ./plan.yaml}}",
        )
    )
    way = "plan.yaml -> b.yaml -> c.yaml -> plan.yaml"
    assert found == [f"c.yaml:1: tasks.c.plan: the plans contain each other in a circle: {way}: take one of them out"]


def test_plans_too_deep_in_each_other(write: Any) -> None:
    """Ten are allowed, with the outermost; an eleventh is refused, with the whole way."""
    deep = {f"p{n}": f"tasks: {{a: {{plan: p{n + 1}.yaml}}}}" for n in range(11)}
    last = "tasks: {a: {prompt: x}}"
    assert load_plan(write("tasks: {a: {plan: p0.yaml}}", **{**deep, "p8": last}))
    (found,) = faults(write("tasks: {a: {plan: p0.yaml}}", **{**deep, "p9": last}))
    assert "p8.yaml:1: tasks.a.plan: the plans are more than 10 deep in each other: plan.yaml -> p0.yaml" in found


def test_faults_of_inner_plans_have_their_own_lines(write: Any) -> None:
    """A plan that two tasks name is told of once; what its vars are given is not held against its loops."""
    found = faults(
        write(
            "tasks:\n  a: {plan: sub.yaml}\n  b: {plan: sub.yaml}\n  c: {prompt: '{{ tasks.c.x }}'}",
            sub="vars: {x: 1}\ntasks:\n  a: {promt: x}\n  b: {foreach: '{{ vars.x }}', prompt: x, returns: no.json}",
        )
    )
    assert [each.partition(":")[2].partition(",")[0] for each in found] == [
        "4: tasks.c.prompt: the task c needs itself",
        "3: tasks.a.promt: unknown key (did you mean prompt?)",
        "4: tasks.b.returns: 'no.json': there is no such file; expected a JSON schema or the path of one",
    ]


def test_plans_from_data_have_inner_plans_too(write: Any, tmp_path: Path) -> None:
    """Paths are relative to the directory that is given with them."""
    write("tasks: {a: {prompt: x}}")
    data = {"tasks": {"a": {"plan": "inner.yaml", "vars": {"x": [1]}}}}
    assert parse_plan(data, tmp_path).nested["inner.yaml"].plan.tasks["a"].foreach == "{{ vars.x }}"
    assert parse_plan(Plan.model_validate(data), tmp_path).nested.keys() == {"inner.yaml"}
    with pytest.raises(PlanError, match="there is no such file"):
        parse_plan(Plan.model_validate({"tasks": {"a": {"plan": "no.yaml"}}}), tmp_path)


def test_combinations_are_in_order() -> None:
    """The last list changes first, and a list may depend on what comes before it."""
    found = combinations_of({"a": [1, 2], "b": "{{ range(item.a) }}"}, {})
    assert found == [{"a": 1, "b": 0}, {"a": 2, "b": 0}, {"a": 2, "b": 1}]
    with pytest.raises(TemplateError, match=r"matrix\.b: found the number 2, expected a list"):
        combinations_of({"a": [2], "b": "{{ item.a }}"}, {})


@pytest.mark.parametrize(
    ("task", "agent"),
    [
        ("check[1].three[0]", None),
        ("check[0].six.part[3]", None),
        ("judge.judge", "q"),
        ("out.split", "q"),
        ("out.join", None),
        ("vote[4]", None),
        ("plan[0].a[2]", None),
    ],
)
def test_tasks_are_found_by_their_ids(write: Any, task: str, agent: str | None) -> None:
    """Of a stage, a voter, a judge and a task of an inner plan it is known what says what they do."""
    loaded = load_plan(write(FULL))
    where, spec = find_spec(loaded, task)
    assert spec.agent == agent
    assert (where is loaded) == (not task.startswith("plan"))
    with pytest.raises(KeyError):
        find_spec(loaded, f"{task}.no")


def test_the_schema_has_every_form(write: Any) -> None:
    """A file with all patterns fits the JSON schema for editors; wrong ones do not."""
    validator = jsonschema.Draft202012Validator(plan_schema())
    assert list(validator.iter_errors(parse_source(FULL, "plan.yaml").data)) == []
    for wrong in (
        {"pipeline": {"a": {"pipeline": {}}}},
        {"pipeline": {"a b": {"prompt": "x"}}},
        {"vote": {"times": 0}},
        {"fan_out": {"split": 3}},
        {"matrix": {"a": 3}},
        {"needs": [{"tsk": "b"}]},
        {"plan": 3},
    ):
        assert list(validator.iter_errors({"tasks": {"a": wrong}})), wrong
