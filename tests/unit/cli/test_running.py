"""`run`: options to overrides and views."""

import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import typer

from orchestrator.cli.app import app
from orchestrator.cli.running import choose_views, quoted, to_overrides
from orchestrator.errors import UsageError
from orchestrator.events import Record
from orchestrator.plan.overrides import read_value
from orchestrator.views.jsonl import JsonlView
from orchestrator.views.lines import LinesView
from orchestrator.views.live import LiveView


def test_resume_has_the_options_of_run() -> None:
    """But those that say which results are taken: it goes on with one run, asking what that run asked."""
    commands: Any = typer.main.get_command(app)
    run, resume = ({each.name for each in commands.commands[name].params} for name in ("run", "resume"))
    assert run - resume == {"plan", "offline", "reuse", "fresh"}
    assert resume - run == {"run"}


class TestOverrides:
    def test_each_is_split_at_its_first_sign(self) -> None:
        """The key ends at the first `=`; the value keeps its own, and may be empty."""
        settings = ["a.b=c", "vars.x=1=2", "vars.y=", "vars.z= [a, b]"]
        assert to_overrides(settings) == {"a.b": "c", "vars.x": "1=2", "vars.y": "", "vars.z": " [a, b]"}

    def test_the_last_counts(self) -> None:
        """Of two values for the same key the later one counts."""
        assert to_overrides(["a=1", "a=2"]) == {"a": "2"}

    def test_none(self) -> None:
        """No settings are no overrides."""
        assert to_overrides([]) == {}

    @pytest.mark.parametrize("setting", ["a.b", "=c", "", "="])
    def test_what_is_no_setting(self, setting: str) -> None:
        """A setting without a key or without a sign is an error that quotes it."""
        with pytest.raises(UsageError, match=f"--set {setting}: found no key and value, expected a.b=c"):
            to_overrides([setting])


@pytest.mark.parametrize("path", ["/plain", "/with space", "/it's", "/a: b #c", "/{{ x }}", "/ä漢", '/"'])
def test_a_quoted_path_is_read_back(path: str) -> None:
    """A path in quotes is that path again when the plan reads it, whatever characters it has."""
    assert read_value(quoted(path), "x") == path  # type: ignore[arg-type]


class Terminal:
    """A stderr that is a terminal, or none."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


class OwnView:
    """A view that a user's package might have."""

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        async for _ in feed:
            pass


class TestViews:
    @pytest.mark.parametrize(
        ("terminal", "term", "kind"),
        [
            (True, "xterm-256color", LiveView),
            (True, "dumb", LinesView),
            (False, "xterm-256color", LinesView),
            (False, "dumb", LinesView),
        ],
    )
    def test_by_the_terminal(
        self, monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, kind: type[object]
    ) -> None:
        """With no name it is live in a terminal that can be drawn in, and lines elsewhere."""
        monkeypatch.setattr(sys, "stderr", Terminal(terminal))
        monkeypatch.setenv("TERM", term)
        (view,) = choose_views(None)
        assert type(view) is kind

    @pytest.mark.parametrize(("name", "kind"), [("live", LiveView), ("lines", LinesView), ("jsonl", JsonlView)])
    def test_by_name(self, name: str, kind: type[object]) -> None:
        """A name chooses its view, terminal or not."""
        (view,) = choose_views(name)
        assert type(view) is kind

    def test_none(self) -> None:
        """`none` is no view."""
        assert choose_views("none") == []

    def test_one_of_the_users(self) -> None:
        """`module:Name` is a view from anywhere."""
        (view,) = choose_views(f"{__name__}:OwnView")
        assert type(view).__name__ == "OwnView"

    @pytest.mark.parametrize("name", ["livee", "", "no_such_module:View", "orchestrator.views.lines:Nothing"])
    def test_an_unknown_one(self, name: str) -> None:
        """A name that leads nowhere is an error that quotes it."""
        with pytest.raises(UsageError, match=repr(name)):
            choose_views(name)
