"""RunReport: results and totals of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.bottleneck import Judgement, Ran, judge
from orchestrator.events import RunForecast
from orchestrator.report.standing import Standing
from orchestrator.state import Calls
from orchestrator.task import Result, Spent, Status, Usage

GOOD_PART = 0.25
"""The share of a run's time from which on a wait of the whole run is what held it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was expected, and what came of it."""

    expected: RunForecast
    wall_s: float
    """Seconds since it was made."""
    cost_usd: float
    """US dollars since then."""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """Results and totals of a run; of one that still runs, so far."""

    run: str
    name: str
    status: str
    """`done`, `failed`, `cancelled`, `crashed`; `running`, or `interrupted` when its process died."""
    results: Mapping[str, Result]
    """By task id, in the order in which they were added, parts behind their loop; a loop has the list of its values."""
    statuses: Mapping[str, Status]
    """By task id; loops are left out. In a run whose process died, what was at work then is `cancelled`."""
    wall_s: float
    sum_s: float
    """Seconds of work, summed over all attempts."""
    longest_s: float
    """Seconds of the longest task."""
    upstream: str | None = None
    resumed: int = 0
    """How often the run had been gone on with before."""
    plan: str | None = None
    """The plan file, when the run has one."""
    script: str | None = None
    """The script that opened the run, when one did."""
    spent_usd: float = 0.0
    """US dollars that all attempts of this run have cost, as the CLI reckons them."""
    earlier_usd: float = 0.0
    """What of that it had cost before it was last gone on with."""
    by_agent: Mapping[str, Spent] = field(default_factory=dict)
    """What ended attempts have cost by agent, the dearest first; empty: the run's own agent. Over all starts."""
    by_model: Mapping[str, Spent] = field(default_factory=dict)
    """The same by model; empty: no model was told."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """As a plan file has them."""
    beside: str | None = None
    """A run of the same plan or script that another process was driving when this one began."""
    tree: Mapping[str, Standing] = field(default_factory=dict)
    """By task id, groups and all; what is below a task comes right behind it."""
    concurrent: int = 1
    """How many agents could be at work at once, at most."""
    began_with: int = 1
    """How many could be at the beginning."""
    width: int = 1
    """How many could be in the end."""
    episodes: int = 0
    """How often the API began to answer 429."""
    signals: Mapping[str, int] = field(default_factory=dict)
    """What the API said about how much it takes, by kind: how often."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """The API's answers other than 200, by their status; `cut`: those that broke off."""
    held_s: float = 0.0
    """Seconds in which no agents were started since the usage limit was reached."""
    stopped: str | None = None
    """Why nothing more was started; None where nothing of that kind happened."""
    complete: bool = True
    """Whether all was tried that was to be done; of a run that has not ended, so far."""
    pilot: int | None = None
    """How many items each loop took, where that was not all."""
    forecast: Forecast | None = None
    """The last one; None when nothing was known from earlier runs."""
    peak_memory: int = 0
    """The most bytes that the processes of all agents used at once; 0 when none were measured."""
    mean_peak_memory: int = 0
    """Bytes that an agent's processes used at their peak, on average over the tasks."""
    memory_awaited_s: float = 0.0
    """Seconds in which agents waited for memory, though there were places for them."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """How many requests the gateway answered by a `fault` that was asked for, or found `unmatched` in a recording."""
    first_noted: Mapping[str, str] = field(default_factory=dict)
    """What was said of the first of each."""
    calls: Calls = field(default_factory=Calls)
    """Its API requests, where the gateway metered them."""
    task_calls: Mapping[str, Calls] = field(default_factory=dict)
    """The same by task."""
    ran: Sequence[Ran] = ()
    """What each task took that this run did itself, since it was last started."""

    @property
    def groups(self) -> Mapping[str, Standing]:
        """Loops, pipelines, votes, nested plans and other groups, by task id."""
        return {task: standing for task, standing in self.tree.items() if standing.is_group}

    @property
    def ok(self) -> bool:
        """Whether every task succeeded (or was skipped by its own condition)."""
        return self.status == "done"

    @property
    def tasks(self) -> int:
        return len(self.statuses)

    def count(self, status: Status) -> int:
        """How many tasks have this status."""
        return sum(1 for each in self.statuses.values() if each is status)

    @property
    def succeeded(self) -> int:
        return self.count(Status.DONE)

    @property
    def failed(self) -> int:
        return self.count(Status.FAILED)

    @property
    def reused(self) -> list[Result]:
        """Results that were there before, and had not to be paid for again."""
        return [result for result in self.leaf_results if result.reused is not None]

    @property
    def leaf_results(self) -> list[Result]:
        """Results of the tasks, loops left out."""
        return [result for task, result in self.results.items() if task in self.statuses]

    @property
    def cost_usd(self) -> float:
        """US dollars that this run has cost, as the CLI reckons them; what other runs paid for is not in it."""
        return self.spent_usd

    @property
    def usage(self) -> Usage:
        return sum((result.usage for result in self.leaf_results if result.reused in (None, self.run)), Usage())

    @property
    def speedup(self) -> float:
        """`sum_s / wall_s`: how many times faster than one task after the other."""
        return self.sum_s / self.wall_s if self.wall_s else 1.0

    @cached_property
    def judgement(self) -> Judgement:
        """How parallel the run was, and what held it back. Raises ValueError for tasks that wait in a circle."""
        return judge(self.ran, self.wall_s, self.concurrent)

    @property
    def parallel(self) -> str:
        """PARALLEL: at most 1.2 times the longest task's time. SEQUENTIAL: all tasks' time. PARTIAL: between."""
        return self.judgement.verdict.value

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The tasks of the longest chain that waited for each other, first to last."""
        return self.judgement.path

    @property
    def critical_s(self) -> float:
        """Seconds of work on the longest chain: at no width would the run have been shorter."""
        return self.judgement.path_s

    @property
    def bound_s(self) -> float:
        """Seconds below which no order would have brought the run: its longest chain, or its work over its places."""
        return self.judgement.bound_s

    @property
    def efficiency(self) -> float:
        """Share of the time of its places in which agents were at work, from 0 to 1."""
        return self.judgement.efficiency

    @property
    def held_back(self) -> str | None:
        """`limit`, `longest task`, `needs`, `rate` (waits between attempts), `start-up`; `usage limit` or `memory`
        where the run waited for that for a good part of its time; None when too little ran."""
        if max(self.held_s, self.memory_awaited_s) > GOOD_PART * self.wall_s:
            return "usage limit" if self.held_s >= self.memory_awaited_s else "memory"
        return self.judgement.brake.value if len([each for each in self.ran if not each.is_free]) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return {
            "run": self.run,
            "name": self.name,
            "status": self.status,
            "upstream": self.upstream,
            "complete": self.complete,
            "forecast": self._forecast_json(),
            "tasks": [self._task_json(task) for task in self.statuses],
            "groups": [self._group_json(group, standing) for group, standing in self.groups.items()],
            "totals": {
                "tasks": self.tasks,
                "ok": self.succeeded,
                "failed": self.failed,
                "skipped": self.count(Status.SKIPPED),
                "cancelled": self.count(Status.CANCELLED),
                "reused": len(self.reused),
                "cost_usd": round(self.cost_usd, 6),
                "input_tokens": self.usage.all_input_tokens,
                "cached_input_tokens": self.usage.cache_read_tokens,
                "output_tokens": self.usage.output_tokens,
                "by_agent": {agent: spent_json(spent) for agent, spent in self.by_agent.items()},
                "by_model": {model: spent_json(spent) for model, spent in self.by_model.items()},
                "wall_s": round(self.wall_s, 3),
                "sum_s": round(self.sum_s, 3),
                "speedup": round(self.speedup, 2),
                "parallel": self.parallel,
                "efficiency": round(self.efficiency, 3),
                "critical_s": round(self.critical_s, 3),
                "critical_path": list(self.critical_path),
                "bound_s": round(self.bound_s, 3),
                "held_back": self.held_back,
                "width": self.width,
                "widest": self.concurrent,
                "rate_limit_episodes": self.episodes,
                "signals": dict(self.signals),
                "api_answers": dict(self.answers),
                "held_s": round(self.held_s, 3),
                "peak_memory": self.peak_memory,
                "mean_peak_memory": self.mean_peak_memory,
                "memory_awaited_s": round(self.memory_awaited_s, 3),
                "noted": dict(self.noted),
                "api": self.calls.to_json() if self.calls.requests else None,
            },
        }

    def _forecast_json(self) -> dict[str, Any] | None:
        return self.forecast.expected.to_json() if self.forecast else None

    def _task_json(self, task: str) -> dict[str, Any]:
        result = self.results.get(task)
        data: dict[str, Any] = {"id": task, "status": self.statuses[task].value}
        if standing := self.tree.get(task):
            data |= {"kind": standing.kind, "parent": standing.parent, "peak_memory": standing.peak_memory}
        if result is None:
            return data
        shown = result.to_json()
        del shown["task"], shown["message"]
        return data | shown

    def _group_json(self, group: str, standing: Standing) -> dict[str, Any]:
        """A group says what it came to; figures are told of tasks alone."""
        result = self.results.get(group)
        shown = result.to_json() if result else {}
        return {
            "id": group,
            "kind": standing.kind,
            "parent": standing.parent,
            "status": standing.status.value,
            "outcome": shown.get("outcome"),
            "parts": list(standing.parts),
            **{name: shown[name] for name in ("value", "text") if shown.get(name) not in (None, "")},
            "error": shown.get("error"),
            "note": shown.get("note"),
        }


def spent_json(spent: Spent) -> dict[str, float]:
    """As the totals tell it."""
    usage = spent.usage
    return {
        "cost_usd": round(spent.usd, 6),
        "input_tokens": usage.all_input_tokens,
        "cached_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
