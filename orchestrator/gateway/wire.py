"""Content blocks to the events of a stream, and back to a message."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.gateway.seam import ApiEvent

Block = Mapping[str, Any]
"""A content block of a reply: `{"type": "text", ...}` or `{"type": "tool_use", ...}`."""

_PIECE = 240  # characters per delta: several deltas for a paragraph, and few for a page


def text_block(text: str) -> Block:
    """A block of text."""
    return {"type": "text", "text": text}


def tool_block(name: str, arguments: Mapping[str, Any]) -> Block:
    """A call of a tool; `stream` gives it its id."""
    return {"type": "tool_use", "name": name, "input": dict(arguments)}


def estimate_tokens(value: Any) -> int:
    """About how many tokens a text or JSON value has: a quarter of its characters, and never none."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return max(1, len(text) // 4)


def stream(blocks: Sequence[Block], *, model: str, seed: str, input_tokens: int) -> Iterator[ApiEvent]:
    """The events of a reply with these blocks.

    `seed` gives the ids. Within a conversation it must differ from reply to reply: the CLI takes two messages
    with one id for parts of the same message.
    """
    yield {"type": "message_start", "message": _message(model, seed, input_tokens)}
    yield {"type": "ping"}
    for index, block in enumerate(blocks):
        yield from _block_events(index, block, f"toolu_{seed}{index:02d}")
    called = any(block["type"] == "tool_use" for block in blocks)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use" if called else "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": sum(estimate_tokens(block.get("text", block)) for block in blocks) or 1},
    }
    yield {"type": "message_stop"}


def _message(model: str, seed: str, input_tokens: int) -> dict[str, Any]:
    usage = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    return {
        "id": f"msg_{seed}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, **usage},
    }


def _block_events(index: int, block: Block, tool_id: str) -> Iterator[ApiEvent]:
    if block["type"] == "text":
        opening: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    else:
        opening = {"type": "tool_use", "id": tool_id, "name": block["name"], "input": {}}
        pieces = _pieces(json.dumps(block["input"], ensure_ascii=False))
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    yield {"type": "content_block_start", "index": index, "content_block": opening}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def to_sse(event: ApiEvent) -> str:
    """The event as the API sends it."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"


async def collect(events: AsyncIterator[ApiEvent]) -> dict[str, Any]:
    """The message that a stream of events spells."""
    message: dict[str, Any] = {}
    content: list[dict[str, Any]] = []
    async for event in events:
        match event["type"]:
            case "message_start":
                message = dict(event["message"])
            case "content_block_start":
                content.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                _extend(content[event["index"]], event["delta"])
            case "message_delta":
                message |= event["delta"]
                message["usage"] = {**message["usage"], **event["usage"]}
    return {**message, "content": [_closed(block) for block in content]}


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "input_json_delta":
            block["json"] += delta["partial_json"]


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    spelled = block.pop("json")
    return {**block, "input": json.loads(spelled or "{}")} if block["type"] == "tool_use" else block
