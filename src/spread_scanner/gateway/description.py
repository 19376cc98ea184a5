"""What can be asked here, as OpenAPI: litestar's, with what it cannot know.

litestar describes refusals as its own exceptions; they are problems (gateway/problems.py), of any
status, whatever was asked.
"""

from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPI

from spread_scanner.gateway import problems
from spread_scanner.gateway.problems import Problem

_REFS = "#/components/schemas/{name}"
_REFUSED = {
    "description": "Why it was not answered; docs/gateway.md has the codes.",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": _REFS.format(name=Problem.__name__)}}},
}


def document(described: OpenAPI) -> dict[str, Any]:
    """The description as it is served."""
    told = described.to_schema()
    for operations in told["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = _REFUSED
    _, known = msgspec.json.schema_components([Problem], ref_template=_REFS)
    told["components"]["schemas"].update(known)
    return told
