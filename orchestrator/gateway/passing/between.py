"""The app that stands between the agents and what answers them."""

from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.meter import Exchange, exchange_of
from orchestrator.gateway.passing.forwarding import Asked, Left, read, refuse, while_there
from orchestrator.gateway.passing.passage import Passage


def build_between(passage: Passage, prefix: str) -> ASGIApp:
    """Has requests below the path `prefix` pass, those that count in their turn, as long as somebody waits for them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not is_below(prefix, scope["raw_path"].decode("latin-1")):
            return await refuse(ApiError(404), send)
        with suppress(Left):
            asked = await read(scope, receive, prefix)
            exchange = exchange_of(scope)
            way = passage.converse if is_paced(asked, exchange) else passage.forward
            await while_there(receive, lambda: way(asked, exchange, send))
        return None

    return app


def is_paced(asked: Asked, exchange: Exchange) -> bool:
    """Whether a request counts against the limits of the account that all agents share."""
    counts = asked.method == "POST" and asked.path == b"/v1/messages"
    return counts and not (exchange.known and exchange.known.own_account)


def is_below(prefix: str, path: str) -> bool:
    """Whether a path is the prefix, or begins with it."""
    return path == prefix or path.startswith(f"{prefix}/")
