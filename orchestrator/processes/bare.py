"""Runs a module of this folder in a bare interpreter.

    python -I -S bare.py MODULE [argument …]

The package around it, with all that it imports, would take a hundred times as long to start and as much memory; so the
two packages are stand-ins here, without what is in their `__init__.py`.
"""

import os
import sys


def bare(module: str) -> list[str]:
    """The command that runs the module's `main` with the arguments that follow."""
    return [sys.executable, "-I", "-S", __file__, module]


def run(module: str, arguments: list[str]) -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would double the start's cost
    for name, path in (("orchestrator", os.path.dirname(here)), ("orchestrator.processes", here)):  # noqa: PTH120
        package = type(sys)(name)
        package.__path__ = [path]
        sys.modules[name] = package
    name = f"orchestrator.processes.{module}"
    __import__(name)
    sys.modules[name].main(arguments)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
