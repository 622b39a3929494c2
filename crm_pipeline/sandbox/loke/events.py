"""What LOKE's webhooks say. No event has an id, a time or an attempt counter: LOKE's have none.

Here: payloads. Not here: who gets them (``subscriptions``), when (``vendor``).
"""

from typing import Any

from crm_pipeline.sandbox.loke.customers import tiny
from crm_pipeline.sandbox.loke.places import Location
from crm_pipeline.sandbox.loke.switches import LokeSwitches, dressed
from crm_pipeline.sandbox.settings import SandboxOrganisation

Payload = dict[str, Any]


def envelope(event: str, organisation: SandboxOrganisation) -> Payload:
    """Return what every event begins with."""
    return {"event": event, "organization": {"id": organisation.id, "name": organisation.name}}


def customer_part(customer: Payload, switches: LokeSwitches) -> Payload:
    """Return the body of customer.created and customer.updated."""
    shown = dressed(customer, switches)
    if not switches.hook_statistics:
        shown = {name: value for name, value in shown.items() if name != "statistics"}
    return {"customer": shown}


def statistics_part(customer: Payload, switches: LokeSwitches) -> Payload:
    """Return the body of customer.updated-statistics: the customer short, statistics beside it."""
    statistics = dressed(customer, switches).get("statistics", {})
    return {"customer": tiny(customer), "statistics": statistics}


def payment_part(payment: Payload, location: Location | None, switches: LokeSwitches) -> Payload:
    """Return the body of payment.completed and payment.refunded."""
    shown = dressed(payment, switches)
    if not switches.hook_customer:
        shown = {name: value for name, value in shown.items() if name != "customer"}
    return {**_location_part(location, switches), "payment": shown}


def order_part(order: Payload, location: Location | None, switches: LokeSwitches) -> Payload:
    """Return the body of the order events."""
    return {**_location_part(location, switches), "order": dressed(order, switches)}


def _location_part(location: Location | None, switches: LokeSwitches) -> Payload:
    if location is None or not switches.hook_location:
        return {}
    return {"location": {"id": location["id"], "name": location["name"]}}
