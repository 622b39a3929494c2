"""What must hold: at every moment (safety), and once all is quiet (liveness). Ids: FAULTS.md, 3."""

from collections import Counter
from typing import Any

from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.acceptance.oracle import differences, trade_differences
from crm_pipeline_tests.simulation.world import ORGANISATION, SLUG, World


class ConsentWitness:
    """Remembers what LOKE ever showed and who opted out inside the CRM, apart from our code.

    A channel may be open in the CRM only if LOKE's present answer, or one that it gave since the
    last opt-out, is an explicit yes (I8).
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._yes: set[str] = set()
        self.look()

    def look(self) -> None:
        """Note everybody who says yes now."""
        for person in self._world.people():
            if person.get("hasAgreedToMarketing") is True:
                self._yes.add(f"loke:{person['id']}")

    def violations(self, contacts: list[dict[str, Any]]) -> list[str]:
        """Return the contacts that are open although their person never said yes."""
        return [
            f"{each['code']} is open without any yes"
            for each in contacts
            if not (each["email_opt_out"] and each["sms_opt_out"]) and each["code"] not in self._yes
        ]


def safety(world: World, witness: ConsentWitness) -> list[str]:
    """Return what must never be and is: twice the same contact, a payment counted twice, a yes
    that nobody gave, something that nobody wanted.
    """
    contacts = world.crm.contacts(ORGANISATION.crm_test_key)
    codes = Counter(each["code"] for each in contacts)
    wrong = [f"{code} exists {count} times" for code, count in codes.items() if count > 1]
    numbers = Counter(each["reference_number"] for each in world.desk.purchases())
    wrong += [f"{number} counted {count} times" for number, count in numbers.items() if count > 1]
    paid = {f"loke:{each['id']}" for each in world.loke.payments(ORGANISATION.id)}
    wrong += [f"{number} was invented" for number in numbers if number not in paid]
    return wrong + witness.violations(contacts)


def liveness(world: World, opted_out: set[str]) -> list[str]:
    """Return every difference between LOKE and the CRM at quiet.

    Who opted out inside the CRM stays out, whatever LOKE's older yes says.
    """
    contacts = world.crm.contacts(ORGANISATION.crm_test_key)
    people = [
        {**person, "hasAgreedToMarketing": False}
        if f"loke:{person['id']}" in opted_out
        else person
        for person in world.people()
    ]
    desk = Desk(world.crm, ORGANISATION.crm_test_key)
    balances = {each["code"]: desk.balance(each["code"]) for each in contacts}
    payments = world.loke.payments(ORGANISATION.id)
    wrong = differences(people, contacts)
    wrong += trade_differences(payments, world.desk.purchases(), balances)
    status = world.ledger.organisations.status(SLUG)
    for name in ("inbox_pending", "outbox_pending", "unknown"):
        count = getattr(status, name)
        wrong += [f"{name}: {count}"] if count else []
    return wrong
