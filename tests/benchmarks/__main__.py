"""`python -m tests.benchmarks NAME`: see `NAMES`."""

import sys

from tests.benchmarks import (
    audit,
    budget,
    gateway,
    makespan,
    memory,
    pacing,
    parallel,
    quota,
    scale,
    width,
)
from tests.benchmarks.speed import main as speed
from tests.benchmarks.weight import main as weight

NAMES = "parallel|audit|scale|makespan|width|quota|memory|budget|gateway|pacing [tokens]|speed [--help]|weight"

match sys.argv[1:]:
    case ["parallel"]:
        parallel.main()
    case ["parallel", way]:
        parallel.child(way)
    case ["audit"]:
        audit.main()
    case ["audit", way]:
        audit.child(way)
    case ["scale"]:
        scale.main()
    case ["scale", way, shape, count]:
        scale.child(way, shape, count)
    case ["makespan"]:
        makespan.main()
    case ["width"]:
        width.main()
    case ["width", way]:
        width.child(way)
    case ["quota"]:
        quota.main()
    case ["quota", way]:
        quota.child(way)
    case ["memory"]:
        memory.main()
    case ["memory", way]:
        memory.child(way)
    case ["budget"]:
        budget.main()
    case ["budget", way]:
        budget.child(way)
    case ["gateway"]:
        gateway.main()
    case ["gateway", role]:
        gateway.child(role)
    case ["pacing"]:
        pacing.main()
    case ["pacing", "tokens"]:
        pacing.main(tokens=True)
    case ["pacing", way, tokens]:
        pacing.child(way, int(tokens))
    case ["speed", *options]:
        speed.main(options)
    case ["weight"]:
        weight.main()
    case ["weight", *arguments]:
        weight.child(arguments)
    case _:
        sys.exit(f"usage: python -m tests.benchmarks {NAMES}")
