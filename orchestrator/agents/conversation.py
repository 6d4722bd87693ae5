"""One CLI process and its stream: asked once, read to its end, and interrupted if need be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

from orchestrator.agents.translate import Message


class Conversation:
    """A prompt under way; make one with `open_conversation`."""

    def __init__(self, prompt: str, options: ClaudeAgentOptions) -> None:
        self._prompt = prompt
        self._over = anyio.Event()
        self.client = ClaudeSDKClient(options)

    async def input(self) -> AsyncIterator[dict[str, Any]]:
        """The prompt, and then nothing, until it is over: without an open stdin a CLI cannot be interrupted."""
        content = {"role": "user", "content": self._prompt}
        yield {"type": "user", "session_id": "", "message": content, "parent_tool_use_id": None}
        await self._over.wait()

    def messages(self) -> AsyncIterator[Message]:
        """All of the stream, beyond a first result: background tasks lead to more. Raises what the SDK does."""
        return self.client.receive_messages()

    async def interrupt(self) -> None:
        """Asks the CLI to stop what it does: its result follows. Raises what the SDK does."""
        await self.client.interrupt()

    def finish(self) -> None:
        """No more input: the CLI goes once nothing is at work in the background."""
        self._over.set()


@asynccontextmanager
async def open_conversation(conversation: Conversation) -> AsyncIterator[None]:
    """Its CLI, from the handshake to its end. Raises what the SDK does."""
    try:
        await conversation.client.connect(conversation.input())
        yield
    finally:
        conversation.finish()
        await conversation.client.disconnect()
