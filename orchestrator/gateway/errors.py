"""Errors in the Messages API's own words and shape."""

from dataclasses import dataclass
from typing import Any

_KINDS = {
    400: ("invalid_request_error", "Invalid request"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    405: ("invalid_request_error", "Method Not Allowed"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    502: ("api_error", "Bad gateway"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


@dataclass
class ApiError(Exception):
    """An answer of the API that is not a message."""

    status: int
    """The HTTP status, 400 to 599."""
    message: str | None = None
    """What it says; the API's usual words for the status when None."""
    retry_after: float | None = None
    """Seconds, for the header of that name."""
    final: bool = False
    """Tells the CLI not to send the request again, by `x-should-retry: false`.

    CLI 2.1.329 heeds it: tried with 400, 401, 403, 404, 413, 429, 500, 503 and 529."""

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body that goes with the status."""
        kind, usual = _KINDS.get(self.status, _KINDS[400 if self.status < 500 else 500])
        return {"type": "error", "error": {"type": kind, "message": self.message or usual}, "request_id": request_id}

    def headers(self, request_id: str) -> dict[str, str]:
        """The headers that go with the status."""
        headers = {"request-id": request_id}
        if self.retry_after is not None:
            headers["retry-after"] = f"{self.retry_after:g}"
        if self.final:
            headers["x-should-retry"] = "false"
        return headers
