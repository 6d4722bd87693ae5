"""The JSON schema of plan files, for editors and other tools."""

from typing import Any

from orchestrator.plan.model import Plan

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def plan_schema() -> dict[str, Any]:
    """What a plan file may say, as a JSON schema. Names, templates and circles are judged by `load_plan` alone."""
    return {"$schema": _DIALECT} | Plan.model_json_schema()
