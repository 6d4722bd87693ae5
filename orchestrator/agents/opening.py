"""How an attempt's session begins: as a new one, or by going on with another."""

from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.agents.transcripts import Transcript, provide
from orchestrator.agents.translate import to_spent
from orchestrator.protocols import Sessions
from orchestrator.task import Attempt, Models


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the CLI is told about its session."""

    how: str
    """`fresh`, `continued` or `forked`."""
    session_id: str
    """The id that the session has, or is to have."""
    prompt: str
    resume: str | None = None
    """The session to go on with."""
    cost_usd: float = 0.0
    """What that one had cost: the CLI counts on from there."""
    models: Models = field(default_factory=dict)
    """The same by model."""


def driven(attempt: Attempt) -> str:
    """The session that the attempt writes to. A fork only reads the one that it goes on with."""
    return attempt.resume if attempt.resume and not attempt.fork else attempt.session_id


def fresh(attempt: Attempt) -> Opening | None:
    """The beginning of a new session; None when the attempt can only go on with an earlier one."""
    prompt = attempt.otherwise if attempt.resume else attempt.prompt
    return None if prompt is None else Opening(how="fresh", session_id=attempt.session_id, prompt=prompt)


async def find_opening(
    attempt: Attempt, cwd: Path, projects: Path, sessions: Sessions | None, free: bool = True
) -> Opening | None:
    """What the attempt can do; None when the session is gone and nothing else was asked for. Raises OSError.

    `free`: whether nobody else drives the session just now.
    """
    if attempt.resume is None:
        return fresh(attempt)
    transcript = await provide(attempt.resume, cwd, projects, sessions, free)
    if transcript is None:
        return fresh(attempt)
    return Opening(
        how="forked" if attempt.fork else "continued",
        session_id=driven(attempt),
        prompt=prompt_for(attempt, transcript),
        resume=attempt.resume,
        cost_usd=transcript.cost_usd,
        models={model: to_spent(usage) for model, usage in transcript.models.items()},
    )


def prompt_for(attempt: Attempt, transcript: Transcript) -> str:
    """The attempt's prompt; the task's own if the session was cut off before it was written there."""
    return attempt.prompt if attempt.asked is None or transcript.holds(attempt.asked) else attempt.asked
