"""What can be asked here, as OpenAPI: litestar's, with what it cannot know.

litestar describes refusals as its own exceptions; they are problems (gateway/problems.py), of any
status, whatever was asked. It names operations after functions and their wrappers; here it is by
what is asked, so that a generated client's names stay when a function is renamed.
"""

import re
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
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            operation["summary"] = f"{method.upper()} {path}"
            operation["operationId"] = re.sub(r"\W+", "_", f"{method} {path}").rstrip("_")
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = _REFUSED
    _, known = msgspec.json.schema_components([Problem], ref_template=_REFS)
    told["components"]["schemas"].update(known)
    return told
