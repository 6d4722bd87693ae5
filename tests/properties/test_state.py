"""The fold of a run's events."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.events import Event, TaskAdded
from orchestrator.journal.codec import decode, encode
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result, Usage
from orchestrator.testing.samples import sample_records

TEXT = st.text(max_size=50)
NUMBER = st.integers(0, 10**9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(parts=st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_a_run_adds_up_the_same_in_any_batches(parts: list[int]) -> None:
    """A reader that gets the records in one batch or in many comes to the same state."""
    records, whole, piecewise = sample_records(), RunState(), RunState()
    whole.apply_all(records)
    for size in parts:
        piecewise.apply_all(records[:size])
        del records[:size]
    piecewise.apply_all(records)
    assert str(whole.tasks["ask"]) == str(piecewise.tasks["ask"])
    assert (whole.counts, whole.cost_usd, whole.sum_s) == (piecewise.counts, piecewise.cost_usd, piecewise.sum_s)
    assert {name: task.status for name, task in whole.tasks.items()} == {
        name: task.status for name, task in piecewise.tasks.items()
    }


@given(task=TEXT, title=TEXT, needs=st.lists(TEXT, max_size=3), allow=st.booleans())
def test_events_pass_through_the_journals_form(task: str, title: str, needs: list[str], allow: bool) -> None:
    """Whatever text is in an event, it comes back as it was."""
    event: Event = TaskAdded(task=task, title=title, task_kind="agent", needs=needs, allow_failure=allow)
    record = decode(1, 2.0, "r", "TaskAdded", encode(event))
    assert (record.event, record.seq, record.at, record.run) == (event, 1, 2.0, "r")


@given(
    text=TEXT,
    value=JSON,
    outcome=st.sampled_from(Outcome),
    usage=st.builds(Usage, input_tokens=NUMBER, output_tokens=NUMBER, cache_read_tokens=NUMBER),
    denials=st.lists(TEXT, max_size=2).map(tuple),
)
def test_results_pass_through_json(
    text: str, value: object, outcome: Outcome, usage: Usage, denials: tuple[str, ...]
) -> None:
    """Whatever a task gave, its result comes back as it was."""
    result = Result(task="t", outcome=outcome, text=text, value=value, usage=usage, denials=denials)
    assert Result.from_json(result.to_json()) == result
