"""Laws of samples: whose contact an order is, what of it is in the CRM, whom it may open."""

from collections.abc import Mapping
from typing import Any

from crm_pipeline.sandbox.sopost.orders import Order
from crm_pipeline_tests.simulation.laws_of_erasure import is_heir
from crm_pipeline_tests.simulation.people import Contacts
from crm_pipeline_tests.simulation.samples import PASSED, Samples
from crm_pipeline_tests.simulation.witness import Witness

#: How our custom fields of a sample are called in the CRM.
_IDENTITY, _ORDER, _STATUS = (
    "sopost_identity",
    "sopost_last_order_id",
    "sopost_last_order_status",
)


def safety(witness: Witness, found: Contacts) -> list[str]:
    """Return what samples must never do: reach the CRM unapproved, or as somebody else's."""
    samples = witness.organisation.samples
    assert samples is not None
    orders = {each.id: each for each in samples.orders()}
    erasures = witness.organisation.erasures
    # Whose contact was whose is forgotten before the CRM has done its part.
    going = {each.code for each in erasures.waiting()} if erasures is not None else set()
    wrong = []
    for contact in found.rows:
        fields = _fields(contact)
        if not fields.get(_ORDER) or contact["code"] in going:
            continue
        code, order = contact["code"], orders.get(fields[_ORDER])
        if order is None or not PASSED.intersection(order.history):
            wrong.append(f"{code} has an order that was never approved")
        elif fields.get(_IDENTITY) != order.body["identity"]:
            wrong.append(f"{code} has somebody's order and another one's identity")
        elif order.body["identity"] not in found.members(code)[1]:
            wrong.append(f"{code} has an order of somebody who is another contact")
    return wrong + _joined_wrongly(witness, found)


def _joined_wrongly(witness: Witness, found: Contacts) -> list[str]:
    """Return contacts that are two people who never had an e-mail address in common."""
    wrong = []
    for code in dict.fromkeys([*found.persons.values(), *found.by_code]):
        customers, people = found.members(code)
        if not people:
            continue
        mails = [witness.values([("loke", each)])["email"] for each in customers]
        mails += [witness.values([("sopost", each)])["email"] for each in people]
        if any(not each.intersection(*_others(mails, place)) for place, each in enumerate(mails)):
            wrong.append(f"{code} is two people without an address in common")
    return wrong


def _others(mails: list[set[str]], place: int) -> list[set[str]]:
    others = [*mails[:place], *mails[place + 1 :]]
    return [set().union(*others)] if others else []


def liveness(witness: Witness, found: Contacts) -> list[str]:
    """Return every difference between approved orders that were told of and the CRM at quiet."""
    organisation = witness.organisation
    samples = organisation.samples
    assert samples is not None
    erasures = organisation.erasures
    stones = erasures.stones() if erasures is not None else None
    gone = erasures.gone()[1] if erasures is not None else frozenset()
    doubtful = {
        each.reject.key for each in organisation.world.ledger.rejects.list(organisation.slug)
    }
    told: dict[str, list[Order]] = {}
    wrong = []
    for who in samples.people():
        if who in gone or (stones is not None and stones.has("sopost/person", who)):
            continue
        approved = _surely_approved(samples, who)
        code = found.persons.get(who)
        if code is None and approved and f"sopost:{who}" not in doubtful:
            wrong.append(f"sopost:{who} is nobody's contact")
        if code is not None:
            told.setdefault(code, []).extend(approved)
    for code, approved in told.items():
        if code in organisation.undone:
            continue
        wrong += _wrong_contact(witness, found, code, approved)
    return wrong + _strangers(samples, found, gone)


def _wrong_contact(
    witness: Witness, found: Contacts, code: str, approved: list[Order]
) -> list[str]:
    organisation = witness.organisation
    samples = organisation.samples
    assert samples is not None
    contact = found.by_code.get(code)
    if contact is None:
        return [f"{code} is missing"]
    fields, wrong = _fields(contact), []
    customers, people = found.members(code)
    orders = {each.id: each for who in people for each in samples.orders(who)}
    shown = orders.get(fields.get(_ORDER) or "")
    if approved and shown is None:
        wrong.append(f"{code} shows no order")
    # A later state of an order that is read no more is not known: none is told without a webhook.
    if shown is not None and shown.id in samples.told and fields[_STATUS] != shown.history[-1]:
        wrong.append(f"{code} shows an old state of its order")
    heirs = [*organisation.people(), *samples.people().values()]
    ours = {*customers, *people}
    if any(is_heir(organisation, each) for each in heirs if _who(each) in ours):
        return wrong
    return wrong + _wrong_flags(witness, found, contact, customers, people)


def _wrong_flags(
    witness: Witness,
    found: Contacts,
    contact: dict[str, Any],
    customers: list[str],
    people: list[str],
) -> list[str]:
    """Return which channels are not as everybody's answers want them, where these are plain."""
    samples, code = witness.organisation.samples, str(contact["code"])
    assert samples is not None
    known = {each["id"]: each for each in witness.organisation.people()}
    said = [known[each].get("hasAgreedToMarketing") for each in customers if each in known]
    wrong = []
    if False in said and not (contact["email_opt_out"] and contact["sms_opt_out"]):
        wrong.append(f"{code} is open, and LOKE says no")
    if code in witness.closed_at or witness.refused.intersection(customers):
        return wrong
    is_yes = True in said
    is_granted = any(
        samples.is_granted(order) for who in people for order in _surely_approved(samples, who)
    )
    may_be = any(samples.is_granted(order) for who in people for order in samples.orders(who))
    if is_granted == may_be and contact["email_opt_out"] is (is_yes or is_granted):
        wrong.append(f"{code}: email_opt_out")
    if contact["sms_opt_out"] is is_yes:
        wrong.append(f"{code}: sms_opt_out")
    return wrong


def _strangers(samples: Samples, found: Contacts, gone: frozenset[str]) -> list[str]:
    """Return contacts of people who never ordered anything that was approved."""
    wrong = []
    for code in found.by_code:
        if code.startswith("sopost:") and code.removeprefix("sopost:") not in gone:
            orders = samples.orders(code.removeprefix("sopost:"))
            if not any(PASSED.intersection(each.history) for each in orders):
                wrong.append(f"{code} should not exist")
    return wrong


def _surely_approved(samples: Samples, who: str) -> list[Order]:
    """Return a person's orders that were told of and are approved by now, in whatever state.

    An order that went on before we read it as approved may have been missed as such.
    """
    return [
        each
        for each in samples.orders(who)
        if each.id in samples.told and each.history[-1] in PASSED
    ]


def is_beyond_loke(
    told: str, people: list[dict[str, Any]], keys: Mapping[str, str], found: Contacts
) -> bool:
    """Whether a difference is none, by what LOKE alone does not tell.

    Somebody who ordered has the channels that all their answers give (``_wrong_flags``). A customer
    lacks an e-mail when a contact with a smaller key, nobody's customer, has it.
    """
    code, _, name = told.rpartition(": ")
    if name == "opt_out":
        return bool(found.members(keys.get(code, code))[1])
    if name != "email":
        return False
    mine = {f"loke:{each['id']}": str(each.get("email")).strip().lower() for each in people}
    smaller = (each for each in found.rows if each["code"] < keys.get(code, code))
    return any((each["email"] or "").lower() == mine.get(code) for each in smaller)


def _who(person: dict[str, Any]) -> str:
    return str(person.get("identity") or person["id"])


def _fields(contact: dict[str, Any]) -> dict[str, str]:
    fields = contact["custom_fields"]
    assert isinstance(fields, list)
    return {each["key"]: each["value"] for each in fields}
