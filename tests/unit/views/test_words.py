"""Numbers and texts in words for people."""

import pytest

from orchestrator.task import Status
from orchestrator.views.words import SIGNS, clean, clock, dollars, noted_words, plural, span, tokens, upstream_note


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0:00"), (0, "0:00"), (7.9, "0:07"), (60, "1:00"), (750, "12:30"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_clock(seconds: float, said: str) -> None:
    """A time is minutes and seconds, with hours where there are some, and never below zero."""
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0.0 s"), (0.44, "0.4 s"), (12.5, "12.5 s"), (99.94, "99.9 s"), (200, "3:20")]
)
def test_span(seconds: float, said: str) -> None:
    """A duration has tenths of seconds up to 100 s, and is a clock beyond."""
    assert span(seconds) == said


def test_span_never_says_100_seconds() -> None:
    """What rounds to 100 s is a clock already, as 100 s is."""
    assert span(99.96) == span(100) == "1:40"


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (1_000_000, "1.00M"), (1_250_000, "1.25M")],
)
def test_tokens(number: int, said: str) -> None:
    """Tokens are counted in thousands and millions as they grow."""
    assert tokens(number) == said


def test_tokens_never_say_1000_thousand() -> None:
    """What rounds to 1000.0k is a million."""
    assert tokens(999_960) == "1.00M"


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "$0.0000"), (0.0042, "$0.0042"), (0.0999, "$0.0999"), (0.1, "$0.10"), (1.254, "$1.25"), (120, "$120.00")],
)
def test_dollars(amount: float, said: str) -> None:
    """Small amounts have four decimals, others two."""
    assert dollars(amount) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_plural(number: int, said: str) -> None:
    """One has no s."""
    assert plural(number, "file") == said


@pytest.mark.parametrize(
    "steering",
    ["\x1b[2J", "\x07", "\x9b2J", "\r", "\n", "\x00", "\x7f", "\u202e", "\u2028", "\u200b", "\ud800", "\x85"],
)
def test_clean_takes_what_steers(steering: str) -> None:
    """Escapes, control characters, line ends, and characters that turn the direction are replaced one by one."""
    cleaned = clean(f"a{steering}b")
    assert cleaned[0] + cleaned[-1] == "ab"
    assert cleaned[1] == "\N{REPLACEMENT CHARACTER}"
    assert len(cleaned) == len(steering) + 2


@pytest.mark.parametrize("text", ["", "plain", "ä 漢字 😀 é", "a\tb", "[bold] {{ }} %s"])
def test_clean_leaves_words(text: str) -> None:
    """Letters of every alphabet, tabs and brackets stay as they are."""
    assert clean(text) == text


def test_each_status_has_a_sign_of_its_own() -> None:
    """Without colours the signs alone tell the statuses apart."""
    assert set(SIGNS) == set(Status)
    assert len({sign for sign, _ in SIGNS.values()}) == len(Status)


def test_the_offline_model_is_named() -> None:
    """Figures of the offline model come with a warning; those of an account with none."""
    assert upstream_note(None) is None
    assert "nothing was paid" in str(upstream_note("offline"))
    assert upstream_note("mine") == "upstream: mine"


def test_what_the_gateway_did_to_requests_is_told() -> None:
    """Faults by their number, requests without a recorded answer by what is different about the first."""
    assert noted_words({}, {}, "r-1") == []
    assert noted_words({"fault": 3}, {"fault": "429"}, "r-1") == ["faults played: 3"]
    assert noted_words({"unmatched": 2}, {}, "r-1") == [
        "replay: 2 tasks asked what was not recorded; all of it: orchestrator logs r-1"
    ]
