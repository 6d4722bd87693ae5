"""Plan files, good and bad."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.loading import LoadedPlan, check, load_plan, parse_plan
from orchestrator.plan.model import Plan, TaskSpec, Write
from workspaces import WorkspaceSpec

FULL = (Path(__file__).parent / "full.yaml").read_text()


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("questions.json").write_text('{"type": "array"}')

    def write(text):
        Path("plan.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Path("plan.yaml")

    return write


def faults(path, overrides=None):
    with pytest.raises(PlanError) as caught:
        load_plan(path, overrides or {})
    return [str(fault) for fault in caught.value.faults]


def test_a_full_plan(write, tmp_path):
    """Every form that a plan file can take is read as it is meant."""
    loaded = load_plan(write(FULL))
    plan = loaded.plan
    assert (loaded.directory, loaded.file) == (tmp_path, tmp_path / "plan.yaml")
    assert plan.defaults.timeout == 600
    assert plan.tasks["ask"].returns == {"type": "array"}
    assert plan.tasks["fix"].workspace == WorkspaceSpec(kind="worktree")
    assert plan.agents["other"].tools == "default"
    assert plan.tasks["list"].foreach == [1, "two", {"three": 3}]


def test_a_plan_survives_json(write):
    """A plan written down as JSON reads back as the same plan."""
    plan = load_plan(write(FULL)).plan
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_byte_order_mark_is_no_fault(write):
    """Files from editors that write a byte order mark load like others."""
    assert load_plan(write(b"\xef\xbb\xbftasks: {a: {prompt: x}}")).plan.tasks["a"].prompt == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tasks:\n  a:\n    promt: x",
            "plan.yaml:3: tasks.a.promt: unknown key (did you mean prompt?), expected one of prompt,",
        ),
        ("agent: {}\ntasks: {a: {prompt: x}}", "plan.yaml:1: agent: unknown key (did you mean agents?)"),
        (
            "tasks: {a: {prompt: x, needs: [b]}, bb: {prompt: x}}",
            "tasks.a.needs[0]: found the task 'b', which is not there (did you mean bb?), expected one of bb",
        ),
        ("tasks: {a: {prompt: x, needs: [a]}}", "tasks.a.needs[0]: the task a needs itself"),
        ("tasks: {a: {prompt: '{{ tasks.a.text }}'}}", "tasks.a.prompt: the task a needs itself"),
        (
            "tasks: {a: {prompt: x, needs: [c]}, b: {prompt: '{{ tasks.a }}'}, c: {prompt: x, needs: [b]}}",
            "in a circle: a -> c -> b -> a",
        ),
        (
            "tasks: {a: {prompt: x, timeout: soon}}",
            "tasks.a.timeout: found the text 'soon', expected seconds or a time as 90s, 10m",
        ),
        (
            "tasks: {a: {prompt: '{{ nope }}'}}",
            "tasks.a.prompt: found nope, which is not defined, expected one of vars, tasks, run",
        ),
        ("tasks: {a: {prompt: '{{ item }}'}}", "item and index are there in a task with foreach"),
        ("tasks: {a: {prompt: x, foreach: '{{ item }}'}}", "tasks.a.foreach: found item, which is not defined"),
        ("tasks: {a: {prompt: x, foreach: plain}}", "in which nothing is filled in, expected a list, or a template"),
        ("tasks: {a: {prompt: x, when: plain}}", "in which nothing is filled in, expected a template"),
        (
            "vars: {topics: 1}\ntasks: {a: {prompt: '{{ vars.topcs }}'}}",
            "plan.yaml:2: tasks.a.prompt: found vars.topcs, which is not there (did you mean topics?)",
        ),
        ("tasks: {a: {prompt: '{{ vars.x }}'}}", "and there is nothing under vars"),
        ("tasks: {a: {prompt: '{{ run.id }}'}}", "found run.id, expected run.name"),
        (
            "tasks: {a: {prompt: x}, b: {prompt: '{{ tasks.a.txt }}'}}",
            "found tasks.a.txt, which is not there (did you mean text?), expected one of text, value",
        ),
        (
            "tasks: {a: {prompt: x}, b: {prompt: '{{ tasks.a.values }}'}}",
            "tasks.a.values, which is not there (a has no foreach)",
        ),
        (
            "tasks: {a: {prompt: x, foreach: [1]}, b: {prompt: '{{ tasks.a.text }}'}}",
            "tasks.a.text, which is not there (a has a foreach)",
        ),
        (
            "tasks: {a-b: {prompt: x}, b: {prompt: '{{ tasks.a-b.text }}'}}",
            "a name with a dash is written tasks['a-…']",
        ),
        (
            "tasks: {b: {prompt: '{{ tasks | length }}'}}",
            "found tasks by a name that is made at run time, expected needs:",
        ),
        ("tasks: {b: {prompt: '{% set tasks = 1 %}'}}", "found tasks as a name of the template's own"),
        ("tasks: {b: {prompt: '{{ 1 | nofilter }}{{ 1 is notest }}'}}", "found the filter nofilter"),
        ("tasks: {b: {prompt: '{% include \"x\" %}'}}", "a template cannot take in other files"),
        ("tasks:\n  b:\n    prompt: |\n      ok\n      {{ a\n", "plan.yaml:5: tasks.b.prompt: not a valid template"),
        ("tasks: {b: {prompt: x, rehearsal: [{say: '{{ nope }}'}]}}", "tasks.b.rehearsal[0].say: found nope"),
        ("tasks: {a: {}}", "plan.yaml:1: tasks.a: found neither prompt nor write"),
        ("tasks: {a: {prompt: ' '}}", "tasks.a.prompt: found an empty text"),
        ("tasks: {a: {prompt: x, write: {path: p, text: t}}}", "found prompt and write"),
        ("tasks: {a: {write: {path: ' ', text: t}}}", "tasks.a.write.path: found an empty text"),
        (
            "tasks: {a: {write: {path: p, text: t}, retries: 1}}",
            "tasks.a.retries: found retries in a task that writes a file",
        ),
        ("tasks: {a: {write: {path: p, text: t}, retries: 0}}", "tasks.a.retries: found retries in a task that writes"),
        ("tasks: {a: {write: {path: p, text: t}, checks: [ls]}}", "tasks.a.checks: found checks in a task that writes"),
        ("tasks: {a: {write: {path: p, text: t}, inputs: [x]}}", "tasks.a.inputs: found inputs in a task that writes"),
        ("tasks: {a: {write: {path: p, text: t}, fresh: true}}", "tasks.a.fresh: found fresh in a task that writes"),
        (
            "tasks:\n  a:\n    prompt: x\n    checks: pytest -q",
            "plan.yaml:4: tasks.a.checks: found the text 'pytest -q', expected a list, as [pytest -q]",
        ),
        ("tasks: {a: {prompt: x, checks: [3]}}", "tasks.a.checks[0]: found the number 3, expected text; quote it"),
        (
            "tasks:\n  a:\n    prompt: x\n    checks:\n      - ls\n      - ' '",
            "plan.yaml:6: tasks.a.checks[1]: found an empty text, expected a shell command",
        ),
        ("tasks: {a: {prompt: x, inputs: src}}", "tasks.a.inputs: found the text 'src', expected a list, as [src]"),
        (
            "tasks: {a: {prompt: x, inputs: ['']}}",
            "tasks.a.inputs[0]: found an empty text, expected the path of a file",
        ),
        ("tasks: {a: {prompt: x, fresh: 1}}", "tasks.a.fresh: found the number 1, expected true or false"),
        ("tasks: {a: {prompt: x, checks: ['{{ item }}']}}", "tasks.a.checks[0]: found item"),
        ("tasks: {a: {prompt: x, inputs: ['{{ vars.no }}']}}", "tasks.a.inputs[0]: found vars.no"),
        ("tasks: {a: {prompt: x, checks: ['{{ tasks.a.text }}']}}", "tasks.a.checks[0]: the task a needs itself"),
        ("defaults: {checks: [ls]}\ntasks: {a: {prompt: x}}", "defaults.checks: unknown key"),
        (
            "agents: {a: {idle_timeout: soon}}\ntasks: {a: {prompt: x}}",
            "agents.a.idle_timeout: found the text 'soon', expected seconds or a time as 90s, 10m",
        ),
        ("agents: {a: {start_timeout: 0}}\ntasks: {a: {prompt: x}}", "agents.a.start_timeout: found the number 0"),
        ("agents: {a: {tool_timeout: []}}\ntasks: {a: {prompt: x}}", "agents.a.tool_timeout: found an empty list"),
        (
            "tasks: {a: {prompt: x, agent: nope}}",
            "tasks.a.agent: found the text 'nope', and there is nothing under agents",
        ),
        (
            "defaults: {agent: adu}\nagents: {aud: {}}\ntasks: {a: {prompt: x}}",
            "defaults.agent: found the text 'adu' (did you mean aud?)",
        ),
        ("defaults: {workspace: {path: '{{ tasks.a.text }}'}}\ntasks: {a: {prompt: x}}", "expected nothing of a task"),
        ("tasks: {'a b': {prompt: x}}", "tasks['a b']: found the text 'a b' as a task's name"),
        ("tasks: {a: {prompt: x, workspace: ./docs}}", "for a directory write {path: ./docs}"),
        (
            "tasks: {a: {prompt: x, workspace: {pth: docs}}}",
            "tasks.a.workspace.pth: unknown key (did you mean path?), expected one of kind, path, base",
        ),
        ("tasks: {a: {prompt: x, workspace: {kind: '?'}}}", "tasks.a.workspace.kind: found the text '?'"),
        ("tasks: {a: {prompt: x, workspace: {base: main}}}", "only a worktree starts from a commit"),
        ("tasks: {a: {prompt: x, workspace: 3}}", "tasks.a.workspace: found the number 3"),
        ("tasks: {a: {prompt: x, returns: no.json}}", "tasks.a.returns: 'no.json': there is no such file"),
        ("tasks: {a: {prompt: x, returns: plan.yaml}}", "plan.yaml is not valid JSON"),
        ("tasks: {a: {prompt: x, returns: {type: strin}}}", "not a valid JSON schema: type: 'strin'"),
        ("tasks: {a: {prompt: x, returns: {$schema: [x]}}}", "$schema: found a list"),
        ("tasks: {a: {prompt: x, needs: b}}", "tasks.a.needs: found the text 'b', expected a list, as [b]"),
        (
            "agents: {a: {tools: Read}}\ntasks: {a: {prompt: x}}",
            "agents.a.tools: found the text 'Read', expected a list of tools",
        ),
        ("agents: {a: {tools: [3]}}\ntasks: {a: {prompt: x}}", "agents.a.tools: found the number 3 in the list"),
        (
            "agents: {a: {env: {A: 3}}}\ntasks: {a: {prompt: x}}",
            "agents.a.env.A: found the number 3, expected text; quote it",
        ),
        ("agents: {a: {env: {A=B: x}}}\ntasks: {a: {prompt: x}}", "expected the name of an environment variable"),
        ("agents: {a: {mcp_servers: {b: 3}}}\ntasks: {a: {prompt: x}}", "b: found the number 3, expected a mapping"),
        ('agents: {a: {system: "a\\0b"}}\ntasks: {a: {prompt: x}}', "found a NUL character"),
        (
            f"agents: {{a: {{system: {'é' * 60_000}}}}}\ntasks: {{a: {{prompt: x}}}}",
            "found a text of 60,000 characters",
        ),
        (
            f"tasks: {{a: {{prompt: {'x' * 1_000_001}}}}}",
            "found a text of 1,000,001 characters, expected at most 1,000,000",
        ),
        (
            "limits: {concurrent: true}\ntasks: {a: {prompt: x}}",
            "limits.concurrent: found true, expected a whole number",
        ),
        (
            "limits: {concurrent: 0}\ntasks: {a: {prompt: x}}",
            "found the number 0, expected a whole number from 1 to 1000, or auto",
        ),
        ("tasks: {a: {prompt: x, allow_failure: yes}}", "found the text 'yes', expected true or false"),
        (
            "tasks: {a: {prompt: x, rehearsal: [{sya: x}]}}",
            "tasks.a.rehearsal[0]: found the text 'sya' (did you mean say?)",
        ),
        ("tasks: {a: {prompt: x, rehearsal: [x]}}", "found the text 'x', expected a step"),
        ("tasks: {a: {prompt: x, rehearsal: [{}]}}", "a step has one key"),
        ("tasks: {a: {prompt: x, rehearsal: [{say: 1}]}}", "say: found the number 1, expected text"),
        (
            "tasks: {a: {prompt: x, rehearsal: [{write: {path: x}}]}}",
            "write: found the keys path, expected a mapping of path, text",
        ),
        ("tasks: {a: {prompt: x, rehearsal: [{edit: {path: x, old: 1, new: x}}]}}", "edit: old: found the number 1"),
        (
            "tasks: {a: {prompt: x, rehearsal: [{fail: 200}]}}",
            "fail: found the number 200, expected a status from 400 to 599",
        ),
        ("tasks: {a: {prompt: x, rehearsal: [{fail: {times: 1}}]}}", "fail: status is missing"),
        ("tasks: {a: {prompt: x, rehearsal: [{fail: {status: 429, times: 0}}]}}", "fail: times: found the number 0"),
        (
            "tasks: {a: {prompt: x, rehearsal: [{fail: {status: 429, attempts: true}}]}}",
            "fail: attempts: found true, expected a whole number, 1 or more",
        ),
        (
            "tasks: {a: {prompt: x, rehearsal: [{fail: {status: 429, attempts: 1, times: 1}}]}}",
            "fail: found both times and attempts, expected one of them",
        ),
        ("tasks: {a: {prompt: x, rehearsal: [{fail: {status: 429, tries: 0}}]}}", "fail: found the key tries"),
        (
            "tasks: {a: {prompt: x, workspace: nope}}",
            "tasks.a.workspace: found the text 'nope', expected one of directory",
        ),
        ("tasks: {a: {prompt: x, workspace: {kind: worktre}}}", "'worktre' (did you mean worktree?), expected one of"),
        (
            "defaults: {workspace: nope}\ntasks: {a: {prompt: x}}",
            "plan.yaml:1: defaults.workspace: found the text 'nope'",
        ),
        ("tasks: {a: {prompt: x, rehearsal: [{call: ask}]}}", "call: found the text 'ask', expected a mapping of tool"),
        ("tasks: {a: {prompt: x, rehearsal: [{call: {input: {}}}]}}", "call: found the keys input, expected a mapping"),
        ("tasks: {a: {prompt: x, rehearsal: [{call: {tool: a, input: 3}}]}}", "input: found the number 3"),
        (
            "agents: {b: {spawn: {agents: [c]}}}\ntasks: {a: {prompt: x}}",
            "agents.b.spawn.agents[0]: found the text 'c', expected one of b",
        ),
        (
            "agents: {b: {talk: true, mcp_servers: {run: {command: x}}}}\ntasks: {a: {prompt: x}}",
            "mcp_servers: found the name run beside talk or spawn",
        ),
        ("tasks: {a: {prompt: x, rehearsal: [{answer: 3}]}}", "answer: found the number 3, expected a mapping"),
        ("tasks: {a: {prompt: x, rehearsal: [{wait: soon}]}}", "wait: found the text 'soon', expected seconds"),
        ("name: a b\ntasks: {a: {prompt: x}}", "plan.yaml:1: name: found the text 'a b', expected letters"),
        ("tasks:\n", "plan.yaml:1: tasks: found nothing, expected a mapping"),
        ("tasks: {}", "tasks: found an empty mapping, expected at least one entry"),
        ("name: x", "plan.yaml: tasks: found nothing, expected a mapping of what is to be done"),
        ("- a", "plan.yaml: found a list, expected a plan"),
        ("---", "found nothing, expected a plan"),
        ("", "plan.yaml: the file is empty"),
        (b"tasks: caf\xe9", "the file is not UTF-8 text: found the byte 0xe9 in line 1"),
        (b"\x89PNG\x00", "the file is not text: found a NUL byte"),
        (b"x" * 10_000_000, "the file has 10.0 MB, expected at most 5 MB"),
    ],
    ids=lambda value: None,
)
def test_what_a_plan_may_not_say(write, text, said):
    """Each mistake is named with its place, what was found and what is expected."""
    assert said in "\n".join(faults(write(text)))


def test_files_that_are_none(tmp_path):
    """A missing file, a directory, a pipe and a knot of links give faults with the path."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "knot").symlink_to(tmp_path / "knot")
    assert faults(tmp_path / "no.yaml") == [f"{tmp_path}/no.yaml: there is no such file"]
    (tmp_path / "now.yaml").touch()
    assert faults(tmp_path / "no.yaml")[0].endswith("there is no such file (did you mean now.yaml?)")
    assert faults(tmp_path / "a" / "no.yaml")[0].endswith(
        f"there is no such file: nor is there a directory {tmp_path}/a"
    )
    assert faults(tmp_path) == [f"{tmp_path}: found a directory, expected a file"]
    assert faults(tmp_path / "pipe") == [f"{tmp_path}/pipe: found a pipe or a device, expected a file"]
    assert "cannot be read" in faults(tmp_path / "knot")[0]
    assert "cannot be read" in faults(tmp_path / ("x" * 5000))[0]
    assert "NUL" in faults("a\0b")[0]


def test_what_is_wrong_as_yaml_hides_nothing_else(write):
    """Duplicate keys, tags and lost aliases are told with the other faults, and nothing that follows from them is."""
    found = faults(
        write(
            "tasks:\n"
            "  a: {prompt: hi, timeout: soon}\n"
            "  b: {prompt: *nobody}\n"
            "  b: {prompt: hi}\n"
            "  bb: {needs: [c]}\n"
            "  d: {? [prompt] : hi}\n"
        )
    )
    places = [(fault.split(": ")[0][-1], fault.split(": ")[1]) for fault in found]
    assert places == [
        ("2", "tasks.a.timeout"),
        ("3", "tasks.b.prompt"),
        ("4", "tasks.b"),
        ("5", "tasks.bb"),
        ("5", "tasks.bb.needs[0]"),
        ("6", "tasks.d"),
    ]


def test_all_faults_at_once(write):
    """Faults of values, names, templates and circles come together, sorted by line, and none follows from another."""
    found = faults(
        write(
            "vars: [x]\nagents: {good: {model: 3}}\ntasks:\n"
            "  a: {prompt: 3, agent: good}\n  b: {prompt: x, needs: [c], timeout: x}\n"
            "  c: {prompt: '{{ tasks.b.txt }} {{ vars.x }}', agent: bad}\n"
            "  d: x\n  e: {prompt: '{{ tasks.d.values }} {{ item }}', foreach: 3}\n"
        )
    )
    assert [fault.split(": ")[1] for fault in found] == [
        "vars",
        "agents.good.model",
        "tasks.a.prompt",
        "tasks.b.needs",
        "tasks.b.timeout",
        "tasks.c.agent",
        "tasks.c.prompt",
        "tasks.d",
        "tasks.e.foreach",
    ]
    assert len(faults(write("tasks: {a: {promt: x}}"))) == 1


def test_schema_files_are_read_with_care(write):
    """A schema file that is no schema, too deep, or not a file gives a fault, not a traceback."""
    for name, text in {
        "list": "[]",
        "deep": "[" * 100_000,
        "deepish": '{"a":' * 100 + "1" + "}" * 100,
        "nan": '{"a": NaN}',
    }.items():
        Path(f"{name}.json").write_text(text)
    found = faults(
        write(
            "tasks:\n"
            + "".join(f"  {n}: {{prompt: x, returns: {n}.json}}\n" for n in ("list", "deep", "deepish", "nan"))
        )
    )
    assert len(found) == 4
    assert "found NaN" in "\n".join(found)


def test_overrides(write):
    """Values set from outside take the place of the file's; under vars they may be new if the plan speaks of them."""
    values = {
        "limits.concurrent": "3",
        "vars.topics": "[a, 'b: c']",
        "vars.new.inner": "What: why? # all text",
        "vars.none": "",
        "tasks.ask.timeout": "10m",
        "vars.list": "[1, 2]",
        "vars.list.1": "true",
        "name": '"quoted"',
        "vars.t": "{{ x }}",
    }
    plan = load_plan(write(f"{FULL}\n# {{{{ vars.new + vars.none + vars.list + vars.t }}}}\n"), values).plan
    assert (plan.limits.concurrent, plan.name, plan.tasks["ask"].timeout) == (3, "quoted", 600)
    assert plan.vars["topics"] == ["a", "b: c"]
    assert plan.vars["new"] == {"inner": "What: why? # all text"}
    assert (plan.vars["none"], plan.vars["list"], plan.vars["t"]) == ("", [1, True], "{{ x }}")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("limits.concurent", "3", "limits has no 'concurent' (did you mean concurrent?); there is concurrent, usd"),
        ("tasks.nope.prompt", "x", "tasks has no 'nope'; there is ask, check, size, fix"),
        ("nope", "x", "the plan has no 'nope'"),
        ("vars.topicz", "x", "the plan speaks of no such variable (did you mean topics?); there is topics"),
        ("name.x", "x", "name is the text 'audit', which has nothing inside"),
        ("", "x", "the plan has no an empty text"),
        ("tasks.list.foreach.7", "x", "expected a number below 3"),
        ("vars.x", "[1", "--set vars.x: not valid YAML"),
        ("vars.x", "[&a [*a]]", "inside its own anchor"),
        ("vars.x", ".inf", "expected a finite number"),
    ],
)
def test_overrides_that_lead_nowhere(write, path, value, said):
    """A path that is not there says what is there instead."""
    with pytest.raises(UsageError) as caught:
        load_plan(write(FULL), {path: value})
    assert said in str(caught.value)


def test_a_wrong_override_is_named(write):
    """A fault in a value from outside points to the option, not to a line of the file."""
    assert faults(write(FULL), {"limits.concurrent": "many"}) == [
        "--set limits.concurrent: limits.concurrent: found the text 'many', expected a whole number from 1 to 1000, "
        "or auto"
    ]


def test_plans_made_in_python(tmp_path):
    """A Plan object and plain data are checked as a file is, without lines."""
    good = Plan(tasks={"a": TaskSpec(prompt="x", workspace=WorkspaceSpec(kind="directory"))})
    assert parse_plan(good, tmp_path) == LoadedPlan(good, tmp_path)
    assert parse_plan({"tasks": {"a": {"prompt": "x", "workspace": "directory"}}}, tmp_path).plan == good
    bad = Plan(tasks={"a": TaskSpec(), "b": TaskSpec(write=Write(path="p", text="{{ tasks.c.text }}"))})
    assert [str(fault).split(", ")[0] for fault in check(bad)] == [
        "plan: tasks.a: found neither prompt nor write",
        "plan: tasks.b.write.text: found the task 'c'",
    ]
    with pytest.raises(PlanError):
        parse_plan(bad)
    with pytest.raises(PlanError):
        parse_plan({1: 2})


def test_two_thousand_tasks_load(write):
    """A plan of two thousand tasks in a chain loads, however deep the chain."""
    text = "tasks:\n" + "".join(f"  t{n}: {{prompt: 'x', needs: [{f't{n - 1}' if n else ''}]}}\n" for n in range(2000))
    assert len(load_plan(write(text)).plan.tasks) == 2000


def test_the_models_are_quick_to_import():
    """Whoever needs the models alone does not pay for templates, schemas and YAML."""
    code = (
        "import sys, orchestrator.plan.model; print([n for n in ('jinja2', 'jsonschema', 'yaml') if n in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
