"""What must hold: at every moment (safety), and once all is quiet (liveness). Ids: FAULTS.md, 3."""

from collections import Counter
from typing import Any

from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.acceptance.oracle import differences, trade_differences
from crm_pipeline_tests.simulation.world import ORGANISATION, SLUG, World


class ConsentWitness:
    """Remembers, apart from our code, who ever said yes and who unsubscribed inside the CRM (I8).

    A contact may be open only if its person said yes at some time; after an unsubscription that we
    were shown, only if they said yes anew at LOKE.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._yes: set[str] = set()
        self._answers: dict[str, object] = {}
        self._closed: set[str] = set()
        self.unsubscribed: set[str] = set()
        self.look()

    def look(self) -> None:
        """Note who says yes now, and who says it anew."""
        for person in self._world.people():
            code, answer = f"loke:{person['id']}", person.get("hasAgreedToMarketing")
            if answer is True:
                self._yes.add(code)
                if self._answers.get(code) is not True:
                    self._closed.discard(code)
            self._answers[code] = answer

    def saw_unsubscription(self, code: str) -> None:
        """Note that somebody unsubscribed, and that we were shown it."""
        self._closed.add(code)
        self.unsubscribed.add(code)

    def violations(self, contacts: list[dict[str, Any]]) -> list[str]:
        """Return the contacts that are open and must not be."""
        open_ones = {
            each["code"] for each in contacts if not (each["email_opt_out"] and each["sms_opt_out"])
        }
        wrong = [f"{code} is open without any yes" for code in sorted(open_ones - self._yes)]
        return wrong + [
            f"{code} was opened again after an unsubscription"
            for code in sorted(open_ones & self._closed)
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


def liveness(world: World, witness: ConsentWitness) -> list[str]:
    """Return every difference between LOKE and the CRM at quiet.

    Whether somebody who once unsubscribed is open again is a question of safety alone: LOKE does
    not tell everything that they said in between.
    """
    contacts = world.crm.contacts(ORGANISATION.crm_test_key)
    flags = {each["code"]: not each["email_opt_out"] for each in contacts}
    people = [
        {**person, "hasAgreedToMarketing": flags.get(code, False)}
        if (code := f"loke:{person['id']}") in witness.unsubscribed
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
