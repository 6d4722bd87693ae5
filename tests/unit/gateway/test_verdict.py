import pytest

from orchestrator.gateway.passing.verdict import judge

SAID = {"x-should-retry": "false"}


@pytest.mark.parametrize(
    ("status", "headers", "signal", "again", "final"),
    [
        (429, {}, "rate_limit", True, False),
        (429, {"retry-after": "7"}, "rate_limit", True, False),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "rate_limit", True, False),
        (429, {"retry-after": "61"}, "quota", False, True),
        (429, SAID, "rate_limit", False, False),
        (429, SAID | {"retry-after": "7"}, "rate_limit", True, False),
        (529, {}, "overloaded", True, False),
        (529, {"retry-after": "60"}, "overloaded", True, False),
        (529, {"retry-after": "3600"}, "overloaded", False, False),
        (500, {}, "server_error", False, False),
        (401, {}, "auth", False, False),
        (402, {}, "billing", False, False),
        (400, {}, None, False, False),
    ],
)
def test_who_tries_again(status: int, headers: dict[str, str], signal: str | None, again: bool, final: bool) -> None:
    """The gateway does where it helps soon; what takes long, or is said to be in vain, is not sent again by it."""
    verdict = judge(status, headers, 1000.0)
    assert (verdict.signal, verdict.again, verdict.final) == (signal, again, final)


def test_which_limit_is_reached() -> None:
    """A subscription's limit has a name."""
    unified = "anthropic-ratelimit-unified"
    headers = {f"{unified}-status": "rejected", f"{unified}-reset": "9000"}
    verdict = judge(429, headers | {f"{unified}-representative-claim": "seven_day_opus"}, 1000.0)
    assert (verdict.signal, verdict.limit) == ("quota", "seven_day_opus")
    assert judge(429, headers, 1000.0).limit is None
