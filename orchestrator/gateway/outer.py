"""What the faults and the recorder share: each is a service that has another one in it."""

from collections.abc import Mapping

from orchestrator.gateway.callers import Callers
from orchestrator.gateway.seam import Service
from orchestrator.protocols import Emit, ignore
from orchestrator.task import Attempt


class Outer:
    """Hands on all but the requests, and knows whose these are. With `build_app` it fulfils `Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._callers = Callers()

    @property
    def account(self) -> bool:
        return self._service.account

    @property
    def env(self) -> Mapping[str, str]:
        return self._service.env

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Notes whose requests the attempt's are."""
        self._callers.note(attempt, emit)
        self._service.announce(attempt, emit)
