"""What `logs` prints of each event."""

from typing import Any

import pytest
from drawing import BEGUN, RUN, STEERING, controls, ended, result

from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    Event,
    MessageSent,
    Published,
    Record,
    TaskAdded,
    TaskSpawned,
    TaskWaits,
    WorkspaceOpened,
)
from orchestrator.task import Outcome, Status
from orchestrator.testing.samples import sample_records
from orchestrator.views.log import MOST, log_lines, shortened


def logged(event: Event) -> list[str]:
    """The event's lines, without the time of day and the task, which are checked here."""
    lines = list(log_lines(Record(1, BEGUN, RUN, event)))
    assert all(line.startswith("22:13:20 a ") for line in lines)
    return [line.removeprefix("22:13:20 a ") for line in lines]


def message(*blocks: dict[str, Any], kind: str = "AssistantMessage") -> AgentMessage:
    return AgentMessage(task="a", attempt=1, type=kind, data={"content": list(blocks)})


def test_a_prompt() -> None:
    """Each line of a prompt is a line, and a later attempt has its number."""
    assert logged(AttemptStarted(task="a", attempt=1, prompt="One.\nTwo.")) == ["? One.", "? Two."]
    assert logged(AttemptStarted(task="a", attempt=2, prompt="One.")) == ["? (attempt 2) One."]


def test_a_workspace() -> None:
    """Where the agent works, and on which branch."""
    assert logged(WorkspaceOpened(workspace="worktree", task="a", attempt=1, path="/x")) == ["# works in /x"]
    assert logged(WorkspaceOpened(workspace="worktree", task="a", attempt=1, path="/x", branch="b")) == [
        "# works in /x on branch b"
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (MessageSent(task="a", to="b", number=1, text="ready"), "# to b: ready"),
        (Published(task="a", key="port", value={"n": 1}), "# published port"),
        (TaskSpawned(task="a", attempt=1, child="a.x", asked={"prompt": "Do x."}), "# spawned a.x: Do x."),
        (
            TaskSpawned(task="a", attempt=1, child="a.ask-1", asked={"to": "b", "question": "Why?"}),
            "# asks b (a.ask-1): Why?",
        ),
        (TaskWaits(task="a", attempt=1, waits_for="messages"), "# waits for messages"),
    ],
)
def test_what_agents_tell_each_other(event: Event, line: str) -> None:
    """Messages, what is published, and tasks that are added, in a line each."""
    assert logged(event) == [line]
    assert logged(TaskWaits(task="a", attempt=1, waits_for=None)) == []


def test_words_and_tools() -> None:
    """What was said, each tool call with its arguments, and results, good and bad."""
    assert logged(message({"block": "TextBlock", "text": "Hello."})) == ["> Hello."]
    call = {"block": "ToolUseBlock", "name": "Bash", "input": {"command": "ls", "timeout": 5}}
    assert logged(message(call)) == ["* Bash command=ls, timeout=5"]
    good = {"block": "ToolResultBlock", "content": "a\nb", "is_error": None}
    assert logged(message(good, kind="UserMessage")) == ["= a", "= b"]
    bad = {"block": "ToolResultBlock", "content": [{"type": "text", "text": "no"}, {"type": "image"}], "is_error": True}
    assert logged(message(bad, kind="UserMessage")) == ["! no", "! (image)"]


@pytest.mark.parametrize("content", [None, "text", [], [{"block": "ThinkingBlock", "thinking": "hm"}], [3]])
def test_other_content_is_passed_over(content: Any) -> None:
    """A message without text and tools has no line, whatever is in it."""
    assert logged(AgentMessage(task="a", attempt=1, type="AssistantMessage", data={"content": content})) == []


def test_a_retry_of_the_cli() -> None:
    """What the CLI does by itself is told, its greeting is not."""
    retry = AgentMessage(task="a", attempt=1, type="SystemMessage", doing="retries", data={"subtype": "api_retry"})
    assert logged(retry) == ["! retries"]
    hello = AgentMessage(task="a", attempt=1, type="SystemMessage", doing="starting", data={"subtype": "init"})
    assert logged(hello) == []


def test_ends() -> None:
    """How an attempt ended and when it goes on, and how the task ended."""
    assert logged(AttemptFinished(task="a", attempt=1, outcome="overloaded", error="much", retry_in=5.0)) == [
        "# overloaded: much; again in 5.0 s"
    ]
    assert logged(AttemptFinished(task="a", attempt=1, outcome="ok")) == ["# ok"]
    assert logged(ended(result("a", Outcome.CRASHED), Status.FAILED)) == ["# failed after 10.0 s, $0.0200"]
    assert logged(ended(result("a"), Status.DONE, loop=True)) == []


def test_what_says_nothing_has_no_line() -> None:
    """Events that only the run itself needs are not logged."""
    assert logged(TaskAdded(task="a", title="x", task_kind="agent")) == []


def test_a_long_message_is_cut() -> None:
    """A message is cut after so many characters, and the rest is counted."""
    assert shortened("x" * MOST) == "x" * MOST
    assert shortened("x" * (MOST + 7)) == "x" * MOST + " … (7 more characters)"
    (line,) = logged(message({"block": "TextBlock", "text": "x" * 99_999}))
    assert len(line) < MOST + 40


def test_agents_do_not_steer_it() -> None:
    """No control character gets through: from words, arguments or results."""
    blocks: list[dict[str, Any]] = [
        {"block": "TextBlock", "text": STEERING},
        {"block": "ToolUseBlock", "name": STEERING, "input": {STEERING: STEERING}},
        {"block": "ToolResultBlock", "content": STEERING, "is_error": False},
    ]
    lines = logged(message(*blocks))
    assert controls("\n".join(lines)) == []
    assert sum(line.count("evil") for line in lines) == 5


def test_a_whole_run_of_hard_words() -> None:
    """Every record of a run with hard words can be logged."""
    lines = [line for record in sample_records() for line in log_lines(record)]
    assert controls("\n".join(lines)) == []
    assert len(lines) > 10
