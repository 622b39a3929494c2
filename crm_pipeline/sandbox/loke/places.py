"""The locations of one organisation: invented, a few, always the same."""

import hashlib
from typing import Any

Location = dict[str, Any]

#: Name, street, locality, region, postal code, latitude, longitude, phone.
_PLACES = (
    ("Southbank", "5 River St", "Southbank", "Victoria", "3006", -37.82, 144.96, "0390000001"),
    ("Fitzroy", "81 Brunel St", "Fitzroy", "Victoria", "3065", -37.8, 144.98, "0390000002"),
    ("Old Mill", "2 Mill Lane", "Geelong", "Victoria", "3220", -38.15, 144.36, "0350000003"),
    ("Café Zoë", "17 Hill Rd", "Brunswick", "Victoria", "3056", -37.77, 144.96, "0390000004"),
    ("Airport", "Terminal 2", "Tullamarine", "Victoria", "3043", -37.67, 144.85, "0390000005"),
)
LOCATION_COUNT = len(_PLACES)


def locations_of(organisation_id: str, timezone: str) -> list[Location]:
    """Return an organisation's locations; their ids differ from organisation to organisation.

    >>> [each["id"] for each in locations_of("01HSANDB0XHARB0VRC0FFEE001", "UTC")][:2]
    ['LOC4701', 'LOC4702']
    """
    digest = hashlib.blake2b(organisation_id.encode(), digest_size=4).digest()
    first = int.from_bytes(digest, "little") % 90 * 100 + 1001
    return [
        {
            "id": f"LOC{first + number}",
            "name": name,
            "slug": name.lower().replace(" ", "-"),
            "streetAddress": street,
            "streetAddress2": "",
            "locality": locality,
            "region": region,
            "postalCode": postal_code,
            "country": "Australia",
            "latitude": latitude,
            "longitude": longitude,
            # In national form, unlike the phone numbers of customers.
            "phoneNumber": phone,
            "timezone": timezone,
        }
        for number, (
            name,
            street,
            locality,
            region,
            postal_code,
            latitude,
            longitude,
            phone,
        ) in enumerate(_PLACES)
    ]
