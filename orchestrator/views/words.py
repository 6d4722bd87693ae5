"""Numbers in words for people."""

from collections.abc import Mapping

from orchestrator.events import MemoryAwaited, MessageSent, Published, RunStarted, TaskSpawned, TaskWaits
from orchestrator.task import Status

SIGNS = {
    Status.PENDING: ("·", "dim"),
    Status.RUNNING: ("▶", "cyan"),
    Status.DONE: ("✓", "green"),
    Status.FAILED: ("✗", "red"),
    Status.SKIPPED: ("-", "yellow"),
    Status.CANCELLED: ("■", "yellow"),
}
"""A sign and a colour for each status; the sign alone tells it too."""


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """`0.4 s`, `12.5 s`, `3:20`."""
    return f"{seconds:.1f} s" if seconds < 99.95 else clock(round(seconds))


def tokens(number: int) -> str:
    """`950`, `12.3k`, `1.25M`."""
    if number < 1_000:
        return str(number)
    return f"{number / 1_000:.1f}k" if number < 999_950 else f"{number / 1_000_000:.2f}M"


def size(number: int) -> str:
    """`640 MB`, `3.9 GB`."""
    return f"{number / 1e6:.0f} MB" if number < 999_500_000 else f"{number / 1e9:.1f} GB"


def awaited(event: MemoryAwaited) -> str:
    """`waiting for memory: the next agent may need 440 MB, 120 MB are free of the 4.0 GB that the run may use
    (--memory)`; or that it is over."""
    if not event.awaited:
        return "there is memory again"
    of = ""
    if event.limit:
        whose = "that the run may use (--memory)" if event.own else "of this machine's memory that may be in use"
        of = f" of the {size(event.limit)} {whose}"
    return f"waiting for memory: the next agent may need {size(event.expected)}, {size(event.free)} are free{of}"


def dollars(amount: float) -> str:
    """`$0.0042`, `$1.25`."""
    return f"${amount:.4f}" if amount < 0.1 else f"${amount:.2f}"


def going_on(begun: RunStarted) -> str:
    """What a run has from before, when it is gone on with; what goes on beside it; empty when there is neither."""
    if begun.beside:
        return f"anew beside {begun.beside}, which is at work on the same"
    return f"going on with {plural(begun.known, 'finished result')}" if begun.resumed else ""


def spoken(event: TaskSpawned | TaskWaits | MessageSent | Published) -> str:
    """What an agent does in its run besides its own work: `to reviewer: ready`, `spawned plan.tests: Test it.`"""
    match event:
        case TaskSpawned(child=child, asked={"to": to, "question": question}):
            return f"asks {to} ({child}): {shortened(str(question))}"
        case TaskSpawned(child=child, asked=asked):
            return f"spawned {child}" + (f": {shortened(str(asked['prompt']))}" if asked.get("prompt") else "")
        case TaskWaits(waits_for=what):
            return f"waits for {what}" if what else "goes on"
        case MessageSent(to=to, text=text):
            return f"to {to}: {shortened(text)}"
        case Published(key=key):
            return f"published {key}"


def verdict(exit_code: int | None) -> str:
    """What the exit code of a check means; None: it was ended for taking too long."""
    if exit_code is None:
        return "check took too long"
    return "check passed" if exit_code == 0 else f"check failed (exit code {exit_code})"


def upstream_note(upstream: str | None) -> str | None:
    """What to say of figures that no account was charged for."""
    if upstream is None:
        return None
    if upstream == "offline":
        return "offline model: answers come from rules, not from Claude; nothing was paid (costs are list prices)"
    if upstream == "replay":
        return "replay: answers come from a recording, not from Claude; nothing was paid (costs are list prices)"
    return f"upstream: {upstream}"


def noted_words(noted: Mapping[str, int], first: Mapping[str, str], run: str) -> list[str]:
    """What the gateway did to requests: `faults played: 3`, `replay: 1 task asked what was not recorded: …`."""
    said = [f"faults played: {noted['fault']}"] if noted.get("fault") else []
    if number := noted.get("unmatched"):
        said.append(f"replay: {plural(number, 'task')} asked what was not recorded; all of it: orchestrator logs {run}")
    if number := noted.get("alike"):
        said.append(f"replay: {plural(number, 'text')} differed: {clean(first.get('alike', ''))}")
    return said


def answering(upstream: str | None) -> str | None:
    """Who answers the agents: `offline model`, `replay`."""
    return "replay" if upstream == "replay" else f"{upstream} model" if upstream else None


def clean(text: str) -> str:
    """The text with control characters made visible: what an agent says must not steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def one_line(text: str) -> str:
    """The text without line breaks, with control characters made visible."""
    return clean(" ".join(text.split()))


def shortened(text: str, most: int = 80) -> str:
    """The text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def plural(number: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
