"""What a round's journal says, read from outside."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.events import AttemptStarted, Event, Record, RequestAnswered, RunStarted, SessionStarted, TaskFinished
from orchestrator.journal.codec import decode
from orchestrator.state import RunState

ADVICE = re.compile(r"resume it with more, as (--\w+) ([\d.]+)")


@dataclass(slots=True)
class Story:
    """All that was written of a run."""

    run: str
    records: list[Record] = field(default_factory=list)

    @property
    def state(self) -> RunState:
        """What it all came to."""
        return RunState.of(self.records)

    @property
    def starts(self) -> int:
        return sum(isinstance(record.event, RunStarted) for record in self.records)

    @property
    def sessions(self) -> set[str]:
        """Of all its attempts."""
        found: set[str | None] = set()
        for record in self.records:
            match record.event:
                case AttemptStarted() as event:
                    found |= {event.session_id, event.resume}
                case SessionStarted() as event:
                    found.add(event.session_id)
        return {session for session in found if session}

    @property
    def openings(self) -> list[tuple[str, str]]:
        """The sessions that attempts were to go on with, each with what came of it: `continued`, or else `fresh`."""
        wanted: dict[tuple[str, int], str] = {}
        found: list[tuple[str, str]] = []
        for record in self.records:
            match record.event:
                case AttemptStarted(resume=str(session)) as event:
                    wanted[event.task, event.attempt] = session
                case SessionStarted() as event if (event.task, event.attempt) in wanted:
                    found.append((wanted.pop((event.task, event.attempt)), event.how))
        return found

    def attempts(self, task: str) -> int:
        return sum(isinstance(each.event, AttemptStarted) and each.event.task == task for each in self.records)

    @property
    def queued(self) -> float:
        """Seconds that its requests have waited at the gateway."""
        return sum(each.event.queued_s for each in self.records if isinstance(each.event, RequestAnswered))

    def count(self, kind: type[Event], **wanted: Any) -> int:
        """How many events of this kind have these values."""
        return sum(
            isinstance(each.event, kind) and all(getattr(each.event, name) == value for name, value in wanted.items())
            for each in self.records
        )

    @property
    def advice(self) -> list[str]:
        """What its tasks say of how to go on with more of a budget that was spent, as `--usd 2`."""
        errors = [str(task.result.get("error")) for task in self.state.tasks.values() if task.result]
        found = [match.groups() for error in errors if (match := ADVICE.search(error))]
        return list(max(found, key=lambda each: float(each[1]), default=()))

    def finished(self, task: str) -> list[Record]:
        """Its good results, those that were there before left out."""
        return [
            each
            for each in self.records
            if isinstance(each.event, TaskFinished)
            and each.event.task == task
            and each.event.status == "done"
            and each.event.result.get("reused") is None
        ]


def read_stories(journal: Path) -> list[Story]:
    """The runs in the journal, the oldest first; none when there is no journal yet."""
    stories: dict[str, Story] = {}
    for row in ask(journal, "SELECT seq, at, run, kind, data FROM events ORDER BY seq"):
        record = decode(*row)
        stories.setdefault(record.run, Story(record.run)).records.append(record)
    return list(stories.values())


def count_results(journal: Path) -> int:
    """How many good results there are on the disk."""
    found = ask(
        journal,
        "SELECT count(DISTINCT run || ' ' || json_extract(data, '$.task')) FROM events "
        "WHERE kind = 'TaskFinished' AND json_extract(data, '$.status') = 'done'",
    )
    return found[0][0] if found else 0


def has_event(journal: Path, kind: type[Event], **wanted: str) -> bool:
    """Whether an event of this kind, with these values, is on the disk."""
    found = ask(journal, f"SELECT data FROM events WHERE kind = '{kind.__name__}'")
    return any(wanted.items() <= json.loads(data).items() for (data,) in found)


def find_damage(journal: Path) -> str | None:
    """What SQLite has to say against the file."""
    found = [row[0] for row in ask(journal, "PRAGMA integrity_check")]
    return None if found == ["ok"] else "; ".join(map(str, found[:3]))


def ask(journal: Path, query: str) -> list[tuple]:  # type: ignore[type-arg]
    """All rows; none when there is no journal yet."""
    if not journal.exists():
        return []
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "unable to open" in str(error):
                return []
            raise
