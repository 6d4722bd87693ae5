"""`python -m tests.chaos --rounds N --seed S [--only FAULT…] [--bounds NAME…] [--keep] [--fifty]`.

Exit code 1 on any violation.
"""

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import fifty, report
from tests.chaos.bounds import WAYS, Calm
from tests.chaos.faults import FAULTS, available
from tests.chaos.kinds import KINDS
from tests.chaos.patterns import PATTERNS
from tests.chaos.rounds import Round, play


def main() -> int:
    wanted = arguments()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    calm = calibrate(folder / "calibration")
    rounds: list[Round] = []
    for round in played(wanted, folder, calm):
        rounds.append(round)
        print(report.line(round), flush=True)
        if not (round.violations or round.notes or wanted.keep):
            shutil.rmtree(round.place.path, ignore_errors=True)
    print(f"\n{report.table(rounds)}\n\n{report.table_of_bounds(rounds)}")
    if not any(folder.iterdir()):
        folder.rmdir()
    return 1 if any(round.violations for round in rounds) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=len(FAULTS), help="how many rounds")
    parser.add_argument("--seed", default="1", help="of the first round; a round's line tells its own")
    parser.add_argument("--only", choices=FAULTS, nargs="+", help="these faults alone, one after the other")
    parser.add_argument("--bounds", choices=WAYS, nargs="+", help="these limits alone, one after the other")
    parser.add_argument("--keep", action="store_true", help="keep the places of good rounds too")
    parser.add_argument("--fifty", action="store_true", help="the measurement with fifty tasks, and nothing else")
    return parser.parse_args()


def played(wanted: argparse.Namespace, folder: Path, calm: Calm) -> Iterator[Round]:
    """The rounds. A seed without a dot is that of all of them, the first round's own is `<seed>.0`."""
    if wanted.fifty:
        yield fifty.measure(wanted.seed, folder / "fifty", calm)
        return
    kinds, bounds = itertools.cycle(wanted.only or available()), itertools.cycle(wanted.bounds or [None])
    for number, kind, name in zip(range(wanted.rounds), kinds, bounds, strict=False):
        seed = wanted.seed if "." in wanted.seed else f"{wanted.seed}.{number}"
        yield play(seed, kind, folder / f"{number}-{kind}", calm, name)


def calibrate(folder: Path) -> Calm:
    """What undisturbed tasks take: counted in a run with one of each kind, a loop, and all patterns."""
    alone = [name for name, kind in KINDS.items() if kind.often]
    round = play("calibration", "none", folder, Calm(), "few", (["say", "say", "say", *alone], list(PATTERNS)))
    if round.violations:
        print(report.line(round))
        sys.exit("the undisturbed run is not as it should be; nothing can be compared with it")
    counts: dict[str, set[int]] = {kind: set() for kind in KINDS}
    for task in round.plan.tasks.values():
        if round.plan.may_be_unneeded(task.name):
            continue
        counts[task.kind].add(sum(asked.task == task.name for asked in round.model.asked))
    print("requests of an undisturbed task:", {kind: sorted(found) for kind, found in counts.items()}, flush=True)
    state, requests = round.stories[-1].state, sum(asked.task is not None for asked in round.model.asked)
    shutil.rmtree(folder)
    normal = {kind: found.pop() for kind, found in counts.items() if len(found) == 1}
    calm = Calm(normal, usd=state.cost_usd / requests, tokens=state.tokens / requests)
    print(f"of a request: {calm.usd:.4f} USD, {calm.tokens:.0f} tokens", flush=True)
    return calm


if __name__ == "__main__":
    sys.exit(main())
