"""Each command as an interpreter of its own starts it: the other tests have theirs start with all imports made."""

from command_line import SMALL, Cli, killed_at_last

COMMANDS = {
    "run plan.yaml --offline --view none": 0,
    "resume small": 0,
    "continue small two x": 2,
    "runs": 0,
    "show small": 0,
    "logs small": 0,
    "plan check plan.yaml": 0,
    "workspaces list": 0,
}
"""Commands and their exit codes, in this order."""


def test_each_command_starts_by_itself(cli: Cli) -> None:
    """Whatever was not imported before, a command finds what it needs, and ends as it should."""
    cli.plan(SMALL)
    for command, code in COMMANDS.items():
        with killed_at_last(cli.start_anew(*command.split())) as process:
            done = cli.finish(process)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        assert bool(done.stdout) == (code == 0), command
