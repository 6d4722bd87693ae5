"""One task of a run, whole: what `show RUN TASK` prints."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from orchestrator.cli.wanted import below
from orchestrator.report import RunReport, Standing
from orchestrator.state import Calls
from orchestrator.task import Result, Status
from orchestrator.views.verdicts import api_words
from orchestrator.views.words import SIGNS, clean, dollars, plural, span, tokens

Parts = Mapping[str, Standing]


def task_json(task: str, report: RunReport) -> dict[str, Any]:
    """A task for programs, with those right below it; `task` may be what several ids begin with."""
    standing, result, parts = report.tree.get(task), report.results.get(task), parts_of(task, report)
    data: dict[str, Any] = {"id": task, "status": standing.status if standing else None}
    if standing:
        data |= {"kind": standing.kind, "parent": standing.parent}
    if parts or (standing and standing.is_group):
        data["parts"] = [{"id": part, "kind": each.kind, "status": each.status} for part, each in parts.items()]
    shown = result.to_json() if result else {}
    if task in report.task_calls:
        data["api"] = report.task_calls[task].to_json()
    return data | {name: value for name, value in shown.items() if name != "task"}


def details_of(task: str, report: RunReport) -> Text:
    """A task for people, with those right below it; `task` may be what several ids begin with."""
    standing, result, parts = report.tree.get(task), report.results.get(task), parts_of(task, report)
    text = details(task, standing.status if standing else None, result, standing, parts, report.task_calls.get(task))
    text.rstrip()
    return text


def parts_of(task: str, report: RunReport) -> dict[str, Standing]:
    """The tasks right below one; of a mere beginning of ids, the tasks that begin so."""
    parts = report.tree[task].parts if task in report.tree else below(task, report.tree)
    return {part: report.tree[part] for part in parts if part in report.tree}


def details(
    task: str,
    status: Status | None,
    result: Result | None,
    standing: Standing | None = None,
    parts: Parts | None = None,
    calls: Calls | None = None,
) -> Text:
    """The text, of what is known."""
    text = Text.assemble((clean(task), "bold"), f"  {status}\n" if status else "\n")
    facts = {**(group_facts(standing) if standing else {}), **(result_facts(result) if result else {})}
    facts["API"] = api_words(calls) if calls else None
    for name, fact in facts.items():
        if fact:
            text.append(f"{name:<10}", "dim").append(f"{clean(str(fact))}\n")
    for line in part_lines(parts or {}):
        text.append_text(line)
    if result and result.value is not None:
        text.append("value\n", "dim").append(lines(json.dumps(result.value, ensure_ascii=False, indent=2)))
    if result and result.text:
        text.append("text\n", "dim").append(lines(result.text))
    return text


def lines(text: str) -> str:
    """The text with its line ends, and no other control characters."""
    return "".join(f"{clean(line)}\n" for line in text.splitlines())


def group_facts(standing: Standing) -> dict[str, Any]:
    """What a group is, and how far it has come; nothing of other tasks."""
    if not standing.is_group:
        return {}
    share = f", {standing.done} of {plural(standing.total, 'task')} done" if standing.total else ""
    took = span(standing.seconds) if standing.seconds is not None else None
    return {"kind": f"{standing.kind}{share}", "time": took}


def result_facts(result: Result) -> dict[str, Any]:
    """What is told of a result in a line each."""
    usage = result.usage
    spent = f"{tokens(usage.all_input_tokens)} in ({tokens(usage.cache_read_tokens)} cached)"
    return {
        "outcome": f"{result.outcome}{': ' + result.error if result.error else ''}",
        "note": getattr(result, "note", None),
        "attempts": result.attempts and f"{result.attempts}, {span(result.duration)}, {plural(result.turns, 'turn')}",
        "tokens": result.attempts and f"{spent}, {tokens(usage.output_tokens)} out",
        "cost": result.attempts and dollars(result.cost_usd),
        "session": result.session_id,
        "workspace": result.workspace and f"{result.workspace.kind} {result.workspace.path}",
        "branch": result.workspace and result.workspace.branch,
        "changed": result.workspace and ", ".join(result.workspace.changed),
        "refused": ", ".join(result.denials),
    }


def part_lines(parts: Parts) -> Iterator[Text]:
    """A line per part; a group says how far it has come."""
    if not parts:
        return
    yield Text("parts\n", style="dim")
    wide = max(map(len, parts))
    for part, standing in parts.items():
        share = f"  {standing.kind}, {standing.done} of {standing.total}" if standing.is_group else ""
        said = f"{standing.outcome or standing.status}{share}"
        sign, colour = SIGNS[standing.status]
        yield Text.assemble((f"{sign} ", colour), clean(part.ljust(wide)), f"  {said}\n")
