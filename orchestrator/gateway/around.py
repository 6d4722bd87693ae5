"""What stands around a service: the faults that are to be played, and in front of them the recorder."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from orchestrator.errors import UsageError
from orchestrator.gateway.faults.playing import Faulty
from orchestrator.gateway.faults.rules import parse_rule
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
        if traffic.record:
            service = await stack.enter_async_context(recorded(service, traffic))
        yield service
