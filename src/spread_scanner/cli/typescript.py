"""The records of the gateway as types of TypeScript, out of its OpenAPI, and those of its stream.

cli/reference.py writes them into clients/typescript; tsc reads them. An own page of code and no
tool of npm's, so that who changes a record needs no Node.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

HEAD = "// Written by `python -m spread_scanner.cli.reference`; edit the source instead.\n"
SIMPLE = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def records(openapi: dict[str, Any], streamed: Iterable[type]) -> str:
    """An interface for each schema, and for each record that the stream alone has."""
    _, more = msgspec.json.schema_components(streamed, ref_template="#/components/schemas/{name}")
    schemas = more | openapi["components"]["schemas"]
    return HEAD + "".join(
        f"\nexport interface {name} {_object(schemas[name])}\n" for name in sorted(schemas)
    )


def _object(schema: dict[str, Any]) -> str:
    return "\n".join(["{", *_fields(schema), "}"])


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    always = schema.get("required", ())
    for name, field in schema["properties"].items():
        # What has a default is written out, too; what has none may be left out.
        optional = "" if name in always or "default" in field else "?"
        yield f"  {name}{optional}: {type_of(field)};"


def type_of(schema: dict[str, Any]) -> str:
    """As TypeScript writes it. Raises KeyError for what no record has had so far."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "oneOf" in schema or "anyOf" in schema:
        return " | ".join(type_of(one) for one in schema.get("oneOf") or schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f'"{one}"' for one in schema["enum"])
    if schema.get("type") == "array":
        items = type_of(schema["items"])
        return f"({items})[]" if " " in items else f"{items}[]"
    if schema.get("type") == "object":
        more = schema.get("additionalProperties")
        return f"Record<string, {type_of(more)}>" if more else "Record<string, unknown>"
    return SIMPLE[schema["type"]] if "type" in schema else "unknown"
