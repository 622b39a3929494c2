"""Everything that one kind of key (test or live) of one organisation sees, in one object.

Both generations of the API work on it: the classic one finds people in ``contacts``, moves money
with ``wallets.post`` and reads ``wallets.balance``, and makes and undoes purchases through
``trade``. Amounts are integers in the smallest unit; ``currency`` is the business's own.
"""

from crm_pipeline.sandbox.crm_com.catalogue import Catalogue
from crm_pipeline.sandbox.crm_com.contacts import ContactStore
from crm_pipeline.sandbox.crm_com.orders import OrderBook
from crm_pipeline.sandbox.crm_com.otps import OtpStore
from crm_pipeline.sandbox.crm_com.outlets import Outlet, outlets_of
from crm_pipeline.sandbox.crm_com.purchases import PurchaseStore
from crm_pipeline.sandbox.crm_com.synchronising import Synchroniser
from crm_pipeline.sandbox.crm_com.wallets import WalletStore
from crm_pipeline.sandbox.settings import SandboxOrganisation


class Business:
    """The data behind a key."""

    def __init__(self, organisation: SandboxOrganisation, seed: str) -> None:
        """Start empty; ids are drawn from the seed."""
        self.organisation = organisation
        self.currency = organisation.currency
        self.outlets = outlets_of(organisation)
        self.contacts = ContactStore(seed)
        self.wallets = WalletStore(self.contacts, f"{seed}:wallets")
        self.purchases = PurchaseStore(f"{seed}:purchases")
        self.catalogue = Catalogue(f"{seed}:catalogue")
        self.otps = OtpStore(f"{seed}:otps")
        self.synchroniser = Synchroniser(self.catalogue, self.currency, f"{seed}:processes")
        self.orders = OrderBook(self.wallets, f"{seed}:orders")
        #: Where orders are told of; empty for nowhere.
        self.hook_url = ""

    def outlet(self, reference: str) -> Outlet | None:
        """Return a place by its id."""
        return next((each for each in self.outlets if each.id == reference), None)

    def outlet_at_tap(self, reference: str) -> Outlet | None:
        """Return a place by the id or code of its TAP."""
        return next(
            (each for each in self.outlets if reference in (each.tap_id, each.tap_code)), None
        )
