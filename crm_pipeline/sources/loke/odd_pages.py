"""Pages that are not exactly as documented: record by record, keeping everything.

A value that fits its column goes there. Everything else goes, as the very text that came, into
``extra``. A record without a usable id is set aside whole. This is what makes schema drift
(older names, new fields, nulls, other types) harmless.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, get_type_hints

import msgspec

from crm_pipeline.core.records import Reject
from crm_pipeline.sources.loke.customers import (
    PROFILE_NAMES,
    STATISTIC_NAMES,
    Customer,
    Statistics,
)

_LONGEST_ID = 128
_INT64 = range(-(2**63), 2**63)

_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])
_RECORD = msgspec.json.Decoder(Customer)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

_WIRE_NAMES = {
    field.encode_name: field.name
    for shape in (Customer, Statistics)
    for field in msgspec.structs.fields(shape)
}
#: The plain type of each field of a wire shape.
_KINDS: dict[type[msgspec.Struct], dict[str, type]] = {
    shape: get_type_hints(shape) for shape in (Customer, Statistics)
}

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OddPageError(ValueError):
    """A page that cannot be read at all; ``fault`` holds nothing of its content."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def read_odd_page(
    body: bytes,
) -> tuple[Sequence[Customer], Sequence[str | None], tuple[Reject, ...]]:
    """Return a page's customers, what each held besides, and the records set aside."""
    values = _load_strictly(body)
    if not isinstance(values, list):
        raise OddPageError("is not a JSON list")
    texts = _texts_of(body, values)
    customers: list[Customer] = []
    extra: list[str | None] = []
    rejects: list[Reject] = []
    for value, text in zip(values, texts, strict=True):
        detail = _unusable(value)
        if detail:
            rejects.append(_reject(text, detail))
            continue
        customer, rest = _read_record(value, text)
        customers.append(customer)
        extra.append(rest)
    return customers, extra, tuple(rejects)


def _load_strictly(body: bytes) -> Any:
    """Decode JSON, refusing what decoders commonly let pass: NaN, equal keys, endless depth."""
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
        )
    except OddPageError:
        raise
    except (ValueError, RecursionError):
        raise OddPageError("is not JSON") from None


def _texts_of(body: bytes, values: Sequence[Any]) -> Sequence[bytes]:
    """Return each record's own text.

    Half a surrogate pair, which is legal JSON but no Unicode, has no text that the fast decoder
    takes; such a page is spelled again from its values.
    """
    try:
        return [bytes(raw) for raw in _RECORDS.decode(body)]
    except _NOT_JSON:
        return [_spell(value) for value in values]


def _spell(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except ValueError:
        raise OddPageError("holds a number beyond all bounds") from None


def _members_of(text: bytes, value: Mapping[str, Any]) -> Mapping[str, bytes]:
    """Return an object's members as they came, by wire name."""
    try:
        return {name: bytes(raw) for name, raw in _MEMBERS.decode(text).items()}
    except _NOT_JSON:
        return {name: _spell(member) for name, member in value.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise OddPageError("gives a field of one record twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise OddPageError("holds a number that is none (NaN or Infinity)")


def _unusable(value: Any) -> str:
    """Say why a record cannot be kept under an id; empty when it can."""
    if not isinstance(value, dict):
        return "The record is not an object."
    source_id = value.get("id")
    if isinstance(source_id, str) and 0 < len(source_id) <= _LONGEST_ID and _is_unicode(source_id):
        return ""
    return "The record has no usable id."


def _reject(text: bytes, detail: str) -> Reject:
    return Reject(
        stage="land",
        dataset="customers",
        key="",
        reason="record_without_id",
        detail=detail,
        payload=text.decode("utf-8"),
    )


def _read_record(value: Mapping[str, Any], text: bytes) -> tuple[Customer, str | None]:
    try:
        return _RECORD.decode(text), None
    except _NOT_JSON:
        pass
    profile, rest = _split(value, text, Customer, PROFILE_NAMES)
    customer = Customer(**profile)
    statistics = value.get("statistics")
    if isinstance(statistics, dict):
        totals, others = _split(statistics, rest.pop("statistics"), Statistics, STATISTIC_NAMES)
        customer.statistics = Statistics(**totals)
        if others:
            rest["statistics"] = _join(others)
    return customer, _join(rest).decode("utf-8") if rest else None


def _split(
    value: Mapping[str, Any],
    text: bytes,
    shape: type[Customer] | type[Statistics],
    names: Sequence[str],
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Part an object's members: values that fit their column by name, the rest as they came."""
    fitting: dict[str, Any] = {}
    rest: dict[str, bytes] = {}
    for wire_name, raw in _members_of(text, value).items():
        name = _WIRE_NAMES.get(wire_name, "")
        if name in names and _fits(value[wire_name], _KINDS[shape][name]):
            fitting[name] = value[wire_name]
        else:
            rest[wire_name] = raw
    return fitting, rest


def _fits(value: Any, kind: type) -> bool:
    """Whether a value has exactly a type and can be stored in its column."""
    if type(value) is not kind:
        return False
    if isinstance(value, str):
        return _is_unicode(value)
    return kind is not int or value in _INT64


def _is_unicode(text: str) -> bool:
    """Whether a text holds no half of a surrogate pair, which JSON can spell but no store keep."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _join(members: Mapping[str, bytes]) -> bytes:
    pairs = (_spell(name) + b":" + raw for name, raw in members.items())
    return b"{" + b",".join(pairs) + b"}"
