"""The places of a business: itself and three venues, each with a transaction acquiring point (TAP).

Ids and codes are the same for the test and the live key and in every run, so that a mapping of
locations can be written down.
"""

import dataclasses
import uuid

from crm_pipeline.sandbox.settings import SandboxOrganisation

_VENUES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Outlet:
    """An organisation of CRM.COM. The first one is the business that the key belongs to."""

    id: str
    name: str
    tap_id: str
    tap_code: str


def outlets_of(organisation: SandboxOrganisation) -> tuple[Outlet, ...]:
    """Return the business and its venues.

    >>> bakery = SandboxOrganisation(id="01HB", name="Bakery")
    >>> [(each.name, each.tap_code) for each in outlets_of(bakery)][:2]
    [('Bakery', 'bakery-0'), ('Bakery 1', 'bakery-1')]
    """

    def identity(kind: str, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{organisation.id}:{kind}:{number}"))

    return tuple(
        Outlet(
            identity("organisation", number),
            f"{organisation.name} {number}" if number else organisation.name,
            identity("tap", number),
            f"{organisation.slug}-{number}",
        )
        for number in range(_VENUES + 1)
    )
