"""The upstream `anthropic`: a gateway between the agents and the API that the environment names.

It changes nothing of what is asked and answered, and stores nothing of it. Credentials pass, and are kept nowhere.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.errors import UsageError
from orchestrator.gateway.passing.between import build_between
from orchestrator.gateway.passing.client import PATIENCE, Address, Client, proxy_for, to_proxy, trusted
from orchestrator.gateway.passing.guessing import Guess
from orchestrator.gateway.passing.pacing import Pacing
from orchestrator.gateway.passing.passage import Passage
from orchestrator.gateway.passing.queue import Queue
from orchestrator.gateway.server import NOTHING_SPECIAL, open_gateway
from orchestrator.protocols import Emit, Traffic, Upstream, ignore
from orchestrator.settings import user_address
from orchestrator.task import Attempt

DEFAULT = "https://api.anthropic.com"

OTHERS = (
    *("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY", "CLAUDE_CODE_USE_MANTLE"),
    *("CLAUDE_CODE_USE_ANTHROPIC_AWS", "ANTHROPIC_UNIX_SOCKET"),
)
"""Variables that have the CLI ask another API, past the gateway."""
OFF = ("", "0", "false", "no", "off")


def open_anthropic(traffic: Traffic = NOTHING_SPECIAL) -> AbstractAsyncContextManager[Upstream]:
    """A gateway to the API that ANTHROPIC_BASE_URL names, or else to Anthropic's.

    Raises UsageError where the environment names another API than the Messages API; InternalError.
    """
    check_environment(os.environ)
    return open_gateway(Anthropic(os.environ, traffic), traffic)


def check_environment(environ: Mapping[str, str]) -> None:
    """Raises UsageError when agents would ask another API, past the gateway."""
    for name in OTHERS:
        if environ.get(name, "").lower() not in OFF:
            raise UsageError(
                f"{name} is set: the gateway (limits per minute, --gateway, --record) speaks the Messages API alone; "
                f"unset it, or leave these out"
            )


class Anthropic:
    """Passes requests on. Fulfils `Service`."""

    account = True

    def __init__(self, environ: Mapping[str, str], traffic: Traffic) -> None:
        named = environ.get("ANTHROPIC_BASE_URL")
        self._address = Address.of(named or DEFAULT)
        # The settings that we give the CLI, with the gateway's address, win over the user's, where another may be.
        self._user_address = None if named else user_address()
        if proxy := proxy_for(self._address):
            to_proxy(proxy)  # what is wrong with it is said before anything is started
        self._context = trusted(environ)
        self._limits = traffic.limits
        self.env = {name: value for name, value in PATIENCE.items() if not environ.get(name)}

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Needs to know nothing beyond what the meter does."""

    def build_app(self, prefix: str) -> ASGIApp:
        """What passes requests on that come below the prefix."""
        client = Client(self._context)
        passage = Passage(client, self._address, Queue(Pacing(self._limits)), Guess(), self._user_address)
        between = build_between(passage, prefix)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await live(client, receive, send)
            else:
                await between(scope, receive, send)

        return app


async def live(client: Client, receive: Receive, send: Send) -> None:
    """From the server's start to its end, when the connections are closed."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await client.aclose()
    await send({"type": "lifespan.shutdown.complete"})
