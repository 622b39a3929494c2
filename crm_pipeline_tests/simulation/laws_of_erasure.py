"""Laws of erasure: nobody who was erased comes back, and nothing of them is found (I11)."""

import json
from typing import Any

from crm_pipeline_tests.simulation.erasures import Asked
from crm_pipeline_tests.simulation.organisation import Organisation
from crm_pipeline_tests.simulation.people import Contacts
from crm_pipeline_tests.simulation.witness import Witness

#: A shorter text is found by chance.
_SHORTEST = 6


def safety(
    organisation: Organisation, contacts: list[dict[str, Any]], purchases: list[dict[str, Any]]
) -> list[str]:
    """Return who is erased and is somebody in the CRM, or bought something there since."""
    erasures = organisation.erasures
    assert erasures is not None
    wrong = []
    for asked in erasures.done():
        for contact in contacts:
            if contact["code"] == asked.code and not _is_anonymous(contact):
                wrong.append(f"{asked.code} was erased and is in the CRM")
            if contact["code"] != asked.code and _names_id(contact, asked):
                wrong.append(f"{asked.code} was erased and came back as {contact['code']}")
        since = {
            each["reference_number"]
            for each in purchases
            if (each["contact"] or {}).get("code") == asked.code
        } - (asked.bought or frozenset())
        wrong += [f"{asked.code} was erased, and {number} came since" for number in sorted(since)]
    return wrong


def _is_anonymous(contact: dict[str, Any]) -> bool:
    return bool(
        contact["first_name"] == contact["last_name"] == "Erased"
        and not (contact["email"] or contact["phone"] or contact["tags"])
        and contact["email_opt_out"]
        and contact["sms_opt_out"]
        and not any(each["value"] for each in contact["custom_fields"])
    )


def _names_id(contact: dict[str, Any], asked: Asked) -> bool:
    said = json.dumps({name: value for name, value in contact.items() if name != "id"}, default=str)
    return any(each in said for each in (*asked.customers, *asked.people))


def is_heir(organisation: Organisation, person: dict[str, Any]) -> bool:
    """Whether a customer has an address or number that was an erased person's alone.

    What the erased one refused holds for the next holder, until they say yes anew.
    """
    erasures = organisation.erasures
    return erasures is not None and erasures.inherited_at(person) is not None


def liveness(witness: Witness, found: Contacts) -> list[str]:
    """Return erasures that did not end, heirs who are open, and every trace of the erased."""
    organisation = witness.organisation
    erasures = organisation.erasures
    assert erasures is not None
    wrong = [
        f"the erasure of {each.code} is open" for each in erasures.waiting() if not each.is_nobody
    ]
    wrong += _open_heirs(witness, found)
    if erasures.done():
        wrong += erasures.found_in_files(identifiers(witness))
    return wrong


def _open_heirs(witness: Witness, found: Contacts) -> list[str]:
    """Return the heirs of an erased one's address who are open and did not say yes since."""
    organisation = witness.organisation
    erasures = organisation.erasures
    assert erasures is not None
    wrong = []
    for person in organisation.people():
        contact = found.by_code.get(found.code_of(person["id"]))
        began = erasures.inherited_at(person)
        if contact is None or began is None:
            continue
        said = witness.yes_at.get(person["id"])
        is_open = not (contact["email_opt_out"] and contact["sms_opt_out"])
        if is_open and (said is None or said < began):
            wrong.append(f"{contact['code']} has an erased one's address, and is open")
    return wrong


def identifiers(witness: Witness) -> list[str]:
    """Return everything that names erased people and nobody else, whenever it was shown."""
    organisation = witness.organisation
    erasures = organisation.erasures
    assert erasures is not None
    done = erasures.done()
    members = {("loke", who) for each in done for who in each.customers}
    members |= {("sopost", who) for each in done for who in each.people}
    others = [values for who, values in witness.shown.items() if who not in members]
    taken = [text.casefold() for values in others for some in values.values() for text in some]
    shown = {text for some in witness.values(members).values() for text in some}
    media = {text for text in shown if not any(text.casefold() in each for each in taken)}
    records = {each["id"] for each in organisation.payments() if _buyer(each) in members}
    if organisation.samples is not None:
        orders = organisation.samples.orders()
        records |= {each.id for each in orders if ("sopost", each.body["identity"]) in members}
    crm_ids = {crm_id for each in done for crm_id in each.crm_ids}
    names = {who for _, who in members}
    return sorted(text for text in media | records | crm_ids | names if len(text) >= _SHORTEST)


def _buyer(payment: dict[str, Any]) -> tuple[str, str]:
    return "loke", str((payment.get("customer") or {}).get("id", ""))
