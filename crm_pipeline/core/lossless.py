"""JSON records into typed columns, without losing anything of what came.

Pure. A value that fits its column goes there; everything else goes, as the very text that came,
into the column ``extra``; a record without a usable id is set aside whole. This is what makes
schema drift (older names, new fields, nulls, other types) harmless. Not here: any vendor's names.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import pyarrow as pa

from crm_pipeline.core.ports import ColumnSpec
from crm_pipeline.core.records import Reject

#: ``list`` and ``object`` keep the value's own JSON text, ``number`` the text of a JSON number or
#: of a text that spells one.
Kind = Literal["text", "flag", "whole", "list", "object", "number"]

LONGEST_ID = 128
EXTRA = "extra"

_TYPES: dict[Kind, tuple[str, pa.DataType]] = {
    "text": ("text", pa.string()),
    "flag": ("flag", pa.bool_()),
    "whole": ("whole number", pa.int64()),
    "list": ("JSON", pa.string()),
    "object": ("JSON", pa.string()),
    "number": ("decimal", pa.string()),
}
_PYTHON_TYPES: dict[Kind, type] = {
    "text": str,
    "flag": bool,
    "whole": int,
    "list": list,
    "object": dict,
}
_INT64 = range(-(2**63), 2**63)
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]
Whole = Annotated[int, msgspec.Meta(ge=_INT64.start, le=_INT64.stop - 1)]

_ANYTHING = msgspec.json.Decoder()
_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

#: What the fast decoder raises for a text that it does not take.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One column and the members that fill it.

    The first of ``paths`` that is there and fits is taken, ``outer.inner`` from an object within.
    A column without a path is worked out by the dataset, not read.
    """

    column: str
    kind: Kind
    paths: tuple[str, ...]
    description: str


@cache
def _place_of(path: str) -> tuple[str, str]:
    """Return the object within (empty: the record itself) and the member that a path names."""
    outer, _, inner = path.rpartition(".")
    return outer, inner


EXTRA_RULE = Rule(
    column=EXTRA,
    kind="text",
    paths=(),
    description=(
        "JSON of every field that is unknown, explicitly null or of another type; null when none."
    ),
)


def columns_of(rules: Sequence[Rule]) -> tuple[ColumnSpec, ...]:
    """Return the documented columns of these rules."""
    return tuple(
        ColumnSpec(
            name=rule.column,
            type=_TYPES[rule.kind][0],
            description=rule.description,
            source_field=rule.paths[0] if rule.paths else "",
        )
        for rule in rules
    )


def schema_of(rules: Sequence[Rule]) -> pa.Schema:
    """Return the columns' types; only ``id`` is never null."""
    return pa.schema(
        [
            pa.field(rule.column, _TYPES[rule.kind][1], nullable=rule.column != "id")
            for rule in rules
        ]
    )


class UnreadableError(ValueError):
    """A text that cannot be read at all; ``fault`` holds nothing of its content."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class Taken:
    """One record, parted: ``row`` has what fits by column, ``extra`` gives the rest."""

    def __init__(self, value: Mapping[str, Any], text: bytes, rules: Sequence[Rule]) -> None:
        self.row: dict[str, Any] = {}
        self._value = value
        self._rest = members_of(text, value)
        self._opened: dict[str, dict[str, bytes]] = {}
        self._came: dict[str, tuple[dict[str, bytes], str, bytes]] = {}
        for rule in rules:
            self._fill(rule)

    def give_back(self, column: str) -> None:
        """Put a column's value back among the rest, as it came: it does not fit after all."""
        members, name, raw = self._came.pop(column)
        members[name] = raw
        self.row[column] = None

    def extra(self) -> str | None:
        """Return everything that no column took, as JSON; None when nothing is left."""
        rest = dict(self._rest)
        for name, members in self._opened.items():
            if members:
                rest[name] = join_members(members)
            else:
                del rest[name]
        return join_members(rest).decode("utf-8") if rest else None

    def _fill(self, rule: Rule) -> None:
        self.row[rule.column] = None
        for outer, inner in map(_place_of, rule.paths):
            value, members = self._inside(outer) if outer else (self._value, self._rest)
            if inner in members and _fits(value[inner], rule.kind):
                raw = members.pop(inner)
                self._came[rule.column] = (members, inner, raw)
                self.row[rule.column] = _converted(value[inner], raw, rule.kind)
                return

    def _inside(self, outer: str) -> tuple[Mapping[str, Any], dict[str, bytes]]:
        value = self._value.get(outer)
        if not isinstance(value, dict) or outer not in self._rest:
            return {}, {}
        if outer not in self._opened:
            self._opened[outer] = members_of(self._rest[outer], value)
        return value, self._opened[outer]


def take_all(
    body: bytes, rules: Sequence[Rule], dataset: str
) -> tuple[Sequence[Taken], tuple[Reject, ...]]:
    """Part every record of a JSON list. Raises UnreadableError when a page cannot be trusted."""
    takens: list[Taken] = []
    rejects: list[Reject] = []
    for value, text in records_of(body):
        detail = _unusable(value)
        if detail:
            rejects.append(
                Reject(
                    stage="land",
                    dataset=dataset,
                    key="",
                    reason="record_without_id",
                    detail=detail,
                    payload=text.decode("utf-8"),
                )
            )
        else:
            takens.append(Taken(value, text, rules))
    return takens, tuple(rejects)


def to_columns(takens: Sequence[Taken], rules: Sequence[Rule]) -> dict[str, pa.Array]:
    """Return the records' columns by name, ``extra`` among them."""
    columns = {
        rule.column: pa.array([taken.row[rule.column] for taken in takens], _TYPES[rule.kind][1])
        for rule in rules
    }
    return {**columns, EXTRA: pa.array([taken.extra() for taken in takens], pa.string())}


class RegularPages:
    """The fast way for lists whose records are exactly as their rules say, paths without dots."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [rule for rule in rules if rule.paths]
        shape = msgspec.defstruct(
            "Record",
            [_struct_field(rule) for rule in self._rules],
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]
        self._values = attrgetter(*(rule.column for rule in self._rules))

    def columns(self, body: bytes) -> dict[str, pa.Array] | None:
        """Return a page's columns by name; None for a page that must go the careful way."""
        try:
            records = self._decoder.decode(body)
            if not records or not says_once(body):
                return None
        except NOT_JSON:
            return None
        columns: dict[str, pa.Array] = {}
        for rule, values in zip(
            self._rules, zip(*map(self._values, records), strict=True), strict=True
        ):
            texts = _texts(values, rule.kind) if rule.kind in _OPENINGS else values
            if texts is None:
                return None
            columns[rule.column] = pa.array(texts, _TYPES[rule.kind][1])
        return {**columns, EXTRA: pa.nulls(len(records), pa.string())}


def says_once(body: bytes) -> bool:
    r"""Whether no object of a JSON text gives a member twice; False as well when it is not sure.

    A decoder lets the last of two equal members win. Spelled again, a text that lost one has fewer
    quotation marks. (One that is spelled ``\u0022`` would add a mark, so such texts are not sure.)

    >>> says_once(b'[{"a":{"b" : "c"}}]'), says_once(b'[{"a":1,"a":2}]')
    (True, False)
    """
    if b"\\u0022" in body:
        return False
    again = msgspec.json.encode(_ANYTHING.decode(body))
    return again.count(b'"') == body.count(b'"')


def load_strictly(body: bytes) -> Any:
    """Decode JSON, refusing what decoders commonly let pass: NaN, equal members, endless depth.

    Raises UnreadableError.
    """
    try:
        return _STRICTLY.decode(body.decode("utf-8"))
    except UnreadableError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableError("is not JSON") from None


def records_of(body: bytes) -> Iterator[tuple[Any, bytes]]:
    """Give each record of a JSON list, decoded strictly, with its own text.

    Half a surrogate pair, which is legal JSON but no Unicode, has no text that the fast decoder
    takes; such a page is spelled again from its values. Raises UnreadableError.
    """
    try:
        texts = _RECORDS.decode(body)
    except NOT_JSON:
        values = load_strictly(body)
        if not isinstance(values, list):
            raise UnreadableError("is not a JSON list") from None
        for value in values:
            yield value, _spell(value)
        return
    for text in map(bytes, texts):
        yield load_strictly(text), text


def members_of(text: bytes, value: Mapping[str, Any]) -> dict[str, bytes]:
    """Return an object's members as they came, by name; ``value`` is the decoded text."""
    try:
        return {name: bytes(raw) for name, raw in _MEMBERS.decode(text).items()}
    except NOT_JSON:
        return {name: _spell(member) for name, member in value.items()}


def join_members(members: Mapping[str, bytes]) -> bytes:
    """Return members as one JSON object."""
    pairs = (_spell(name) + b":" + raw for name, raw in members.items())
    return b"{" + b",".join(pairs) + b"}"


def is_usable_id(value: object) -> bool:
    """Whether a value can be a record's id: some text, not too long, that can be stored."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and _is_unicode(value)


def _spell(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except ValueError:
        raise UnreadableError("holds a number beyond all bounds") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnreadableError("gives a field of one record twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise UnreadableError("holds a number that is none (NaN or Infinity)")


def _unusable(value: Any) -> str:
    """Say why a record cannot be kept under an id; empty when it can."""
    if not isinstance(value, dict):
        return "The record is not an object."
    return "" if is_usable_id(value.get("id")) else "The record has no usable id."


_STRICTLY = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _fits(value: Any, kind: Kind) -> bool:
    """Whether a value has exactly a type and can be stored in its column."""
    if kind == "number":
        if isinstance(value, str):
            return _NUMBER.fullmatch(value) is not None
        return type(value) in (int, float)
    if type(value) is not _PYTHON_TYPES[kind]:
        return False
    if isinstance(value, str):
        return _is_unicode(value)
    return kind != "whole" or value in _INT64


def _converted(value: Any, raw: bytes, kind: Kind) -> Any:
    if kind in _OPENINGS:
        return _unspaced(raw).decode("utf-8")
    if kind == "number":
        return value if isinstance(value, str) else raw.decode("ascii")
    return value


#: How the JSON text of a nested value begins.
_OPENINGS: Mapping[Kind, bytes] = {"list": b"[", "object": b"{"}

_WIRE_TYPES: Mapping[Kind, Any] = {
    "text": str,
    "flag": bool,
    "whole": Whole,
    "list": msgspec.Raw,
    "object": msgspec.Raw,
}


def _struct_field(rule: Rule) -> tuple[str, Any, Any]:
    """Return a field of the fast shape: an absent member is None, an explicit null refused."""
    if rule.paths[0] == "id":
        return rule.column, Identifier, msgspec.field(name="id")
    return rule.column, _WIRE_TYPES[rule.kind], msgspec.field(name=rule.paths[0], default=None)


def _texts(values: Sequence[msgspec.Raw | None], kind: Kind) -> Sequence[str | None] | None:
    """Return nested values as their texts; None when one is of another type."""
    opening = _OPENINGS[kind]
    texts = [None if value is None else bytes(value) for value in values]
    if not all(text is None or text.startswith(opening) for text in texts):
        return None
    return [None if text is None else _unspaced(text).decode("utf-8") for text in texts]


def _unspaced(text: bytes) -> bytes:
    """Return a JSON text without the white space between its parts.

    A source may space its webhooks and its pages differently; that is no change of a record.
    """
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:  # half a surrogate pair, which JSON allows
        return text


def _is_unicode(text: str) -> bool:
    """Whether a text holds no half of a surrogate pair, which JSON can spell but no store keep."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
