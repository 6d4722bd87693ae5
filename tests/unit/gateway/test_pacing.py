import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.gateway.passing.guessing import Guess
from orchestrator.gateway.passing.pacing import (
    BURSTS,
    INPUT,
    MINUTE,
    OUTPUT,
    REQUESTS,
    Need,
    Pacing,
    Sent,
    capacity_for,
)
from orchestrator.plan.model import Limits

MODEL = "m"
per_minute = st.integers(1, 6000)
token_counts = st.integers(1, 4000)


def limits(requests: int | None = None, tokens: int | None = None, output: int | None = None) -> Limits:
    return Limits(requests_per_minute=requests, input_tokens_per_minute=tokens, output_tokens_per_minute=output)


def need(tokens: float = 1.0, output: float = 1.0, model: str = MODEL) -> Need:
    return Need(model, tokens, output)


def go(pacing: Pacing, wanted: Need, now: float) -> tuple[Sent, float]:
    """Lets a request go as soon as it may, and has it answered at once; when that was."""
    due, _ = pacing.due(wanted, now)
    sent = pacing.take(wanted, due)
    pacing.went_well(sent)
    return sent, due


@given(per_minute, st.lists(st.floats(0, 5), min_size=2, max_size=60))
def test_no_window_has_more_requests_than_the_limit_allows(rate: int, gaps: list[float]) -> None:
    """In any window there are no more than what fills in in that time, and what the bucket holds."""
    pacing, now, gone = Pacing(limits(rate)), 0.0, list[float]()
    for gap in gaps:
        _, now = go(pacing, need(), now + gap)
        gone.append(now)
    holds = capacity_for(rate / MINUTE, BURSTS[REQUESTS])
    for first in range(len(gone)):
        for last in range(first, len(gone)):
            assert last - first + 1 <= holds + (gone[last] - gone[first]) * rate / MINUTE + 1e-6


@given(per_minute.map(lambda number: number * 1000), st.lists(token_counts, min_size=2, max_size=60))
def test_no_window_has_more_tokens_than_the_limit_allows(rate: int, amounts: list[int]) -> None:
    """The same of input tokens, but for one request that is larger than the bucket, which the next ones wait for."""
    pacing, now, gone = Pacing(limits(tokens=rate)), 0.0, list[tuple[float, int]]()
    for amount in amounts:
        _, now = go(pacing, need(amount), now)
        gone.append((now, amount))
    holds = max(capacity_for(rate / MINUTE, BURSTS[INPUT]), *amounts)
    for first in range(len(gone)):
        for last in range(first, len(gone)):
            inside = sum(amount for _, amount in gone[first : last + 1])
            assert inside <= holds + (gone[last][0] - gone[first][0]) * rate / MINUTE + 1e-3


@given(per_minute, st.integers(5, 200))
def test_nothing_of_the_limit_is_left_unused(rate: int, count: int) -> None:
    """Requests that all wait go one interval after the other, and no later."""
    pacing, now = Pacing(limits(rate)), 0.0
    for _ in range(count):
        _, now = go(pacing, need(), now)
    holds = capacity_for(rate / MINUTE, BURSTS[REQUESTS])
    assert now <= max(count - math.floor(holds), 0) * MINUTE / rate + 1e-6


@given(st.lists(st.tuples(token_counts, token_counts), min_size=5, max_size=60))
def test_guesses_that_are_wrong_are_settled(amounts: list[tuple[int, int]]) -> None:
    """Whatever was expected, in the long run no more is taken than the limit allows."""
    rate = 60_000
    pacing, now = Pacing(limits(tokens=rate)), 0.0
    for expected, real in amounts:
        sent, now = go(pacing, need(expected), now)
        pacing.settle(sent, now, input_tokens=real)
    most = max(max(pair) for pair in amounts)
    taken = sum(real for _, real in amounts)
    assert taken <= capacity_for(rate / MINUTE, BURSTS[INPUT]) + most + now * rate / MINUTE + 1e-3


def test_output_counts_as_what_was_produced() -> None:
    """A request that brought more than was expected holds up the next one, until that has filled in."""
    pacing = Pacing(limits(output=6000))
    sent, _ = go(pacing, need(output=100), 0.0)
    pacing.settle(sent, 0.0, output_tokens=1500)
    assert pacing.due(need(output=100), 0.0)[0] == 11.0


def test_what_the_answers_tell_is_kept_to_with_headroom() -> None:
    """80 % of a limit that the API tells is used, of the model that it was told for, and 100 % where that is asked."""
    for headroom, interval in ((0.8, 1.25), (1.0, 1.0)):
        pacing, now = Pacing(Limits(headroom=headroom)), 0.0
        sent, _ = go(pacing, need(), now)
        pacing.learn(sent, {"anthropic-ratelimit-requests-limit": "60"}, now)
        gone = []
        for _ in range(5):
            _, now = go(pacing, need(), now)
            gone.append(now)
        assert [later - sooner for sooner, later in pairwise(gone[1:])] == [interval] * 3
        assert pacing.due(need(model="other"), now)[0] == now


def test_the_first_answer_is_waited_for_where_no_limit_is_named() -> None:
    """It tells the limits; until then nothing else goes. A user's limit needs no answer."""
    pacing = Pacing(Limits(headroom=1.0))
    first = pacing.take(need(), 0.0)
    assert pacing.due(need(), 0.0)[0] == math.inf
    pacing.learn(first, {"anthropic-ratelimit-requests-limit": "240"}, 1.0)
    pacing.went_well(first)
    for _ in range(4):
        assert pacing.due(need(), 1.0)[0] == 1.0
        pacing.take(need(), 1.0)
    assert pacing.due(need(), 1.0)[0] == 1.25
    named = Pacing(limits(120))
    named.take(need(), 0.0)
    assert named.due(need(), 0.0)[0] == 0.0


def test_the_tighter_limit_counts() -> None:
    """The user's own limit is kept to as it is, where the API's is wider, and the other way round."""
    for named, told, interval in ((30, "600", 2.0), (600, "30", 2.0)):
        pacing, now = Pacing(limits(named)), 0.0
        sent, _ = go(pacing, need(), now)
        pacing.learn(sent, {"anthropic-ratelimit-requests-limit": told}, now)
        _, first = go(pacing, need(), 100.0)
        _, second = go(pacing, need(), first)
        assert second - first == interval


def test_others_who_use_the_account_are_noticed() -> None:
    """Where less remains than was thought, it is waited for; what was thought to remain is not, where more does."""
    pacing = Pacing(Limits(headroom=1.0))
    told = {"anthropic-ratelimit-input-tokens-limit": "60000"}
    first = pacing.take(need(1000), 0.0)
    pacing.learn(first, told, 0.0)
    pacing.went_well(first)
    sent = pacing.take(need(1000), 0.0)
    pacing.learn(sent, told | {"anthropic-ratelimit-input-tokens-remaining": "0"}, 1.0)
    assert pacing.due(need(3000), 1.0)[0] == 3.0
    pacing.learn(sent, told | {"anthropic-ratelimit-input-tokens-remaining": "60000"}, 1.0)
    assert pacing.due(need(3000), 1.0)[0] == 3.0


def test_a_refusal_pauses_all_for_its_retry_after() -> None:
    """Nothing goes before its end; then one request, and after it has gone well two."""
    pacing = Pacing(Limits())
    sent = pacing.take(need(), 0.0)
    assert pacing.refused(sent, 7.0, 1.0) == 8.0
    assert pacing.due(need(model="other"), 2.0)[0] == 8.0
    probe = pacing.take(need(), 8.0)
    assert pacing.due(need(), 8.0)[0] == math.inf
    pacing.went_well(probe)
    assert pacing.due(need(), 8.0)[0] == 8.0
    two = [pacing.take(need(), 8.0) for _ in range(2)]
    assert pacing.due(need(), 8.0)[0] == math.inf
    for each in two:
        pacing.went_well(each)
    for _ in range(4):
        pacing.take(need(), 8.0)
    assert pacing.due(need(), 8.0)[0] == math.inf


def test_pauses_without_a_retry_after_grow_until_one_helps() -> None:
    """1.5 s, then 3, 6 and so on, 30 at most; several refusals at once are one."""
    pacing, now, pauses = Pacing(Limits()), 0.0, []
    several = [pacing.take(need(), now) for _ in range(3)]
    for _ in range(7):
        until = pacing.refused(several.pop(), None, now)
        assert until is not None
        pauses.append(until - now)
        while several:
            assert pacing.refused(several.pop(), None, now) is None
        now = until
        several = [pacing.take(need(), now)]
    assert pauses == [1.5, 3, 6, 12, 24, 30, 30]
    pacing.went_well(several[0])
    assert pacing.refused(pacing.take(need(), now + 1), None, now + 1) == now + 2.5


def test_a_retry_after_of_nothing_is_no_leave_to_hurry() -> None:
    """`Retry-After: 0` pauses as none does: sent at once, it would be refused again and again."""
    pacing = Pacing(Limits())
    assert pacing.refused(pacing.take(need(), 0.0), 0.0, 1.0) == 2.5


def test_after_a_pause_there_is_no_burst() -> None:
    """The buckets are empty when it ends."""
    pacing = Pacing(limits(600))
    pacing.refused(pacing.take(need(), 0.0), 5.0, 0.0)
    assert pacing.due(need(), 5.0)[0] == 5.1


def test_a_request_that_did_not_go_costs_nothing() -> None:
    """It is as if it had never been."""
    pacing = Pacing(limits(60, 60_000, 60_000))
    pacing.undo(pacing.take(need(5000, 5000), 0.0))
    assert pacing.due(need(5000, 5000), 0.0)[0] == 0.0


@settings(max_examples=30)
@given(st.floats(0.05, 3), st.floats(0.01, 1))
def test_the_guess_follows_what_requests_have_taken(first_share: float, next_share: float) -> None:
    """After a few requests the first of a session, and those that follow, are expected to take what such ones took."""
    guess = Guess()
    for number in range(20):
        for share in (first_share, next_share):
            guess.learn_input(f"s{number}", 40_000, share * 10_000)
    assert math.isclose(guess.need("new", MODEL, 40_000).input_tokens, first_share * 10_000, rel_tol=0.05, abs_tol=20)
    assert math.isclose(guess.need("s1", MODEL, 40_000).input_tokens, next_share * 10_000, rel_tol=0.05, abs_tol=20)


def test_kinds_are_those_of_the_headers() -> None:
    """Every kind of limit has a bucket of its own."""
    assert set(BURSTS) == {REQUESTS, INPUT, OUTPUT, "tokens"}
