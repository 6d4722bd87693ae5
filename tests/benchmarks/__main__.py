"""`python -m tests.benchmarks parallel`, `audit`, `scale`, `makespan` or `memory`."""

import sys

from tests.benchmarks import audit, makespan, memory, parallel, scale

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
    case ["memory"]:
        memory.main()
    case ["memory", way]:
        memory.child(way)
    case _:
        sys.exit("usage: python -m tests.benchmarks parallel|audit|scale|makespan|memory")
