"""Columns and their lineage, from a CRM's field back to the field of the source.

Definition metadata: the same for every organisation, so it is told once and not with each event.
Everything follows from the specs of sources and destinations and from ``origins``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from crm_pipeline.core.ports import (
    ColumnSpec,
    DatasetSpec,
    DestinationSpec,
    FieldSpec,
    ObjectKind,
    SourceSpec,
)
from crm_pipeline.defs.origins import (
    COLUMN_ORIGINS,
    Origins,
    contact_column_origins,
    field_origins,
)
from crm_pipeline.defs.shape import CONTACTS, DESIRED, MEMBERSHIPS, PRODUCTS, PURCHASES
from crm_pipeline.sources import load_sources
from crm_pipeline.sync.plan.rows import PLAN_SCHEMA
from crm_pipeline.sync.verify import DRIFT_SCHEMA

Definition = Mapping[str, Any]

#: The desired asset that holds a kind of object, and how its fields are called there.
HELD = {
    "contact": (CONTACTS, "fields."),
    "membership": (MEMBERSHIPS, "fields."),
    "purchase": (PURCHASES, "fields."),
    "refund": (PURCHASES, "refund.fields."),
    "product": (PRODUCTS, "fields."),
}


def landed_columns(source: SourceSpec, dataset: DatasetSpec) -> Definition:
    """Describe a landed dataset: each column, and the field of the source that it holds."""
    return {
        **schema(
            dg.TableColumn(column.name, column.type, described(column))
            for column in dataset.columns
        ),
        "documentation": dg.MetadataValue.url(source.documentation_url),
    }


def described(column: ColumnSpec) -> str:
    """Return a column's meaning and where it comes from.

    >>> described(ColumnSpec(name="dob", type="text", description="Born.", source_field="dob"))
    'Born. Source field: `dob`.'
    """
    origin = f" Source field: `{column.source_field}`." if column.source_field else ""
    return column.description + origin


def origin_of(columns: Iterable[tuple[str, str]]) -> str:
    """Say in words where a field comes from: the open-source UI draws no lineage of columns.

    >>> origin_of([("loke/customers", "phone_number")])
    'From loke/customers `phone_number`, LOKE field `phoneNumber`.'
    """
    return " ".join(_origin(*each) for each in columns)


def _origin(asset: str, column: str) -> str:
    source_name, dataset = asset.split("/")
    source = load_sources()[source_name]
    fields = {each.name: each.source_field for each in source.datasets[dataset].columns}
    field = fields.get(column)
    return f"From {asset} `{column}`" + (f", {source.title} field `{field}`." if field else ".")


def schema(columns: Iterable[dg.TableColumn]) -> Definition:
    """Return a column schema under the name that the UI knows."""
    return {"dagster/column_schema": dg.TableSchema(columns=list(columns))}


def lineage(columns: Mapping[str, Iterable[tuple[dg.AssetKey, str]]]) -> Definition:
    """Return a column lineage under the name that the UI knows."""
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                name: [dg.TableColumnDep(asset_key=key, column_name=column) for key, column in deps]
                for name, deps in columns.items()
            }
        )
    }


def contact_columns() -> Definition:
    """Describe the desired contacts; each member of ``fields`` is a column of its own here."""
    return _desired_columns(CONTACT_MEANINGS, contact_column_origins(), ("contact",))


def object_columns(name: str, *kinds: str) -> Definition:
    """Describe desired objects that are no people, made of some kinds of a CRM's objects."""
    names = ("key", "source_id", "version_at", "fingerprint", "fields", "issues", "batch")
    meanings = {name: CONTACT_MEANINGS[name] for name in names} | OBJECT_MEANINGS
    return _desired_columns(meanings, COLUMN_ORIGINS[name], kinds)


def _desired_columns(
    meanings: Mapping[str, str], origins: Origins, kinds: Iterable[str]
) -> Definition:
    members = {
        f"{HELD[kind][1]}{name}": behind
        for kind in kinds
        for name, behind in field_origins()[kind].items()
    }
    texts = {name: f"Member of `fields`. {origin_of(behind)}" for name, behind in members.items()}
    landed = {
        name: [(dg.AssetKey(asset.split("/")), column) for asset, column in behind]
        for name, behind in {**origins, **members}.items()
    }
    return {
        **schema(
            dg.TableColumn(name, "text", text) for name, text in {**meanings, **texts}.items()
        ),
        **lineage(landed),
    }


def held_by(spec: DestinationSpec) -> list[dg.AssetKey]:
    """Return the desired assets whose objects a CRM can hold."""
    assets = {HELD[kind.name][0] for kind in spec.kinds}
    return [asset for asset in DESIRED if asset in assets]


def plan_columns(spec: DestinationSpec) -> Definition:
    """Describe a plan: its rows, and for each CRM field the desired column behind it."""
    held = held_by(spec)
    return {
        **schema(
            dg.TableColumn(field.name, str(field.type), PLAN_MEANINGS[field.name])
            for field in PLAN_SCHEMA
        ),
        **lineage(
            {
                "after": [(asset, "fields") for asset in held],
                "withheld": [(CONTACTS, "fields")] if CONTACTS in held else [],
                **{
                    name: [(asset, name) for asset in held]
                    for name in ("fingerprint", "key", "version_at")
                },
                **{
                    column: [(HELD[kind.name][0], f"{HELD[kind.name][1]}{name}")]
                    for kind in spec.kinds
                    for column, name in _columns_of(kind).items()
                },
            }
        ),
        "documentation": dg.MetadataValue.url(spec.documentation_url),
    }


def applied_columns(spec: DestinationSpec) -> Definition:
    """Describe what a CRM acknowledged: one column for each field that it can hold."""
    plan = dg.AssetKey([spec.name, "plan"])
    origins = field_origins()
    columns = {
        column: (kind.fields[name], origin_of(origins[kind.name].get(name, ())))
        for kind in spec.kinds
        for column, name in _columns_of(kind).items()
    }
    return {
        **schema(
            dg.TableColumn(column, field.type, f"{field.description} {origin}".strip())
            for column, (field, origin) in columns.items()
        ),
        **lineage({column: [(plan, column)] for column in columns}),
        "documentation": dg.MetadataValue.url(spec.documentation_url),
    }


def fields_of(spec: DestinationSpec) -> Mapping[str, FieldSpec]:
    """Return the fields of all that a CRM holds, under the names of their columns."""
    return {
        column: kind.fields[name]
        for kind in spec.kinds
        for column, name in _columns_of(kind).items()
    }


def _columns_of(kind: ObjectKind) -> Mapping[str, str]:
    """Return the fields of a kind by column: those of contacts as they are, others with the kind.

    >>> tags = FieldSpec(name="tags", type="text", description="")
    >>> _columns_of(
    ...     ObjectKind(name="membership", table="", title="", fields={"tags": tags}, calls_for={})
    ... )
    {'membership.tags': 'tags'}
    """
    start = "" if kind.name == "contact" else f"{kind.name}."
    return {f"{start}{name}": name for name in kind.fields}


def drift_columns(spec: DestinationSpec) -> Definition:
    """Describe drift: what was written, what is wanted, what is there."""
    applied = dg.AssetKey([spec.name, "applied"])
    every_field = [(applied, name) for name in fields_of(spec)]
    wanted = [(asset, "fields") for asset in held_by(spec)]
    return {
        **schema(
            dg.TableColumn(field.name, str(field.type), DRIFT_MEANINGS[field.name])
            for field in DRIFT_SCHEMA
        ),
        **lineage({"wrote": every_field, "found": every_field, "wanted": wanted}),
        "documentation": dg.MetadataValue.url(spec.documentation_url),
    }


CONTACT_MEANINGS = {
    "key": "Our name of the person, such as loke:01HRP5E5X8V37E3S3E28JT97KB; never changes.",
    "source_id": "The source's own id.",
    "version_at": "The source's own time of this version.",
    "fingerprint": "Fingerprint of `fields`.",
    "fields": "The whole desired contact, as canonical JSON.",
    "issues": "Codes of what could not be used as it came.",
    "email": "Normal form of the e-mail address; null when there is none.",
    "phone": "Normal form of the phone number; null when there is none.",
    "email_opt_out": "True: no marketing by e-mail.",
    "sms_opt_out": "True: no marketing by text message.",
    "batch": "Number of the resolve that wrote the row.",
}
OBJECT_MEANINGS = {
    "key": "Our name of the object; never changes.",
    "fields": "The whole desired object, as canonical JSON.",
}
PLAN_MEANINGS = {
    "plan_digest": "Name of the plan, by its content.",
    "seq": "Place in the order of sending.",
    "lane": "0 goes first: opt-outs, and media that somebody else needs.",
    "kind": "create, update or archive.",
    "object_kind": "What the CRM calls the object.",
    "key": "Our name of the person, such as loke:01HRP5E5X8V37E3S3E28JT97KB.",
    "crm_id": "The CRM's id; null before the first write.",
    "before": "What the CRM acknowledged last, as JSON; null for a create.",
    "after": "What it should hold, as JSON.",
    "changed": "Fields that are sent.",
    "withheld": "Fields that stay behind: their value belongs to another contact.",
    "reason": "Why the object changes.",
    "fingerprint": "Fingerprint of `after`.",
    "before_fingerprint": "Fingerprint of `before`.",
    "version_at": "The source's own time of this version.",
}
DRIFT_MEANINGS = {
    "verified_at": "When the CRM was read back.",
    "object_kind": "What the CRM calls the object.",
    "key": "Our name of the object; empty when the contact is not ours.",
    "crm_id": "The CRM's id.",
    "kind": "changed, missing or foreign.",
    "field": "The field that differs.",
    "wrote": "What the CRM acknowledged, as JSON.",
    "wanted": "What it should hold now, as JSON.",
    "found": "What it holds, as JSON.",
    "policy": "What a later plan may do with the field.",
}
