"""What belongs to one organisation at the fake SoPost, before anybody orders.

Every id is made from the organisation's id, so it is the same in every run. Here: campaigns,
activities, products, consents, questions. Not here: people (``consumers``), orders (``vendor``).
"""

import dataclasses
from typing import Any

from crm_pipeline.sandbox.settings import SandboxOrganisation, sopost_uuid

#: Questions of every activity: a choice of one, a choice of several, and a free text.
SKIN_QUESTION = "skin-type-7"
CONCERN_QUESTION = "skincare-concern-101"
TEXT_QUESTION = "why-this-one-3"

Answers = tuple[tuple[str, str], ...]
#: Question id, its text, its answers as (id, text); none for a free text.
QUESTIONS: tuple[tuple[str, str, Answers], ...] = (
    (SKIN_QUESTION, "What is your skin type?", (("dry-1", "Dry"), ("oily-2", "Oily"))),
    (
        CONCERN_QUESTION,
        "What are your biggest skincare concerns?",
        (("ageing-423", "Signs of ageing"), ("sun-033", "Sun damage"), ("dry-118", "Dryness")),
    ),
    (TEXT_QUESTION, "Why would you like to try it?", ()),
)

#: Another company whose consents stand in the same orders.
FOREIGN_HANDLER = "Partner Retail Ltd"


@dataclasses.dataclass(frozen=True, slots=True)
class Brand:
    """One organisation as SoPost knows it."""

    organisation: SandboxOrganisation

    @property
    def id(self) -> str:
        """The organisation's id at SoPost."""
        return self.organisation.sopost_id

    @property
    def campaign_id(self) -> str:
        """The one campaign's id."""
        return self.organisation.sopost_campaign_id

    @property
    def data_handler(self) -> str:
        """The name under which the brand asks for consent."""
        return f"{self.organisation.name} Ltd"

    @property
    def newsletter_id(self) -> str:
        """The id of the brand's own marketing consent."""
        return self._id("consent", "newsletter")

    @property
    def activity_ids(self) -> tuple[str, ...]:
        """The activities of the campaign."""
        return self._id("activity", 0), self._id("activity", 1)

    @property
    def stock_partition_ids(self) -> tuple[str, ...]:
        """What can be ordered."""
        return self._id("stock", 0), self._id("stock", 1)

    @property
    def consents(self) -> list[dict[str, str]]:
        """Every consent that an activity asks for."""
        return [self.consent(name) for name in ("newsletter", "foreign", "terms", "privacy")]

    def consent(self, name: str, status: str = "APPROVED") -> dict[str, str]:
        """Return one consent as an order holds it: newsletter, foreign, terms or privacy."""
        shown, handler = {
            "newsletter": (f"{self.organisation.name} newsletter", self.data_handler),
            "foreign": ("Partner offers", FOREIGN_HANDLER),
            "terms": ("Terms and conditions", self.data_handler),
            "privacy": ("Privacy policy", "SoPost"),
        }[name]
        return {
            "consent_id": self._id("consent", name),
            "consent_name": shown,
            "data_handler": handler,
            "status": status,
        }

    def organisation_body(self) -> dict[str, str]:
        """Return the organisation as its endpoint answers it."""
        return {"id": self.id, "name": self.data_handler}

    def campaign_body(self) -> dict[str, str]:
        """Return the campaign as its endpoint answers it."""
        return {
            "id": self.campaign_id,
            "name": f"{self.organisation.name} samples",
            "organisation_id": self.id,
        }

    def activity_body(self, activity_id: str) -> dict[str, str]:
        """Return an activity as its endpoint answers it."""
        name = ("Brand site", "Social media")[self.activity_ids.index(activity_id)]
        return {"id": activity_id, "name": name, "campaign_id": self.campaign_id}

    def consents_body(self) -> list[dict[str, str]]:
        """Return the consents that an activity asks for."""
        return [{"id": each["consent_id"], "name": each["consent_name"]} for each in self.consents]

    def products_body(self) -> list[dict[str, Any]]:
        """Return what an activity offers."""
        return [
            {
                "name": name,
                "skus": [{"name": f"{name} 5 ml", "stock_partitions": [{"id": part}]}],
            }
            for name, part in zip(
                ("Day cream", "Night serum"), self.stock_partition_ids, strict=True
            )
        ]

    def _id(self, *names: object) -> str:
        return sopost_uuid(self.organisation.id, *names)
