"""Whether a run kept to its bounds, as the API saw it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.events import RunStarted
from orchestrator.gateway.recording.reading import read_recording
from orchestrator.state import RunState
from tests.chaos.bounds import MINUTE
from tests.chaos.journals import Story
from tests.chaos.server import Asked

if TYPE_CHECKING:
    from tests.chaos.rounds import Round

WIDEST = 5
"""Agents that may be at work at once in a run with a budget: so many replies may come after it is spent."""
LATE = 3
"""Requests that may come too early, since a busy machine has held up those before them."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What one command did of a run."""

    limits: dict[str, Any]
    begun: float
    """Unix time, s."""
    ended: float
    spent: RunState
    """What it all had come to by then."""


def legs_of(story: Story) -> Iterator[Leg]:
    """One per command that drove it."""
    starts = [number for number, each in enumerate(story.records) if isinstance(each.event, RunStarted)]
    for first, behind in pairwise([*starts, len(story.records)]):
        records, spent = story.records[first:behind], RunState()
        spent.apply_all(records)
        begun = records[0].event
        assert isinstance(begun, RunStarted)
        ended = story.records[behind].at if behind < len(story.records) else float("inf")
        yield Leg(dict(begun.limits), records[0].at, ended, spent)


def check_bounds(round: "Round", story: Story, asked: Sequence[Asked]) -> None:
    """It spent no more than it might, and asked no faster."""
    good = [each for each in asked if each.trouble is None]
    for number, leg in enumerate(legs_of(story), 1):
        unseen = WIDEST * number  # replies that came to agents that were being ended
        replies = sum(each.at < leg.ended for each in good)
        if (turns := leg.limits.get("turns")) and replies > turns + unseen:
            round.violate(f"{replies} replies in all by the end of command {number}, expected {turns} and a few")
        for name, amount, each in (
            ("usd", leg.spent.cost_usd, round.calm.usd),
            ("tokens", leg.spent.tokens, round.calm.tokens),
        ):
            if (limit := leg.limits.get(name)) and amount > limit + 2 * unseen * each:
                round.violate(f"{amount:.4g} {name} spent by the end of command {number}, expected {limit:.4g}")
        if pace := leg.limits.get("requests_per_minute"):
            check_pace(round, [each.at for each in asked if leg.begun <= each.at < leg.ended], pace / MINUTE)


def check_pace(round: "Round", times: Sequence[float], rate: float) -> None:
    """In no stretch of time were there more requests than come in at that rate (per second)."""
    for first, begun in enumerate(times):
        for count, at in enumerate(times[first:], 1):
            if count > (at - begun) * rate + 1 + LATE:
                round.violate(f"{count} requests in {at - begun:.2f} s, expected {rate:g} a second")
                return


def check_recording(round: "Round") -> None:
    """What is kept of the requests can be read, whatever has cut it off; but for one that was said to be lost."""
    if not round.recording.exists() or any(b"is not whole" in each.log.read_bytes() for each in round.commands):
        return
    try:
        read_recording(round.recording)
    except UsageError as error:
        round.violate(f"the recording cannot be read: {error}")
