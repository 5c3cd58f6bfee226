"""The JSON Schema that editors get: a scenario file, with a distribution wherever it has a scalar."""

import copy
from typing import Any

from dcsim.model.load import schema
from dcsim.model.uncertain import BASE, stateable_schema

Node = dict[str, Any]

SCALARS = ("number", "integer", "string")
REFERENCE = {"$ref": "#/$defs/Distribution"}
# What tells one kind of part from another is no input.
FIXED = ("kind", "name", "description", "extends")


def editor_schema() -> Node:
    """Schema of a scenario file in which every scalar, and every list of numbers, may be a distribution too."""
    found = copy.deepcopy(schema())
    definitions = found["$defs"]
    for node in (found, *definitions.values()):
        for name, of in node.get("properties", {}).items():
            if name not in FIXED and "const" not in of and _may_be_drawn(of):
                node["properties"][name] = _widened(of)
    distribution = stateable_schema()
    own = distribution.pop("$defs")
    for kind in own.values():
        kind["properties"][BASE] = {"description": "value of a single run; the median if absent"}
        kind["required"] = [*dict.fromkeys(["distribution", *kind.get("required", [])])]
    definitions |= own | {"Distribution": distribution}
    return found


def _may_be_drawn(of: Node) -> bool:
    options = [of, *of.get("anyOf", [])]
    numbers = [one.get("items", {}).get("type") in ("number", "integer") for one in options]
    return any(one.get("type") in SCALARS for one in options) or any(numbers)


def _widened(of: Node) -> Node:
    told: Node = {key: of[key] for key in ("description", "default", "title") if key in of}
    plain = {key: value for key, value in of.items() if key not in told}
    options = plain["anyOf"] if set(plain) == {"anyOf"} else [plain]
    return {"anyOf": [*options, REFERENCE], **told}
