"""What is to be done with a run's API requests, as `open_run` is told."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.engine.options import RunOptions
from orchestrator.errors import UsageError
from orchestrator.plan.model import Limits
from orchestrator.protocols import Traffic

REPLAY = "replay"
"""The upstream that answers from a recording."""
API = (None, "anthropic")
"""Upstreams that are the API."""


def traffic_of(options: RunOptions, limits: Limits) -> Traffic:
    """The traffic, with what is said beside it in its place, and absolute paths. Raises UsageError."""
    given, faults = options.get("traffic") or Traffic(), options.get("faults", ())
    told = replace(
        given,
        limits=limits,
        record=absolute(options.get("record") or given.record),
        overwrite=options.get("overwrite", False) or given.overwrite,
        replay=absolute(options.get("replay") or given.replay),
        faults=((faults,) if isinstance(faults, str) else tuple(faults)) or given.faults,
    )
    if told.record and told.record == told.replay:
        raise UsageError(f"record: found {told.record} for replay as well, expected another file")
    if not told.texts and not told.record:
        raise UsageError(
            "--no-texts: found no recording to leave them out of, expected one, as --record FILE --no-texts"
        )
    if told.overwrite and not told.record:
        raise UsageError("--overwrite: found no recording to write, expected one, as --record FILE --overwrite")
    return told


def absolute(path: str | Path | None) -> Path | None:
    return Path(os.path.abspath(Path(path).expanduser())) if path else None  # noqa: PTH100 - without `..`, as it is named


def check_upstream(upstream: str | None, traffic: Traffic) -> str | None:
    """The upstream: a recording is one. Raises UsageError for one that does not go with the traffic."""
    if traffic.replay:
        if upstream not in (None, REPLAY):
            raise UsageError(f"replay: found the upstream {upstream!r} beside it, expected none: leave one out")
        upstream = REPLAY
    if traffic.faults and upstream in API:
        raise UsageError(
            "faults: found rules for requests to the API, expected them with --offline or --replay: "
            "nobody's account is to be charged for errors of ours"
        )
    return upstream


def noted(traffic: Traffic) -> Mapping[str, Any]:
    """What must be known to go on with the run; faults are played once."""
    paths = {name: str(path) for name, path in (("record", traffic.record), ("replay", traffic.replay)) if path}
    return paths if traffic.texts else {**paths, "texts": False}
