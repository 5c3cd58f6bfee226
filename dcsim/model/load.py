"""Load a scenario: read, inherit, override, check; every fault at once, each with its place and the way out."""

import copy
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dcsim.errors import InputError, Problem, UsageError
from dcsim.model.scenario import Plan, Scenario
from dcsim.model.tree import Key, Origin, Place, Tree, dotted, merge, parse, placed, read
from dcsim.model.uncertain import Fault, Kind, Uncertain, take_uncertain
from dcsim.registry import unknown

COMMAND_LINE = Path("--set")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Loaded:
    """A checked scenario with the files that it came from and the place where each value was stated.

    The scenario has the single values of the ``uncertain`` inputs.
    """

    scenario: Scenario
    path: Path
    files: tuple[Path, ...]
    tree: Tree
    uncertain: tuple[Uncertain, ...] = ()

    def file(self, place: Place) -> Path:
        """Path stated at *place*, made absolute against the file that states it; ``${NAME}`` is expanded.

        Raises
        ------
        UsageError
            If the path names an environment variable that is not set.
        """
        value: Any = self.tree.values
        for key in place:
            value = value[key]
        text = os.path.expandvars(str(value))
        if missing := re.search(r"\$\{?(\w+)", text):
            raise self.fault(place, f"'{value}' needs the environment variable {missing[1]}, which is not set")
        origin = self.tree.origin(place).file
        base = Path.cwd() if origin == COMMAND_LINE else origin.resolve().parent
        return base / text

    def fault(self, place: Place, message: str) -> InputError:
        """Error for one fault at *place* that only a later step could see."""
        return self.faults([(place, message)])

    def faults(self, faults: list[tuple[Place, str]]) -> InputError:
        """Error for several such faults."""
        return InputError(str(self.path), [_problem(self.tree, self.path, *fault) for fault in faults])


def shipped() -> dict[str, Path]:
    """Scenarios that come with dcsim, by name."""
    folder = Path(str(files("dcsim.scenarios")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(source: str | Path, sets: tuple[str, ...] = ()) -> Loaded:
    """Read the scenario *source*, lay it over the files it extends, apply *sets* and check the result.

    Parameters
    ----------
    source : str or Path
        Path of a YAML file, or the name of a shipped scenario.
    sets : tuple of str
        Overrides, each ``path=value``, for example ``facility.phases[1].rack_slots=60``. The value is YAML.

    Raises
    ------
    UsageError
        If a file is missing or an override is not of the form ``path=value``.
    InputError
        If anything in the files is wrong; all faults of a file are listed.
    """
    path = Path(source)
    if not path.exists() and str(source) in shipped():
        path = shipped()[str(source)]
    tree, paths = _inherit(path, ())
    for text in sets:
        _override(tree, text)
    uncertain, faults = take_uncertain(tree, lambda place: _kind(place, tree), lambda: 12 * _years(tree))
    values = {key: value for key, value in tree.values.items() if key != "extends"}
    problems = [_problem(tree, path, *fault) for fault in faults]
    try:
        scenario = checked(Scenario, values, tree, path)
    except InputError as error:
        # What holds a faulty distribution has no value there yet, so what is wrong with that says nothing.
        others = [of for of in error.problems if not any(_holds(of.path, fault.path) for fault in problems)]
        raise InputError(str(path), problems + others) from None
    problems += [_problem(tree, path, *fault) for fault in _uncorrelated(scenario, uncertain, tree)]
    if problems:
        raise InputError(str(path), problems)
    return Loaded(scenario, path, paths, tree, uncertain)


def checked(kind: type[Model], values: Any, tree: Tree, path: Path) -> Model:
    """Values of a file as what they should be.

    Raises
    ------
    InputError
        If they are not; all faults are listed, each with its place in *tree*.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _faults(error, tree, path, schema() if kind is Scenario else kind.model_json_schema()) from None


def _uncorrelated(scenario: Scenario, uncertain: tuple[Uncertain, ...], tree: Tree) -> list[Fault]:
    """Correlations of what is neither uncertain nor stated; one of an input with a single value says nothing."""
    known = [of.name for of in uncertain]
    return [
        (
            ("uncertainty", "correlations", index, "between"),
            unknown(name, known, "uncertain input") if known else f"'{name}': no input of this plan is a distribution",
        )
        for index, stated in enumerate(scenario.uncertainty.correlations)
        for name in stated.between
        if name not in known and not _is_stated(name, tree)
    ]


def _holds(name: str, inner: str) -> bool:
    """Whether *inner* is written as a part of *name*, or as that itself."""
    return not name or inner == name or inner.startswith((f"{name}.", f"{name}["))


def _is_stated(name: str, tree: Tree) -> bool:
    """Whether *tree* holds a value at the place that *name* writes, or an override of that name."""
    value: Any = tree.values
    head, _, rest = name.partition(".")
    for key in (head, rest) if head == "overrides" else placed(name):
        children = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(children, dict) or key not in children:
            return False
        value = children[key]
    return True


def _years(tree: Tree) -> int:
    """Years of the plan as far as they can be told before it is checked."""
    years = (tree.values.get("plan") or {}).get("years", Plan.model_fields["years"].default)
    return years if isinstance(years, int) and years > 0 else 1


def _kind(place: Place, tree: Tree) -> Kind:
    """What the schema has at *place*, or beside nothing."""
    node = _schema_at(place[:-1], tree, schema()).get("properties", {}).get(place[-1], {})
    options = [node, *node.get("anyOf", [])]
    if any(of.get("items", {}).get("type") in ("number", "integer") for of in options):
        return "list"
    return "whole" if "integer" in [of.get("type") for of in options] else "other"


def _inherit(path: Path, below: tuple[Path, ...]) -> tuple[Tree, tuple[Path, ...]]:
    tree = read(path)
    base = tree.values.get("extends")
    if base is None:
        return tree, (path,)
    line = tree.origins[("extends",)].line
    if not isinstance(base, str):
        raise InputError(str(path), [Problem(line, "extends", f"{base!r} must be the path of one scenario file")])
    base_path = path.resolve().parent / base
    if not base_path.exists() and base.removesuffix(".yaml") in shipped():
        base_path = shipped()[base.removesuffix(".yaml")]
    if not base_path.exists():
        message = f"'{base}' is neither beside this file nor shipped with dcsim"
        raise InputError(str(path), [Problem(line, "extends", message)])
    if base_path.resolve() in [p.resolve() for p in (*below, path)]:
        raise InputError(str(path), [Problem(line, "extends", f"'{base}' extends this file in turn; break the circle")])
    base_tree, paths = _inherit(base_path, (*below, path))
    return merge(base_tree, tree), (*paths, path)


def _override(tree: Tree, text: str) -> None:
    """Apply one ``path=value`` of the command line to *tree* in place."""
    path_text, equals, value_text = text.partition("=")
    keys = placed(path_text)
    if not equals or not keys:
        raise UsageError(f"--set '{text}': write it as path=value, for example --set plan.years=10")
    value = parse(f"value: {value_text}", COMMAND_LINE).values["value"]
    target: Any = tree.values
    for depth, key in enumerate(keys[:-1]):
        if isinstance(target, dict) and isinstance(key, str):
            target = target.setdefault(key, {})
        elif isinstance(target, list) and isinstance(key, int) and key < len(target):
            target = target[key]
        else:
            raise UsageError(f"--set '{text}': there is no '{dotted(keys[: depth + 1])}' in the scenario")
    last = keys[-1]
    fits = (isinstance(target, dict) and isinstance(last, str)) or (
        isinstance(target, list) and isinstance(last, int) and last < len(target)
    )
    if not fits:
        raise UsageError(f"--set '{text}': there is no '{dotted(keys)}' in the scenario")
    target[last] = copy.deepcopy(value)
    for stale in [p for p in tree.origins if p[: len(keys)] == keys]:
        del tree.origins[stale]
    tree.origins[keys] = Origin(COMMAND_LINE, 0)


@cache
def schema() -> dict[str, Any]:
    """JSON Schema of a scenario file, for editors."""
    result = Scenario.model_json_schema()
    result["properties"]["extends"] = {"type": "string", "description": "scenario file that this one is laid over"}
    return result


def _schema_at(place: Place, tree: Tree, root: dict[str, Any]) -> dict[str, Any]:
    """Part of the schema that describes the mapping at *place*; empty where it is not a mapping of known keys."""
    node: dict[str, Any] = root
    value: Any = tree.values
    for key in (*place, None):
        while "$ref" in node or "oneOf" in node or "anyOf" in node:
            if "$ref" in node:
                node = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
            elif "discriminator" in node:
                kinds = node["discriminator"]["mapping"]
                reference = kinds.get(value.get("kind") if isinstance(value, dict) else None)
                node = {"$ref": reference} if reference else {}
            else:
                options = [o for o in node.get("oneOf", node.get("anyOf", [])) if "$ref" in o]
                node = options[0] if options else {}
        if key is None:
            break
        if isinstance(key, int):
            node, value = node.get("items", {}), value[key] if isinstance(value, list) and key < len(value) else None
        else:
            node, value = node.get("properties", {}).get(key, {}), value.get(key) if isinstance(value, dict) else None
    return node


def _stated_place(location: tuple[Key, ...], tree: Tree, absent: bool) -> Place:
    """Translate a pydantic location into a place of the file: tags of unions are not keys of the file."""
    place: list[Key] = []
    value: Any = tree.values
    for i, key in enumerate(location):
        children = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(children, dict) and key in children:
            place.append(key)
            value = children[key]
        elif absent and i == len(location) - 1 and isinstance(key, str):
            place.append(key)
    return tuple(place)


_BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "is below the minimum"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "is above the maximum"),
}


def _message(error: Any, place: Place, tree: Tree, root: dict[str, Any]) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        meaning = _schema_at(place[:-1], tree, root).get("properties", {}).get(place[-1], {}).get("description", "")
        return f"is required{f': {meaning}' if meaning else ''}"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _schema_at(place[:-1], tree, root).get("properties", {})
        return unknown(str(place[-1]), known, "key here") if known else "is not a known key here; remove it"
    if kind == "union_tag_invalid":
        return unknown(str(context["tag"]), re.findall(r"'([^']+)'", context["expected_tags"]), "kind")
    if kind == "union_tag_not_found":
        return "needs a 'kind'"
    if kind in _BOUNDS:
        bound, rule = _BOUNDS[kind]
        return f"{given!r} {rule} {context[bound]:g}"
    if kind in ("too_short", "too_long"):
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"has {context['actual_length']} items; {bound} are needed"
    if kind == "literal_error":
        return unknown(str(given), re.findall(r"'([^']+)'", context["expected"]), "choice")
    if kind == "value_error":
        return str(context["error"])
    text = error["msg"][0].lower() + error["msg"][1:]
    return f"{given!r} is wrong: {text.replace('input should be', 'must be')}"


def _faults(error: ValidationError, tree: Tree, path: Path, root: dict[str, Any]) -> InputError:
    """Turn pydantic's errors into problems of the files, one a place."""
    messages: dict[Place, list[str]] = {}
    for item in error.errors():
        absent = item["type"] in ("missing", "extra_forbidden", "unexpected_keyword_argument")
        place = _stated_place(item["loc"], tree, absent)
        messages.setdefault(place, []).append(_message(item, place, tree, root))
    joined = {place: "; or ".join(dict.fromkeys(texts)) for place, texts in messages.items()}
    return InputError(str(path), [_problem(tree, path, place, text) for place, text in joined.items()])


def _problem(tree: Tree, path: Path, place: Place, message: str) -> Problem:
    """Fault at a place of the scenario *path*; a place that a file below it or the command line states says so."""
    origin = tree.origin(place)
    elsewhere = "" if origin.file == path else f" (stated in {origin.file.name})"
    return Problem(origin.line, dotted(place), message + elsewhere)
