"""YAML 1.2 as a tree of plain values that remembers the file and line of every key."""

import copy
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dcsim.errors import InputError, Problem, UsageError

Key = str | int
Place = tuple[Key, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value was stated; line 0 for the command line."""

    file: Path
    line: int


@dataclass
class Tree:
    """A mapping of plain values and the origin of each place in it."""

    values: dict[str, Any]
    origins: dict[Place, Origin] = field(default_factory=dict)

    def origin(self, place: Place) -> Origin:
        """Origin of *place*, or of the nearest place above it that was stated."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.origins:
                return self.origins[place[:end]]
        raise KeyError(place)


def dotted(place: Place) -> str:
    """Write a place as ``facility.phases[1].name``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")


def placed(text: str) -> Place:
    """The place that ``facility.phases[1].name`` writes; empty where it writes none."""
    return tuple(int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", text))


def read(path: Path) -> Tree:
    """Parse one file.

    Raises
    ------
    UsageError
        If the file is missing or unreadable.
    InputError
        If it is not YAML, not a mapping, or repeats a key; every repeated key is listed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `dcsim scenario list` shows the shipped scenarios") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Tree:
    """Parse *text* as the content of *path*; errors as for :func:`read`."""
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise InputError(str(path), [Problem(mark.line + 1 if mark else 0, "", f"not valid YAML: {what}")]) from None
    except YAMLError as error:
        raise InputError(str(path), [Problem(0, "", f"not valid YAML: {error}")]) from None
    if not isinstance(root, MappingNode):
        raise InputError(str(path), [Problem(1, "", "must be a mapping of keys to values")])
    problems: list[Problem] = []
    origins: dict[Place, Origin] = {}

    def build(node: Node, place: Place, line: int) -> Any:
        origins[place] = Origin(path, line)
        if isinstance(node, MappingNode):
            mapping: dict[str, Any] = {}
            first_lines: dict[str, int] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                key_line = key_node.start_mark.line + 1
                if key in mapping:
                    problems.append(
                        Problem(
                            key_line,
                            dotted((*place, key)),
                            f"this key already stands on line {first_lines[key]}; keep one of them",
                        )
                    )
                    continue
                first_lines[key] = key_line
                mapping[key] = build(value_node, (*place, key), key_line)
            return mapping
        if isinstance(node, SequenceNode):
            return [build(item, (*place, i), item.start_mark.line + 1) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        try:
            return yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            problems.append(Problem(line, dotted(place), f"'{node.value}' cannot be read: {error}"))
            return None

    values = build(root, (), 1)
    if problems:
        raise InputError(str(path), problems)
    return Tree(values, origins)


def dump(values: dict[str, Any]) -> str:
    """Write plain values as YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def merge(base: Tree, child: Tree) -> Tree:
    """Lay *child* over *base*: mappings merge key by key, anything else is replaced.

    A child mapping that states another ``kind`` than the base replaces it whole, since the keys of one kind
    of part mean nothing to another. A distribution is replaced whole.
    """
    merged = Tree(copy.deepcopy(base.values), dict(base.origins))

    def lay(target: dict[str, Any], source: dict[str, Any], place: Place) -> None:
        for key, value in source.items():
            here = (*place, key)
            old = target.get(key)
            both = isinstance(old, dict) and isinstance(value, dict) and "distribution" not in {**old, **value}
            if both and old is not None and value.get("kind", old.get("kind")) == old.get("kind"):
                merged.origins[here] = child.origins[here]
                lay(old, value, here)
                continue
            for stale in [p for p in merged.origins if p[: len(here)] == here]:
                del merged.origins[stale]
            target[key] = copy.deepcopy(value)
            merged.origins.update({p: o for p, o in child.origins.items() if p[: len(here)] == here})

    lay(merged.values, child.values, ())
    return merged
