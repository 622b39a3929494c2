"""Products and their synchronisation: row by row, with failed rows under an OK status."""

from typing import Any

from crm_pipeline.sandbox.classic.envelope import (
    EXISTS,
    INVALID,
    Data,
    RefusedError,
    needed,
    one_key,
)
from crm_pipeline.sandbox.classic.participants import hex_id

#: Takes the place of a product that nobody knows.
DEFAULT_CODE = "DEFAULT-PRODUCT"
_KEYS = ("id", "code", "alternative_code")
_KEPT = ("alternative_code", "description", "category", "bundle_code")
_REFERENCES = {
    "family_identifier": ("id", "name", "code"),
    "brand_identifier": ("id", "name", "alternative_code"),
    "type_identifier": ("id", "name", "alternative_code"),
}


class Products:
    """The products behind one key, by code."""

    def __init__(self, seed: str) -> None:
        """Start with the default product only."""
        self._seed = seed
        self._by_code: dict[str, Data] = {DEFAULT_CODE: self._made(DEFAULT_CODE)}

    def get(self, code: str) -> Data | None:
        """Return a product."""
        return self._by_code.get(code)

    def codes(self) -> list[str]:
        """Return all codes but the default product's."""
        return [code for code in self._by_code if code != DEFAULT_CODE]

    def sold(self, identifier: Any) -> Data:
        """Return a line's product; an unknown one is replaced by the default product."""
        key, value = one_key(identifier, "product_identifier", _KEYS)
        found = next((e for e in self._by_code.values() if e.get(key) == value), None)
        if found is not None:
            return {"product": {"id": found["id"], "code": found["code"]}}
        default = self._by_code[DEFAULT_CODE]
        return {
            "product": {"id": default["id"], "code": default["code"]},
            "intended_product_identifier": key,
            "intended_product_value": value,
        }

    def synchronise(self, rows: list[Data], *, may_update: bool) -> Data:
        """Create and update products; each row ends in one of the two sets."""
        processed, unprocessed = [], []
        for row in rows:
            try:
                processed.append(self._take(row, may_update=may_update))
            except RefusedError as error:
                unprocessed.append(
                    {
                        "request_code": row.get("code"),
                        "error_code": error.code,
                        "error_description": error.description,
                    }
                )
        return {"processed_products_set": processed, "unprocessed_products_set": unprocessed}

    def _take(self, row: Data, *, may_update: bool) -> Data:
        code = needed(row, "code")
        if not isinstance(code, str):
            raise RefusedError(INVALID, "code")
        if code in self._by_code and not may_update:
            raise RefusedError(EXISTS, "The product exists and updates are not enforced.")
        changes = {name: row[name] for name in _KEPT if name in row}
        for member, known in _REFERENCES.items():
            if row.get(member) is not None:
                changes[member] = one_key(row[member], member, known)[1]
        if not isinstance(changes.get("description", ""), str):
            raise RefusedError(INVALID, "description")
        product = self._by_code.setdefault(code, self._made(code))
        product.update(changes)
        return {"request_code": code, "id": product["id"], "code": code, "message": ""}

    def _made(self, code: str) -> Data:
        return {"id": hex_id(f"{self._seed}:product:{code}"), "code": code}
