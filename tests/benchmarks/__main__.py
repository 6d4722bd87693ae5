"""`python -m tests.benchmarks parallel`, `audit`, `scale` or `makespan`."""

import sys

from tests.benchmarks import audit, makespan, parallel, scale

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
    case _:
        sys.exit("usage: python -m tests.benchmarks parallel|audit|scale|makespan")
