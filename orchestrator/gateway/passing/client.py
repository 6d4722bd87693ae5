"""Sends requests to the API as they are, and gives its answers as they come.

By httpcore2, which the SDK brings along: what is built on top of it (httpx2) writes cookies and headers of its own.
"""

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpcore2

from orchestrator.errors import UsageError
from orchestrator.gateway.passing.sockets import Backend

Headers = list[tuple[bytes, bytes]]
"""As they are on the wire, in order."""

FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError, httpcore2.TimeoutException, OSError)
"""What a request may raise whose server cannot be reached, or breaks off."""

LONGEST_CONNECT = 30.0
"""Seconds that a connection may take to come about. Nothing else is limited: a model may think for long."""
KEEP = 90.0
"""Seconds that a connection is kept for the next request."""

PATIENCE = {"API_TIMEOUT_MS": "3600000", "BUN_CONFIG_HTTP_IDLE_TIMEOUT": "3600"}
"""How long the CLI waits for an answer's first word: an hour. Without these CLI 2.1.329 hung up after 360 s (whatever
API_TIMEOUT_MS said, and also when it was sent interim answers), and asked again ten times."""

HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"expect"),
    )
)
"""Headers that are about one connection, and not about what is said on it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an API is, as ANTHROPIC_BASE_URL names it."""

    scheme: str
    host: str
    port: int | None
    path: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises UsageError, which leaves out what may be secret in the address."""
        try:
            parts = urlsplit(url)
            address = cls(parts.scheme, parts.hostname or "", parts.port, parts.path.rstrip("/"))
            usable = address.netloc and address.scheme in ("http", "https")
        except ValueError:  # a UnicodeError is a ValueError
            usable = b""
        if not usable:
            raise UsageError("ANTHROPIC_BASE_URL: expected an address, as https://api.anthropic.com")
        if "@" in parts.netloc:
            raise UsageError(
                "ANTHROPIC_BASE_URL: found a name or a password in it, expected them in ANTHROPIC_CUSTOM_HEADERS, "
                "as 'Authorization: Basic ...': the gateway passes headers on, and nothing else that is secret"
            )
        return address

    @property
    def netloc(self) -> bytes:
        """For the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host.encode("idna") + (b":%d" % self.port if self.port is not None else b"")

    def url(self, path: bytes, query: bytes) -> httpcore2.URL:
        """The address of a path below it, byte for byte."""
        target = self.path.encode() + path + (b"?" + query if query else b"")
        return httpcore2.URL(scheme=self.scheme, host=self.host, port=self.port, target=target or b"/")


@dataclass(slots=True)
class Client:
    """Sends requests, each on a connection that is free, or a new one."""

    context: ssl.SSLContext
    _pools: dict[str | None, httpcore2.AsyncConnectionPool] = field(default_factory=dict)
    """By proxy."""

    async def send(
        self, address: Address, method: str, target: tuple[bytes, bytes], headers: Headers, body: bytes
    ) -> httpcore2.Response:
        """The answer, its body not yet read. `target`: path and query. Raises one of `FAILURES`.

        One that is closed before its end is broken off at the API too.
        """
        request = httpcore2.Request(
            method.encode(),
            address.url(*target),
            headers=[(b"host", address.netloc), *measured(without_hops(headers), body)],
            content=body,
            extensions={"timeout": {"connect": LONGEST_CONNECT}},
        )
        return await self._pool(address).handle_async_request(request)

    async def aclose(self) -> None:
        """Closes all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, address: Address) -> httpcore2.AsyncConnectionPool:
        proxy = proxy_for(address)
        if proxy not in self._pools:
            self._pools[proxy] = httpcore2.AsyncConnectionPool(
                self.context,
                proxy=to_proxy(proxy) if proxy else None,
                max_connections=None,
                keepalive_expiry=KEEP,
                network_backend=Backend(),
            )
        return self._pools[proxy]


def chunks(response: httpcore2.Response) -> AsyncIterator[bytes]:
    """The body as it comes."""
    return aiter(cast("AsyncIterator[bytes]", response.stream))


def without_hops(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers but for those of the connection, and `Host`, which names the other end."""
    listed = list(headers)
    named = {
        each.strip().lower() for name, value in listed if name.lower() == b"connection" for each in value.split(b",")
    }
    left_out = HOP_BY_HOP | named | {b"host"}
    return [(name, value) for name, value in listed if name.lower() not in left_out]


def measured(headers: Headers, body: bytes) -> Headers:
    """The headers with the body's length: one that came in chunks does not tell it."""
    is_told = not body or any(name.lower() == b"content-length" for name, _ in headers)
    return headers if is_told else [*headers, (b"content-length", b"%d" % len(body))]


def proxy_for(address: Address) -> str | None:
    """The proxy that the environment names for the address (HTTPS_PROXY, NO_PROXY and so on)."""
    proxies = getproxies_environment()
    if not proxies or proxy_bypass(address.host):
        return None
    return proxies.get(address.scheme) or proxies.get("all") or None


def to_proxy(url: str) -> httpcore2.Proxy:
    """The proxy at an address, which may hold a name and a password. Raises UsageError."""
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        usable = parts.scheme in ("http", "https") and parts.hostname
        host, port = (parts.hostname or "").encode("ascii"), parts.port
    except ValueError:
        usable = None
    if not usable:
        raise UsageError("HTTPS_PROXY: the gateway expects a proxy as http://host:port (so in HTTP_PROXY, ALL_PROXY)")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    place = httpcore2.URL(scheme=parts.scheme, host=host, port=port, target=b"/")
    return httpcore2.Proxy(place, auth=auth)


def trusted(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Whom to trust, as the CLI does: the system's authorities (or SSL_CERT_FILE's), and those of NODE_EXTRA_CA_CERTS;
    with the client's certificate that CLAUDE_CODE_CLIENT_CERT names. Raises UsageError."""
    name = "SSL_CERT_FILE"
    try:
        context = httpcore2.default_ssl_context()
        if extra := environ.get(name := "NODE_EXTRA_CA_CERTS"):
            context.load_verify_locations(extra)
        if own := environ.get(name := "CLAUDE_CODE_CLIENT_CERT"):
            word = environ.get("CLAUDE_CODE_CLIENT_KEY_PASSPHRASE", "")  # without one OpenSSL would ask at the terminal
            context.load_cert_chain(own, environ.get("CLAUDE_CODE_CLIENT_KEY"), word)
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise UsageError(f"{name}: its certificates cannot be read: {error}") from error
    return context
