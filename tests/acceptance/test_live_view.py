"""The live view in a terminal, and what is chosen where there is none."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from command_line import PATIENCE, SMALL, Cli, leased, wait_until
from forks import forks
from load import at_most

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")

PLAN = """
name: watched
limits: {concurrent: 3}
agents: {q: {tools: [Read]}}
defaults: {agent: q, retries: 0}
tasks:
  first: {prompt: "What is 6 * 7?"}
  broken: {prompt: "Fail.", rehearsal: [{fail: {status: 400, message: no such luck, attempts: 1}}]}
  slow:
    needs: [first]
    foreach: ITEMS
    prompt: "Wait."
    rehearsal: [{read: plan.yaml}, {wait: SECONDS}, {say: "waited"}]
"""
FAILING = PLAN[: PLAN.index("  first: ")] + PLAN[PLAN.index("  broken: ") : PLAN.index("  slow:")]
"""Its second task alone."""


def plan(seconds: float, items: int = 4) -> str:
    """The plan, with so many slow tasks, of which each takes so many seconds."""
    return PLAN.replace("SECONDS", str(seconds)).replace("ITEMS", str([*range(items)]))


class Terminal:
    """A command in a pseudo-terminal of a given size, and all that it has written there."""

    def __init__(self, cli: Cli, columns: int, lines: int, *arguments: str, term: str) -> None:
        self.columns = columns
        self.raw = ""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.file, self._theirs = ours, theirs
        self.process = forks().start(["-m", "orchestrator", *arguments], cli.place, cli.env | {"TERM": term}, theirs)

    def read(self) -> None:
        """Takes what there is to read now."""
        while select.select([self.file], [], [], 0.02)[0]:
            self.raw += os.read(self.file, 65536).decode("utf-8", "replace")

    def wait_for(self, condition: Callable[[str], object], what: str) -> None:
        """Reads until the picture on the screen, as plain text, fulfils the condition."""

        def look() -> bool:
            self.read()
            return bool(condition(self.picture))

        wait_until(look, f"{what}; on the screen is\n{self.picture}")

    def press_ctrl_c(self) -> None:
        """What the terminal does for Ctrl-C: SIGINT to everybody in the foreground."""
        os.write(self.file, b"\x03")

    def hang_up(self) -> None:
        """What closing the window does: nobody reads any more, and the command gets SIGHUP."""
        os.close(self.file)
        self.file = os.open(os.devnull, os.O_RDWR)

    def finish(self) -> int:
        """Reads until the command ends; its exit code."""

        def has_ended() -> bool:
            self.read()
            return self.process.poll() is not None

        wait_until(has_ended, "the end of the command")
        self.read()
        return self.process.returncode

    @property
    def plain(self) -> str:
        """All that was written, without control sequences."""
        return CONTROL.sub("", self.raw).replace("\r", "")

    @property
    def pictures(self) -> list[str]:
        """What was drawn, picture by picture: each begins where the cursor went up to draw over the last one."""
        parts = re.split(r"(?:\r?\x1b\[2K|\x1b\[1A)+", self.raw)
        return [CONTROL.sub("", part).replace("\r", "") for part in parts]

    @property
    def picture(self) -> str:
        """What was drawn last."""
        return next((part for part in reversed(self.pictures) if part.strip()), "")

    def is_restored(self) -> bool:
        """Whether the cursor is shown and the terminal's settings are as they were."""
        shown = self.raw.rfind(SHOW) > self.raw.rfind(HIDE)
        return shown and termios.tcgetattr(self._theirs) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.file)
        os.close(self._theirs)


@contextmanager
def terminal(
    cli: Cli,
    columns: int,
    lines: int,
    *arguments: str,
    seconds: float = 0,
    items: int = 4,
    term: str = "xterm-256color",
) -> Iterator[Terminal]:
    """The plan at work in a terminal, or another command."""
    cli.plan(plan(seconds, items))
    opened = Terminal(cli, columns, lines, *(arguments or ("run", "plan.yaml", "--offline")), term=term)
    try:
        yield opened
    finally:
        opened.close()
        wait_until(lambda: not leased(cli.home), "the end of all agents")


@pytest.mark.parametrize("columns", [100, 60])
def test_it_shows_the_run_at_work(cli: Cli, columns: int) -> None:
    """Running tasks, the failure and its cause, counts, progress and time are in sight, and then are there no more."""
    with terminal(cli, columns, 24, seconds=600) as seen:
        turns = 3 if columns == 100 else 0
        ready = ("thinking", 3), ("✗ broken", 1), ("1 turn ", turns), ("1 waiting", 1)
        seen.wait_for(lambda text: all(text.count(each) == number for each, number in ready), "three tasks at work")
        picture = seen.picture
        assert re.search(
            r"^watched-[a-z0-9]{6} · offline model · 3 at once( · \d+ MB)? +0:\d\d$", picture, re.MULTILINE
        ), picture
        assert re.search(r"✗ broken +bad_request: .*", picture), picture
        assert re.search(r"✓ 1 done +✗ 1 failed +▶ 3 running +· 1 waiting", picture), picture
        assert re.search(r"2/6 about 0:\d\d left", picture), picture
        assert len(re.findall(r"▶ slow\[\d\] +thinking .* 0:\d\d$", picture, re.MULTILINE)) == 3, picture
        assert ("1 turn " in picture) == (columns == 100)
        assert max(map(len, picture.splitlines())) <= columns
        seen.press_ctrl_c()
        assert seen.finish() == 130
        assert seen.is_restored()
        end = CONTROL.sub("", seen.raw[seen.raw.rindex(SHOW) :])
        assert "6 tasks: 1 ok, 1 failed" in end
        assert "3 running" not in end


@pytest.mark.parametrize("columns", [100, 60])
def test_no_picture_is_too_large(cli: Cli, columns: int) -> None:
    """In a terminal of 10 lines no picture is wider or taller than it, from first to last; then comes the sum."""
    with terminal(cli, columns, 10, seconds=0.3) as seen:
        assert seen.finish() == 1
        drawn = [part for part in seen.pictures if "at once" in part]
        assert len(drawn) > 3
        for picture in drawn:
            lines = picture.partition("\ntask ")[0].rstrip("\n").splitlines()
            assert len(lines) <= 10, picture
            assert max(map(len, lines)) <= columns, picture
        assert seen.is_restored()
        end = CONTROL.sub("", seen.raw[seen.raw.rindex(SHOW) :])
        assert "6 tasks: 5 ok, 1 failed" in end
        assert " running" not in end


def test_the_time_goes_on(cli: Cli) -> None:
    """The picture changes while nothing happens: the clock of a waiting task goes on."""
    shown, times = re.compile(r"▶ slow\[0\].* (\d:\d\d)\n"), set[str]()
    with terminal(cli, 100, 24, seconds=600, items=1) as seen:
        seen.wait_for(lambda text: times.update(shown.findall(text)) or len(times) == 3, "three times")


def test_ctrl_c_restores_the_terminal(cli: Cli) -> None:
    """Ctrl-C ends with 130, the cursor is back, what was done is summed up, and the message can be read."""
    with terminal(cli, 100, 24, seconds=600) as seen:
        seen.wait_for(lambda text: text.count("▶ slow[") == 3, "three slow tasks")
        seen.press_ctrl_c()
        assert seen.finish() == 130
        assert seen.is_restored()
        assert "stopping: what has finished is kept; once more stops at once" in seen.plain
        end = CONTROL.sub("", seen.raw[seen.raw.rindex(SHOW) :])
        assert "interrupted: go on with: orchestrator resume" in end
        assert "✓ first" in end


def test_two_ctrl_c_restore_the_terminal(cli: Cli) -> None:
    """A second Ctrl-C ends at once; the cursor is back even so."""
    with terminal(cli, 100, 24, seconds=600) as seen:
        seen.wait_for(lambda text: text.count("▶ slow[") == 3, "three slow tasks")
        seen.press_ctrl_c()
        seen.wait_for(lambda text: "stopping:" in seen.plain, "the first answer")
        began = time.monotonic()
        seen.press_ctrl_c()
        assert seen.finish() == 130
        assert time.monotonic() - began < at_most(6)
        assert seen.is_restored()


def test_a_closed_terminal(cli: Cli) -> None:
    """When the terminal goes away the run ends in good order, as after Ctrl-C, and no process is left."""
    with terminal(cli, 100, 24, "run", "plan.yaml", "--offline", "--json", "out.json", seconds=600) as seen:
        seen.wait_for(lambda text: text.count("▶ slow[") == 3, "three slow tasks")
        seen.hang_up()
        assert seen.process.wait(PATIENCE) == 130
        assert leased(cli.home) == []
    data = cli.json("show")
    assert data["status"] == "cancelled"
    assert data == json.loads((cli.place / "out.json").read_text())
    assert not (cli.home / "orchestrator" / "crashes").exists()


def test_a_narrower_terminal(cli: Cli) -> None:
    """A terminal that is made narrower while the run goes on gets narrower pictures."""
    with terminal(cli, 100, 24, seconds=600, items=1) as seen:
        seen.wait_for(lambda text: "1 turn " in text, "the slow task")
        fcntl.ioctl(seen.file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        seen.process.send_signal(signal.SIGWINCH)
        seen.wait_for(
            lambda text: "▶ slow[" in text and max(map(len, text.splitlines())) <= 60 and "1 turn " not in text,
            "a narrower picture",
        )


def test_a_dumb_terminal_gets_lines(cli: Cli) -> None:
    """A terminal that can do nothing gets a line per step, and no control sequence."""
    cli.plan(SMALL, "small.yaml")
    with terminal(cli, 100, 24, "run", "small.yaml", "--offline", term="dumb") as seen:
        assert seen.finish() == 0
        assert re.search(r"\d\d:\d\d:\d\d one: started", seen.raw)
        assert "\x1b" not in seen.raw


def test_no_terminal_gets_lines(cli: Cli) -> None:
    """Where stderr is a pipe there are lines, and no control sequence, even if the variables speak of a terminal."""
    cli.plan(SMALL)
    done = cli.with_variables(TERM="xterm-256color", COLUMNS="200")("run", "plan.yaml", "--offline")
    assert re.search(r"^\d\d:\d\d:\d\d one: started$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stdout + done.stderr


def test_no_colour(cli: Cli) -> None:
    """With NO_COLOR the live view has no colour; it moves the cursor all the same."""
    with terminal(cli.with_variables(NO_COLOR="1"), 100, 24, items=0) as seen:
        assert seen.finish() == 1
        colours = [code for code in re.findall(r"\x1b\[([0-9;]*)m", seen.raw) if re.search(r"(^|;)[349]\d|38;", code)]
        assert colours == []
        assert HIDE in seen.raw


def test_words_of_agents_do_not_steer_it(cli: Cli) -> None:
    """Control sequences that an agent says reach the terminal only as visible signs."""
    cli.plan(
        "tasks: {a: {agent: b, prompt: x, rehearsal: ["
        '{bash: "echo \\e]0;stolen\\a \\e[2J"}, {say: "\\e[2Jgone\\e[8m"}]}}\n'
        "agents: {b: {tools: [Bash]}}\n",
        "evil.yaml",
    )
    with terminal(cli, 100, 24, "run", "evil.yaml", "--offline") as seen:
        assert seen.finish() == 0
    for sequence in ("\x1b]0;", "\x07", "\x1b[2J", "\x1b[8m"):
        assert sequence not in seen.raw
    with terminal(cli, 100, 24, "show", "plan", "a") as shown:
        assert shown.finish() == 0
        assert "gone" in shown.plain
    with terminal(cli, 100, 24, "logs") as logged:
        assert logged.finish() == 0
        assert "stolen" in logged.plain
    for sequence in ("\x1b]0;", "\x07", "\x1b[2J", "\x1b[8m"):
        assert sequence not in shown.raw + logged.raw


def test_runs_have_their_ids(cli: Cli) -> None:
    """`runs` shows each id and status whole, so that they can be copied, and fits the terminal."""
    cli.plan(FAILING)
    cli("run", "plan.yaml", "--offline", "--set", "name=documentation-audit")
    run = cli.json("runs")[0]["run"]
    for columns in (100, 60):
        with terminal(cli, columns, 24, "runs") as seen:
            assert seen.finish() == 0
        lines = seen.plain.splitlines()
        assert any(line.startswith(run) and " failed " in line for line in lines), seen.plain
        assert max(map(len, lines)) <= columns
