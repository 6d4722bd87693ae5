"""A Messages API on loopback, a process of its own: replies take time, and input is charged as by the API itself.

`python -m tests.benchmarks.speed.server` prints its address and serves until its standard input ends. An agent is
answered with tool calls until its last turn; whoever is asked to start a workflow, with a call of that tool. `POST
/begin` forgets everything and says how to answer, `GET /figures` tells what there was.
"""

import asyncio
import json
import re
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count, takewhile
from typing import Any

from tests.prompt_cache import Asked, Charge, PromptCache, texts

FAN_OUT = re.compile(r"Start a workflow of (\d+) agents")
"""The prompt by which a CLI is to start agents in its own process."""
WORKFLOW = """export const meta = {name: 'bench', description: 'Many agents at once'}
return await parallel(Array.from({length: %d}, (_, number) => () => agent(`What is ${number} * 3?`)))"""


@dataclass
class Script:
    """How agents are answered."""

    reply: float = 0.0
    """Seconds before each reply begins."""
    turns: int = 1
    """Replies per agent; all but the last one call a tool."""
    file: str = ""
    """What the agents read, where they call Read."""


@dataclass
class Figures:
    """What there was since the beginning."""

    paths: Counter[str] = field(default_factory=Counter)
    """Requests."""
    finished: int = 0
    """Agents that had their last reply."""
    refused: int = 0
    """Tool calls that were answered with an error."""
    charge: Charge = field(default_factory=Charge)
    first: float = 0.0
    """When the first request to the model came in, on a clock that all processes share."""
    latest_first: float = 0.0
    """When the last of the agents' first requests came in."""
    last: float = 0.0
    """When the last reply ended."""


class Server:
    """The API."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.begin({})

    def begin(self, how: Mapping[str, Any]) -> None:
        self.script, self.figures, self.cache = Script(**how), Figures(), PromptCache()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """A connection."""
        try:
            while True:
                path, data = await receive(reader)
                await self.answer(path, data, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the CLI has hung up
        finally:
            writer.close()

    async def answer(self, path: str, data: bytes, writer: StreamWriter) -> None:
        arrived = time.monotonic()
        if path == "/begin":
            self.begin(json.loads(data))
            return send(writer, {})
        if path == "/figures":
            charge = self.figures.charge
            return send(writer, vars(self.figures) | {"charge": asdict(charge), "units": charge.units})
        self.figures.paths[path] += 1
        if path != "/v1/messages":
            return send(writer, {"input_tokens": 1})
        await self.reply(json.loads(data), arrived, writer)
        return None

    async def reply(self, body: Mapping[str, Any], arrived: float, writer: StreamWriter) -> None:
        asked, figures = self.cache.ask(body), self.figures
        figures.first = figures.first or arrived
        if not steps_of(body) and not fan_out(body):
            figures.latest_first = arrived
        figures.charge += asked.charge
        figures.refused += sum(block.get("is_error") is True for block in texts(body["messages"][-1]["content"]))
        await asyncio.sleep(arrived + self.script.reply - time.monotonic())
        asked.begin()
        block = self.block(body)
        figures.finished += block["type"] == "text" and not fan_out(body)
        message = self.message(body, asked, block)
        stream(writer, events(message)) if body.get("stream") else send(writer, message)
        figures.last = time.monotonic()

    def block(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the model says."""
        steps, agents = steps_of(body), fan_out(body)
        if agents and not any(message["role"] == "assistant" for message in body["messages"]):
            return self.call("Workflow", script=WORKFLOW % agents)
        if agents or steps + 1 >= self.script.turns:
            return {"type": "text", "text": "Done: forty-two."}
        return self.call("Read", file_path=self.script.file) if steps % 2 else self.call("Bash", command="ls")

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        return {"type": "tool_use", "id": f"toolu_{next(self.numbers)}", "name": name, "input": arguments}

    def message(self, body: Mapping[str, Any], asked: Asked, block: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"msg_{next(self.numbers)}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [block],
            "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": asked.charge.usage | {"output_tokens": 7},
        }


def steps_of(body: Mapping[str, Any]) -> int:
    """Tool calls that the model has made since it was last asked something."""
    answers = (message for message in reversed(body["messages"]) if message["role"] == "assistant")
    calls = takewhile(lambda answer: any(block["type"] == "tool_use" for block in texts(answer["content"])), answers)
    return sum(1 for _ in calls)


def fan_out(body: Mapping[str, Any]) -> int:
    """How many agents this one is to start; 0 for one of them."""
    asked = (block.get("text", "") for message in body["messages"] for block in texts(message["content"]))
    found = next(filter(None, map(FAN_OUT.search, asked)), None)
    return int(found[1]) if found else 0


async def receive(reader: StreamReader) -> tuple[str, bytes]:
    """A request's path without its query, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
    data = await reader.readexactly(int(length[1])) if length else b""
    return head.split()[1].partition("?")[0], data


def send(writer: StreamWriter, answer: Any) -> None:
    data = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


def stream(writer: StreamWriter, parts: Iterator[dict[str, Any]]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for part in parts:
        data = f"event: {part['type']}\ndata: {json.dumps(part)}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
    writer.write(b"0\r\n\r\n")


def events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message of one block, as it is streamed."""
    block, stop, usage = message["content"][0], message["stop_reason"], message["usage"]
    yield {"type": "message_start", "message": message | {"content": [], "stop_reason": None}}
    if block["type"] == "text":
        empty, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty, delta = block | {"input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "content_block_start", "index": 0, "content_block": empty}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


async def main() -> None:
    server = await asyncio.start_server(Server().serve, "127.0.0.1", 0, limit=2**26, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
