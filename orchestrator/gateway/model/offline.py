"""The offline model: answers agents by fixed rules about the files that they see, with no account and no network."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.types import ASGIApp

from orchestrator.gateway.app import build_app
from orchestrator.gateway.callers import Callers
from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.answer import MARK, say_answer, say_found
from orchestrator.gateway.model.conversation import ANSWER_TOOL, Conversation, read_conversation
from orchestrator.gateway.model.evidence import Evidence, gather_evidence
from orchestrator.gateway.model.fill import UnfillableError, fill
from orchestrator.gateway.model.looking import choose_look
from orchestrator.gateway.model.meaning import Hints
from orchestrator.gateway.model.rehearsal import Move, Spend, play
from orchestrator.gateway.model.steps import Answer, End, Fail, Step, parse_steps
from orchestrator.gateway.model.sums import find_sum
from orchestrator.gateway.model.wishes import find_target, without_target
from orchestrator.gateway.model.words import find_topic
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import NOTHING_SPECIAL, open_gateway
from orchestrator.gateway.wire import Block, estimate_tokens, stream, text_block, tool_block
from orchestrator.prompts import question_of, task_of
from orchestrator.protocols import Emit, Traffic, Upstream, ignore
from orchestrator.task import Attempt


def open_offline(traffic: Traffic = NOTHING_SPECIAL) -> AbstractAsyncContextManager[Upstream]:
    """A gateway whose answers come from the offline model. Raises InternalError when it does not start."""
    return open_gateway(OfflineModel(), traffic)


class OfflineModel:
    """Answers each request from what its messages show. Fulfils `Service` and `Source`."""

    account = False
    env: Mapping[str, str] = {
        "ANTHROPIC_API_KEY": "offline",
        # No credential of the user's has a use here, so none gets in.
        "ANTHROPIC_AUTH_TOKEN": "",
        "ANTHROPIC_CUSTOM_HEADERS": "",
        "CLAUDE_CODE_OAUTH_TOKEN": "",
        "CLAUDE_CODE_OAUTH_REFRESH_TOKEN": "",
    }

    def __init__(self) -> None:
        self._callers = Callers()
        self._failures: Counter[tuple[str, str, int]] = Counter()

    def build_app(self, prefix: str) -> ASGIApp:
        """Parses requests, and has them answered here."""
        return build_app(self, prefix)

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Notes the attempt and its rehearsal. One with a fault is answered with an error that says so."""
        self._callers.note(attempt, emit)

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        """The reply as a stream. Raises ApiError when the rehearsal has one in its place."""
        conversation = read_conversation(call)
        move = self._decide(conversation, call)
        if move.wait:
            await asyncio.sleep(move.wait)
        if move.resets_in is not None and (caller := self._callers.of(call.session_id)):
            caller.tell_quota(move.resets_in, "usage limit reached (a failure that was rehearsed)")
        if move.error:
            raise move.error
        events = stream(
            move.blocks, model=conversation.model, seed=conversation.seed, input_tokens=_count_input(call.body)
        )
        return _as_stream(events)

    async def count(self, call: Call) -> int:
        """About how many tokens the call has."""
        return _count_input(call.body)

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """The offline model alone; a request may name any other."""
        return [
            {"type": "model", "id": "offline", "display_name": "Offline model", "created_at": "2000-01-01T00:00:00Z"}
        ]

    def _decide(self, conversation: Conversation, call: Call) -> Move:
        if conversation.small:
            return Move([text_block(MARK)])
        caller = self._callers.of(call.session_id)
        # An agent that the agent started has a request of its own, which the rehearsal does not know.
        if caller is None or not caller.attempt.rehearsal or "x-claude-code-agent-id" in call.headers:
            return Move(follow_rules(conversation))
        return self._rehearse(caller.attempt, conversation)

    def _rehearse(self, attempt: Attempt, conversation: Conversation) -> Move:
        try:
            steps = parse_steps(attempt.rehearsal or ())
        except ValueError as error:
            return Move(error=ApiError(400, str(error)))

        def spend(index: int, fail: Fail) -> bool:
            if fail.attempts is not None:
                return attempt.number <= fail.attempts
            key = (attempt.run, attempt.task, index)
            self._failures[key] += 1
            return self._failures[key] <= fail.times

        if question_of(attempt.prompt):
            return _answer_question(steps, conversation, spend)
        move = play(steps, conversation, spend, _find_start(conversation, attempt.prompt))
        return _finish(move, steps, conversation) if move.over and not move.error else move


async def _as_stream(events: Iterator[ApiEvent]) -> AsyncIterator[ApiEvent]:
    for event in events:
        yield event


def _answer_question(steps: Sequence[Step], conversation: Conversation, spend: Spend) -> Move:
    """The answer to another task's agent: what stands behind the last `end` of the rehearsal, or else by the rules."""
    ends = [index for index, step in enumerate(steps) if isinstance(step, End)]
    behind = steps[ends[-1] + 1 :] if ends else ()
    move = play(behind, conversation, spend, len(conversation.turns) - 1)
    return move if move.blocks or move.error else Move(follow_rules(conversation))


def _find_start(conversation: Conversation, prompt: str) -> int:
    """The turn in which the attempt's task was given last: alone, or else among other words; or else the last one."""
    asked, task = [turn.prompt for turn in conversation.turns], (task_of(prompt) or prompt).strip()
    alone = [index for index, text in enumerate(asked) if text == task]
    among = [index for index, text in enumerate(asked) if task in text]
    return (alone or among or [len(asked) - 1])[-1]


def _finish(move: Move, steps: Sequence[Step], conversation: Conversation) -> Move:
    """The move with the typed result that is still due, or with last words."""
    blocks = list(move.blocks)
    if conversation.schema is not None and not conversation.turn.answered:
        given = [tool_block(ANSWER_TOOL, step.value) for step in steps if isinstance(step, Answer)]
        blocks += given[-1:] or _give_result(conversation, _gather(conversation))
    return Move(blocks or [text_block(f"{MARK} The rehearsal is over.")], move.wait)


def follow_rules(conversation: Conversation) -> list[Block]:
    """The reply without a rehearsal: look, read, write if that was asked for, then say what was found."""
    evidence = _gather(conversation)
    if look := _look(conversation, evidence):
        return look
    target = find_target(conversation.turn.prompt)
    if target and "Write" in conversation.tools and not conversation.turn.made("Write"):
        text = f"{MARK} {conversation.turn.prompt}\n\n{say_found(evidence)}\n"
        return [tool_block("Write", {"file_path": conversation.locate(target), "content": text})]
    if conversation.schema is not None and not conversation.turn.answered:
        return _give_result(conversation, evidence)
    if conversation.format is not None:
        return _give_format(conversation.format, conversation, evidence)
    return [text_block(say_answer(conversation, evidence))]


def _gather(conversation: Conversation) -> Evidence:
    return gather_evidence(conversation, find_topic(without_target(conversation.turn.prompt)))


def _look(conversation: Conversation, evidence: Evidence) -> list[Block]:
    return [] if find_sum(conversation.turn.prompt) else choose_look(conversation, evidence.topic)


def _give_result(conversation: Conversation, evidence: Evidence) -> list[Block]:
    try:
        value = fill(conversation.schema or {}, Hints(evidence, conversation.turn.prompt))
    except UnfillableError as error:
        return [text_block(f"{MARK} No typed result: {error}.")]
    if not isinstance(value, Mapping):
        return [text_block(f"{MARK} No typed result: the schema asks for no object, and a tool takes nothing else.")]
    return [tool_block(ANSWER_TOOL, value)]


def _give_format(schema: Mapping[str, Any], conversation: Conversation, evidence: Evidence) -> list[Block]:
    try:
        return [text_block(json.dumps(fill(schema, Hints(evidence, conversation.turn.prompt))))]
    except UnfillableError as error:
        return [text_block(f"{MARK} No typed result: {error}.")]


def _count_input(body: Mapping[str, Any]) -> int:
    return sum(estimate_tokens(body[name]) for name in ("system", "tools", "messages") if body.get(name))
