"""One organisation's settings as a live point of sale on CRM.COM."""

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Limits
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.settings import SecretReader, SecretReference

if TYPE_CHECKING:
    from crm_pipeline.pos import PointOfSale
    from crm_pipeline.wiring.runtime import Runtime

#: The destination whose account a point of sale works on.
CRM_COM = "crm_com"
#: Leases of references share this many names, so that the ledger does not grow with every sale.
_LEASES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PosDefaults:
    """What an organisation's file says about sales. ``tax_rate`` None: lines say it themselves."""

    currency: str
    tax_rate: Decimal | None


def pos_defaults(runtime: "Runtime", slug: str) -> PosDefaults:
    """Return an organisation's currency and the tax that its prices include."""
    runtime.organisation(slug)
    organisation = runtime.loaded.organisations[slug]
    rate = organisation.purchases.tax_rate if organisation.purchases else None
    return PosDefaults(
        currency=organisation.currency, tax_rate=None if rate is None else Decimal(str(rate))
    )


@contextmanager
def connect_pos(runtime: "Runtime", slug: str) -> "Iterator[PointOfSale]":
    """Give the point of sale of an organisation for a block.

    Two processes with the same reference take turns by a lease in the ledger. Raises
    ConfigurationError when the organisation is unknown, paused, or has no CRM.COM account.
    """
    from crm_pipeline.pos import PointOfSale  # noqa: PLC0415  loads the clients
    from crm_pipeline.store.ledger import this_process  # noqa: PLC0415
    from crm_pipeline.sync.run import require_active  # noqa: PLC0415

    require_active(runtime.workspace, runtime.organisation(slug))
    waits = runtime.settings.waits

    def hold(name: str) -> AbstractContextManager[object]:
        lease = f"pos:{slug}:{zlib.crc32(name.encode()) % _LEASES}"
        return runtime.ledger.leases.hold(lease, this_process(), waits.lease_seconds)

    currency = pos_defaults(runtime, slug).currency
    with PointOfSale(pos_connection(runtime, slug), currency=currency, hold=hold) as pos:
        yield pos


def pos_connection(runtime: "Runtime", slug: str) -> DestinationConnection:
    """Return how to reach an organisation's CRM.COM account. Raises ConfigurationError."""
    runtime.organisation(slug)
    account = runtime.loaded.organisations[slug].destinations.get(CRM_COM)
    if account is None:
        raise ConfigurationError(
            f"{slug} has no destination {CRM_COM}.",
            not_done="Nothing was sent.",
            remedy="Add it to the organisation's file: a point of sale works on that account.",
        )
    return DestinationConnection(
        organisation=slug,
        base_url=account.base_url,
        api_key=_secret(runtime, slug, account.api_key, f"destinations.{CRM_COM}.api_key"),
        limits=Limits(concurrency=account.limits.concurrency),
        waits=runtime.settings.waits,
        conflict=account.conflict,
        options={},
    )


def read_otp(runtime: "Runtime", slug: str, variable: str) -> str:
    """Return a one-time password from a variable, so that it is in no run configuration.

    Raises ConfigurationError for what is no name of a variable, SecretMissingError for an empty
    one.
    """
    try:
        reference = SecretReference(env=variable)
    except ValueError:
        raise ConfigurationError(
            "The one-time password must be named, not written out: `otp_env` takes the name of a"
            " variable, such as POS_OTP.",
            not_done="Nothing was sent.",
        ) from None
    return _secret(runtime, slug, reference, "otp_env")()


def _secret(runtime: "Runtime", slug: str, reference: SecretReference, field: str) -> SecretReader:
    return SecretReader(
        reference,
        runtime.settings.environment,
        organisation=slug,
        field=field,
        source_file=runtime.loaded.files[slug],
    )
