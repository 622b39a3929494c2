"""Columns and their lineage, from a CRM's field back to the field of the source.

Definition metadata: the same for every organisation, so it is told once and not with each event.
Everything follows from the specs of sources and destinations and from the default mapping.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from crm_pipeline.core.mapping import DEFAULT_LOKE_CUSTOMER, column_lineage
from crm_pipeline.core.ports import ColumnSpec, DatasetSpec, DestinationSpec, FieldSpec, SourceSpec
from crm_pipeline.defs.shape import CONTACTS
from crm_pipeline.sources.loke.customers import CUSTOMERS
from crm_pipeline.sync.plan.rows import PLAN_SCHEMA
from crm_pipeline.sync.verify import DRIFT_SCHEMA

Definition = Mapping[str, Any]


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


def origin_of(columns: Iterable[str]) -> str:
    """Say in words where a field comes from: the open-source UI draws no lineage of columns.

    >>> origin_of(["phone_number"])
    'From loke/customers `phone_number`, LOKE field `phoneNumber`.'
    """
    fields = {column.name: column.source_field for column in CUSTOMERS.columns}
    return " ".join(
        f"From loke/customers `{name}`, LOKE field `{fields.get(name, name)}`." for name in columns
    )


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
    origins = column_lineage(DEFAULT_LOKE_CUSTOMER)
    members = {f"fields.{target}": sources for target, sources in origins.items()}
    columns = {
        **CONTACT_MEANINGS,
        **{name: f"Member of `fields`. {origin_of(sources)}" for name, sources in members.items()},
    }
    behind = {**CONTACT_ORIGINS, **members}
    return {
        **schema(dg.TableColumn(name, "text", meaning) for name, meaning in columns.items()),
        **lineage(
            {name: [(LOKE_CUSTOMERS, each) for each in sources] for name, sources in behind.items()}
        ),
    }


def object_columns(origins: Mapping[str, Iterable[tuple[str, str]]]) -> Definition:
    """Describe desired objects that are no people; ``origins`` by column: asset and column."""
    names = ("key", "source_id", "version_at", "fingerprint", "fields", "issues", "batch")
    meanings = {name: CONTACT_MEANINGS[name] for name in names} | OBJECT_MEANINGS
    return {
        **schema(dg.TableColumn(name, "text", meaning) for name, meaning in meanings.items()),
        **lineage(
            {
                column: [(dg.AssetKey(asset.split("/")), name) for asset, name in behind]
                for column, behind in origins.items()
            }
        ),
    }


def purchase_origins() -> Mapping[str, Iterable[tuple[str, str]]]:
    """Return the columns of payments behind each member of a purchase."""
    members = {
        "reference_number": ("id",),
        "contact_key": ("customer_id",),
        "date": ("completed_at",),
        "currency": ("currency",),
        "total": ("total",),
        "lines": ("items",),
        "organisation_id": ("location_id",),
    }
    return {
        "key": [("loke/payments", "id")],
        "version_at": [("loke/payments", "changed_at")],
        **{
            f"fields.{name}": [("loke/payments", column) for column in columns]
            for name, columns in members.items()
        },
    }


def plan_columns(spec: DestinationSpec) -> Definition:
    """Describe a plan: its rows, and for each CRM field the contact's column behind it."""
    return {
        **schema(
            dg.TableColumn(field.name, str(field.type), PLAN_MEANINGS.get(field.name, ""))
            for field in PLAN_SCHEMA
        ),
        **lineage(
            {
                "after": [(CONTACTS, "fields")],
                "withheld": [(CONTACTS, "fields")],
                "fingerprint": [(CONTACTS, "fingerprint")],
                "key": [(CONTACTS, "key")],
                "version_at": [(CONTACTS, "version_at")],
                **{name: [(CONTACTS, f"fields.{name}")] for name in fields_of(spec)},
            }
        ),
        "documentation": dg.MetadataValue.url(spec.documentation_url),
    }


def applied_columns(spec: DestinationSpec) -> Definition:
    """Describe what a CRM acknowledged: one column for each field that it can hold."""
    plan = dg.AssetKey([spec.name, "plan"])
    origins = column_lineage(DEFAULT_LOKE_CUSTOMER)
    return {
        **schema(
            dg.TableColumn(
                field.name,
                field.type,
                f"{field.description} {origin_of(origins.get(field.name, ()))}".strip(),
            )
            for field in fields_of(spec).values()
        ),
        **lineage({name: [(plan, name)] for name in fields_of(spec)}),
        "documentation": dg.MetadataValue.url(spec.documentation_url),
    }


def fields_of(spec: DestinationSpec) -> Mapping[str, FieldSpec]:
    """Return the fields of a CRM's contacts, or of all that it holds when it has none."""
    kinds = [kind for kind in spec.kinds if kind.name == "contact"] or list(spec.kinds)
    return {name: field for kind in kinds for name, field in kind.fields.items()}


def drift_columns(spec: DestinationSpec) -> Definition:
    """Describe drift: what was written, what is wanted, what is there."""
    applied = dg.AssetKey([spec.name, "applied"])
    every_field = [(applied, name) for name in fields_of(spec)]
    return {
        **schema(
            dg.TableColumn(field.name, str(field.type), DRIFT_MEANINGS.get(field.name, ""))
            for field in DRIFT_SCHEMA
        ),
        **lineage({"wrote": every_field, "found": every_field, "wanted": [(CONTACTS, "fields")]}),
        "documentation": dg.MetadataValue.url(spec.documentation_url),
    }


LOKE_CUSTOMERS = dg.AssetKey(["loke", "customers"])
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
CONTACT_ORIGINS = {
    "key": ("id",),
    "source_id": ("id",),
    "version_at": ("updated_at",),
    "email": ("email",),
    "phone": ("phone_number",),
    "email_opt_out": (DEFAULT_LOKE_CUSTOMER.consent_source,),
    "sms_opt_out": (DEFAULT_LOKE_CUSTOMER.consent_source,),
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
    "key": "Our name of the person; null when the contact is not ours.",
    "crm_id": "The CRM's id.",
    "kind": "changed, missing or foreign.",
    "field": "The field that differs.",
    "wrote": "What the CRM acknowledged, as JSON.",
    "wanted": "What it should hold now, as JSON.",
    "found": "What it holds, as JSON.",
    "policy": "What a later plan may do with the field.",
}
