"""One organisation at the fake LOKE: everything that is kept for it."""

import functools

from crm_pipeline.sandbox.loke.customers import CustomerStore
from crm_pipeline.sandbox.loke.lists import ListStore
from crm_pipeline.sandbox.loke.places import Location, locations_of
from crm_pipeline.sandbox.loke.sales import OrderStore, PaymentStore
from crm_pipeline.sandbox.loke.subscriptions import Subscriptions
from crm_pipeline.sandbox.loke.till import Till
from crm_pipeline.sandbox.people import People
from crm_pipeline.sandbox.settings import SandboxOrganisation


class Tenant:
    """One organisation that has (or had) installed the client.

    Lists, payments and orders are made when somebody first asks for them.
    """

    def __init__(self, organisation: SandboxOrganisation, customers: int, seed: int) -> None:
        """Begin installed, with the first ``customers`` people."""
        self.organisation = organisation
        self.people = People(seed, organisation.id)
        self.store = CustomerStore(self.people, customers)
        self.subscriptions = Subscriptions()
        #: What an organisation that is not installed answers; None while it is installed.
        self.refused_with: int | None = None
        self.pages: dict[tuple[str, ...], tuple[bytes, str | None]] = {}
        self.pages_version = -1
        self._seed = seed

    @functools.cached_property
    def locations(self) -> list[Location]:
        """Return where it sells."""
        return locations_of(self.organisation.id, self.organisation.timezone)

    @functools.cached_property
    def lists(self) -> ListStore:
        """Return its customer lists."""
        return ListStore(self.people, self.store.base_count, self.organisation.lists)

    @functools.cached_property
    def payments(self) -> PaymentStore:
        """Return its payments."""
        return PaymentStore(self._till, self.organisation.payments)

    @functools.cached_property
    def orders(self) -> OrderStore:
        """Return its orders."""
        return OrderStore(self._till, self.organisation.payments)

    @functools.cached_property
    def _till(self) -> Till:
        organisation = self.organisation
        return Till(
            self.people, self.store.base_count, self.locations, organisation.currency, self._seed
        )

    def location(self, location_id: str | None) -> Location | None:
        """Return a location by id."""
        return next((each for each in self.locations if each["id"] == location_id), None)

    def replace_customers(self, customers: int) -> None:
        """Begin again with the first ``customers`` people; webhooks stay subscribed."""
        self.store = CustomerStore(self.people, customers)
        self.pages_version = -1
        for name in ("lists", "payments", "orders", "_till"):
            self.__dict__.pop(name, None)
