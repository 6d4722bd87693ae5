"""How many agents are at work at once: as many as the API takes.

Additive increase, multiplicative decrease, as TCP has it: what the API takes is nowhere to be read, is another for each
account and hour, and so is found by going up while all is calm and down when it answers 429.
"""

from collections.abc import Callable, Iterator

from orchestrator.events import AgentMessage, ApiSignal, Event, RequestAnswered, WidthChanged
from orchestrator.plan.model import Limits
from orchestrator.state import RunState

MOST = 100
"""Places. Inspect AI's (https://inspect.aisi.org.uk/models-concurrency.html). The 20 that it begins with are not taken
over: there a place is a connection, here a process that takes a second of a processor to start. A run begins with two a
core (`Limits.width`), and slow start gets from 4 to 32 in three rounds."""
CUT = 0.8
"""What is left of the places after an episode of 429. Inspect AI's."""
COOLDOWN = 15.0
"""Seconds in which all that the API says belongs to one episode, and nothing grows. Inspect AI's."""
STEP = 0.05
"""What is added in a calm round after the first cut, as a share of the places, and at least one of them. Ours: one by
one it would take 92 rounds from 8 to 100, and a round of agents lasts minutes."""
WARNED = 900.0
"""Seconds without growth after a warning that the usage limit is near and that does not say when it is reset. Ours."""
OK_STATUS = 200


class Width:
    """A number of places that a run's signals change; a fixed one stays as it is until somebody resizes it."""

    def __init__(
        self,
        limits: Limits,
        state: RunState,
        busy: Callable[[], bool] = lambda: False,
        at_work: Callable[[], int] | None = None,
    ) -> None:
        """`busy` tells whether the processors have no time left; `at_work` how many agents hold a place just now."""
        self.fixed = limits.concurrent != "auto"
        self.places = limits.width
        self._busy = busy
        self._at_work = at_work or (lambda: state.places)
        self._slow_start = True
        self._calm = 0
        """Good replies in this round, which is as long as there are places."""
        self._episode_until = self._still_until = float("-inf")
        self._metered = False
        """Whether the gateway counts the replies: the CLI tells of the same ones."""

    def heed(self, event: Event, now: float, clock: float) -> Iterator[WidthChanged]:
        """What the event changes. `now`: on the event loop's clock (s); `clock`: Unix time."""
        match event:
            case AgentMessage(turns=turns):
                if turns and not self._metered:
                    yield from self._grow(now)
            case RequestAnswered(status=status):
                self._metered = True
                if status == OK_STATUS:
                    yield from self._grow(now)
            case ApiSignal(own_account=False, signal="rate_limit"):
                yield from self._cut(event, now)
            case ApiSignal(own_account=False, signal="overloaded" | "server_error"):
                self._keep_still(now + COOLDOWN)
            case ApiSignal(own_account=False, signal="warning", resets_at=resets_at):
                self._keep_still(now + (WARNED if resets_at is None else resets_at - clock))

    def resize(self, concurrent: int) -> None:
        """Fixes the number."""
        self.fixed, self.places = True, concurrent

    def _grow(self, now: float) -> Iterator[WidthChanged]:
        """Counts a good reply; after a round of them, in which all places were in use, there are more.

        While the processors have no time left further agents would only make all of them slower.
        """
        if self.fixed or self.places >= MOST or now < self._still_until or self._at_work() < self.places:
            return
        self._calm += 1
        if self._calm < self.places:
            return
        self._calm = 0
        if not self._busy():
            more = self.places if self._slow_start else max(1, round(self.places * STEP))
            before, self.places = self.places, min(MOST, self.places + more)
            yield WidthChanged(width=self.places, reason="all is calm", before=before)

    def _cut(self, signal: ApiSignal, now: float) -> Iterator[WidthChanged]:
        """One cut per episode: requests that were sent before a cut are answered 429 after it, too.

        As long as more are at work than there are places the cut has not come to anything yet, nor can another one: no
        agent is started until enough have ended.
        """
        if now < self._episode_until:
            return
        if not self.fixed and self._at_work() > self.places:
            self._keep_still(now + COOLDOWN)
            return
        self._episode_until = now + max(COOLDOWN, signal.retry_after or 0.0)
        self._keep_still(self._episode_until)
        self._slow_start, before = False, self.places
        if not self.fixed:
            self.places = max(1, int(self.places * CUT))
        yield WidthChanged(width=self.places, reason="the API answers 429", episode=True, before=before)

    def _keep_still(self, until: float) -> None:
        self._calm, self._still_until = 0, max(self._still_until, until)
