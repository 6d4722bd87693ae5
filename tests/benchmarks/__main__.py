"""`python -m tests.benchmarks parallel`, `audit`, `scale`, `makespan`, `gateway` or `pacing`."""

import sys

from tests.benchmarks import audit, gateway, makespan, pacing, parallel, scale

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
    case _:
        sys.exit("usage: python -m tests.benchmarks parallel|audit|scale|makespan|gateway|pacing [tokens]")
