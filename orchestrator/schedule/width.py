"""How many agents are at work at once: as many as the API takes."""

from orchestrator.events import Event
from orchestrator.plan.model import Limits
from orchestrator.state import RunState


class Width:
    """A number of places that a run's signals change; a fixed one stays as it is until somebody resizes it."""

    def __init__(self, limits: Limits, state: RunState) -> None:
        self.fixed = limits.concurrent != "auto"
        self.places = limits.width
        self._state = state

    def heed(self, event: Event, now: float) -> str | None:
        """Why the number of places is another one now; None when it is not. `now`: on the event loop's clock, s."""
        return None

    def resize(self, concurrent: int) -> None:
        """Fixes the number."""
        self.fixed, self.places = True, concurrent
