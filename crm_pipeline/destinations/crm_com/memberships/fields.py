"""The fields of a membership, and what it costs to send."""

from crm_pipeline.core.ports import FieldSpec, ObjectKind

MEMBERSHIP = "membership"

_FIELDS = {
    "contact_key": "Who carries the tags.",
    "tags": "Ids or names of our tags that must be on the contact: JSON list.",
    "ours": "Ids or names of all tags that we may touch: JSON list.",
}

MEMBERSHIPS = ObjectKind(
    name=MEMBERSHIP,
    table="desired/memberships",
    title="Memberships",
    fields={
        name: FieldSpec(name=name, type="text", description=text) for name, text in _FIELDS.items()
    },
    calls_for={"create": 2, "update": 3},
    is_listed=False,
    references={"contact_key": "contact"},
)
