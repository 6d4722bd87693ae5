"""What stands around a service: the faults that are to be played, before them the queue, and before all the recorder.

Before the API the queue is its service's own; before the offline model it stands where limits are to be tried. A replay
is not held up: it is to tell whether all is as it was.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from orchestrator.errors import UsageError
from orchestrator.gateway.faults.playing import Faulty
from orchestrator.gateway.faults.rules import parse_rule
from orchestrator.gateway.passing.rehearsing import Paced
from orchestrator.gateway.recording.recorder import recorded
from orchestrator.gateway.seam import Service
from orchestrator.protocols import Traffic


@asynccontextmanager
async def surrounded(service: Service, traffic: Traffic) -> AsyncIterator[Service]:
    """The service, with what the traffic asks for around it. Raises UsageError."""
    async with AsyncExitStack() as stack:
        if traffic.faults:
            if service.account:
                raise UsageError("faults: found rules for requests to the API, expected the offline model")
            service = Faulty(service, [parse_rule(rule) for rule in traffic.faults])
        if traffic.limits.is_paced and not service.account and not traffic.replay:
            service = Paced(service, traffic.limits)
        if traffic.record:
            service = await stack.enter_async_context(recorded(service, traffic))
        yield service
