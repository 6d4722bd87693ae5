from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.gateway.faults.deciding import Faults
from orchestrator.gateway.faults.playing import to_error
from orchestrator.gateway.faults.rules import Rule, parse_rule


def hit(rule: str, tasks: str, *, every: float = 1.0, sessions: str = "") -> str:
    """Which of the requests fail, as `..x.`: one per letter of `tasks`, so many seconds apart."""
    faults = Faults([parse_rule(rule)])
    taken = [faults.take((sessions or tasks)[index], task, 1000.0 + index * every) for index, task in enumerate(tasks)]
    return "".join("x" if each else "." for each in taken)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("429", "x......."),
        ("429:at=3", "..x....."),
        ("429:at=3,times=2", "..xx...."),
        ("429:every=3", "..x..x.."),
        ("429:every=1", "xxxxxxxx"),
        ("429:every=2,times=2", ".x.x...."),
        ("429:every=2,at=3", "...x.x.x"),
        ("429:task=b", ".x......"),
        ("429:task=b,every=1", ".x.x...."),
        ("429:task=?,every=1", "xxxxxxxx"),
        ("429:agent=3", "....x..."),
        ("429:agent=3,every=1", "....xxxx"),
        ("429:agent=3,for=2s", "....xx.."),
        ("429:after=3s", "...x...."),
        ("429:after=3s,for=2s", "...xx..."),
        ("429:for=3s", "xxx....."),
        ("429:rate=1", "xxxxxxxx"),
    ],
)
def test_a_rule_meets_the_requests_that_it_names(rule, expected):
    """Requests of the tasks a, b, a, b, c, d, c, d, a second apart: each key narrows them as it says."""
    assert hit(rule, "ababcdcd") == expected


@pytest.mark.parametrize(
    ("pattern", "met"),
    [
        ("check[0]", "x.."),
        ("check[*]", "xx."),
        ("check[?]", "xx."),
        ("check*", "xxx"),
        ("*.title", "..x"),
        ("[c]*", "..."),
    ],
)
def test_brackets_in_a_task_s_name_are_letters(pattern, met):
    """The parts of a loop are called `check[0]`: one of them can be named, and so can all."""
    faults = Faults([parse_rule(f"429:task={pattern},every=1")])
    tasks = ("check[0]", "check[1]", "checks.title")
    assert "".join("x" if faults.take("s", task, 0.0) else "." for task in tasks) == met


def test_a_share_of_the_requests_is_the_same_whatever_other_tasks_do():
    """What a task draws depends on the seed and its own requests alone, and about so many fail as the rate says."""
    alone = hit("500:rate=0.3,seed=7", "a" * 200)
    mixed = hit("500:rate=0.3,seed=7", "ab" * 200)
    assert mixed[::2] == alone
    assert 40 < alone.count("x") < 80
    assert hit("500:rate=0.3,seed=8", "a" * 200) != alone


def test_the_first_rule_that_meets_a_request_is_played():
    """Two rules for one request: the first one wins, and the second still has its own."""
    faults = Faults([parse_rule("429:at=1"), parse_rule("500:at=1")])
    rules = [faults.take("s", "a", float(at)) for at in range(3)]
    assert [fault and fault[0].kind for fault in rules] == ["429", "500", None]
    assert faults.played == 2


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "found the kind ''"),
        ("430x", "found the kind '430x', expected one of 429, 529"),
        ("quotas", "found the kind 'quotas' (did you mean quota?)"),
        ("200", "found the kind '200'"),
        ("429:", "found nothing behind the colon, expected KIND or KIND:key=value"),
        ("429:at", "found 'at', expected KIND or KIND:key=value"),
        ("429:att=3", "found the key 'att' (did you mean at?), expected one of at, every"),
        ("429:at=0", "at: found '0', expected a whole number of 1 or more"),
        ("429:at=x", "at: found 'x', expected a whole number of 1 or more"),
        ("429:at=1,at=2", "found at twice, expected it once"),
        ("429:rate=2", "rate: found '2', expected a share above 0 and up to 1"),
        ("429:for=soon", "for: found 'soon', expected a time, as 2, 30s or 5m"),
        ("429:for=nan", "for: found 'nan', expected a time"),
        ("429:task=", "task: found '', expected a task's name"),
        ("429:delay=5s", "delay: it is for slow alone"),
        ("cut:retry_after=2", "retry_after: it is for statuses and quota"),
        ("429:seed=2", "seed: it is for rate"),
    ],
)
def test_a_wrong_rule_says_what_was_found_and_what_is_expected(rule, said):
    """Every fault in a rule names the rule, what stands there, and what should."""
    with pytest.raises(UsageError) as caught:
        parse_rule(rule)
    assert str(caught.value).startswith(f"--fault {rule}: ")
    assert said in str(caught.value)


def test_a_rule_has_all_that_it_says():
    """Each key becomes a field, times in seconds; what is played once says so."""
    assert parse_rule("429:at=3,task=a*,retry_after=2") == Rule(
        text="429:at=3,task=a*,retry_after=2", kind="429", at=3, task="a*", retry_after=2.0, times=1
    )
    assert parse_rule("quota:agent=20,for=5m").lasting == 300.0
    assert parse_rule("slow:delay=1m30s").delay == 90.0


@given(st.text(max_size=30))
def test_no_text_makes_the_parser_fall(text):
    """Whatever is written is a rule or a UsageError."""
    with suppress(UsageError):
        assert parse_rule(text).text == text.strip()


def test_a_spent_quota_says_when_it_is_reset():
    """The answer is a 429 that nobody tries again, with the time of the reset in the headers of a subscription."""
    error, headers = to_error(parse_rule("quota:for=30s"), 12.5)
    assert (error.status, error.retry_after, error.final) == (429, 12.5, True)
    assert "hit your usage limit" in str(error.message)
    assert headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert float(headers["anthropic-ratelimit-unified-reset"]) > 0
