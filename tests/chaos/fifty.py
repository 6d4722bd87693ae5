"""The special measurement: fifty tasks, killed at about half of their results, and gone on with."""

import subprocess
import time
from pathlib import Path
from random import Random

from tests.chaos.bounds import Calm
from tests.chaos.checks import check
from tests.chaos.journals import count_results
from tests.chaos.kinds import KINDS
from tests.chaos.places import make_place
from tests.chaos.plans import assemble
from tests.chaos.processes import Watch, processes_of
from tests.chaos.rounds import Round, bind
from tests.chaos.server import ScriptedModel, serving

TASKS = 50
GOAL = 1.05
"""Requests in all, by those of an undisturbed run."""


def measure(seed: str, folder: Path, calm: Calm) -> Round:
    """Plays it, and prints what was measured."""
    random = Random(f"{seed} fifty")
    round = Round(seed, "kill", make_place(folder), random, calm)
    kinds = random.choices([name for name, kind in KINDS.items() if kind.often and name != "tool"], k=TASKS)
    round.plan = assemble(random, round.place, kinds, [], {})
    round.bounds = bind(round, "few")
    round.plan.write(round.place)
    round.model = ScriptedModel(Random(seed), round.plan.tasks)
    with serving(round.model) as env, Watch(round.place.home) as watch:
        round.env |= env
        first = round.start("run", str(round.place.plan))
        round.until(lambda: round.finished >= TASKS // 2, first.process)
        at_kill = count_results(round.place.journal)
        first.process.kill()
        killed = time.monotonic()
        first.code = first.process.wait()
        while processes_of(round.place.home) and time.monotonic() - killed < 5:
            time.sleep(0.02)
        gone = time.monotonic() - killed
        time.sleep(max(0.0, 5 - gone))
        print(f"killed at {at_kill} of {TASKS} results; its last process ended {gone:.2f} s later")
        print(f"`ps` of its processes 5 s after the kill:\n{ps(round.place.home) or '(none)'}")
        round.left += len(processes_of(round.place.home))
        before, begun = len(round.model.asked), time.time()
        second = round.start("resume")
        round.finish(second)
        later = [each.at - begun for each in round.model.asked[before:] if each.task]
        print(f"first new request {later[0] if later else float('nan'):.2f} s after `resume` was started")
        check(round, watch.found)
    round.seconds = time.monotonic() - round.begun
    ratio = round.requests / round.undisturbed
    print(f"requests {round.requests}, of an undisturbed run {round.undisturbed}: {ratio:.3f} (goal {GOAL})")
    if ratio > GOAL:
        round.violate(f"{ratio:.3f} times the requests of an undisturbed run, expected {GOAL} at most")
    return round


def ps(home: Path) -> str:
    """What `ps` says of the processes of that home."""
    found = [str(process.pid) for process in processes_of(home)]
    command = ["ps", "-o", "pid,ppid,etime,args", "-p", ",".join(found)]
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout if found else ""
