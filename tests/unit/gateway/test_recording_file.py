import json
import os
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.gateway.recording.canon import canonical
from orchestrator.gateway.recording.exchanges import Exchange
from orchestrator.gateway.recording.matching import Tapes, told_left
from orchestrator.gateway.recording.reading import read_recording
from orchestrator.gateway.recording.writing import Writer, check_free, check_writable

HEADER = '{"kind":"recording","version":1,"run":"r-1","name":"r","date":"d","orchestrator":"1","texts":true}'


def asked(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}


def exchange(text: str, reply: str | None, **given: Any) -> Exchange:
    known: dict[str, Any] = {"task": "a", "attempt": 1, "number": 1, "what": "messages", "status": 200}
    message = {"type": "message", "content": [{"type": "text", "text": reply}]} if reply is not None else None
    return Exchange(**{**known, "request": asked(text), "reply": message, **given})


def written(path: Path, *exchanges: Exchange, run: str = "r-1") -> Path:
    writer = Writer(path)
    for each in exchanges:
        writer.keep(run, "2.1", each)
    writer.close()
    return path


def said(exchange: Exchange | None) -> str | None:
    return exchange.reply["content"][0]["text"] if exchange and exchange.reply else None


def test_what_is_written_is_read(tmp_path):
    """All of an exchange comes back, though a long part of it is written once for many requests."""
    long = "a long prompt " * 100
    first, second = exchange(long, "one"), exchange(long, "two", number=2)
    path = written(tmp_path / "a.rec", first, second)
    assert read_recording(path).exchanges == [first, second]
    assert path.read_text().count(long) == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_run_that_goes_on_goes_on_in_its_file(tmp_path):
    """The same run adds to its recording; another run begins it anew."""
    path = written(tmp_path / "a.rec", exchange("1", "one"))
    written(path, exchange("2", "two"))
    assert len(read_recording(path).exchanges) == 2
    written(path, exchange("3", "three"), run="r-2")
    assert [each.request for each in read_recording(path).exchanges] == [asked("3")]


def test_a_line_that_a_crash_has_cut_is_passed_over(tmp_path):
    """The last line of a file may be cut off, also when the run was gone on with behind it."""
    path = written(tmp_path / "a.rec", exchange("1", "one"), exchange("2", "two"))
    path.write_bytes(path.read_bytes()[:-30])
    assert [each.request for each in read_recording(path).exchanges] == [asked("1")]
    assert read_recording(path).cut
    written(path, exchange("3", "three"))
    assert [each.request for each in read_recording(path).exchanges] == [asked("1"), asked("3")]


@contextmanager
def full_disk(more: int):
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_line(tmp_path):
    """What did not fit is lost, and what is written later can be read, long parts that were lost before included."""
    writer, long = Writer(tmp_path / "a.rec"), "a long prompt " * 100
    with full_disk(20), pytest.raises(OSError, match="large"):
        writer.keep("r-1", "2.1", exchange("0", "none"))
    writer.keep("r-1", "2.1", exchange("1", "one"))
    with full_disk(writer.path.stat().st_size + 100), pytest.raises(OSError, match="large"):
        writer.keep("r-1", "2.1", exchange(long, "two"))
    writer.keep("r-1", "2.1", exchange(long, "three"))
    writer.close()
    assert [said(each) for each in read_recording(writer.path).exchanges] == ["one", "three"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", ":1: ", "the file is empty, expected a recording"),
        ("tasks: {}\n", ":1: ", "found 'tasks: {}', expected the first line of a recording"),
        (HEADER.replace('"version":1', '"version":9'), ":1: ", "found the version the number 9, expected 1"),
        (HEADER.replace('"texts":true', '"texts":false'), ":1: ", "recorded with --no-texts"),
        ('{"kind":"recording","version":1}', ":1: ", "lacks something"),
        (f'{HEADER}\nnonsense\n{{"kind":"part"}}\n', ":2: ", "the line is not JSON"),
        (f"{HEADER}\n[1]\n", ":2: ", "found a list, expected a mapping"),
        (f'{HEADER}\n{{"kind":"x"}}\n', ":2: ", "found the kind 'x', expected recording, part or exchange"),
        (f'{HEADER}\n{{"kind":"exchange"}}\n', ":2: ", "an exchange lacks something"),
        (
            HEADER + '\n{"kind":"exchange","task":"a","attempt":1,"number":1,"what":"messages",'
            '"request":{"system":{"part":"abc"}}}\n',
            ":2: ",
            "names the part 'abc', which no line before it holds",
        ),
    ],
)
def test_what_is_no_recording_says_why(tmp_path, text, place, what):
    """The line, what was found there, what is expected, and what to do."""
    path = tmp_path / "a.rec"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_recording(path)
    assert f"{path}{place}" in str(caught.value)
    assert what in str(caught.value)
    assert "--record" in str(caught.value) or "record again" in str(caught.value)


def test_a_file_of_somebody_elses_is_left_alone(tmp_path):
    """A recording replaces a recording, and nothing else."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("tasks: {}\n")
    with pytest.raises(UsageError, match=r"no recording .*left alone"):
        check_writable(plan)
    with pytest.raises(UsageError, match="found a folder"):
        check_writable(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        check_writable(tmp_path / "none" / "a.rec")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no file"):
        check_writable(tmp_path / "pipe")
    check_writable(written(tmp_path / "a.rec", exchange("1", "one")))
    check_writable(tmp_path / "new.rec")


def test_a_file_that_may_not_be_written_is_told_before_the_run(tmp_path, monkeypatch):
    """At the end, when all is paid, it would be too late."""
    monkeypatch.setattr(os, "access", lambda path, how: path != tmp_path)
    with pytest.raises(UsageError, match="may not be written"):
        check_writable(tmp_path / "a.rec")


def test_the_recording_of_another_run_is_not_lost_unasked(tmp_path):
    """A file is free for the run that it is of, when it is empty, and when there is none."""
    path = written(tmp_path / "a.rec", exchange("1", "one"))
    with pytest.raises(UsageError, match=r"found the recording of the run r-1, expected .*replace it with --overwrite"):
        check_free(path, "r-2")
    check_free(path, "r-1")
    check_free(tmp_path / "new.rec", "r-2")
    (tmp_path / "empty.rec").touch()
    check_free(tmp_path / "empty.rec", "r-2")


def tapes(tmp_path: Path, *exchanges: Exchange) -> Tapes:
    return Tapes(read_recording(written(tmp_path / "a.rec", *exchanges)))


def test_each_task_has_its_own_answers_in_any_order(tmp_path):
    """Tasks that ask the same are answered each as it was; one that asks again gets the next answer, then the last."""
    known = tapes(
        tmp_path,
        exchange("q", "a1"),
        exchange("q", "a2"),
        exchange("q", "b1", task="b"),
        exchange("q", "", task="b", complete=False),
    )
    canon = canonical(asked("q"))
    assert said(known.find("b", canon)) == "b1"
    assert known.unasked() == {"a": 2}
    assert [said(known.find("a", canon)) for _ in range(3)] == ["a1", "a2", "a2"]
    assert known.unasked() == {}
    assert known.find("c", canon) is None


def test_a_request_that_does_not_match_is_compared_with_the_nearest(tmp_path):
    """What is said: the task, the reply, the place in the request, both texts around the difference, what to do."""
    known = tapes(tmp_path, exchange("x" * 90 + " 12 tests pass " + "y" * 90, "fine"), exchange("other", "no"))
    mismatch = known.explain("a", canonical(asked("x" * 90 + " 11 tests pass " + "y" * 90)))
    assert mismatch.short == (
        "asked '…xxxxxxxxxxxxxxxxxx 11 tests pass yyyyyyy…', recorded '…xxxxxxxxxxxxxxxxxx 12 tests pass yyyyyyy…': "
        "record again with --record"
    )
    why = mismatch.details
    assert "has no such request of task 'a' (the agent's reply 1): messages[0].content[0].text differs" in why
    assert "12 tests pass" in why
    assert "11 tests pass" in why
    assert len(why) < 600
    assert "record again with --record" in why
    assert "has no task 'aa' (did you mean a?); it has a" in known.explain("aa", canonical(asked("x"))).details


def test_an_answer_that_never_came_is_told_as_such(tmp_path):
    """A request whose agent was ended before its answer was whole is known, and has no answer."""
    known = tapes(tmp_path, exchange("q", None, complete=False))
    assert known.was_ended("a", canonical(asked("q")))
    assert not known.was_ended("a", canonical(asked("p")))
    assert known.find("a", canonical(asked("q"))) is None
    mismatch = known.explain("a", canonical(asked("q")))
    assert "was ended before it had this answer" in mismatch.short
    assert "was ended before it had this answer" in mismatch.details


def test_a_part_that_never_asked_was_ended(tmp_path):
    """Of a vote of three, two of which agree, the third may have been ended before its first request."""
    known = tapes(tmp_path, exchange("q", "a1", task="name[0]"))
    assert known.was_ended("name[2]", canonical(asked("q")))
    assert not known.was_ended("other[2]", canonical(asked("q")))
    assert not known.was_ended("name", canonical(asked("q")))


def test_answers_that_nobody_asked_for_are_told_by_task():
    """A sentence for the end of the run."""
    assert told_left({"check": 2}) == "2 recorded requests were not asked for: of check (2)"
    assert told_left({str(number): 1 for number in range(7)}).endswith("4 (1) and 2 more tasks")


def test_without_texts_no_text_is_in_the_file(tmp_path):
    """What remains says how long and how much, and is refused for a replay."""
    path = tmp_path / "a.rec"
    writer = Writer(path, texts=False)
    writer.keep("r-1", None, exchange("secret prompt", None, request=None, asked={"messages": 1}))
    writer.close()
    assert "secret" not in path.read_text()
    assert json.loads(path.read_text().splitlines()[1])["asked"] == {"messages": 1}
    with pytest.raises(UsageError, match="no-texts"):
        read_recording(path)
