"""Where the fake CRM.COM sends webhooks of orders: entered by hand, as at the real one."""

from urllib.parse import quote

from crm_pipeline.cli.demo.state import SLUGS, Ports, hook_secret
from crm_pipeline.cli.demo.vendors import Vendors


def tell_crm_com(vendors: Vendors, ports: Ports) -> None:
    """Enter the receiver's address for each organisation. Raises TryLaterError."""
    for slug in SLUGS:
        secret = quote(hook_secret("CRM_COM", slug), safe="")
        url = f"{ports.receiver_url}/webhooks/crm-com/{slug}/{secret}"
        vendors.do("crm_com", "hooks/subscribe", organisation=slug, url=url)
