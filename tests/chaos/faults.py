"""The faults: what befalls a run, and how it is gone on with."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from orchestrator.events import ApiPaused, RegimeChanged
from tests.chaos.bounds import GATEWAY, WAYS
from tests.chaos.journals import has_event
from tests.chaos.processes import kill
from tests.chaos.server import Trouble

if TYPE_CHECKING:
    from tests.chaos.rounds import Round

    Process = subprocess.Popen[bytes]

DISK = "24m"
"""The size of a disk that is going to be full."""
LET_BE = 0.3
"""How often a usage limit is reset while the run waits for that."""
ALWAYS = 1_000_000
AGAIN = 0.3
"""How often a run that is gone on with is disturbed once more."""


def nothing(*_: Any) -> None:
    """No fault."""


def resume(round: "Round") -> None:
    """Goes on with the run."""
    round.finish(round.start(*round.words()))


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault."""

    disturb: Callable[["Round", "Process"], None] = nothing
    """Does harm while the first command runs."""
    around: Callable[["Round"], AbstractContextManager[None]] = lambda _: nullcontext()
    """What surrounds the whole round."""
    mend: Callable[["Round"], None] = nothing
    """Takes away what would keep the run from going on."""
    go_on: Callable[["Round"], None] = resume
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of every agent."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Of the run, beside its bounds."""
    bounds: Sequence[str] = tuple(WAYS)
    """The bounds with which it makes sense."""


def wait_for_moment(round: "Round", process: "Process") -> bool:
    """Waits for a random moment: while it starts, after so many results or requests. Whether the process lives."""
    random, total = round.random, len(round.plan.tasks)
    match random.choice(["start", "first result", "results", "requests", "time"]):
        case "start":
            time.sleep(random.uniform(0.05, 2.5))
        case "first result":
            round.until(lambda: round.finished >= 1, process)
        case "results":
            wanted = random.randint(1, total - 1)
            round.until(lambda: round.finished >= wanted, process)
            time.sleep(random.uniform(0, 0.4))
        case "requests":
            wanted = random.randint(1, total)
            round.until(lambda: len(round.model.asked) >= wanted, process)
            time.sleep(random.uniform(0, 0.5))
        case "time":
            time.sleep(random.uniform(2, 7))
    return process.poll() is None


def send(*numbers: signal.Signals) -> Callable[["Round", "Process"], None]:
    """Sends signals to the orchestrator, the later ones a moment after."""

    def disturb(round: "Round", process: "Process") -> None:
        wait_for_moment(round, process)
        for number in numbers:
            if process.poll() is None:
                process.send_signal(number)
                time.sleep(round.random.uniform(0.05, 0.5))

    return disturb


def kill_all_guards(round: "Round", process: "Process") -> None:
    """Kills the orchestrator and its guard, in either order."""
    if wait_for_moment(round, process):
        guards = [each for each in round.processes if each.is_guard]
        if round.random.random() < 0.5:
            process.kill()
        kill(guards)
        process.kill()


def kill_agents(round: "Round", process: "Process") -> None:
    """Kills some of the agents' CLI processes, or their launchers, once or twice."""
    for _ in range(round.random.randint(1, 2)):
        if wait_for_moment(round, process):
            round.until(lambda: any(each.is_cli for each in round.processes), process)
            victims = [each for each in round.processes if each.lease and (each.is_cli or each.is_launcher)]
            kill(round.random.sample(victims, k=min(len(victims), round.random.randint(1, 3))))


def again(disturb: Callable[["Round", "Process"], None]) -> Callable[["Round"], None]:
    """Goes on with the run, and now and then disturbs it once more."""

    def go_on(round: "Round") -> None:
        command = round.start(*round.words())
        if round.resumes == 1 and round.random.random() < AGAIN:
            disturb(round, command.process)
        round.finish(command)

    return go_on


def two_at_once(round: "Round") -> None:
    """Goes on with the run by two commands that start at the same moment."""
    both = [round.start(*round.words()) for _ in range(2)]
    round.finish(*both)
    good = 1 if round.plan.fails else 0
    both.sort(key=lambda command: command.code == good)  # the last one is one that drove
    round.commands[-2:] = both
    refused = both[0]
    if refused.code == 2 and "driven by another process" not in refused.log.read_text():
        round.violate(f"`{refused}`, which came second, said {refused.log.read_text()[-300:]!r}")
    elif refused.code not in (good, 2):
        round.violate(f"`{refused}`, which came second, was neither refused nor done")


def api(make: Callable[[Random], Trouble]) -> Callable[["Round"], AbstractContextManager[None]]:
    """Trouble with the API."""

    @contextmanager
    def around(round: "Round") -> Iterator[None]:
        trouble = make(round.random)
        original = round.model
        original.trouble = trouble
        yield

    return around


def burst(status: int) -> Callable[[Random], Trouble]:
    return lambda random: Trouble(str(status), random.randint(0, 6), random.randint(1, 5), random.random() < 0.5)


def too_many(random: Random) -> Trouble:
    """A rate limit that a moment ends."""
    return Trouble("429", random.randint(0, 6), random.randint(1, 5), retry_after=random.choice([None, 1, 3]))


def pausing(random: Random) -> Trouble:
    """A rate limit that pauses all requests for long enough to be hit in it."""
    return Trouble("429", random.randint(0, 6), random.randint(1, 3), retry_after=random.randint(5, 10))


@contextmanager
def used_up(round: "Round") -> Iterator[None]:
    """A usage limit that is reached at some time, and is there until it is mended; of some its reset is told."""
    random = round.random
    trouble = Trouble("429", random.randint(0, 6), ALWAYS, retry_after=random.choice([90, 3600]))
    if round.bounds.has_gateway and random.random() < 0.6:
        trouble = Trouble("429", trouble.first, ALWAYS, final=True, reset=random.uniform(4, 8))
    round.model.trouble = trouble
    yield


def no_trouble(round: "Round") -> None:
    """The API answers again."""
    round.model.trouble = None


ENDS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def end_in_hold(round: "Round", process: "Process") -> None:
    """Ends the orchestrator while it waits for a usage limit's reset, or has the limit reset under it."""
    round.until(lambda: has_event(round.place.journal, RegimeChanged, regime="hold"), process)
    time.sleep(round.random.uniform(0, 3))
    if round.random.random() < LET_BE:
        no_trouble(round)
    elif process.poll() is None:
        process.send_signal(round.random.choice(ENDS))


def end_in_pause(round: "Round", process: "Process") -> None:
    """Ends the orchestrator while its gateway lets no request go."""
    round.until(lambda: has_event(round.place.journal, ApiPaused), process)
    time.sleep(round.random.uniform(0, 4))
    if process.poll() is None:
        process.send_signal(round.random.choice(ENDS))


SHIM = '''#!{python} -IS
"""The Claude CLI, but for some of its starts: then it misbehaves as the file that it finds says."""
import os, signal, subprocess, sys
real, folder = {real!r}, {folder!r}
def take():
    for name in sorted(os.listdir(folder)):
        try:
            os.rename(folder + "/" + name, folder + "/../taken-" + name)
            return name.partition("-")[2]
        except OSError:
            continue
how = take()
if how == "crash":
    sys.stderr.write("chaos: something broke\\n")
    sys.exit(3)
if how == "garbage":
    os.write(1, b"\\x00\\xff\\xfe this is no message\\n[1, 2\\n")
    sys.exit(0)
if how is None:
    os.execv(real, [real, *sys.argv[1:]])
child = subprocess.Popen([real, *sys.argv[1:]], stdout=subprocess.PIPE)
lines = {{"torn-early": 2, "torn": 4, "torn-late": 6}}.get(how, 4)
for number, line in enumerate(child.stdout):
    if number >= lines:
        os.write(1, line[: len(line) // 2])
        break
    os.write(1, line)
child.kill()
child.wait()
sys.exit(0 if how == "torn" else 1)
'''
WAYS = ("crash", "garbage", "torn-early", "torn", "torn-late")


@contextmanager
def misbehaving(round: "Round") -> Iterator[None]:
    """A CLI in whose place something else answers now and then."""
    folder = round.place.path / "faults"
    folder.mkdir()
    for number in range(round.random.randint(1, 4)):
        (folder / f"{number}-{round.random.choice(WAYS)}").touch()
    shim = round.place.path / "shim"
    shim.write_text(SHIM.format(python=sys.executable, real=str(find_cli()), folder=str(folder)))
    shim.chmod(0o755)
    round.env["ORCHESTRATOR_CLAUDE"] = str(shim)
    yield


def find_cli() -> Path:
    """The CLI that the SDK brings along."""
    import claude_agent_sdk  # noqa: PLC0415 - it takes over half a second

    return Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"


@contextmanager
def small_disk(round: "Round") -> Iterator[None]:
    """ORCHESTRATOR_HOME on a small disk of its own; it is kept as an ordinary folder."""
    kept = round.place.kept
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", str(kept)], check=True)
    try:
        yield
    finally:
        copy = round.place.path / "copy"
        subprocess.run(["cp", "-a", str(kept), str(copy)], check=True)
        subprocess.run(["umount", str(kept)], check=True)
        kept.rmdir()
        copy.rename(kept)


def fill_disk(round: "Round", process: "Process") -> None:
    """Fills the disk to the last byte."""
    wait_for_moment(round, process)
    with (round.place.kept / "ballast").open("wb", buffering=0) as ballast:
        size = 1 << 20
        while size:
            try:
                ballast.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def make_room(round: "Round") -> None:
    (round.place.kept / "ballast").unlink(missing_ok=True)


def limit_files(round: "Round", process: "Process") -> None:
    """Lets no file of the orchestrator's, and of the agents that it starts from now on, grow any more."""
    if wait_for_moment(round, process):
        grown = max((file.stat().st_size for file in round.place.kept.glob("journal.db*")), default=0)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (grown, grown))


def available() -> list[str]:
    """The faults that this machine can do: to mount a disk one has to be root."""
    return [name for name in FAULTS if name != "full" or os.geteuid() == 0]


FAULTS: Mapping[str, Fault] = {
    "none": Fault(),
    "kill": Fault(send(signal.SIGKILL), go_on=again(send(signal.SIGKILL))),
    "kill-guard": Fault(kill_all_guards, go_on=again(kill_all_guards)),
    "kill-agents": Fault(kill_agents),
    "sigint": Fault(send(signal.SIGINT), go_on=again(send(signal.SIGINT))),
    "sigint-twice": Fault(send(signal.SIGINT, signal.SIGINT)),
    "sigterm": Fault(send(signal.SIGTERM)),
    "cut": Fault(around=api(lambda random: Trouble("cut", random.randint(0, 6), random.randint(1, 3)))),
    "529": Fault(around=api(burst(529))),
    "500": Fault(around=api(burst(500))),
    "429": Fault(around=api(too_many)),
    "pause": Fault(end_in_pause, around=api(pausing), bounds=GATEWAY),
    "hold": Fault(end_in_hold, around=used_up, mend=no_trouble),
    "no-wait": Fault(around=used_up, mend=no_trouble, limits={"wait_for_reset": False}),
    "hang": Fault(
        around=api(lambda random: Trouble("hang", random.randint(0, 6), random.randint(1, 2))),
        options={"idle_timeout": 4},
    ),
    "misbehaving": Fault(around=misbehaving),
    "full": Fault(fill_disk, around=small_disk, mend=make_room),
    "limit": Fault(limit_files),
    "two": Fault(send(signal.SIGKILL), go_on=two_at_once),
}
"""By name."""
