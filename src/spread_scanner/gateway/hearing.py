"""What a client says in JSON, in a body or over the stream: read, or what is wrong with it, and
what is allowed there.

msgspec alone names neither the values of a choice nor the fields that there are, raises what is no
error of its own where an unknown name is no UTF-8, and takes half a surrogate for an end.
"""

import re
from http import HTTPStatus
from typing import TypeVar

import msgspec
from msgspec import Struct, inspect

from spread_scanner.gateway.problems import NotAnswered

Said = TypeVar("Said", bound=Struct)
_HALF = re.compile(r"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F])")
_REPEATED_MAX = 200  # characters, with what a client said wrongly among them
_CUT_OFF = "Input data was truncated"


def understood(said: bytes, kind: type[Said]) -> Said:
    """Raises NotAnswered."""
    try:
        return msgspec.json.decode(said.decode(), type=kind)
    except UnicodeDecodeError as error:
        why = f"JSON is UTF-8, and byte {error.start} is not"
    except msgspec.ValidationError as error:
        why = _invalid(str(error), kind)
    except msgspec.DecodeError as error:
        half = _HALF.search(said.decode()) if str(error) == _CUT_OFF else None
        why = f"{half[1]} is half a surrogate pair, and no letter" if half else str(error)
    raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", why)


def _invalid(message: str, kind: type[Struct]) -> str:
    """Where it is first, and what is allowed there last."""
    found = re.fullmatch(r"(?s)(.*) - at `\$\.(.*)`", message)
    what, where = found.groups() if found else (message, "")
    allowed = ", ".join(_allowed(what, where.partition("[")[0], kind))
    said = f"{where}: {what[:_REPEATED_MAX]}" if where else what[:_REPEATED_MAX]
    return f"{said}; allowed: {allowed}" if allowed else said


def _allowed(what: str, name: str, kind: type[Struct]) -> list[str]:
    """None: the message has it."""
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    fields = {field.encode_name: field.type for field in shape.fields}
    if "unknown field" in what:
        return list(fields)
    if name == shape.tag_field:
        return [str(shape.tag)]
    within = fields.get(name)
    if isinstance(within, inspect.VarTupleType):
        within = within.item_type
    choices = within.values if isinstance(within, inspect.LiteralType) else ()
    return [str(choice) for choice in choices] if "enum" in what else []
