"""`python -m tests.benchmarks parallel`, `audit`, `scale`, `makespan` or `budget`."""

import sys

from tests.benchmarks import audit, budget, makespan, parallel, scale

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
    case ["budget"]:
        budget.main()
    case ["budget", way]:
        budget.child(way)
    case _:
        sys.exit("usage: python -m tests.benchmarks parallel|audit|scale|makespan|budget")
