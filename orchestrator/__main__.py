"""`python -m orchestrator`, and the command `orchestrator`."""

import sys


def main() -> None:
    """Carries the command line out; Ctrl-C ends it with 130 from its first moment on."""
    try:
        from orchestrator.cli.app import main as carry_out  # noqa: PLC0415 - it may be interrupted as well

        carry_out()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
