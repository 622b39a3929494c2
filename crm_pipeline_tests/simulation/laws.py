"""What must hold: at every moment (safety), and once all is quiet (liveness). Ids: FAULTS.md, 3."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from crm_pipeline_tests.acceptance.oracle import differences, trade_differences
from crm_pipeline_tests.simulation import laws_of_erasure, laws_of_lists, laws_of_samples
from crm_pipeline_tests.simulation.organisation import Organisation
from crm_pipeline_tests.simulation.people import Contacts
from crm_pipeline_tests.simulation.witness import Witness, plain
from crm_pipeline_tests.simulation.world import World

#: What a contact has for a name that it has not, or not any more.
_NOBODYS = {"-", "Erased"}


class Laws:
    """The laws of a world, and the witnesses on whom they rest: one for each organisation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.witnesses = {each.slug: Witness(each) for each in world.organisations}
        self._tagged = laws_of_lists.Tagged(world.main) if world.main.lists else None

    @property
    def main(self) -> Witness:
        """The witness of the organisation to which everything happens."""
        return self.witnesses[self.world.main.slug]

    def look(self) -> None:
        """Let every witness look at what the vendors show now."""
        for witness in self.witnesses.values():
            witness.look()
        if self.world.main.erasures is not None:
            self.world.main.erasures.look()
        if self._tagged is not None:
            self._tagged.look()

    def safety(self) -> list[str]:
        """Return what must never be and is, of every organisation."""
        wrong: list[str] = []
        for witness in self.witnesses.values():
            wrong += [f"{witness.organisation.slug}: {each}" for each in safety(witness)]
        return wrong + (self._tagged.lost() if self._tagged is not None else [])

    def liveness(self, organisation: Organisation) -> list[str]:
        """Return every difference between the sources and the CRM of one organisation at quiet."""
        witness = self.witnesses[organisation.slug]
        return [f"{organisation.slug}: {each}" for each in liveness(witness)]


def safety(witness: Witness) -> list[str]:
    """Return what must never be and is: twice the same contact, a payment counted twice, a yes
    that nobody gave, something that nobody wanted, somebody who was erased.
    """
    organisation = witness.organisation
    found = Contacts(organisation)
    contacts, purchases = found.rows, organisation.desk.purchases()
    codes = Counter(each["code"] for each in contacts)
    wrong = [f"{code} exists {count} times" for code, count in codes.items() if count > 1]
    numbers = Counter(each["reference_number"] for each in purchases)
    wrong += [f"{number} counted {count} times" for number, count in numbers.items() if count > 1]
    paid = {f"loke:{each['id']}" for each in organisation.payments()}
    wrong += [f"{number} was invented" for number in numbers if number not in paid]
    wrong += unheard(witness, found) + unseen(witness, found)
    if organisation.samples is not None:
        wrong += laws_of_samples.safety(witness, found)
    if organisation.erasures is not None:
        wrong += laws_of_erasure.safety(organisation, contacts, purchases)
    return wrong


def unheard(witness: Witness, found: Contacts) -> list[str]:
    """Return the contacts that are open and must not be (I8).

    A contact may be open only if its person said yes at some time, to SMS at LOKE only; after an
    unsubscription that we were shown, or a no that we heard, only if they said yes anew at LOKE.
    """
    wrong = []
    for contact in found.rows:
        code = contact["code"]
        customers, people = found.members(code)
        said = [witness.yes_at[each] for each in customers if each in witness.yes_at]
        is_sms, is_email = not contact["sms_opt_out"], not contact["email_opt_out"]
        if (is_sms and not said) or (
            is_email and not (said or witness.granted.intersection(people))
        ):
            wrong.append(f"{code} is open without any yes")
        if not (is_sms or is_email):
            continue
        last = max(said, default=None)
        closed = witness.closed_at.get(code)
        if closed is not None and (last is None or last < closed):
            wrong.append(f"{code} was opened again after an unsubscription")
        heard = max(
            (witness.no_at[each] for each in customers if each in witness.no_at), default=None
        )
        if heard is not None and (last is None or last < heard):
            wrong.append(f"{code} was opened again after a no at LOKE")
    return wrong


def unseen(witness: Witness, found: Contacts) -> list[str]:
    """Return the contacts with a name, address or number that their person never had (I4, I10)."""
    wrong = []
    for contact in found.rows:
        customers, people = found.members(contact["code"])
        members = [*(("loke", each) for each in customers), *(("sopost", each) for each in people)]
        shown = witness.values(members)
        name, email, phone = contact["first_name"] or "-", contact["email"], contact["phone"]
        if name not in _NOBODYS and plain(name) not in shown["first_name"]:
            wrong.append(f"{contact['code']} has a name that nobody gave")
        if email and plain(email, is_folded=True) not in shown["email"]:
            wrong.append(f"{contact['code']} has an e-mail that is not theirs")
        if phone and not any(each.endswith(phone["number"]) for each in shown["phone"]):
            wrong.append(f"{contact['code']} has a phone that is not theirs")
    return wrong


def liveness(witness: Witness) -> list[str]:
    """Return every difference between the sources and the CRM at quiet.

    Whether somebody who once unsubscribed is open again is a question of safety alone: LOKE does
    not tell everything that they said in between.
    """
    organisation = witness.organisation
    found = Contacts(organisation)
    gone: frozenset[str] = frozenset()
    wrong: list[str] = []
    if organisation.erasures is not None:
        gone, _ = organisation.erasures.gone()
        wrong += laws_of_erasure.liveness(witness, found)
    people = [each for each in organisation.people() if each["id"] not in gone]
    payments = [each for each in organisation.payments() if _buyer(each) not in gone]
    if organisation.samples is not None:
        wrong += laws_of_samples.liveness(witness, found)
    if organisation.lists is not None:
        wrong += laws_of_lists.liveness(organisation, found)
    contacts = found.of_customers()
    keys = {each["code"]: each["known_as"] for each in contacts}
    said = [_said(each, witness, found) for each in people]
    wrong += [
        each
        for each in differences(said, contacts, keys=keys)
        if not laws_of_samples.is_beyond_loke(each, people, keys, found)
        and not _is_undone(each, organisation, keys)
    ]
    return wrong + _trade(organisation, found, payments) + _waiting(organisation)


def _is_undone(told: str, organisation: Organisation, keys: Mapping[str, str]) -> bool:
    """Whether a difference is what an undo wanted; who has a medium may turn on a held contact."""
    code, _, name = told.rpartition(": ")
    of_media = bool(organisation.undone) and name.startswith(("email", "phone"))
    return of_media or keys.get(code, code) in organisation.undone


def _said(
    person: dict[str, Any], witness: Witness, found: Contacts
) -> Mapping[str, Any] | dict[str, Any]:
    """Return a customer with the answer that the CRM should show, as far as LOKE alone tells."""
    organisation, code = witness.organisation, found.code_of(person["id"])
    is_open_question = code in witness.closed_at
    if organisation.erasures is not None:
        is_open_question |= laws_of_erasure.is_heir(organisation, person)
    if not is_open_question:
        return person
    contact = found.by_code.get(code)
    return {**person, "hasAgreedToMarketing": contact is not None and not contact["email_opt_out"]}


def _trade(
    organisation: Organisation, found: Contacts, payments: list[dict[str, Any]]
) -> list[str]:
    kept = found.of_customers()
    own = {code: each["code"] for each in kept for code in [each["known_as"]]}
    purchases = []
    for each in organisation.desk.purchases():
        code = (each["contact"] or {}).get("code")
        if code in own:
            purchases.append({**each, "contact": {"code": own[code]}})
    balances = {each["code"]: organisation.desk.balance(each["known_as"]) for each in kept}
    return trade_differences(payments, purchases, balances)


def _waiting(organisation: Organisation) -> list[str]:
    status = organisation.world.ledger.organisations.status(organisation.slug)
    counts = {
        name: getattr(status, name) for name in ("inbox_pending", "outbox_pending", "unknown")
    }
    return [f"{name}: {count}" for name, count in counts.items() if count]


def _buyer(payment: dict[str, Any]) -> str:
    return str((payment.get("customer") or {}).get("id", ""))
