"""What a refusal of CRM.COM means.

Error names carry two different prefixes, so the last segment counts, case ignored. Bodies may be
missing or no JSON. Parameters may hold a person's data, so only known names are ever shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from crm_pipeline.core.records import Fields
from crm_pipeline.destinations.crm_com.assumptions import (
    CODE_TAKEN_NAMES,
    MEDIUM_TAKEN_NAMES,
    MEDIUM_WORDS,
    NOT_FOUND_NAMES,
)
from crm_pipeline.destinations.crm_com.bodies import wire_words
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.http import Answer

_SHOWN = wire_words()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal. ``name`` is the last segment of the error's name, in upper case."""

    status: int
    name: str
    parameters: tuple[str, ...]

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
    )


def _starts(name: str, beginnings: Iterable[str]) -> bool:
    return name.startswith(tuple(beginnings))
