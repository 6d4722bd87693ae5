"""Fills a JSON schema by rules, so that the value is valid and says what was found."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from itertools import islice
from math import ceil, floor
from typing import Any

from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry

from orchestrator.gateway.model.meaning import Hints, rank_choices, suggest_length, suggest_number, suggest_texts
from orchestrator.gateway.model.pattern import match_pattern

_DEEP = 4  # levels: below, only what is required is filled, so that a schema that holds itself comes to an end
_DEEPEST = 16
_TRIES = 24  # candidates for one part


class UnfillableError(Exception):
    """No valid value was found for the schema."""


def fill(schema: Mapping[str, Any], hints: Hints) -> Any:
    """A value that is valid by the schema. Raises UnfillableError."""
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
        # An empty registry, so that no reference is fetched from the web.
        filler = _Filler(schema, kind(schema, registry=Registry()))
        for value in islice(filler.candidates(schema, hints, 0), _TRIES):
            if filler.fits(value, schema):
                return value
    except Exception as error:  # a schema is the user's: what it breaks in here is said, and ends no agent
        raise UnfillableError(f"the schema cannot be read: {type(error).__name__}: {str(error)[:200]}") from error
    raise UnfillableError("no rule gives a value that fulfils the schema")


class _Filler:
    def __init__(self, root: Mapping[str, Any], validator: Validator) -> None:
        self.root = root
        self.validator = validator

    def fits(self, value: Any, schema: Any) -> bool:
        return self.validator.evolve(schema=schema).is_valid(value)

    def best(self, schema: Any, hints: Hints, depth: int) -> Any:
        """The first candidate that is valid. Raises UnfillableError."""
        for value in islice(self.candidates(schema, hints, depth), _TRIES):
            if self.fits(value, schema):
                return value
        raise UnfillableError(f"no rule gives a valid {hints.field}")

    def candidates(self, schema: Any, hints: Hints, depth: int) -> Iterator[Any]:
        """Values for this part, best first; not all are valid."""
        if depth > _DEEPEST or schema is False:
            return
        schema = self._resolve({} if schema is True else schema)
        if "const" in schema:
            yield schema["const"]
        elif "enum" in schema:
            yield from rank_choices(hints, schema["enum"])
        elif choices := schema.get("anyOf") or schema.get("oneOf"):
            yield from self._chosen(schema, choices, hints, depth)
        else:
            for kind in _kinds(schema, last="null" if depth < _DEEP else "object"):
                yield from self._of_kind(kind, schema, hints, depth)
        if "default" in schema:
            yield schema["default"]
        yield from schema.get("examples", ())

    def _resolve(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The part with its references followed and its `allOf` merged in."""
        merged = {name: value for name, value in schema.items() if name not in ("$ref", "allOf")}
        parts = [self._follow(schema["$ref"])] if "$ref" in schema else []
        for part in [*parts, *schema.get("allOf", ())]:
            if isinstance(part, Mapping):
                merged = _merge(self._resolve(part), merged)
        return merged

    def _follow(self, reference: str) -> Any:
        part: Any = self.root
        for escaped in reference.removeprefix("#").split("/")[1:]:
            name = escaped.replace("~1", "/").replace("~0", "~")
            part = part[int(name)] if isinstance(part, list) else part.get(name, {})
        return part

    def _chosen(self, schema: dict[str, Any], choices: list[Any], hints: Hints, depth: int) -> Iterator[Any]:
        rest = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}
        parts = [self._resolve(choice) if isinstance(choice, Mapping) else {} for choice in choices]
        nothing_first = not hints.evidence.lines or depth >= _DEEP
        parts.sort(key=lambda part: (part.get("type") == "null") != nothing_first)
        if all("const" in part for part in parts):
            yield from rank_choices(hints, [part["const"] for part in parts])
        for part in parts:
            yield from islice(self.candidates(_merge(rest, part), hints, depth + 1), _TRIES // 4)

    def _of_kind(self, kind: str, schema: dict[str, Any], hints: Hints, depth: int) -> Iterator[Any]:
        match kind:
            case "object":
                yield from self._objects(schema, hints, depth)
            case "array":
                yield from self._arrays(schema, hints, depth)
            case "string":
                yield from _texts(schema, hints)
            case "integer" | "number":
                yield from _numbers(schema, hints, whole=kind == "integer")
            case "boolean":
                yield from (hints.found, not hints.found)
            case "null":
                yield None

    def _objects(self, schema: dict[str, Any], hints: Hints, depth: int) -> Iterator[Any]:
        required, properties = schema.get("required", ()), schema.get("properties", {})
        optional = [name for name in properties if name not in required] if depth < _DEEP else []
        for wanted in ([*required, *optional], required) if optional else (required,):
            try:
                named = {name: self._property(name, schema, hints, depth) for name in properties if name in wanted}
                named |= {name: self._property(name, schema, hints, depth) for name in wanted if name not in named}
                value = self._enlarged(named, schema, hints, depth)
            except UnfillableError:
                continue
            yield value

    def _property(self, name: str, schema: dict[str, Any], hints: Hints, depth: int) -> Any:
        part = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
        return self.best(part, hints.into(name, part), depth + 1)

    def _enlarged(self, value: dict[str, Any], schema: dict[str, Any], hints: Hints, depth: int) -> dict[str, Any]:
        """Adds entries of free names: as many as there must be, or one where the schema is a map."""
        extra = schema.get("additionalProperties")
        is_map = isinstance(extra, Mapping) and not schema.get("properties") and depth < _DEEP
        least = max(schema.get("minProperties", 0), 1 if is_map else 0)
        names = [*hints.evidence.topic.words, *(f"entry{number}" for number in range(1, least + 1))]
        for name in names:
            if len(value) >= least:
                break
            if name not in value and self.fits(name, schema.get("propertyNames", True)):
                value[name] = self._property(name, schema, hints, depth)
        return value

    def _arrays(self, schema: dict[str, Any], hints: Hints, depth: int) -> Iterator[Any]:
        low, high, first = schema.get("minItems", 0), schema.get("maxItems"), schema.get("prefixItems", [])
        if "contains" in schema:
            low = max(low, 1, schema.get("minContains", 1))
        wanted = suggest_length(hints, max(low, len(first) if high is None else min(high, len(first))), high)
        lengths = (wanted, low) if depth < _DEEP else (low,)
        for length in dict.fromkeys(lengths):
            yield [*self._items(schema, first, length, hints, depth)]

    def _items(self, schema: dict[str, Any], first: list[Any], length: int, hints: Hints, depth: int) -> Iterator[Any]:
        rest = schema.get("items", schema.get("contains", True))
        seen: list[Any] = []
        for index in range(length):
            part = first[index] if index < len(first) else rest
            tries = islice(self.candidates(part, hints.at(index), depth + 1), _TRIES)
            unique = bool(schema.get("uniqueItems"))
            value = _unlike(seen, (value for value in tries if self.fits(value, part)), unique)
            if value is _NOTHING or (unique and value in seen):
                return
            seen.append(value)
            yield value


_NOTHING = object()


def _unlike(seen: list[Any], values: Iterator[Any], unique: bool) -> Any:
    """The first of the values; of texts, and where all must differ, the first that was not seen, if there is one."""
    first = next(values, _NOTHING)
    if first not in seen or not (unique or isinstance(first, str)):
        return first
    return next((value for value in values if value not in seen), first)


def _merge(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **other}
    if "properties" in base and "properties" in other:
        merged["properties"] = {**base["properties"], **other["properties"]}
    if "required" in base and "required" in other:
        merged["required"] = [*dict.fromkeys([*base["required"], *other["required"]])]
    for name, choose in (("minimum", max), ("maximum", min), ("minLength", max), ("maxLength", min)):
        if name in base and name in other:
            merged[name] = choose(base[name], other[name])
    return merged


def _kinds(schema: Mapping[str, Any], last: str) -> list[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return [kind]
    if kind:
        return sorted(kind, key=lambda one: one == last)
    if schema.keys() & {"properties", "required", "additionalProperties", "minProperties"}:
        return ["object"]
    if schema.keys() & {"items", "prefixItems", "minItems", "contains"}:
        return ["array"]
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return ["number"]
    return ["string", "object", "number", "array", "boolean", "null"]


_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "nobody@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "/",
    "json-pointer": "/",
    "regex": ".*",
}


def _texts(schema: Mapping[str, Any], hints: Hints) -> Iterator[str]:
    if (form := schema.get("format")) == "uuid":
        yield str(uuid.UUID(hashlib.sha256(f"{hints.prompt}{hints.field}{hints.index}".encode()).hexdigest()[:32]))
    elif form in _FORMATS:
        yield _FORMATS[form]
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    made = match_pattern(schema["pattern"]) if "pattern" in schema else None
    texts = [*suggest_texts(hints)]
    tries = [*texts[: _TRIES // 2], *([made] if made else []), *(f"{texts[0]} {number}" for number in range(2, 8))]
    for text in tries:
        padded = text + "." * max(0, low - len(text))
        yield padded if high is None else padded[:high]


def _numbers(schema: Mapping[str, Any], hints: Hints, *, whole: bool) -> Iterator[float]:
    low, high = _bounds(schema, whole)
    wanted = suggest_number(hints, low, high)
    step = schema.get("multipleOf")
    for value in (wanted, low, high, 0):
        if value is None:
            continue
        inside = max(value, low) if low is not None else value
        inside = min(inside, high) if high is not None else inside
        if step:
            yield from (floor(inside / step) * step, ceil(inside / step) * step)
        yield round(inside) if whole else inside
    yield from (
        value for value in range(round(low or 0), round(low or 0) + _TRIES // 2) if high is None or value <= high
    )


def _bounds(schema: Mapping[str, Any], whole: bool) -> tuple[float | None, float | None]:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    gap = 1 if whole else (below - above) / 4 if above is not None and below is not None else 1e-6
    if above is not None and (low is None or above >= low):
        low = floor(above) + 1 if whole else above + gap
    if below is not None and (high is None or below <= high):
        high = ceil(below) - 1 if whole else below - gap
    if whole:
        low, high = low if low is None else ceil(low), high if high is None else floor(high)
    return low, high
