"""What must hold after a round."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.state import TaskState
from orchestrator.task import Outcome, Status
from tests.chaos.journals import Story, find_damage
from tests.chaos.keeping import check_bounds, check_recording
from tests.chaos.kinds import KINDS, Expected
from tests.chaos.server import Asked
from workspaces.names import make_safe

if TYPE_CHECKING:
    from tests.chaos.rounds import Round


def check(round: "Round", shared: Iterable[str]) -> None:
    """Looks at everything that is there at a round's end, and notes what is not as it should be."""
    for session in shared:
        round.violate(f"two CLI processes drove session {session} at once")
    try:
        stories = round.told = round.stories
    except sqlite3.Error as error:
        round.violate(f"the journal cannot be read: {error!r}")
        return
    check_end(round, stories)
    for story, asked in zip(stories, share(round.model.asked, stories), strict=True):
        check_story(round, story, asked)
    check_repository(round, stories)
    check_recording(round)
    check_leftovers(round)


def check_end(round: "Round", stories: list[Story]) -> None:
    """The last command ended well, and the journal is whole. Going on made no second run."""
    if not round.is_done:
        last = round.commands[-1]
        round.violate(f"`{last}` was the last command; it said {last.log.read_text(errors='replace')[-400:]!r}")
    if damage := find_damage(round.place.journal):
        round.violate(f"the journal is damaged: {damage}")
    if len(stories) != 1 and round.kind != "two":
        round.violate(f"there are {len(stories)} runs, expected one")
    for story in stories:
        ended = story.state.finished
        expected = "failed" if round.plan.fails else "done"
        if ended is None or ended.status != expected:
            round.violate(f"run {story.run} is {ended.status if ended else 'not ended'}, expected {expected}")


def share(asked: list[Asked], stories: list[Story]) -> list[list[Asked]]:
    """The requests for tasks, by run; those of nobody's session go to the first."""
    owners = {session: number for number, story in enumerate(stories) for session in story.sessions}
    shares: list[list[Asked]] = [[] for _ in stories]
    for each in asked:
        if each.task is not None and shares:
            shares[owners.get(each.session, 0)].append(each)
    return shares


def check_story(round: "Round", story: Story, asked: list[Asked]) -> None:
    """All tasks of the plan are there and done, once; and what was asked of the API is what was needed."""
    state = story.state
    round.reused += state.reused
    check_sessions(round, story, asked)
    check_bounds(round, story, asked)
    wanted = set(round.plan.tasks) | round.plan.others
    if odd := wanted ^ set(state.tasks):
        round.violate(f"run {story.run}: these tasks are in the plan or the run, and not in both: {sorted(odd)}")
    for name in sorted(wanted & set(state.tasks)):
        check_status(round, state.tasks[name])
    for vote, least in round.plan.votes.items():
        check_vote(round, story, vote, least)
    for expected in round.plan.tasks.values():
        if expected.name in state.tasks:
            check_task(round, story, expected, state.tasks[expected.name])
            check_requests(round, story, expected, [each for each in asked if each.task == expected.name])


def check_status(round: "Round", task: TaskState) -> None:
    """It is done; what must fail has failed; and of a vote that was decided a voter may be unneeded."""
    expected = Status.FAILED if task.id in round.plan.fails else Status.DONE
    unneeded = is_unneeded(task) and round.plan.may_be_unneeded(task.id)
    if task.status is not expected and not unneeded:
        round.violate(f"task {task.id} is {task.status.value}, expected {expected.value}: {error_of(task)}")


def is_unneeded(task: TaskState) -> bool:
    """Whether a vote was decided without it."""
    return task.status is Status.SKIPPED and task.result is not None and task.result["outcome"] == Outcome.UNNEEDED


def check_vote(round: "Round", story: Story, vote: str, least: int) -> None:
    """Enough voters were heard, and none was asked any more once it was decided."""
    voters = [task for task in story.state.tasks.values() if round.plan.vote_of(task.id) == vote and task.id != vote]
    heard = sum(task.status is Status.DONE for task in voters)
    if heard < least:
        round.violate(f"vote {vote}: {heard} voters were heard, expected {least} at least")
    decided = story.finished(vote)
    names = {task.id for task in voters}
    late = [each for each in round.model.asked if decided and each.task in names and each.at > decided[0].at]
    if late:
        round.paid_twice |= {f"{story.run}/{each.task}" for each in late}
        round.violate(f"vote {vote}: {len(late)} requests of {late[0].task} and others after it was decided")


def check_sessions(round: "Round", story: Story, asked: list[Asked]) -> None:
    """A session in which something had been asked was there to go on with."""
    for session, how in story.openings:
        round.continued += how == "continued"
        round.anew += how == "fresh"
        if how == "fresh" and any(each.session == session for each in asked):
            round.notes.append(f"session {session} had been paid for, and was gone")


def error_of(task: TaskState) -> str:
    return str((task.result or {}).get("error"))[:300]


def check_task(round: "Round", story: Story, expected: Expected, task: TaskState) -> None:
    """The task's result is there, is the right one, and was not given up once it was there."""
    if task.status is not Status.DONE or task.result is None:
        return
    round.results += 1
    finished = story.finished(task.id)
    if len(finished) > 1:
        round.paid_twice.add(f"{story.run}/{task.id}")
        round.violate(f"task {task.id} has {len(finished)} good results that were worked for, expected one")
    if finished and finished[0].seq < last_start(story) and not task.reused:
        round.lost += 1
        round.violate(f"task {task.id}: its result of {finished[0].at:.2f} was lost")
    if expected.text is not None and task.result["text"] != expected.text:
        round.violate(f"task {task.id} said {task.result['text']!r}, expected {expected.text!r}")
    if expected.value is not None and task.result["value"] != expected.value:
        round.violate(f"task {task.id} gave {task.result['value']!r}, expected {expected.value!r}")
    if expected.holds not in task.result["text"]:
        round.violate(f"task {task.id} said {task.result['text']!r}, expected {expected.holds!r} in it")


def last_start(story: Story) -> int:
    return max(each.seq for each in story.records if type(each.event).__name__ == "RunStarted")


def check_requests(round: "Round", story: Story, expected: Expected, asked: list[Asked]) -> None:
    """Nothing was asked for a task that had its result; and for one that no fault hit, no more than ever."""
    normal = round.calm.requests.get(expected.kind)
    round.requests += len(asked)
    if story.state.tasks[expected.name].status is Status.DONE:
        round.undisturbed += normal or 0
    finished = story.finished(expected.name)
    late = [each for each in asked if finished and each.at > finished[0].at]
    if late:
        round.paid_twice.add(f"{story.run}/{expected.name}")
        after = late[0].at - finished[0].at
        round.violate(f"task {expected.name}: {len(late)} requests after its result, the first {after:.2f} s after it")
    hit = story.attempts(expected.name) != 1 or any(each.trouble for each in asked) or not finished
    if normal is not None and not hit and len(asked) != normal:
        round.violate(f"task {expected.name} ({expected.kind}): {len(asked)} requests, expected {normal}")


def check_repository(round: "Round", stories: list[Story]) -> None:
    """Each task that worked in a worktree has its branch, with its file; nothing else has changed."""
    place = round.place
    wanted = {
        f"orchestrator/{make_safe(f'{story.run}/{task.name}')}": task
        for story in stories
        for task in round.plan.tasks.values()
        if KINDS[task.kind].has_branch and (task.file or task.kind == "mended")
    }
    found = Counter(place.git("branch", "--list", "--format=%(refname:short)", "orchestrator/*").split())
    if odd := sorted(found.keys() ^ wanted.keys()):
        round.violate(f"branches that are there or are due, and not both: {odd}")
    for branch in found.keys() & wanted.keys():
        check_branch(round, branch, wanted[branch])
    if len(trees := place.git("worktree", "list", "--porcelain").split("\n\n")[:-1]) != 1:
        round.violate(f"worktrees are left registered: {trees[1:]}")
    if place.git("status", "--porcelain") or place.git("rev-list", "--count", "main").strip() != "1":
        round.violate(f"the main branch or its files have changed: {place.git('status', '--porcelain')!r}")


def check_branch(round: "Round", branch: str, task: Expected) -> None:
    path, text = task.file or ("", "")
    listed = round.place.git("ls-tree", "-r", "--name-only", branch).split()
    if path not in listed:
        round.violate(f"branch {branch} has {listed}, and no {path}")
    elif (held := round.place.git("show", f"{branch}:{path}")) != text:
        round.violate(f"branch {branch}: {path} holds {held!r}, expected {text!r}")


def check_leftovers(round: "Round") -> None:
    """No worktree, no den and no other temporary file of ours is left, and the report is right."""
    workspaces = [path for path in (round.place.kept / "workspaces").rglob("*") if path.is_file()]
    if workspaces:
        round.violate(f"{len(workspaces)} files are left in worktrees: {short(workspaces)}")
    if temporary := list(round.place.temporary.iterdir()):
        round.violate(f"{len(temporary)} temporary files are left: {short(temporary)}")
    if round.is_done:
        report = round.place.report.read_text("utf-8") if round.place.report.exists() else ""
        texts = [round.plan.tasks[name].text for name in round.plan.reported]
        lacking = [text for text in texts if text and text not in report]
        if lacking:
            round.violate(f"the report lacks {lacking}")


def short(paths: list[Path]) -> str:
    return ", ".join(str(path) for path in paths[:3])
