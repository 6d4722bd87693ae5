"""One round: a run, a fault, going on until it is done, and a look at what there is then."""

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from orchestrator.state import TaskState
from orchestrator.task import Outcome, Status
from tests.chaos.bounds import Bounds, Calm, choose_bounds
from tests.chaos.checks import check, is_unneeded
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.journals import Story, count_results, read_stories
from tests.chaos.places import Place, make_place
from tests.chaos.plans import Plan, assemble, choose_kinds, choose_patterns
from tests.chaos.processes import Process, Watch, kill, processes_of, wait_gone
from tests.chaos.server import ScriptedModel, serving

PATIENCE = 300.0
"""Seconds that a command may take."""
GONE = 5.0
"""Seconds after an orchestrator's death in which all its processes must have ended."""
MOST_RESUMES = 4


@dataclass(slots=True)
class Command:
    """An `orchestrator` command of the round."""

    words: Sequence[str]
    process: "subprocess.Popen[bytes]"
    log: Path
    code: int | None = None

    def __str__(self) -> str:
        return f"{' '.join(Path(word).name for word in self.words)} → {self.code}"


@dataclass
class Round:
    """What is known of a round, while it goes on and afterwards."""

    seed: str
    kind: str
    place: Place
    random: Random
    calm: Calm
    """What undisturbed tasks take."""
    bounds: Bounds = field(init=False)
    plan: Plan = field(init=False)
    model: ScriptedModel = field(init=False)
    env: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth a look, and breaks no promise."""
    told: list[Story] = field(default_factory=list)
    """What the journal says at the end."""
    left: int = 0
    """Processes alive 5 s after their orchestrator's death."""
    slowest_end: float = 0.0
    """Seconds from an orchestrator's death to that of its last process."""
    lost: int = 0
    paid_twice: set[str] = field(default_factory=set)
    """Runs and tasks, as `<run>/<task>`."""
    results: int = 0
    reused: int = 0
    continued: int = 0
    """Attempts that went on in the session of one that was cut off."""
    anew: int = 0
    """Attempts that were to do so, and for which that session was gone."""
    requests: int = 0
    undisturbed: int = 0
    """Requests of an undisturbed run of the same plan."""
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def recording(self) -> Path:
        """Where its requests are kept, if they are."""
        return self.place.path / "recording.jsonl"

    @property
    def fault(self) -> Fault:
        return FAULTS[self.kind]

    @property
    def resumes(self) -> int:
        return max(0, len(self.commands) - 1)

    def violate(self, what: str) -> None:
        self.violations.append(what)

    @property
    def stories(self) -> list[Story]:
        return read_stories(self.place.journal)

    @property
    def finished(self) -> int:
        """Good results on the disk."""
        return count_results(self.place.journal)

    @property
    def processes(self) -> list[Process]:
        return processes_of(self.place.home)

    def start(self, *words: str) -> Command:
        """A command in the background."""
        log = self.place.path / f"log-{len(self.commands)}.txt"
        report = self.place.path / f"out-{len(self.commands)}.json"
        process = self.place.start(log, self.env, *words, "--view", "none", "--json", str(report))
        command = Command(words, process, log)
        self.commands.append(command)
        return command

    def finish(self, *commands: Command) -> None:
        """Waits for their ends, and then for those of their agents."""
        for command in commands:
            try:
                command.code = command.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.violate(f"`{command}` did not end in {PATIENCE:g} s")
                command.process.kill()
                command.code = command.process.wait()
        note_failures(self)
        left, seconds = wait_gone(self.place.home, GONE)
        self.slowest_end = max(self.slowest_end, seconds)
        self.left += len(left)
        if left:
            self.violate(f"{len(left)} processes lived {GONE:g} s after {commands[-1]}: {'; '.join(map(str, left))}")
            kill(left)

    def until(self, condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> bool:
        """Waits until the condition holds, or the process has ended; whether it holds and the process lives."""
        while process.poll() is None:
            if condition():
                return True
            time.sleep(0.03)
        return False

    def words(self) -> Sequence[str]:
        """How to go on, at random among what the rules allow; with more of a budget that was spent."""
        run = ("run", str(self.place.plan), *self.bounds.words)
        stories = self.stories
        if not stories:
            return run
        ended = stories[-1].state.finished
        resume = ("resume", stories[-1].run)
        # A run that came to its end, even a bad one, is begun anew by `run`.
        is_over = ended and ended.status == "failed" and ended.complete
        words = resume if is_over else self.random.choice([run, resume, ("resume",)])
        return (*words, *stories[-1].advice)

    @property
    def is_done(self) -> bool:
        """Whether the last command came to the plan's end: with a plan of which a part always fails, to that end."""
        code = self.commands[-1].code if self.commands else None
        return code == 0 or (code == 1 and bool(self.plan.fails) and self.failed == self.plan.fails)

    @property
    def failed(self) -> set[str]:
        """The tasks that are not done, as the last run's journal says; those that were not needed left out."""
        tasks = self.stories[-1].state.tasks.values() if self.stories else ()
        return {task.id for task in tasks if task.status is not Status.DONE and not is_unneeded(task)}


Chosen = tuple[Sequence[str], Sequence[str]]
"""Kinds of tasks, and patterns."""


def play(
    seed: str, kind: str, folder: Path, calm: Calm, bounds: str | None = None, chosen: Chosen | None = None
) -> Round:
    """Plays a round in a place of its own below the folder. Equal seeds, kinds and bounds, equal rounds.

    `chosen`: what the plan has; without it that is random, as are the `bounds`.
    """
    random = Random(f"{seed} {kind}")
    round = Round(seed, kind, make_place(folder), random, calm)
    options = round.fault.options
    kinds, patterns = chosen or (choose_kinds(random), choose_patterns(random))
    round.plan = assemble(random, round.place, kinds, patterns, options)
    round.bounds = bind(round, bounds)
    round.plan.write(round.place)
    round.model = ScriptedModel(Random(random.random()), round.plan.tasks)
    with ExitStack() as stack:
        stack.enter_context(round.fault.around(round))
        round.env |= stack.enter_context(serving(round.model))
        watch = stack.enter_context(Watch(round.place.home))
        try:
            drive(round)
        finally:
            kill(round.processes)
            for command in round.commands:
                with suppress(subprocess.TimeoutExpired):
                    command.process.wait(5)
        check(round, watch.found)
    round.seconds = time.monotonic() - round.begun
    return round


def bind(round: Round, name: str | None) -> Bounds:
    """Has the plan keep to bounds of that name, or to some."""
    random = Random(f"{round.seed} bounds")  # apart, so that the same rounds can be played with others
    bounds = choose_bounds(
        random,
        name or random.choice(round.fault.bounds),
        round.calm,
        round.plan.count_requests(round.calm.requests),
        str(round.recording),
    )
    round.plan.bind({**bounds.limits, **round.fault.limits})
    return bounds


def drive(round: Round) -> None:
    """The run, the fault, and going on until it is done."""
    first = round.start("run", str(round.place.plan), *round.bounds.words)
    round.fault.disturb(round, first.process)
    round.finish(first)
    round.fault.mend(round)
    while not round.is_done and round.resumes < MOST_RESUMES:
        round.fault.go_on(round)


def note_failures(round: Round) -> None:
    """Notes which tasks failed: the fault was more than their retries could mend."""
    for story in round.stories if any(each.code == 1 for each in round.commands[-1:]) else ():
        for task in story.state.tasks.values():
            if task.status is Status.FAILED and task.result and not may_fail_at_first(round, task):
                round.notes.append(f"task {task.id} failed at first: {task.result['outcome']}: {task.result['error']}")


def may_fail_at_first(round: Round, task: TaskState) -> bool:
    """Whether it is no wonder that the task failed: it always does, or the usage limit was not waited for."""
    is_held = round.kind == "no-wait" and task.result is not None and task.result["outcome"] == Outcome.QUOTA
    return task.is_group or task.id in round.plan.fails or is_held
