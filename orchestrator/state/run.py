"""RunState: one run, as its events make it."""

from collections.abc import Iterable

from orchestrator.events import Event, Record
from orchestrator.state import api, attempts, limits, runs, talk, tasks
from orchestrator.state.figures import Figures, Folds

FOLDS: Folds = {
    **runs.FOLDS,
    **tasks.FOLDS,
    **attempts.FOLDS,
    **talk.FOLDS,
    **limits.FOLDS,
    **api.FOLDS,
}


class RunState(Figures):
    """One run. Folding an event costs the same however large the run is."""

    __slots__ = ()

    @classmethod
    def of(cls, records: Iterable[Record]) -> "RunState":
        """What all the records of a run come to."""
        state = cls()
        state.apply_all(records)
        return state

    def apply(self, event: Event, at: float) -> None:
        """Folds one event in; `at` is its Unix time in seconds."""
        self.last_at = at
        FOLDS[type(event)](self, event, at)

    def apply_all(self, records: Iterable[Record]) -> None:
        for record in records:
            self.apply(record.event, record.at)
