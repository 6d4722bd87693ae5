"""The body of a request: read by one that stands before an app, and given to the app again."""

from starlette.types import Message, Receive


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request, or what came of it before the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def given_again(body: bytes, then: Receive) -> Receive:
    """A `receive` that gives the body, and after it what `then` gives."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await then()

    return again
