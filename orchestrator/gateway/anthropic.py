"""The upstream `anthropic`: a gateway between the agents and the API that the environment names.

It changes nothing of what is asked and answered, and stores nothing of it. Credentials pass, and are kept nowhere.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.errors import UsageError
from orchestrator.gateway.client import Address, Client, trusted
from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.forwarding import Left, forward, read, refuse, while_there
from orchestrator.gateway.server import NOTHING_SPECIAL, open_gateway
from orchestrator.protocols import Emit, Traffic, Upstream, ignore
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
    env: Mapping[str, str] = {}

    def __init__(self, environ: Mapping[str, str], traffic: Traffic) -> None:
        self._address = Address.of(environ.get("ANTHROPIC_BASE_URL") or DEFAULT)
        self._context = trusted(environ)
        self._limits = traffic.limits

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Notes whose requests the attempt's are."""

    def build_app(self, prefix: str) -> ASGIApp:
        """What passes requests on that come below the prefix."""
        client = Client(self._context)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                return await live(client, receive, send)
            if scope["type"] != "http" or not is_below(prefix, scope["raw_path"].decode("latin-1")):
                return await refuse(ApiError(404), send)
            try:
                asked = await read(scope, receive, prefix)
            except Left:
                return None
            return await while_there(receive, lambda: forward(client, self._address, asked, send))

        return app


def is_below(prefix: str, path: str) -> bool:
    """Whether a path is the prefix, or begins with it."""
    return path == prefix or path.startswith(f"{prefix}/")


async def live(client: Client, receive: Receive, send: Send) -> None:
    """From the server's start to its end, when the connections are closed."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await client.aclose()
    await send({"type": "lifespan.shutdown.complete"})
