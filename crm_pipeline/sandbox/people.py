"""Invented customers: the same person for the same (seed, organisation, index), made on demand.

They have what real ones have: accents, one-word names, families on one phone, missing and doubled
e-mail addresses, numbers that are none, times of two precisions, answers never given. Nobody is
stored: an id, an e-mail address or a phone number can be computed back to its index.

Here: one person as a LOKE customer. Not here: order and counts (``timeline``, ``loke.customers``).

>>> people = People(7, "01HSANDB0XHARB0VRC0FFEE001")
>>> people.index_of_id(people.id_of(41))
41
>>> people.person(41) == People(7, "01HSANDB0XHARB0VRC0FFEE001").person(41)
True
"""

import datetime as dt
import hashlib
import re
import struct
import unicodedata
from typing import Any

from crm_pipeline.sandbox.names import CULTURES, MAIL_HOSTS
from crm_pipeline.sandbox.timeline import Timeline

Customer = dict[str, Any]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DRAWS = struct.Struct("<16I")
_CULTURE_AT = tuple(n for n, (share, _, _) in enumerate(CULTURES) for _ in range(share))
_LAST_DIGITS = re.compile(r"(\d+)@")
#: Prefix, ISO 3166 alpha-3 country, dialling code, how many numbers, added to the number, digits.
#: Each range lies wholly inside one that the national plan gives to mobiles.
PHONE_RANGES: tuple[tuple[str, str, str, int, int, int], ...] = (
    ("+614", "AUS", "+61", 10_000_000, 10_000_000, 8),
    ("+6427", "NZL", "+64", 8_000_000, 2_000_000, 7),
    ("+6594", "SGP", "+65", 1_000_000, 0, 6),
    ("+4473", "GBR", "+44", 10_000_000, 40_000_000, 8),
    ("+1212", "USA", "+1", 7_000_000, 2_200_000, 7),
)
#: Cumulated shares, out of 100, of the ranges above.
_PHONE_SHARES = (70, 80, 85, 95, 100)
_UNSPENT = {"pointsBalance": 0, "totalPointsEarned": 0, "totalPointsRedeemed": 0, "totalSpend": 0}


def iso(epoch_ms: int, *, with_ms: bool) -> str:
    """Write a time as RFC 3339 in UTC, with or without thousandths.

    >>> iso(1_546_300_800_123, with_ms=True), iso(1_546_300_800_123, with_ms=False)
    ('2019-01-01T00:00:00.123Z', '2019-01-01T00:00:00Z')
    """
    seconds, thousandths = divmod(epoch_ms, 1000)
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()[:19]
    return f"{text}.{thousandths:03d}Z" if with_ms else f"{text}Z"


def ulid(epoch_ms: int, index: int, chance: int) -> str:
    """Return 26 characters that sort by time, then by index."""
    value = (epoch_ms << 80) | (index << 50) | (chance & ((1 << 50) - 1))
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def plain_ascii(name: str) -> str:
    """Return the letters of a name that an old mail system would accept, lower-case."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(filter(str.isalnum, folded)).lower()


_PLAIN = {word: plain_ascii(word) for _, *lists in CULTURES for names in lists for word in names}


class People:
    """The endless row of people of one organisation."""

    def __init__(self, seed: int, organisation_id: str) -> None:
        """Derive a key, so that two organisations share nobody by accident."""
        self._key = hashlib.blake2b(f"{seed}:{organisation_id}".encode(), digest_size=32).digest()
        salt = int.from_bytes(self._key[:8], "little")
        self.timeline = Timeline(salt)
        self._phone_shift = salt % 900_001
        #: Makes the ids of one organisation's lists differ from another's.
        self.list_chance = salt >> 14

    def id_of(self, index: int) -> str:
        """Return the customer's id."""
        return ulid(self.timeline.joined_ms(index), index, self._chance(index))

    def index_of_id(self, customer_id: str) -> int | None:
        """Return the index that an id belongs to, None when it is nobody's."""
        try:
            value = 0
            for letter in customer_id:
                value = value << 5 | _CROCKFORD.index(letter)
        except ValueError:
            return None
        index = (value >> 50) & ((1 << 30) - 1)
        return index if self.id_of(index) == customer_id else None

    def person(self, index: int) -> Customer:
        """Return the customer as LOKE would answer it."""
        draws = self._draws(index)
        rank = self.timeline.rank_of(index)
        changed_ms = self.timeline.changed_ms(rank)
        first, last = self._names(index, draws)
        customer: Customer = {
            "id": self.id_of(index),
            "createdAt": iso(self.timeline.joined_ms(index), with_ms=False),
        }
        if draws[1] % 100 != 0:
            # A hidden thousandth would sort unlike what is shown, so ties show none or zeros.
            customer["updatedAt"] = iso(changed_ms, with_ms=self.shows_ms(rank, draws[2]))
        customer["firstName"] = first
        customer["lastName"] = last
        email = self._email(index, draws, first, last)
        if email is not None:
            customer["email"] = email
        phone = self._phone(index, draws)
        if phone is not None:
            customer["phoneNumber"] = phone
        if draws[6] % 100 < 60:
            customer["dob"] = f"{1940 + draws[6] // 100 % 67}-{1 + draws[7] % 12:02d}-" + (
                f"{1 + draws[7] // 12 % 28:02d}"
            )
        if draws[8] % 100 < 70:
            customer["gender"] = "MALE" if draws[8] // 100 % 2 else "FEMALE"
        if draws[9] % 100 < 90:
            customer["hasAgreedToMarketing"] = draws[9] % 100 < 55
        if draws[10] % 100 < 92:
            customer["statistics"] = self._statistics(draws, changed_ms)
        return customer

    def candidates(self, email: str | None, phone: str | None) -> list[int]:
        """Return every index that can have an e-mail address or phone number; verify each."""
        found: set[int] = set()
        match = _LAST_DIGITS.search(email) if email else None
        if match and len(match[1]) < 10:
            found.update((int(match[1]), int(match[1]) + 1))
        if phone:
            for owner in self._phone_owners(phone):
                found.update((owner, owner + 1))
        return sorted(found)

    def _draws(self, index: int) -> tuple[int, ...]:
        digest = hashlib.blake2b(index.to_bytes(8, "little"), key=self._key).digest()
        return _DRAWS.unpack(digest)

    def _chance(self, index: int) -> int:
        return ((index * 0x9E3779B97F4A7C15) ^ int.from_bytes(self._key[8:15], "little")) >> 3

    @staticmethod
    def shows_ms(rank: int, draw: int) -> bool:
        """Say whether the time of a change is written with thousandths."""
        if Timeline.is_bulk(rank):
            return draw % 3 == 0
        return rank * 37 % 1000 > 0 and rank % 2 == 0

    def _names(self, index: int, draws: tuple[int, ...]) -> tuple[str, str]:
        _, given, family = CULTURES[_CULTURE_AT[draws[3] % 100]]
        first = given[draws[3] // 100 % len(given)]
        if self._shares_phone(index, draws):
            before = self._draws(index - 1)
            family = CULTURES[_CULTURE_AT[before[3] % 100]][2]
            return first, family[before[4] // 128 % len(family)]
        return first, family[draws[4] // 128 % len(family)]

    def _email(self, index: int, draws: tuple[int, ...], first: str, last: str) -> str | None:
        if draws[5] % 1000 < 40:
            return None
        if draws[5] % 1000 < 42 and index > 0:
            before = self._draws(index - 1)
            if before[5] % 1000 >= 42:
                theirs = self._email(index - 1, before, *self._names(index - 1, before))
                return theirs.title() if theirs and index % 2 else theirs
        left, right = _PLAIN[first] or "guest", _PLAIN[last] or "member"
        host = MAIL_HOSTS[draws[5] // 1000 % len(MAIL_HOSTS)]
        style = draws[5] // 10_000 % 4
        if style == 0:
            return f"{left}.{right}{index}@{host}"
        if style == 1:
            return f"{left[:1]}{right}{index}@{host}"
        if style == 2:
            return f"{left}+loyal{index}@{host}"
        return f"{left}_{right}.{index}@{host}"

    @staticmethod
    def _shares_phone(index: int, draws: tuple[int, ...]) -> bool:
        return index > 0 and draws[11] % 100 < 2

    def _phone(self, index: int, draws: tuple[int, ...]) -> str | None:
        chance = draws[12] % 1000
        if self._shares_phone(index, draws):
            before = self._draws(index - 1)
            if not self._shares_phone(index - 1, before):
                return self._phone(index - 1, before)
        if chance < 60:
            return None
        if chance < 65:
            return f"0{index:09d}" if chance % 2 else f"+9990{index:07d}"
        kind = next(n for n, upto in enumerate(_PHONE_SHARES) if draws[13] % 100 < upto)
        prefix, _, _, count, added, digits = PHONE_RANGES[kind]
        number = (index * 7919 + self._phone_shift) % count + added
        return f"{prefix}{number:0{digits}d}"

    def _phone_owners(self, phone: str) -> list[int]:
        if phone.startswith("+9990") or phone.startswith("0"):
            digits = phone.removeprefix("+9990")
            return [int(digits)] if digits.isdecimal() and len(digits) < 12 else []
        for prefix, _, _, count, added, digits_count in PHONE_RANGES:
            rest = phone.removeprefix(prefix)
            if phone.startswith(prefix) and rest.isdecimal() and len(rest) == digits_count:
                number = int(rest) - added
                owner = (number - self._phone_shift) * pow(7919, -1, count) % count
                # A range smaller than the organisation is used again and again.
                return [owner + turn * count for turn in range(max(1, 10_000_000 // count))]
        return []

    @staticmethod
    def _statistics(draws: tuple[int, ...], changed_ms: int) -> dict[str, Any]:
        if draws[10] // 100 % 100 < 12:
            return dict(_UNSPENT)
        earned = draws[14] % 20_000
        redeemed = earned * (draws[14] // 20_000 % 80) // 100
        spent_ms = changed_ms - draws[15] % 2_592_000_000
        statistics: dict[str, Any] = {
            "pointsBalance": earned - redeemed,
            "totalPointsEarned": earned,
            "totalPointsRedeemed": redeemed,
            "totalSpend": earned * 10 + draws[15] % 1000,
            "lastSpentAt": iso(spent_ms, with_ms=True),
            "lastPointsEarnedAt": iso(spent_ms + 1000, with_ms=True),
        }
        if redeemed:
            statistics["lastPointsRedeemedAt"] = iso(spent_ms - 86_400_000, with_ms=True)
        if draws[15] % 50 == 0:
            del statistics["totalSpend"]
        return statistics
