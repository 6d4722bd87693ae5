"""What a request will take, guessed before it is sent by what those before it took. Pure."""

from collections import OrderedDict

from orchestrator.gateway.passing.pacing import Need

BYTES_PER_TOKEN = 4.0
FIRST_OUTPUT = 300.0
"""Output tokens that a request is expected to bring as long as nothing is known."""
LEARNING = 0.3
"""The weight of the newest request."""
MOST_SESSIONS = 10_000


class Guess:
    """Learns how many of a request's tokens count, apart for the first of a session and for those that follow: of these
    most is read from the prompt cache, and does not count."""

    def __init__(self) -> None:
        self._share = {True: 1.0, False: 1.0}
        self._output = FIRST_OUTPUT
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_first(self, session: str) -> bool:
        """Whether no request of the session was answered yet."""
        return session not in self._known

    def need(self, session: str, model: str, size: int) -> Need:
        """What a request with a body of `size` bytes is expected to take."""
        share = self._share[self.is_first(session)]
        return Need(model, max(1.0, size / BYTES_PER_TOKEN * share), self._output)

    def learn_input(self, session: str, size: int, counted: float) -> None:
        """A request's input has counted as so many tokens."""
        first = self.is_first(session)
        share = counted / max(size / BYTES_PER_TOKEN, 1.0)
        self._share[first] += LEARNING * (share - self._share[first])
        self._known[session] = None
        self._known.move_to_end(session)
        while len(self._known) > MOST_SESSIONS:
            self._known.popitem(last=False)

    def learn_output(self, produced: float) -> None:
        """A request has brought so many tokens."""
        self._output += LEARNING * (produced - self._output)
