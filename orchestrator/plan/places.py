"""Where a task works, as plans write it: one word or a mapping."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from orchestrator.plan.words import describe, did_you_mean, listed
from workspaces import WorkspaceSpec, is_kind, kinds


class WorkspaceKeys(BaseModel):
    """A workspace as a plan file writes it in full."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kind: str = Field(default="here", pattern=r"^[A-Za-z][A-Za-z0-9_.-]*(:[A-Za-z0-9_.]+)?$", max_length=200)
    """`here`, `directory`, `worktree`, or the name of a provider of your own."""
    path: str | None = Field(default=None, min_length=1, max_length=4096)
    """The directory to work in; a template. None: the current one, or for `directory` one of the task's own."""
    base: str | None = Field(default=None, min_length=1, max_length=1000)
    """worktree: the commit or branch to start from; a template. None: HEAD."""


def _spread(value: Any) -> Any:
    match value:
        case str():
            if "/" in value or value.startswith("."):
                raise ValueError(f"found {describe(value)}, expected a kind; for a directory write {{path: {value}}}")
            return {"kind": value}
        case WorkspaceSpec():
            return asdict(value)
        case dict():
            return value
    raise ValueError(f"found {describe(value)}, expected here, directory, worktree or a mapping of kind, path and base")


def check_kind(kind: str) -> None:
    """Raises ValueError for a kind of workspace that nobody provides."""
    if not is_kind(kind):
        known = kinds()
        raise ValueError(
            f"found {describe(kind)}{did_you_mean(kind, known)}, expected one of {listed(known)}, or module:Name"
        )


def _gather(keys: WorkspaceKeys) -> WorkspaceSpec:
    check_kind(keys.kind)
    if keys.base is not None and keys.kind in ("here", "directory"):
        raise ValueError(f"found base with kind {keys.kind}; only a worktree starts from a commit")
    return WorkspaceSpec(kind=keys.kind, path=keys.path, base=keys.base)


class _WorkspaceForm:
    """Validates by `WorkspaceKeys`, so that a fault has the place of its key, and gives a plain `WorkspaceSpec`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        keys = core_schema.no_info_after_validator_function(_gather, handler.generate_schema(WorkspaceKeys))
        return core_schema.no_info_before_validator_function(
            _spread, keys, serialization=core_schema.plain_serializer_function_ser_schema(asdict)
        )


_WORKSPACE_SCHEMA = {
    "description": "`here`, `directory`, `worktree`, a provider of your own, or a mapping of kind, path and base.",
    "anyOf": [{"type": "string", "pattern": "^[^/.][^/]*$"}, WorkspaceKeys.model_json_schema()],
}

Workspace = Annotated[WorkspaceSpec, _WorkspaceForm, WithJsonSchema(_WORKSPACE_SCHEMA)]
