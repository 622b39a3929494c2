"""YAML as plain data that remembers its lines.

Here: safe reading of one file: no tags, no aliases, no key twice, JSON types only. Not here: what
the values mean. Messages never quote a value, since a value may be a secret in the wrong place.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
Location = tuple[str | int, ...]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {_TAG + "str", _TAG + "timestamp", _TAG + "value"}
_PLAIN_TAGS = {_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"}
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableError(Exception):
    """The file is not YAML that we accept; carries one message for each reason, with its line."""

    def __init__(self, reasons: list[tuple[int, str, str]]) -> None:
        self.reasons = reasons
        super().__init__(f"{len(reasons)} problems")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The data of one file and the line of each location in it."""

    data: dict[str, JsonValue]
    lines: dict[Location, int]

    def line_of(self, location: Location) -> int:
        """Return the line of a location, or of the nearest enclosing one that exists."""
        for length in range(len(location), -1, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return line
        return 1


def read_document(path: Path) -> Document:
    """Read one file. Raises UnreadableError with every reason, each with its line."""
    text = _read_text(path)
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise UnreadableError([_explain(error, text)]) from None
    if not isinstance(node, yaml.MappingNode):
        remedy = "Start from `crm-pipeline orgs add`."
        raise UnreadableError([(1, "The file holds no `field: value` lines.", remedy)])
    walk = _Walk()
    data = walk.read_mapping(node, ())
    if walk.reasons:
        raise UnreadableError(walk.reasons)
    return Document(data=data, lines=walk.lines)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"The file cannot be read ({type(error).__name__})."
        raise UnreadableError([(1, reason, "Check its permissions.")]) from None
    if len(raw) > MAX_BYTES:
        raise UnreadableError([(1, f"The file is larger than {MAX_BYTES // 1024} KiB.", "")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        remedy = "Save the file as UTF-8."
        raise UnreadableError([(line, "The file is not UTF-8 text.", remedy)]) from None


def _check_events(text: str) -> None:
    """Refuse depth and aliases before anything is built: both can grow without limit."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UnreadableError([(1, "The file is nested too deeply.", "")])
        if getattr(event, "anchor", None) is not None:
            line = event.start_mark.line + 1 if event.start_mark else 1
            reason = "Anchors and aliases (`&name`, `*name`) are not supported."
            raise UnreadableError([(line, reason, "Write the value out, in quotes if it is text.")])


def _explain(error: yaml.YAMLError, text: str) -> tuple[int, str, str]:
    remedy = "Check indentation, colons and quotes on this line and the one before."
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        problem = re.sub(r"(['\"`]).{3,}?\1", "...", str(getattr(error, "problem", "") or ""))
        return (mark.line + 1, f"This is not YAML: {problem}.", remedy)
    position = getattr(error, "position", 0) or 0
    line = text.count("\n", 0, position) + 1
    return (line, "The file holds a character that YAML does not allow.", "Remove it.")


@dataclass
class _Walk:
    """Turns nodes into JSON values, noting lines and reasons for refusal."""

    lines: dict[Location, int] = field(default_factory=dict)
    reasons: list[tuple[int, str, str]] = field(default_factory=list)
    constructor: yaml.constructor.SafeConstructor = field(
        default_factory=yaml.constructor.SafeConstructor
    )

    def read(self, node: yaml.Node, location: Location) -> JsonValue:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.read_mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(each, (*location, n)) for n, each in enumerate(node.value)]
        return self._scalar(node)

    def read_mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, JsonValue]:
        self.lines.setdefault(location, node.start_mark.line + 1)
        result: dict[str, JsonValue] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag != _TAG + "str":
                reason = "A field name is not plain text."
                self.reasons.append((line, reason, "Put the name in quotes."))
                continue
            key = str(key_node.value)
            if key in result:
                first = self.lines[(*location, key)]
                reason = f"The field on this line was already set on line {first}."
                self.reasons.append((line, reason, "Keep one of the two."))
                continue
            self.lines[(*location, key)] = line
            result[key] = self.read(value_node, (*location, key))
        return result

    def _scalar(self, node: yaml.Node) -> JsonValue:
        if node.tag in _TEXT_TAGS:
            return str(node.value)
        line = node.start_mark.line + 1
        if node.tag in _PLAIN_TAGS:
            try:
                value: JsonValue = self.constructor.construct_object(node)
            except ValueError:
                self.reasons.append((line, "This number cannot be read.", "Put it in quotes."))
                return None
            return value
        self.reasons.append((line, "YAML tags (`!name`) are not supported.", "Remove the tag."))
        return None
