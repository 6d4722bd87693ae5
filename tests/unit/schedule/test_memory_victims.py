"""Who makes room when memory runs out: without a run around it."""

from orchestrator.events import AttemptStarted, Event, ProcessesMeasured, RunStarted, TaskAdded
from orchestrator.plan.model import Limits
from orchestrator.schedule.memory import MemoryRoom
from orchestrator.state import RunState

MB = 1_000_000


class Played:
    """A room of 1 GB for three tasks."""

    def __init__(self) -> None:
        self.state = RunState()
        self.room = MemoryRoom(Limits(memory="1GB"), self.state)  # type: ignore[arg-type]
        self.tell(
            RunStarted(
                name="r", concurrent=3, usd=None, upstream=None, plan=None, pid=1, process_started=0.0, directory="/",
                version="1",
            )
        )  # fmt: skip
        for name in "abc":
            self.tell(TaskAdded(task=name, title=name, task_kind="agent"))

    def tell(self, event: Event) -> None:
        self.state.apply(event, 0.0)
        self.room.heed(event)

    def reserve(self, name: str) -> None:
        self.room.reserve(self.state.tasks[name])

    def start(self, name: str) -> None:
        self.reserve(name)
        self.tell(AttemptStarted(task=name, attempt=1))

    def use(self, name: str, memory: int) -> None:
        self.tell(ProcessesMeasured(task=name, attempt=1, memory=memory, peak=memory, cpu_s=0.0))


def test_one_that_is_only_looked_up_makes_no_room() -> None:
    """It uses nothing yet, and may wait for long: another is put off, but never the last one at work."""
    played = Played()
    played.start("a")
    played.reserve("b")
    played.use("a", 1200 * MB)
    assert played.room.victim() is None
    played.start("c")
    played.use("c", 100 * MB)
    assert played.room.victim() == "c"
