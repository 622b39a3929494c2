"""Products, families, brands and classifications: kept by id and by their outside name.

Here: identity and values. Not here: the form of bodies, the process of a synchronisation.
"""

import dataclasses
import random
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from crm_pipeline.sandbox.crm_com.contacts import new_id

Origin = Literal["synchronised", "purchase", "order"]


class NameStore:
    """Things that are no more than a name with an id."""

    def __init__(self, chance: random.Random) -> None:
        """Start empty."""
        self._chance = chance
        self._by_name: dict[str, str] = {}
        self._by_id: dict[str, str] = {}

    def ensure(self, name: str) -> str:
        """Return the id of a name; a new one is made."""
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = new_id(self._chance)
            self._by_id[found] = name
        return found

    def name_of(self, thing_id: str) -> str | None:
        """Return the name of an id."""
        return self._by_id.get(thing_id)

    def shown(self, thing_id: str | None) -> dict[str, str] | None:
        """Return id and name, as the API shows them."""
        if thing_id is None:
            return None
        return {"id": thing_id, "name": self._by_id[thing_id]}

    def all(self) -> list[dict[str, str]]:
        """Return ids and names in the order in which they were made."""
        return [{"id": each, "name": name} for each, name in self._by_id.items()]


@dataclasses.dataclass(slots=True, kw_only=True)
class Product:
    """One product. ``sku`` is its key; ``price`` is in major units, as sent."""

    id: str
    sku: str
    name: str
    origin: Origin
    created_on: int
    updated_on: int
    description: str = ""
    family_id: str | None = None
    brand_id: str | None = None
    type_id: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    tax_rate: Decimal | None = None


class Catalogue:
    """The products of one business."""

    def __init__(self, seed: str) -> None:
        """Start empty."""
        self._chance = random.Random(seed)
        self._by_id: dict[str, Product] = {}
        self._by_sku: dict[str, Product] = {}
        self.families = NameStore(self._chance)
        self.brands = NameStore(self._chance)
        self.types = NameStore(self._chance)
        self.classifications = NameStore(self._chance)

    def __len__(self) -> int:
        """Count the products."""
        return len(self._by_id)

    def find(self, reference: str) -> Product | None:
        """Return a product by id or by SKU."""
        return self._by_id.get(reference) or self._by_sku.get(reference)

    def with_sku(self, sku: str) -> Product | None:
        """Return a product by SKU."""
        return self._by_sku.get(sku)

    def ensure(
        self, sku: str, *, name: str | None, family_id: str | None, origin: Origin, now: int
    ) -> Product:
        """Return the product of a SKU; an unknown one is made and a known one stays as it is."""
        found = self._by_sku.get(sku)
        if found is None:
            found = Product(
                id=new_id(self._chance),
                sku=sku,
                name=name or sku,
                origin=origin,
                created_on=now,
                updated_on=now,
                family_id=family_id,
            )
            self._by_id[found.id] = self._by_sku[sku] = found
        return found

    def oldest_first(self) -> Iterable[Product]:
        """Return all products in the order in which they were made."""
        return self._by_id.values()
