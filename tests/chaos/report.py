"""What is printed of the rounds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.events import (
    ApiPaused,
    AttemptFinished,
    BudgetReached,
    Event,
    MemoryAwaited,
    RegimeChanged,
    WidthChanged,
)
from tests.chaos.rounds import Round


def line(round: Round) -> str:
    """A round in a line, and its violations in a line each."""
    commands = ", ".join(map(str, round.commands))
    told = (
        f"{round.seed:>8} {round.kind:<13} {round.bounds.name:<8} {round.seconds:5.1f} s  "
        f"{len(round.plan.tasks):2} tasks, "
        f"{round.reused:2} reused, {round.continued} continued, {round.requests:3}/{round.undisturbed:<3} requests, "
        f"ends within {round.slowest_end:.1f} s; {commands}"
    )
    words = f"--rounds 1 --seed {round.seed} --only {round.kind} --bounds {round.bounds.name}"
    again = f"      again: {words}; kept in {round.place.path}"
    told_more = [f"    ~ {each[:400]}" for each in round.notes] + [f"    ! {each}" for each in round.violations]
    return "\n".join([told, *told_more, *([again] if round.violations or round.notes else [])])


def table(rounds: Sequence[Round]) -> str:
    """A row per fault, and their sums."""
    kinds = dict.fromkeys(round.kind for round in rounds)
    rows = [row(kind, [round for round in rounds if round.kind == kind]) for kind in kinds]
    return laid_out([*rows, row("all", rounds)])


def table_of_bounds(rounds: Sequence[Round]) -> str:
    """A row per kind of bounds: whether these were felt."""
    names = sorted({round.bounds.name for round in rounds})
    return laid_out([felt(name, [round for round in rounds if round.bounds.name == name]) for name in names])


def felt(name: str, rounds: Sequence[Round]) -> Mapping[str, Any]:
    stories = [story for round in rounds for story in round.told]

    def count(kind: type[Event], **wanted: Any) -> int:
        return total(story.count(kind, **wanted) for story in stories)

    return {
        "bounds": name,
        "rounds": len(rounds),
        "resumes": total(round.resumes for round in rounds),
        "widths": count(WidthChanged),
        "waits for memory": count(MemoryAwaited, awaited=True),
        "put off": count(AttemptFinished, outcome="put_off"),
        "budgets spent": count(BudgetReached, line="hard"),
        "cut at a grant": count(AttemptFinished, outcome="budget"),
        "queued s": round(sum(story.queued for story in stories)),
        "pauses": count(ApiPaused),
        "holds": count(RegimeChanged, regime="hold"),
        "stops": count(RegimeChanged, regime="stop"),
        "violations": total(len(round.violations) for round in rounds),
    }


def laid_out(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows below their names."""
    cells = [list(rows[0]), *([str(each) for each in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(aligned(cell, widths)) for cell in cells)


def row(kind: str, rounds: Sequence[Round]) -> Mapping[str, Any]:
    return {
        "fault": kind,
        "rounds": len(rounds),
        "resumes": total(round.resumes for round in rounds),
        "tasks": total(len(round.plan.tasks) for round in rounds),
        "results": total(round.results for round in rounds),
        "reused": total(round.reused for round in rounds),
        "continued": total(round.continued for round in rounds),
        "anew": total(round.anew for round in rounds),
        "requests": total(round.requests for round in rounds),
        "undisturbed": total(round.undisturbed for round in rounds),
        "lost": total(round.lost for round in rounds),
        "paid twice": total(len(round.paid_twice) for round in rounds),
        "left": total(round.left for round in rounds),
        "violations": total(len(round.violations) for round in rounds),
    }


def total(numbers: Iterable[int]) -> int:
    return sum(numbers)


def aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first to the left, the numbers to the right."""
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]
