"""`python -m tests.benchmarks parallel`, `python -m tests.benchmarks scale`."""

import sys

from tests.benchmarks import parallel, scale

match sys.argv[1:]:
    case ["parallel"]:
        parallel.main()
    case ["parallel", way]:
        parallel.child(way)
    case ["scale"]:
        scale.main()
    case ["scale", way, shape, count]:
        scale.child(way, shape, count)
    case _:
        sys.exit("usage: python -m tests.benchmarks parallel|scale")
