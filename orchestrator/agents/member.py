"""A process of the pool: where it is, whether it is good for another task, how it is taken to one and let go."""

from dataclasses import dataclass
from pathlib import Path

import anyio
from claude_agent_sdk import SystemMessage

from orchestrator.agents.kinds import Kinds
from orchestrator.agents.moving import move
from orchestrator.agents.process import LONGEST_CLEAR, Process
from orchestrator.processes.company import find_cli
from orchestrator.processes.usage import private, resident

MOST_GROWTH = 200_000_000
"""Bytes that it may have grown by since its first task: twelve tasks of one turn made 15 MB."""
LAST_WORDS = 0.5
"""Seconds that an idle process has to go by its own accord: it takes 0.05 s."""


@dataclass(slots=True, eq=False)
class Member:
    """A process of the pool."""

    process: Process
    kinds: Kinds
    """Which attempts may have it; with `shared` it may serve many."""
    directory: Path
    place: tuple[int, int] | None
    """What tells the directory from another that is called so later (device and inode)."""
    tasks: int = 0
    """How many it has served."""
    memory: int = 0
    """Bytes that its CLI had after the first of them."""
    spare: int = 0
    """Bytes that are free again when it goes."""


async def prepare(member: Member, directory: Path) -> bool:
    """Takes it to the directory; gives whether it is there, and good for another task."""
    if not is_quiet(member.process):
        return False
    if not is_at(member, directory) and not await take_to(member.process, directory):
        return False
    member.directory, member.place = directory, identity(directory)
    return not member.process.over.is_set()


async def claimed(process: Process, directory: Path) -> bool:
    """Has a spare begin in the directory; gives whether it does, and has done nothing that nobody asked for."""
    try:
        return await process.claim(directory) and is_quiet(process)
    except Exception:  # whatever the SDK raises
        return False


def is_at(member: Member, directory: Path) -> bool:
    """Whether it works there. One whose directory was removed, and made again, sits in what is no more."""
    return member.directory == directory and member.place == identity(directory)


def identity(directory: Path) -> tuple[int, int] | None:
    """What the directory is, whatever it is called; None where there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_quiet(process: Process) -> bool:
    """Whether it is there, and has done nothing that nobody asked for."""
    while not process.over.is_set():
        try:
            message = process.messages.receive_nowait()
        except anyio.WouldBlock:
            return True
        if not isinstance(message, SystemMessage):
            return False
    return False


async def take_to(process: Process, directory: Path) -> bool:
    """Has an idle process begin a new conversation in that directory; gives whether that went well."""
    try:
        with anyio.move_on_after(LONGEST_CLEAR):
            if await move(process.client, directory) and await process.settle():
                process.clear()
                return await process.settle()
    except Exception:  # whatever the SDK raises
        return False
    return False


def weigh(member: Member) -> int:
    """Bytes that are free again when a process goes that has done nothing yet."""
    cli = find_cli(member.process.lease)
    return private(cli) if cli else 0


def is_sound(member: Member) -> bool:
    """Whether the CLI is alone, and has not grown too much."""
    cli = find_cli(member.process.lease)
    if cli is None:
        return False
    memory = resident(cli)
    member.memory, member.spare = member.memory or memory, private(cli)
    return memory - member.memory < MOST_GROWTH


async def dismiss(process: Process) -> None:
    """Lets it go, or ends it if it does not. Returns when nothing of it is left."""
    try:
        process.finish()
        with anyio.move_on_after(LAST_WORDS):
            await process.ended.wait()
        await process.destroy()
    finally:
        process.messages.close()
