"""One-time passwords: to prove who somebody is, and to spend from a wallet at a till."""

import dataclasses
import random

from crm_pipeline.sandbox.crm_com.contacts import new_id


@dataclasses.dataclass(frozen=True, slots=True)
class SpendOtp:
    """What a person shows at the till: six digits, or sixteen to be scanned."""

    contact_id: str
    otp: str
    alternative: str
    expires_on: int


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """A code sent to a person, waiting to be typed in."""

    contact_id: str
    auth_otp: str
    code: str
    expires_on: int


class OtpStore:
    """Passwords that still count."""

    def __init__(self, seed: str) -> None:
        """Start empty."""
        self._chance = random.Random(seed)
        self._spends: dict[str, SpendOtp] = {}
        self._challenges: dict[str, Challenge] = {}

    def issue(self, contact_id: str, *, now: int, life_seconds: int) -> SpendOtp:
        """Make a password for one purchase."""
        issued = SpendOtp(contact_id, self._digits(6), self._digits(16), now + life_seconds)
        self._spends[issued.otp] = self._spends[issued.alternative] = issued
        return issued

    def owner(self, text: str, *, now: int) -> str | None:
        """Return whose password this is; None when unknown, used or expired."""
        found = self._spends.get(text)
        return found.contact_id if found and now < found.expires_on else None

    def use_up(self, text: str) -> None:
        """Take a password out of use."""
        found = self._spends.pop(text, None)
        if found:
            self._spends.pop(found.otp, None)
            self._spends.pop(found.alternative, None)

    def challenge(self, contact_id: str, *, now: int, life_seconds: int) -> Challenge:
        """Send somebody a code."""
        sent = Challenge(contact_id, new_id(self._chance), self._digits(6), now + life_seconds)
        self._challenges[sent.auth_otp] = sent
        return sent

    def passes(self, contact_id: str, auth_otp: str, code: str, *, now: int) -> bool:
        """Say whether the code is right; a right one is used up."""
        found = self._challenges.get(auth_otp)
        is_right = (
            found is not None
            and (found.contact_id, found.code) == (contact_id, code)
            and now < found.expires_on
        )
        if is_right:
            del self._challenges[auth_otp]
        return is_right

    def challenges(self) -> list[Challenge]:
        """Return the codes that are waiting."""
        return list(self._challenges.values())

    def _digits(self, count: int) -> str:
        text = "".join(self._chance.choices("0123456789", k=count))
        return text if text not in self._spends else self._digits(count)
