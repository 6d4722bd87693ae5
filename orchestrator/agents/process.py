"""One CLI process: it is asked one thing after the other, for as long as it is wanted."""

import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage, SystemMessage

from orchestrator.agents.moving import claim
from orchestrator.agents.tools import Calls
from orchestrator.agents.translate import Message
from orchestrator.processes.den import OwnedProcess, owned_process

STDERR_LINES = 20
LONGEST_CLEAR = 5.0
"""Seconds for a new conversation, or for a move: they take 0.02 to 0.1 s."""
LONGEST_CLAIM = 10.0
"""Seconds for a process to come up, if it has not yet, and to begin in a place: that takes 0.2 s."""


Unused = tuple[str, str]
"""A session and the directory that it was in."""


class Process:
    """A CLI with all that it starts. `live` is run in the background as long as there is one."""

    def __init__(
        self, options: ClaudeAgentOptions, lease: Path, session_id: str, calls: Calls, stack: AsyncExitStack
    ) -> None:
        """`stack` is closed when the CLI is gone: its private state goes with it."""
        self.lease = lease
        self.session_id = session_id
        """The session that it is in, or is to be in once it is asked."""
        self.calls = calls
        """What the run's tools in it do."""
        self.locks = False
        """Whether it holds the lock of its session itself."""
        self.spent_s = 0.0
        """Seconds of processor time that it and what it started are known to have taken for tasks that are over."""
        self.unused: list[Unused] = []
        """Sessions that it was in, in which it was asked nothing."""
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        """Its last lines on stderr."""
        self.error: Exception | None = None
        """What the SDK raised; nothing as long as the stream goes on."""
        self.cleared = False
        """Whether it has begun a new conversation since it was asked last."""
        self.began, self.over, self.ended = anyio.Event(), anyio.Event(), anyio.Event()
        """Set when it is up, or over; when its stream is over; and once nothing of it is left."""
        options.stderr = self.stderr.append
        self.client = ClaudeSDKClient(options)
        self._stack = stack
        self._scope = anyio.CancelScope(shield=True)
        self._owned: OwnedProcess | None = None
        self._asked = self._directory = ""
        self._is_used = True
        self._say, self._said = anyio.create_memory_object_stream[tuple[str, str]](math.inf)
        self._tell, self.messages = anyio.create_memory_object_stream[Message](math.inf)
        """All of its stream. It ends when the CLI does, or cannot be understood any more: see `error`."""

    async def live(self) -> None:
        """Starts the CLI and reads its stream, which must never wait for a reader, to its end. Raises nothing."""
        try:
            async with self._stack:
                with self._scope:
                    async with owned_process(self.lease) as self._owned:
                        await self._converse()
                self._leave()
        except Exception as error:  # its state cannot be put away: whoever waits for its end need not know
            self.error = self.error or error
        finally:
            self._close()
            self._said.close()
            self.ended.set()

    async def _converse(self) -> None:
        try:
            await self.client.connect(self._input())
            self.began.set()
            async for message in self.client.receive_messages():
                self._tell.send_nowait(message)
        except Exception as error:
            self.error = error
        finally:
            self.finish()
            self._close()  # whoever listens need not wait until the processes are gone
            with anyio.CancelScope(shield=True):
                await self._disconnect()

    def _close(self) -> None:
        self._tell.close()
        self.began.set()
        self.over.set()

    async def _disconnect(self) -> None:
        try:
            await self.client.disconnect()
        except Exception as error:
            self.error = self.error or error

    async def _input(self) -> AsyncIterator[dict[str, Any]]:
        """What it is asked, until no more will be: without an open stdin a CLI cannot be interrupted."""
        async for uuid, text in self._said:
            content = {"role": "user", "content": text}
            yield {"type": "user", "session_id": "", "uuid": uuid, "message": content, "parent_tool_use_id": None}

    def ask(self, prompt: str) -> None:
        """Has it asked, as soon as it is up. One that is over is asked in vain."""
        self._is_used = True
        self._ask(prompt)

    def clear(self) -> None:
        """Has it begin a new conversation, and with it a session: `settle` tells when."""
        self._ask("/clear")

    def _ask(self, text: str) -> None:
        self.cleared, self._asked = False, str(uuid4())
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._say.send_nowait((self._asked, text))

    def was_asked(self, message: ResultMessage) -> bool:
        """Whether the result answers what was asked last, as far as it says what it answers."""
        return message.user_message_uuid in (None, self._asked) or self._asked in (message.user_message_uuids or ())

    async def settle(self) -> bool:
        """Reads on to the end of what it was told to do, and gives whether it came; the session may be another then."""
        with anyio.move_on_after(LONGEST_CLEAR):
            async for message in self.messages:
                match message:
                    case SystemMessage(subtype="init", data=data):
                        self._begin(str(data.get("session_id")), str(data.get("cwd")))
                    case ResultMessage():
                        return not message.is_error
        return False

    async def claim(self, directory: Path) -> bool:
        """Has one that was parked begin in the directory; gives whether it does. It says the same as any other then."""
        with anyio.move_on_after(LONGEST_CLAIM):
            await self.began.wait()
            if not self.over.is_set() and (session_id := await claim(self.client, directory)):
                self.session_id = session_id
                return True
        return False

    def _begin(self, session_id: str, directory: str) -> None:
        if session_id != self.session_id:
            self._leave()
        self.session_id, self._directory = session_id, directory

    def _leave(self) -> None:
        if not self._is_used:
            self.unused.append((self.session_id, self._directory))
        self._is_used = False

    async def interrupt(self) -> None:
        """Asks the CLI to stop what it does: its result follows. Raises what the SDK does."""
        await self.client.interrupt()

    def finish(self) -> None:
        """No more input: the CLI goes once nothing is at work in the background."""
        self._say.close()

    def end(self) -> None:
        """Ends it, and what it has started, beside whoever reads the stream to its end."""
        if self._owned:
            self._owned.end()

    async def destroy(self) -> None:
        """Ends it at once, whatever it does. Returns when nothing of it is left."""
        self._scope.cancel()
        await self.ended.wait()
