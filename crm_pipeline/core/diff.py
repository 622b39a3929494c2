"""The difference between what the CRM acknowledged and what it should hold, for one object.

Pure. Here: which fields differ, why, and what must go first. Not here: which objects are compared
(``sync.plan``) and who may own an e-mail (``core.media``).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.core.ports import visible_fields
from crm_pipeline.core.records import AppliedObject, Fields

#: Changes of lane 0 are finished before one of lane 1 starts: opt-outs, and contacts that give an
#: e-mail or a phone up, so that its next owner can have it.
LANE_FIRST = 0
LANE_SECOND = 1

OPT_OUT_FIELDS = ("email_opt_out", "sms_opt_out")
#: The fields of each medium that identifies a person in a CRM.
MEDIA_FIELDS: Mapping[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("phone_country", "phone_number"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What an update would do. ``changed`` is sorted; ``is_widening`` means newly mailable."""

    changed: tuple[str, ...]
    lane: int
    reason: str
    is_widening: bool


def changed_fields(before: Fields, after: Fields) -> tuple[str, ...]:
    """Return the names that are new, gone or different, sorted.

    >>> changed_fields({"email": "a@example.com", "gender": "MALE"}, {"email": "b@example.com"})
    ('email', 'gender')
    """
    names = before.keys() | after.keys()
    return tuple(sorted(name for name in names if before.get(name) != after.get(name)))


def compare(applied: AppliedObject, desired: Fields, withheld: Sequence[str] = ()) -> Difference:
    """Return what has to change so that the CRM holds ``desired`` without ``withheld``.

    ``applied`` is the acknowledged object. A field that the CRM refused before and that is
    wanted again counts as changed.
    """
    before = visible_fields(applied.fields, applied.withheld)
    after = visible_fields(desired, withheld)
    changed = changed_fields(before, after)
    widening = is_widened(before, after)
    return Difference(
        changed=changed,
        lane=_lane(before, after, changed),
        reason=_reason(before, after, applied, withheld, is_widening=widening),
        is_widening=widening,
    )


def is_widened(before: Fields, after: Fields) -> bool:
    """Whether a channel would open that was closed: an opt-out set in ``before`` only."""
    return any(before.get(name) is True and after.get(name) is False for name in OPT_OUT_FIELDS)


def is_narrowed(before: Fields, after: Fields) -> bool:
    """Whether a channel would close that was open."""
    return any(before.get(name) is False and after.get(name) is True for name in OPT_OUT_FIELDS)


def archived(fields: Fields) -> Fields:
    """Return the object of a person that the source no longer has: both channels closed."""
    return {**fields, **dict.fromkeys(OPT_OUT_FIELDS, True)}


def _lane(before: Fields, after: Fields, changed: Collection[str]) -> int:
    gives_up = any(
        before.get(name) is not None and name in changed
        for names in MEDIA_FIELDS.values()
        for name in names
    )
    return LANE_FIRST if gives_up or is_narrowed(before, after) else LANE_SECOND


def _reason(
    before: Fields,
    after: Fields,
    applied: AppliedObject,
    withheld: Sequence[str],
    *,
    is_widening: bool,
) -> str:
    if is_narrowed(before, after):
        return "opted_out"
    if is_widening:
        return "opted_in"
    if set(withheld) != set(applied.withheld):
        return "medium_withheld" if set(withheld) - set(applied.withheld) else "medium_freed"
    return "source_changed"
