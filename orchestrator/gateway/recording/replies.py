"""Replies of the API: from what goes over the wire to whole messages, and back."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.gateway.seam import ApiEvent

PIECE = 240
"""Characters per delta."""
TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""By the kind of a delta: its field, and that of the block that it goes on with."""


class UnreadableError(Exception):
    """A body that is no reply of the API, or not in a form that can be read here."""


def decode(body: bytes, encoding: str) -> bytes:
    """The body without its compression. Raises UnreadableError for one that Python does not know."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnreadableError(f"its body is compressed with {encoding}")
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body)
    except zlib.error as error:
        raise UnreadableError(f"its body cannot be unpacked: {error}") from None


def read_events(body: bytes) -> Iterator[ApiEvent]:
    """The events of a stream, as far as they came. Raises UnreadableError."""
    for part in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].strip() for line in part.split(b"\n") if line.startswith(b"data:"))
        if data:
            yield _parse(data)


def read_message(body: bytes) -> Mapping[str, Any]:
    """A JSON body. Raises UnreadableError."""
    return _parse(body)


def _parse(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError:
        raise UnreadableError("it is not JSON") from None
    if not isinstance(parsed, dict):
        raise UnreadableError("it is no JSON object")
    return parsed


def put_together(events: Iterator[ApiEvent]) -> tuple[dict[str, Any], bool]:
    """The message that a stream spells, or the error that it ends with; and whether it came to its end."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        match event.get("type"):
            case "message_start":
                message = dict(event["message"])
            case "content_block_start":
                blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                _extend(blocks[event["index"]], event["delta"])
            case "message_delta":
                message |= {name: value for name, value in event.items() if name not in ("type", "delta", "usage")}
                message |= event["delta"]
                message["usage"] = {**message.get("usage", {}), **event.get("usage", {})}
            case "error":
                return dict(event), True
            case "message_stop":
                return {**message, "content": [_closed(block) for _, block in sorted(blocks.items())]}, True
    return message, False


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = delta["type"]
    if kind in TEXTS:
        block[TEXTS[kind]] = block.get(TEXTS[kind], "") + delta[TEXTS[kind]]
    elif kind == "input_json_delta":
        block["json"] = block.get("json", "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    spelled = block.pop("json", None)
    return block if spelled is None else {**block, "input": json.loads(spelled or "{}")}


def spell(message: Mapping[str, Any]) -> Iterator[ApiEvent]:
    """The events of a stream that spells the message."""
    whole = dict(message)
    ending = {name: whole.pop(name, None) for name in ("stop_reason", "stop_sequence")}
    blocks = whole.pop("content", ())
    usage = whole.get("usage") or {}
    yield {
        "type": "message_start",
        "message": {**whole, "content": [], "stop_reason": None, "stop_sequence": None},
    }
    for index, block in enumerate(blocks):
        yield from _spell_block(index, block)
    yield {"type": "message_delta", "delta": ending, "usage": usage}
    yield {"type": "message_stop"}


def _spell_block(index: int, block: Mapping[str, Any]) -> Iterator[ApiEvent]:
    opening, deltas = _opened(block)
    yield {"type": "content_block_start", "index": index, "content_block": opening}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _opened(block: Mapping[str, Any]) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """How a block begins, and what follows. One of a kind that is not known here is whole from its beginning."""
    match block.get("type"):
        case "text":
            deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
            cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
            return {"type": "text", "text": ""}, [*cited, *deltas]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block.get("signature", "")}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            text = json.dumps(block.get("input", {}), ensure_ascii=False)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(text)]
            return {**block, "input": {}}, deltas
    return block, []


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
