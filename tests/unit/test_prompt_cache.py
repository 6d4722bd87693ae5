"""The model of prefix caching that loopback servers charge by."""

from typing import Any

import pytest
from prompt_cache import LOOKBACK, Charge, PromptCache

MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
HOUR: dict[str, Any] = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


class Clock:
    """Seconds, as a test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def body(*system: dict[str, Any], messages: Any = (), tools: Any = (), model: str = "m") -> dict[str, Any]:
    return {"model": model, "tools": list(tools), "system": list(system), "messages": list(messages)}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> PromptCache:
    """One that keeps even the shortest."""
    return PromptCache(clock, minimum=1)


def charged(cache: PromptCache, body: dict[str, Any]) -> Charge:
    """The charge of a request whose reply begins at once."""
    asked = cache.ask(body)
    asked.begin()
    return asked.charge


LONG = text("a" * 4000, **MARK)


def test_what_is_written_is_read(cache: PromptCache) -> None:
    """The first request writes what is before the mark, the second reads as much; what is behind it costs in full."""
    first = charged(cache, body(LONG, messages=[user(text("one" * 40))]))
    second = charged(cache, body(LONG, messages=[user(text("two" * 40))]))
    assert first.written > 1000
    assert first.plain > 30
    assert second == Charge(plain=first.plain, read=first.written)


def test_nothing_is_read_before_a_reply_has_begun(cache: PromptCache) -> None:
    """Of requests that come in together each writes the prefix; the first reply that begins makes it readable."""
    first, second = cache.ask(body(LONG)), cache.ask(body(LONG))
    assert first.charge.written == second.charge.written > 0
    second.begin()
    assert cache.ask(body(LONG)).charge == Charge(read=first.charge.written)


def test_without_a_mark_nothing_is_kept(cache: PromptCache) -> None:
    """A prompt without cache_control costs in full each time."""
    plain = body(text("a" * 4000))
    assert charged(cache, plain) == charged(cache, plain) == Charge(plain=charged(cache, plain).tokens)


@pytest.mark.parametrize(
    "other",
    [
        body(text("b"), LONG, tools=[{"name": "Read"}]),
        body(text("c"), LONG, tools=[{"name": "Read"}], model="another"),
        body(text("c"), LONG, tools=[{"name": "Bash"}]),
        body(text("c"), LONG),
    ],
)
def test_everything_before_the_mark_counts(cache: PromptCache, other: dict[str, Any]) -> None:
    """Another block, model or tool anywhere before the mark makes it another prefix."""
    charged(cache, body(text("c"), LONG, tools=[{"name": "Read"}]))
    assert charged(cache, other).read == 0


def test_the_billing_header_does_not_count(cache: PromptCache) -> None:
    """Prompts that differ in the block that the API leaves out share their prefix, and are not charged for it."""
    first = charged(cache, body(text("x-anthropic-billing-header: a"), LONG))
    assert charged(cache, body(text("x-anthropic-billing-header: bcd"), LONG)) == Charge(read=first.written)


def test_a_prefix_of_two_is_read(cache: PromptCache) -> None:
    """Where the second mark's prefix is new the first one's is read, and only what is between them is written."""
    first = charged(cache, body(LONG, text("here" * 100, **MARK)))
    second = charged(cache, body(LONG, text("there" * 100, **MARK)))
    assert 0 < second.written < second.read < first.written
    assert second.plain == 0


def test_a_conversation_reads_what_its_last_turn_wrote(cache: PromptCache) -> None:
    """The mark moves with the last message: the next turn finds the earlier place, which has no mark any more."""
    turn = user(text("b" * 400))
    first = charged(cache, body(LONG, messages=[user(text("b" * 400, **MARK))]))
    answer = {"role": "assistant", "content": [text("c" * 400)]}
    second = charged(cache, body(LONG, messages=[turn, answer, user(text("d" * 400, **MARK))]))
    assert second.read == first.written
    assert second.written > 200


@pytest.mark.parametrize(("blocks", "found"), [(LOOKBACK - 1, True), (LOOKBACK, False)])
def test_it_is_looked_for_so_far_back(cache: PromptCache, blocks: int, found: bool) -> None:
    """What was kept more than so many blocks before a mark is not found."""
    charged(cache, body(LONG))
    between = [text(f"{number}") for number in range(blocks - 1)]
    unmarked = text("a" * 4000)
    assert bool(charged(cache, body(unmarked, *between, text("end", **MARK))).read) is found


def test_what_is_short_is_not_kept() -> None:
    """A prefix below the minimum is charged in full, with a mark as without."""
    cache = PromptCache()
    short = body(text("a" * 3900, **MARK))
    assert charged(cache, short) == charged(cache, short) == Charge(plain=charged(cache, short).tokens)


def test_a_read_makes_it_last(cache: PromptCache, clock: Clock) -> None:
    """A prefix is kept for five minutes, counted from its last read, and not longer."""
    charged(cache, body(LONG))
    for clock.now in (299.0, 598.0):
        assert charged(cache, body(LONG)).read > 0
    clock.now = 899.0
    assert charged(cache, body(LONG)).read == 0


def test_a_read_makes_its_beginning_last(cache: PromptCache, clock: Clock) -> None:
    """Who reads a long prefix keeps the shorter one alive that it begins with."""
    both = body(LONG, text("b" * 400, **MARK))
    charged(cache, both)
    for clock.now in (200.0, 400.0):
        charged(cache, both)
    assert charged(cache, body(LONG)).read > 0


def test_an_hour(cache: PromptCache, clock: Clock) -> None:
    """A mark may ask for an hour, which costs more; what is marked for five minutes behind it is told apart."""
    mixed = body(text("a" * 4000, **HOUR), text("b" * 400, **MARK))
    first = charged(cache, mixed)
    assert first.written_1h > 1000 > first.written > 100
    clock.now = 3000.0
    later = charged(cache, mixed)
    assert (later.read, later.written) == (first.written_1h, first.written)


def test_a_string_is_a_block(cache: PromptCache) -> None:
    """A message whose content is a string is the same prompt as one with a single block."""
    tail = text("b" * 400, **MARK)
    charged(cache, body(messages=[{"role": "user", "content": "a" * 4000}, user(tail)]))
    assert charged(cache, body(messages=[user(text("a" * 4000)), user(tail)])).written == 0


def test_units() -> None:
    """Written tokens cost more than plain ones, those kept for an hour most, and those read a tenth."""
    charge = Charge(plain=100, written=100, read=100) + Charge(written_1h=100)
    assert charge.units == pytest.approx(100 + 125 + 10 + 200)
    assert charge.tokens == 400


def test_usage_says_what_is_charged() -> None:
    """A reply's usage has the same figures, under the API's names."""
    usage = Charge(plain=1, written=2, written_1h=3, read=4).usage
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (1, 4)
    assert usage["cache_creation_input_tokens"] == 5
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}
