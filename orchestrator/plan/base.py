"""What all models of a plan have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from orchestrator.errors import UsageError
from orchestrator.plan.faults import explain
from orchestrator.plan.words import describe, dotted


class Model(BaseModel):
    """Unknown keys are refused; values do not change once they are made."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __init__(self, **given: Any) -> None:
        """Raises UsageError, with a line per fault in the words of plan files."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            name, found = type(self).__name__, explain(error, type(self))
            told = (f"{dotted((name, *finding.path))}: {finding.what}" for finding in found)
            raise UsageError("\n".join(told)) from None

    # A file's values are validated without it, all of them at once: an error of ours would end that at the first.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Short:
    """Marks a model that may be written as one text: the value of its field `key`."""

    key: str
    expected: str
    """What to write, for whoever wrote neither."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.spread, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}

    def spread(self, value: Any) -> Any:
        """The mapping that is meant."""
        if isinstance(value, str):
            return {self.key: value}
        if isinstance(value, Mapping | Model):
            return value
        raise ValueError(f"found {describe(value)}, expected {self.expected}")
