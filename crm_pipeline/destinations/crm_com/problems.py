"""What a refusal of CRM.COM means.

Error names carry two different prefixes, so the last segment counts, case ignored. Bodies may be
missing or no JSON. Parameters may hold a person's data, so only known names are ever shown.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from crm_pipeline.core.records import Fields
from crm_pipeline.destinations.crm_com.assumptions import (
    CODE_TAKEN_NAMES,
    DUPLICATE_NAMES,
    DUPLICATE_WORDS,
    MEDIUM_TAKEN_NAMES,
    MEDIUM_WORDS,
    NOT_FOUND_NAMES,
)
from crm_pipeline.destinations.crm_com.contacts.bodies import wire_words
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.http import Answer

_SHOWN = wire_words()

#: What the parameters of a refusal may be shown as: names of members and entities, never values.
_ENTITIES = frozenset(
    {
        *("amount", "brand", "classification", "contact", "currency_code", "date", "family", "id"),
        *("line", "merchant_tap", "net_amount", "organisation", "price", "products", "purchase"),
        *("quantity", "reference_number", "sku", "tag", "tags", "tax_amount", "tax_rate", "total"),
        *("total_amount", "transaction_amounts"),
    }
)

_NAME = re.compile("[A-Z][A-Z0-9_]{1,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal. ``name`` is the last segment of the error's name, in upper case.

    ``message`` may hold a person's data: it is read and never shown.
    """

    status: int
    name: str
    parameters: tuple[str, ...]
    message: str = ""

    @property
    def is_not_found(self) -> bool:
        """Whether there is no such record; documented as 404, shown as 400."""
        return self.status == 404 or (self.status == 400 and _starts(self.name, NOT_FOUND_NAMES))

    @property
    def is_contact_gone(self) -> bool:
        """Whether it is the contact itself that was not found, not something in its body."""
        about = self.parameters[0].lower() if self.parameters else "contact"
        return self.is_not_found and (self.status == 404 or "contact" in about)

    @property
    def is_code_taken(self) -> bool:
        """Whether a contact with the same code exists."""
        return _starts(self.name, CODE_TAKEN_NAMES)

    @property
    def is_medium_taken(self) -> bool:
        """Whether an e-mail address or a phone number is another contact's."""
        return _starts(self.name, MEDIUM_TAKEN_NAMES)

    @property
    def is_duplicate(self) -> bool:
        """Whether there is one already with the same id or reference number."""
        said = self.message.casefold()
        return (
            self.status == 409
            or any(part in self.name for part in DUPLICATE_NAMES)
            or any(words in said for words in DUPLICATE_WORDS)
        )

    def is_missing(self, entity: str) -> bool:
        """Whether it is an entity of this name that was not found."""
        return self.is_not_found and entity in (self.parameters[:1] or ("",))[0].lower()

    @property
    def named_detail(self) -> str:
        """Say what was refused, by CRM.COM's own name of the error."""
        about = ", ".join(sorted(_ENTITIES.intersection(self.parameters)))
        name = f"{shown_name(self.name)} ({about})" if about else shown_name(self.name)
        return f"CRM.COM refused it: {name}, status {self.status}."

    @property
    def detail(self) -> str:
        """Say what was refused, by name only."""
        names = sorted({each for each in self.parameters if each in _SHOWN})
        about = f" ({', '.join(names)})" if names else ""
        return f"CRM.COM refused the values{about}, status {self.status}."

    def taken_medium(self, fields: Fields) -> str | None:
        """Return which medium the parameters speak of, by its name or by its value."""
        said = {each.casefold() for each in self.parameters}
        for medium, words in MEDIUM_WORDS.items():
            if said.intersection(words):
                return medium
        if str(fields.get("email")).casefold() in said:
            return "email"
        return "phone" if str(fields.get("phone_number")).casefold() in said else None


def shown_name(name: str) -> str:
    """Return an error's name as it may be shown: its last segment, if that is a name at all.

    >>> shown_name("CRM.EXCEPTIONS.INVALIDVALUEEXCEPTION"), shown_name("Mina Okafor")
    ('INVALIDVALUEEXCEPTION', 'no name')
    """
    last = name.rpartition(".")[2].upper()
    return last if _NAME.fullmatch(last) else "no name"


def read_problem(answer: Answer) -> Problem:
    """Return what an unsuccessful answer says."""
    try:
        content = answer.json()
    except MalformedAnswerError:
        content = None
    if not isinstance(content, dict):
        return Problem(status=answer.status, name="", parameters=())
    parameters = content.get("parameters")
    return Problem(
        status=answer.status,
        name=str(content.get("error") or "").rpartition(".")[2].upper(),
        parameters=tuple(str(each) for each in parameters) if isinstance(parameters, list) else (),
        message=str(content.get("message") or ""),
    )


def _starts(name: str, beginnings: Iterable[str]) -> bool:
    return name.startswith(tuple(beginnings))
