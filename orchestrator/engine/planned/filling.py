"""From a task's spec to what is to be done, with every template filled in."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.engine.files import replace_file
from orchestrator.engine.planned.pieces import PlanInRun, Scope
from orchestrator.engine.script.asking import anchored
from orchestrator.engine.steps import Ask, Call
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.model import Agent
from orchestrator.plan.references import has_marks
from orchestrator.plan.render import TemplateError, evaluate, render
from orchestrator.plan.specs import AskSpec, Write
from workspaces import WorkspaceSpec

Asking = TypeVar("Asking", bound=AskSpec)


def write(plan: PlanInRun, spec: Write, scope: Scope, where: str) -> Call:
    """The writing of a file. Raises TemplateError."""
    path = render(spec.path, scope, f"{where}.write.path")
    text = render(spec.text, scope, f"{where}.write.text")
    return Call(partial(write_file, plan.setting.directory / Path(path).expanduser(), text))


def ask(plan: PlanInRun, spec: AskSpec, scope: Scope, where: str, wording: Callable[[Scope], str] | None = None) -> Ask:
    """What an agent is asked; `wording` makes the prompt in place of the spec's template. Raises TemplateError."""
    defaults = plan.loaded.plan.defaults
    prompt = wording(scope) if wording else render(spec.prompt or "", scope, f"{where}.prompt")
    if not prompt.strip():
        raise TemplateError(f"{where}.prompt: filled in, it is empty, expected what the agent is to do")
    return Ask(
        prompt=prompt,
        agent=agent_of(plan, spec),
        workspace=workspace_of(plan, spec.workspace or defaults.workspace, scope, where),
        schema=spec.returns,
        timeout=spec.timeout or defaults.timeout or plan.setting.timeout,
        retries=defaults.retries if spec.retries is None else spec.retries,
        checks=tuple(render(check, scope, f"{where}.checks[{index}]") for index, check in enumerate(spec.checks)),
        inputs=tuple(
            str(plan.setting.directory / Path(render(path, scope, f"{where}.inputs[{index}]")).expanduser())
            for index, path in enumerate(spec.inputs)
        ),
        fresh=spec.fresh,
        rehearsal=rehearsal_of(spec, scope, where),
        agents={name: planned_agent(plan.loaded, name) for name in plan.loaded.plan.agents},
    )


def agent_name(plan: PlanInRun, spec: AskSpec) -> str | None:
    """What the plan calls the agent that does it; None: it has no name."""
    return spec.agent or plan.loaded.plan.defaults.agent


def agent_of(plan: PlanInRun, spec: AskSpec) -> Agent:
    """The plan's agent, or the run's own."""
    name = agent_name(plan, spec)
    return plan.setting.agent if name is None else planned_agent(plan.loaded, name)


def planned_agent(loaded: LoadedPlan, name: str) -> Agent:
    """The plan's agent of that name, with the path of its MCP configuration made absolute. Raises KeyError."""
    agent = loaded.plan.agents[name]
    if not isinstance(agent.mcp_servers, str):
        return agent
    return agent.model_copy(update={"mcp_servers": str(loaded.directory / agent.mcp_servers)})


def workspace_of(plan: PlanInRun, spec: WorkspaceSpec | None, scope: Scope, where: str) -> WorkspaceSpec:
    if spec is None:
        return plan.setting.workspace
    path, base = (
        text and render(text, scope, f"{where}.workspace.{key}")
        for key, text in (("path", spec.path), ("base", spec.base))
    )
    return anchored(replace(spec, path=path, base=base), plan.setting.directory)


def rehearsal_of(spec: AskSpec, scope: Scope, where: str) -> tuple[Mapping[str, Any], ...] | None:
    if spec.rehearsal is None:
        return None
    return tuple(filled(dict(step), scope, f"{where}.rehearsal[{index}]") for index, step in enumerate(spec.rehearsal))


def filled(value: Any, scope: Scope, where: str) -> Any:
    """The value with every template in it filled in, as text."""
    match value:
        case str():
            return render(value, scope, where)
        case Mapping():
            return {key: filled(item, scope, where) for key, item in value.items()}
        case list() | tuple():
            return [filled(item, scope, where) for item in value]
    return value


def evaluated(value: Any, scope: Scope, where: str) -> Any:
    """The value with what every template in it gives: a list stays one."""
    match value:
        case str() if has_marks(value):
            return evaluate(value, scope, where)
        case Mapping():
            return {key: evaluated(item, scope, f"{where}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [evaluated(item, scope, f"{where}[{index}]") for index, item in enumerate(value)]
    return value


def based_on(spec: Asking, task: AskSpec, **more: Any) -> Asking:
    """The spec with the task's own options where it names none, and `more` in place."""
    same = {name: getattr(spec, name) or getattr(task, name) for name in ("agent", "workspace", "timeout", "fresh")}
    same["retries"] = task.retries if spec.retries is None else spec.retries
    return spec.model_copy(update=same | {"inputs": (*task.inputs, *spec.inputs)} | more)


def write_file(path: Path, text: str) -> str:
    """Writes the file whole or not at all, its folders too, and returns the text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text)
    return text
