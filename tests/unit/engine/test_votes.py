"""Votes in a script: who wins, what a tie is, when the rest is not needed, and what a judge is told."""

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from running import Stage

from orchestrator import Agent, Limits, Outcome, Result, Status, Task, TaskFailed, UsageError, Vote, majority
from orchestrator.events import AttemptStarted, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


class Headline(BaseModel):
    title: str
    level: int = 1


def saying(*answers: str | Reply, judge: Any = None, seconds: Sequence[float] = ()) -> Callable[[Attempt], Reply]:
    """A script in which `v[0]` gives the first answer, after the first of the seconds, and so on."""

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "v.judge":
            return judge if isinstance(judge, Reply) else Reply(value=judge)
        number = int(attempt.task[2:-1])
        answer = answers[number]
        if isinstance(answer, Reply):
            return answer
        return Reply(answer, seconds=seconds[number] if seconds else 1, cost_usd=0.25)

    return script


BROKEN = Reply("no", outcome=Outcome.REFUSED)


async def voted(stage: Stage, times: int = 3, **options: Any) -> Vote:
    """A vote of so many."""
    async with stage.open() as run:
        return await run.vote("Which colour?", times=times, key="v", retries=0, **options)


async def test_the_answer_of_most() -> None:
    """The earliest voter of the most frequent answer wins, and the vote tells who said what."""
    vote = await voted(Stage(saying("green", "blue", "Blue.")), early=False)
    assert vote.winner is vote.results[1]
    assert (vote.ok, vote.text, vote.tie, vote.unanimous, vote.agreement) == (True, "blue", False, False, 2 / 3)
    assert [(each.name, each.count, each.tasks) for each in vote.candidates] == [
        ("'blue'", 2, ("v[1]", "v[2]")),
        ("'green'", 1, ("v[0]",)),
    ]
    assert vote.note == "2 of 3 say 'blue', 1 says 'green'"


async def test_the_group_has_the_winner() -> None:
    """The vote's own task has text, value and session of the winner, and the note; it is not counted."""
    stage = Stage(saying("green", "blue", "Blue."))
    vote = await voted(stage, early=False)
    (ended,) = stage.of(TaskFinished, "v")
    assert vote.winner is not None
    assert ended.result["session_id"] == vote.winner.session_id
    assert (ended.status, ended.loop, ended.result["text"]) == ("done", True, "blue")
    assert ended.result["note"] == vote.note
    assert stage.state.total == 3


async def test_values_and_a_part_of_them() -> None:
    """Structured values are compared whole, or by the part at the path that is given."""
    values = [Reply(value={"title": "a", "level": 1}), Reply(value={"title": "b", "level": 1})]
    vote = await voted(Stage(saying(*values)), times=2, returns=Headline, ties="first")
    assert (vote.tie, vote.value) == (True, Headline(title="a"))
    vote = await voted(Stage(saying(*values)), times=2, returns=Headline, on="level")
    assert (vote.unanimous, vote.value, vote.candidates[0].value) == (True, Headline(title="a"), 1)
    assert vote.note == "all 2 say 1"


async def test_a_tie_has_no_winner() -> None:
    """On a tie nothing is chosen: the vote names the answers and what would decide, and the run has failed."""
    stage = Stage(saying("blue", "green", "Green", "BLUE"))
    async with stage.open() as run:
        vote = await run.vote("Which colour?", times=4, key="v")
    assert (vote.ok, vote.winner, vote.outcome, vote.tie, vote.agreement) == (False, None, Outcome.UNDECIDED, True, 0)
    assert vote.error == (
        "a tie for the first place: 'blue' and 'green' have 2 votes each: "
        "more voters, a judge or ties='first' would decide"
    )
    assert vote.note == "a tie: 2 of 4 say 'blue', 2 say 'green'"
    assert (run.report().status, run.report().succeeded) == ("failed", 4)


async def test_a_tie_may_go_to_the_first() -> None:
    """With `ties="first"` the answer of the earliest voter wins, whoever ended first."""
    vote = await voted(Stage(saying("green", "blue", seconds=[50, 1])), times=2, ties="first")
    assert (vote.text, vote.tie) == ("green", True)
    assert vote.note == "a tie, and the first one taken: 1 of 2 says 'green', 1 says 'blue'"


async def test_an_early_end() -> None:
    """Once no vote that is left can change the winner, the rest is ended: at work or waiting, neither counts as bad."""
    stage = Stage(saying(*["blue"] * 3, "x", "y", seconds=[1, 2, 3, inf, 1]), concurrent=4)
    vote = await voted(stage, times=5)
    assert (vote.text, vote.unanimous, vote.failed) == ("blue", False, [])
    stage = Stage(saying(*["blue"] * 5, seconds=[1, 2, 3, inf, inf]), concurrent=2)
    vote = await voted(stage, times=5)
    assert stage.asked == ["v[0]", "v[1]", "v[2]", "v[3]"]
    assert [result.outcome for result in vote.results] == [Outcome.OK] * 3 + [Outcome.UNNEEDED] * 2
    assert vote.note == "3 of 5 say 'blue', 2 not needed"
    assert stage.statuses["v"] is Status.DONE
    assert stage.state.counts[Status.FAILED] + stage.state.counts[Status.CANCELLED] == 0


@pytest.mark.parametrize("options", [{"early": False}, {"by": lambda results: results[0]}, {"judge": "the shortest"}])
async def test_no_early_end(options: dict[str, Any]) -> None:
    """All are heard when that is wanted, and when a function or a judge chooses."""
    stage = Stage(saying("blue", "blue", "green", judge={"choice": 2, "reason": "short"}))
    vote = await voted(stage, **options)
    assert all(result.ok for result in vote.results)


@pytest.mark.parametrize("seconds", [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [3, 5, 1, 2, 4]])
async def test_the_order_is_no_matter(seconds: list[float]) -> None:
    """Who wins, and what ties, does not depend on the order in which the voters end."""
    for answers, winner in ((["b", "a", "a", "b", "a"], "a"), (["b", "c", "a", "a", "b"], ""), (["a", *"bcde"], "")):
        vote = await voted(Stage(saying(*answers, seconds=seconds), concurrent=5), times=5)
        assert (vote.text, vote.tie) == (winner, not winner)


async def test_those_who_fail_have_no_vote() -> None:
    """A vote is decided without the voters that failed, and names how many did."""
    vote = await voted(Stage(saying(BROKEN, "blue", BROKEN)))
    assert (vote.text, vote.agreement, len(vote.failed)) == ("blue", 1.0, 2)
    assert vote.note == "1 of 3 says 'blue', 2 failed"


async def test_nobody_votes() -> None:
    """When all voters fail there is no winner, and the first error is told."""
    vote = await voted(Stage(saying(BROKEN, BROKEN)), times=2)
    assert (vote.outcome, vote.error) == (Outcome.UNDECIDED, "no voter succeeded: v[0]: refused: no")


async def test_fail_fast_spares_voters() -> None:
    """Where the first failure ends the run, a voter's does not, but that of the vote does."""
    async with Stage(saying(BROKEN, "blue", "blue")).open(fail_fast=True) as run:
        assert (await run.vote("Which?", times=3, key="v", retries=0)).text == "blue"
    with pytest.raises(TaskFailed, match="task 'v': undecided: a tie"):
        async with Stage(saying("blue", "green")).open(fail_fast=True) as run:
            await run.vote("Which?", times=2, key="v")


async def test_a_path_that_no_value_has() -> None:
    """A path that fits no value is told with what was found."""
    vote = await voted(Stage(saying(Reply(value={"a": 1}), "text")), times=2, on="b.c", returns={"type": "object"})
    assert vote.error == "on: 'b.c' is in no voter's value: v[0] gave a mapping"
    vote = await voted(Stage(saying(Reply(value={"a": 1}), Reply(value={}))), times=2, on="a", returns={})
    assert vote.note == "1 of 2 says 1, 1 without a vote"


async def test_a_function_chooses() -> None:
    """A function is given the results that succeeded, in their order, and what it gives wins."""
    given: list[list[str]] = []

    def longest(results: Sequence[Result]) -> Result:
        given.append([result.task for result in results])
        return max(results, key=lambda result: len(result.text))

    vote = await voted(Stage(saying("blue", BROKEN, "green", "red")), times=4, by=longest)
    assert given == [["v[0]", "v[2]", "v[3]"]]
    assert (vote.text, vote.by) == ("green", "longest")
    assert vote.note == "longest chose 'green': 1 of 4 says 'blue', 1 says 'green', 1 says 'red', 1 failed"


@pytest.mark.parametrize(
    ("gives", "outcome", "error"),
    [
        (lambda results: None, Outcome.UNDECIDED, "<lambda> chose none of 'blue', 'green'"),
        (lambda results: "blue", Outcome.RAISED, "<lambda> gave the text 'blue', expected a Result or None"),
        (lambda results: 1 / 0, Outcome.RAISED, "<lambda> raised ZeroDivisionError: division by zero"),
    ],
)
async def test_a_function_that_does_not(gives: Any, outcome: Outcome, error: str) -> None:
    """A function that chooses nobody, gives something else or raises, fails the vote and nothing more."""
    vote = await voted(Stage(saying("blue", "green")), times=2, by=gives)
    assert (vote.winner, vote.outcome, vote.error) == (None, outcome, error)


async def test_majority_can_be_called() -> None:
    """A function may use `majority` for a part of its choice."""
    vote = await voted(
        Stage(saying("red", "blue", "blue")), by=lambda results: majority([r for r in results if r.text != "red"])
    )
    assert vote.text == "blue"


async def test_a_judge_chooses() -> None:
    """A judge is shown the question and the answers, numbered, equal ones once, and what to choose by; it says why."""
    stage = Stage(saying("Blue", "green", "blue.", judge={"choice": 2, "reason": "It is the calmest."}))
    vote = await voted(stage, judge="Take the calmest.", agent=Agent(model="haiku"))
    assert (vote.text, vote.reason, vote.by) == ("green", "It is the calmest.", "judge")
    assert vote.note == "the judge chose 'green' (It is the calmest.): 2 of 3 say 'Blue', 1 says 'green'"
    prompt = stage.prompt("v.judge")
    assert prompt.index("Which colour?") < prompt.index("## Answer 1\n\nBlue") < prompt.index("## Answer 2\n\ngreen")
    assert "Take the calmest." in prompt
    assert "blue." not in prompt
    (asked,) = stage.of(AttemptStarted, "v.judge")
    assert asked.schema["properties"]["choice"] == {"type": "integer", "minimum": 1, "maximum": 2}
    assert asked.agent["model"] == "haiku"


@pytest.mark.parametrize("judge", [Agent(model="opus"), Task("Be strict.", agent=Agent(model="opus"), timeout=9)])
async def test_a_judge_of_its_own(judge: Any) -> None:
    """The judge may be an agent of its own, or a whole task."""
    stage = Stage(saying("blue", "green", judge={"choice": 1, "reason": "x"}))
    assert (await voted(stage, times=2, judge=judge)).text == "blue"
    assert stage.of(AttemptStarted, "v.judge")[0].agent["model"] == "opus"
    assert ("Be strict." in stage.prompt("v.judge")) == isinstance(judge, Task)


async def test_a_judge_is_not_asked_for_nothing() -> None:
    """Where all give one answer, or one alone succeeds, there is nothing to choose."""
    for answers in (["blue", "Blue"], ["blue", BROKEN]):
        stage = Stage(saying(*answers))
        vote = await voted(stage, times=2, judge="any")
        assert (vote.text, vote.unanimous) == ("blue", True)
        assert "v.judge" not in stage.asked
        assert stage.statuses["v.judge"] is Status.SKIPPED


@pytest.mark.parametrize(
    ("judge", "error"),
    [
        ({"choice": 3, "reason": "x"}, "the judge v.judge chose the number 3, expected a number from 1 to 2"),
        (None, "the judge v.judge chose nothing, expected a number from 1 to 2"),
        (Reply("tired", outcome=Outcome.REFUSED), "the judge v.judge gave no verdict: tired"),
    ],
)
async def test_a_judge_that_does_not(judge: Any, error: str) -> None:
    """A judge that fails, or chooses what is not there, leaves the vote undecided."""
    vote = await voted(Stage(saying("blue", "green", judge=judge)), times=2, judge=Task("x", retries=0))
    assert (vote.outcome, vote.error) == (Outcome.UNDECIDED, error)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"times": 0}, "times: found the number 0, expected 1 to 100"),
        ({"times": 101}, "times: found the number 101, expected 1 to 100"),
        ({"times": True}, "times: found true"),
        ({"times": "3"}, "times: found the text '3'"),
        ({"by": "majority"}, "by: found the text 'majority', expected majority, or a function"),
        ({"on": "a..b"}, "on: found the text 'a..b', expected a path into the value, as 'finding.level'"),
        ({"ties": "last"}, "ties: found the text 'last', expected 'fail' or 'first'"),
        ({"judge": 3}, "judge: found the number 3"),
        ({"judge": "x", "by": lambda results: None}, "both by and judge"),
        ({"judge": Task("x", retries=-1)}, "retries"),
        ({"judge": Task("x", needs=["y"])}, "judge: needs"),
        ({"needs": ["nobody"]}, "'nobody', which is no task"),
        ({"key": ""}, "key"),
    ],
)
async def test_what_is_no_vote(options: dict[str, Any], what: str) -> None:
    """Bad input is refused at once, with what was found and what was expected; nothing is added."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(UsageError) as raised:
            await run.vote("Which?", **({"times": 3} | options))
    assert what in str(raised.value)
    assert stage.statuses == {}


async def test_a_vote_has_needs() -> None:
    """Nobody votes before what the vote needs is done; when that fails the vote is skipped."""
    stage = Stage({"bad": [BROKEN]})
    async with stage.open() as run:
        first = run.submit(Task("x", key="first"))
        run.submit(Task("x", key="bad", retries=0))
        assert (await run.vote("Which?", times=2, key="v", needs=[first])).ok
        vote = await run.vote("Which?", times=2, key="w", needs=["bad"])
    assert stage.asked[:2] == ["first", "bad"]
    assert (vote.outcome, vote.error, vote.results) == (Outcome.SKIPPED, "it needs bad, which is failed", [])


async def test_a_vote_that_is_cut_off_is_not_decided() -> None:
    """Votes that were never cast because the money ran out may not make a winner."""
    stage = Stage(lambda _: Reply("blue", cost_usd=1.0, seconds=1), concurrent=1, usd=1.0)
    vote = await voted(stage)
    assert (vote.winner, vote.outcome) == (None, Outcome.BUDGET)
    assert vote.error
    assert vote.error.startswith("2 of 3 had not voted yet: the run's budget of 1 USD is spent")


async def test_going_on_asks_nothing_twice() -> None:
    """The same script after a stop asks only those who had not voted, and the judge once."""
    stage = Stage(saying("blue", "green", Reply(seconds=inf), judge={"choice": 1, "reason": "x"}))
    with anyio.move_on_after(100):
        await voted(stage, judge="any")
    stage.use(saying("?", "?", "green", judge={"choice": 1, "reason": "x"}))
    assert (await voted(stage, judge="any")).text == "green"
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["v.judge", "v[2]"]


async def test_going_on_after_a_decision() -> None:
    """A vote that was decided early is decided the same, and nobody is asked again."""
    stage = Stage(saying("blue", "blue", Reply(seconds=inf)))

    async def script() -> Vote:
        async with stage.open() as run:
            vote = await run.vote("Which colour?", times=3, key="v")
            await run.agent("more", key="more")
            return vote

    stage.use(lambda attempt: Reply(seconds=inf) if attempt.task in ("v[2]", "more") else Reply("blue", seconds=1))
    with anyio.move_on_after(100):
        await script()
    assert stage.statuses["v"] is Status.DONE
    stage.use({})
    vote = await script()
    assert [attempt.task for attempt in stage.executor.attempts] == ["more"]
    assert [result.outcome for result in vote.results] == [Outcome.OK, Outcome.OK, Outcome.UNNEEDED]
    assert vote.note == "2 of 3 say 'blue', 1 not needed"


@pytest.mark.parametrize("width", [1, 2, 4])
async def test_going_on_after_a_decision_when_files_are_looked_at(tmp_path: Path, width: int) -> None:
    """Nor is anybody asked again when it takes a look at files to know who had voted: who was not needed comes last."""
    tmp_path.joinpath("input").write_text("x")

    async def script() -> Vote:
        async with stage.open(directory=tmp_path) as run:
            vote = await run.vote("Which?", times=4, key="v", inputs=["input"])
            await run.agent("more", key="more")
            return vote

    stage = Stage(lambda attempt: Reply(seconds=inf) if attempt.task in ("v[0]", "more") else Reply("blue", seconds=1))
    with anyio.move_on_after(100):
        await script()
    stage.use(lambda attempt: Reply("?"))
    stage.limits = Limits(concurrent=width)
    vote = await script()
    assert [attempt.task for attempt in stage.executor.attempts] == ["more"]
    assert vote.note == "3 of 4 say 'blue', 1 not needed"


async def test_who_was_spared_votes_when_it_matters() -> None:
    """A voter that was not needed is asked after all when the vote is done again and the others disagree."""
    stage = Stage(saying("blue", "blue", Reply(seconds=inf)))
    await voted(stage)
    stage.use(saying("blue", "green", "green"))
    async with stage.open(run=stage.runs[0], rerun=["v[1]"]) as run:
        vote = await run.vote("Which colour?", times=3, key="v", retries=0)
    assert (vote.text, vote.note) == ("green", "2 of 3 say 'green', 1 says 'blue'")
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["v[1]", "v[2]"]


async def test_whoever_stops_waiting_stops_the_vote() -> None:
    """A vote whose caller is cancelled ends its voters; the run goes on."""
    stage = Stage(saying(*[Reply(seconds=inf)] * 3))
    async with stage.open() as run:
        with anyio.move_on_after(10):
            await run.vote("Which?", times=3, key="v")
    assert set(stage.statuses.values()) == {Status.CANCELLED}


async def test_a_hundred_voters() -> None:
    """The most voters there may be are one group, asked as widely as the run allows."""
    stage = Stage(lambda attempt: Reply("odd" if int(attempt.task[2:-1]) % 3 else "even", seconds=1), concurrent=10)
    vote = await voted(stage, times=100)
    assert stage.executor.most_at_once == 10
    assert vote.text == "odd"
    assert len(stage.asked) < 90
