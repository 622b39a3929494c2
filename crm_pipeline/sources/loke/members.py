"""The list members dataset: who is in which list, one row a list and customer.

LOKE tells of no change of a list: it is read whole, and what is gone is worked out by us. Source of
the shape: LOKE's customer list model.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.lossless import EXTRA_RULE, Kind, Rule, columns_of, schema_of
from crm_pipeline.core.ports import DatasetSpec

#: Column, kind, source field (none: worked out), meaning.
_COLUMNS: tuple[tuple[str, Kind, str, str], ...] = (
    ("id", "text", "", "List and customer: `<list_id>/<customer_id>`."),
    ("list_id", "text", "", "LOKE's id of the list."),
    ("customer_id", "text", "id", "LOKE's id of the customer."),
    ("first_name", "text", "firstName", "First name."),
    ("last_name", "text", "lastName", "Last name."),
    ("email", "text", "email", "E-mail address."),
    ("phone_number", "text", "phoneNumber", "Phone number with plus and dialling code."),
    ("added_at", "text", "addedAt", "When the customer was added, as LOKE wrote it."),
    ("is_member", "flag", "", "Whether the customer is in the list; false for a removal."),
    ("changed_at", "text", "", "When they were added, or when we saw that they were gone."),
)

RULES = tuple(
    Rule(column=column, kind=kind, paths=(path,) if path else (), description=description)
    for column, kind, path, description in _COLUMNS
)

LIST_MEMBERS = DatasetSpec(
    name="list_members",
    description="The members of the chosen lists, one row a list, customer and version.",
    columns=columns_of((*RULES, EXTRA_RULE)),
    schema=schema_of((*RULES, EXTRA_RULE)),
    page_size=1000,
    version_column="changed_at",
    reading="lists",
)


def derive(columns: Mapping[str, pa.Array], list_id: str) -> dict[str, pa.Array]:
    """Return the columns that are worked out from others, for members of one list."""
    customers = columns["customer_id"]
    lists = pa.array([list_id] * len(customers), pa.string())
    return {
        "id": pc.binary_join_element_wise(lists, customers, "/"),
        "list_id": lists,
        "is_member": pa.array([True] * len(customers), pa.bool_()),
        "changed_at": columns["added_at"],
    }
