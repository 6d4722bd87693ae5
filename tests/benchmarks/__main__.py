"""`python -m tests.benchmarks parallel`"""

import sys

from tests.benchmarks import parallel

match sys.argv[1:]:
    case ["parallel"]:
        parallel.main()
    case ["parallel", way]:
        parallel.child(way)
    case _:
        sys.exit("usage: python -m tests.benchmarks parallel")
