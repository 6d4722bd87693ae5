"""A goal as a group of tasks: who splits it, a loop over the parts, who joins them, and what it comes to."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.engine.steps import Expand, Node, Omit, Step, carried
from orchestrator.prompts import PartDone
from orchestrator.task import Outcome, Result, plain

MOST_NAMED = 3
"""How many parts that failed a result tells of with their errors; each part's own result has its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dividing:
    """A goal that is being reached in parts. `results` fills while the run goes on."""

    name: str
    results: Mapping[str, Result]
    titles: Callable[[], Sequence[str]]
    """Of the parts, in their order, once the goal is split."""

    def expand(self, split: Node, loop: Node, join: Node) -> Expand:
        """The parts of the group; the joiner's `prepare` may ask `done`."""
        needs = (split.id, loop.id)
        return Expand(
            (
                replace(split, parent=self.name),
                # The joiner goes on without parts that fail, also where the first failure ends the run.
                replace(loop, parent=self.name, needs=needs[:1], allows=(), allow_failure=True),
                replace(join, parent=self.name, needs=needs, allows=(), prepare=lambda: self.join(loop, join)),
            ),
            gather=self.gather,
        )

    def join(self, loop: Node, join: Node) -> Step:
        """What is to be done to join the parts, if there are any."""
        if not is_known(self.results[loop.id]):
            return Omit(f"it needs {loop.id}, which is {self.results[loop.id].outcome.status}")
        if not any(part.ok for part in self.parts(loop.id)):
            return Omit("no part succeeded")
        return join.prepare()

    def parts(self, loop: str) -> list[Result]:
        """What the parts in that loop came to."""
        return [self.results[f"{loop}[{index}]"] for index in range(len(self.titles()))]

    def done(self, loop: str) -> list[PartDone]:
        """The same for the agent that joins them."""
        return [part_done(title, part) for title, part in zip(self.titles(), self.parts(loop), strict=True)]

    def gather(self, results: Sequence[Result]) -> Result:
        """What the joiner gave, and a note on the parts that failed."""
        split, loop, join = results
        if not split.ok:
            return carried(split, f"split: {split.error}")
        if not is_known(loop):
            return carried(loop, f"parts: {loop.error}")
        parts = self.parts(loop.task)
        failed = [part for part in parts if not part.ok]
        named = "; ".join(f"{part.task}: {part.error}" for part in failed[:MOST_NAMED])
        named += f"; and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
        if len(failed) == len(parts):
            ends = {part.outcome for part in parts}
            outcome = ends.pop() if len(ends) == 1 else Outcome.PARTIAL
            return Result(task=self.name, outcome=outcome, error=f"none of its {len(parts)} parts succeeded: {named}")
        note = f"{len(parts) - len(failed)} of {len(parts)} parts succeeded{f'; {named}' if failed else ''}"
        return carried(join, None if join.ok else f"join: {join.error}", note)


def is_known(loop: Result) -> bool:
    """Whether it came to its parts at all."""
    return loop.outcome in (Outcome.OK, Outcome.PARTIAL)


def part_done(title: str, part: Result) -> PartDone:
    text = part.text if part.value is None else json.dumps(plain(part.value), ensure_ascii=False)
    return PartDone(title, text, None if part.ok else part.error or part.outcome.value)
