"""A plan's tasks as nodes of a run: loops become parts, templates become prompts, when their turn comes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.engine.asking import Setting, anchored, title
from orchestrator.engine.files import replace_file
from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit, Step
from orchestrator.plan.expand import items_of, make_scope, part_name
from orchestrator.plan.graph import needs_of, order
from orchestrator.plan.loading import LoadedPlan, load_plan, parse_plan
from orchestrator.plan.model import Agent, Plan, TaskSpec
from orchestrator.plan.render import TemplateError, evaluate, render
from orchestrator.plan.views import LoopView, TaskView
from orchestrator.task import Outcome, Result, plain
from workspaces import WorkspaceSpec


def plan_nodes(loaded: LoadedPlan, results: Mapping[str, Result], setting: Setting) -> list[Node]:
    """A node per task of the plan, each after its needs.

    `results` fills while the run goes on; `setting` is what the run gives to tasks that do not say otherwise.
    """
    planned = Planned(loaded, results, setting)
    return [planned.node(name) for name in planned.order()]


def as_loaded(plan: Plan | LoadedPlan | str | Path, directory: Path) -> LoadedPlan:
    """The plan, read from its file if need be, and checked; `directory` is where a Plan's relative paths start.

    Raises PlanError with all its faults.
    """
    match plan:
        case LoadedPlan():
            return plan
        case Plan():
            return parse_plan(plan, directory)
    return load_plan(plan)


def planned_agent(loaded: LoadedPlan, name: str) -> Agent:
    """The plan's agent of that name, with the path of its MCP configuration made absolute. Raises KeyError."""
    agent = loaded.plan.agents[name]
    if not isinstance(agent.mcp_servers, str):
        return agent
    return agent.model_copy(update={"mcp_servers": str(loaded.directory / agent.mcp_servers)})


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan inside a run."""

    loaded: LoadedPlan
    results: Mapping[str, Result]
    setting: Setting
    items: dict[str, list[Any]] = field(default_factory=dict)
    """Of the loops that were expanded, by name."""

    def order(self) -> tuple[str, ...]:
        return order(self.loaded.plan)

    def node(self, name: str) -> Node:
        spec = self.loaded.plan.tasks[name]
        kind = "loop" if spec.foreach is not None else "write" if spec.write else "agent"
        prepare = partial(self.expand, name, spec) if kind == "loop" else partial(self.step, name, spec, {})
        return Node(
            id=name,
            title=heading(spec),
            kind=kind,
            prepare=prepare,
            needs=needs_of(spec),
            allow_failure=spec.allow_failure,
            named=spec.needs,
            refers=needs_of(spec),
            talk=self.talks(spec) and kind == "agent",
        )

    def talks(self, spec: TaskSpec) -> bool:
        """Whether its agents can be written to."""
        return spec.write is None and self.agent(spec.agent or self.loaded.plan.defaults.agent).talk

    def expand(self, name: str, spec: TaskSpec) -> Step:
        """The parts of a loop, now that what it needs is done."""
        assert spec.foreach is not None
        items = self.items[name] = items_of(spec.foreach, self.scope(), f"tasks.{name}.foreach")
        return Expand(tuple(self.part(name, spec, item, index) for index, item in enumerate(items)))

    def part(self, name: str, spec: TaskSpec, item: Any, index: int) -> Node:
        loop = {"item": item, "index": index}
        return Node(
            id=part_name(name, index),
            title=heading(spec),
            kind="write" if spec.write else "agent",
            prepare=partial(self.step, part_name(name, index), spec, loop),
            parent=name,
            allow_failure=spec.allow_failure,
            named=spec.needs,
            refers=needs_of(spec),
            talk=self.talks(spec),
        )

    def step(self, name: str, spec: TaskSpec, loop: Mapping[str, Any]) -> Step:
        """What is to be done, with every template filled in. Raises TemplateError."""
        scope, where = self.scope(**loop), f"tasks.{name}"
        if spec.when is not None and not evaluate(spec.when, scope, f"{where}.when"):
            return Omit("its condition is false")
        if spec.write is not None:
            path = render(spec.write.path, scope, f"{where}.write.path")
            text = render(spec.write.text, scope, f"{where}.write.text")
            return Call(partial(write_file, self.setting.directory / Path(path).expanduser(), text))
        return self.ask(spec, scope, where)

    def ask(self, spec: TaskSpec, scope: Mapping[str, Any], where: str) -> Ask:
        defaults = self.loaded.plan.defaults
        assert spec.prompt is not None
        agent = spec.agent or defaults.agent
        prompt = render(spec.prompt, scope, f"{where}.prompt")
        if not prompt.strip():
            raise TemplateError(f"{where}.prompt: filled in, it is empty, expected what the agent is to do")
        return Ask(
            prompt=prompt,
            agent=self.agent(agent),
            workspace=self.workspace(spec.workspace or defaults.workspace, scope, where),
            schema=spec.returns,
            timeout=spec.timeout or defaults.timeout or self.setting.timeout,
            retries=defaults.retries if spec.retries is None else spec.retries,
            checks=tuple(render(check, scope, f"{where}.checks[{index}]") for index, check in enumerate(spec.checks)),
            inputs=tuple(
                str(self.setting.directory / Path(render(path, scope, f"{where}.inputs[{index}]")).expanduser())
                for index, path in enumerate(spec.inputs)
            ),
            fresh=spec.fresh,
            rehearsal=self.rehearsal(spec, scope, where),
            agents={each: self.agent(each) for each in self.loaded.plan.agents},
        )

    def agent(self, name: str | None) -> Agent:
        """The plan's agent of that name, with the path of its MCP configuration made absolute; None: the run's own."""
        return self.setting.agent if name is None else planned_agent(self.loaded, name)

    def workspace(self, spec: WorkspaceSpec | None, scope: Mapping[str, Any], where: str) -> WorkspaceSpec:
        if spec is None:
            return self.setting.workspace
        path, base = (
            text and render(text, scope, f"{where}.workspace.{key}")
            for key, text in (("path", spec.path), ("base", spec.base))
        )
        return anchored(replace(spec, path=path, base=base), self.setting.directory)

    def rehearsal(self, spec: TaskSpec, scope: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], ...] | None:
        if spec.rehearsal is None:
            return None
        return tuple(
            filled(dict(step), scope, f"{where}.rehearsal[{index}]") for index, step in enumerate(spec.rehearsal)
        )

    def scope(self, **loop: Any) -> dict[str, Any]:
        plan = self.loaded.plan
        return make_scope(plan.vars, TaskViews(self.results, plan.tasks, self.items), plan.name, **loop)


@dataclass(frozen=True, slots=True)
class TaskViews(Mapping[str, "TaskView | LoopView"]):
    """A template's `tasks`: made of the results when they are asked for."""

    results: Mapping[str, Result]
    specs: Mapping[str, TaskSpec]
    done_for: Mapping[str, Sequence[Any]]
    """A loop's items, by its name."""

    def __getitem__(self, name: str) -> TaskView | LoopView:
        result = self.results[name]
        return view(result) if self.specs[name].foreach is None else self.loop_view(name, result)

    def loop_view(self, name: str, loop: Result) -> LoopView:
        parts = [(self.results[part_name(name, index)], item) for index, item in enumerate(self.done_for.get(name, ()))]
        good = [part for part, _ in parts if part.ok]
        bad = [(part, item) for part, item in parts if not part.ok and part.outcome is not Outcome.SKIPPED]
        return LoopView(
            texts=tuple(part.text for part in good),
            values=tuple(plain(part.value) for part in good),
            failed=tuple(view(part, item) for part, item in bad),
            results=tuple(view(part, item) for part, item in parts),
            ok=loop.ok,
            outcome=loop.outcome,
        )

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.specs if name in self.results)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def view(result: Result, item: Any = None) -> TaskView:
    return TaskView(
        text=result.text,
        value=plain(result.value),
        ok=result.ok,
        outcome=result.outcome,
        session_id=result.session_id,
        files=result.workspace.changed if result.workspace else (),
        branch=result.workspace.branch if result.workspace else None,
        item=item,
    )


def heading(spec: TaskSpec) -> str:
    return title(spec.prompt or (f"write {spec.write.path}" if spec.write else ""))


def filled(value: Any, scope: Mapping[str, Any], where: str) -> Any:
    """The value with every template in it filled in."""
    match value:
        case str():
            return render(value, scope, where)
        case Mapping():
            return {key: filled(item, scope, where) for key, item in value.items()}
        case list() | tuple():
            return [filled(item, scope, where) for item in value]
    return value


def write_file(path: Path, text: str) -> str:
    """Writes the file whole or not at all, its folders too, and returns the text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text)
    return text
