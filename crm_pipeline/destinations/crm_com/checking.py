"""The doctor's questions: does the key open what we need, and is everything set up?

Here: one finding for each step. Not here: who shows them.
"""

from collections.abc import Callable, Mapping, Sequence

from crm_pipeline.core.mapping import DEFAULT_LOKE_CUSTOMER
from crm_pipeline.core.records import Finding
from crm_pipeline.destinations.crm_com.assumptions import KEY_MODES, PURCHASES_PATH
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.contacts.fields import custom_key
from crm_pipeline.destinations.crm_com.memberships.tags import Tags
from crm_pipeline.destinations.crm_com.purchases.fields import PURCHASE
from crm_pipeline.destinations.crm_com.values import as_object, as_text, listed
from crm_pipeline.errors import CrmPipelineError

#: A reference number that nobody ever used: a list that finds something for it is not filtered.
_UNUSED_REFERENCE = "crm-pipeline:doctor:no-such-purchase"

#: What is written of a customer when nobody says otherwise.
_DEFAULT_CUSTOM_FIELDS = tuple(
    key for rule in DEFAULT_LOKE_CUSTOMER.rules if (key := custom_key(rule.target)) is not None
)


class Doctor:
    """Asks one organisation's CRM.COM.

    Options: ``tags`` (ids or names of tags that must exist), ``custom_fields`` (keys of custom
    fields that must exist; without it those of the default mapping), ``sends`` (the kinds that are
    sent).
    """

    def __init__(
        self,
        calls: Calls,
        tags: Tags,
        api_key: Callable[[], str],
        options: Mapping[str, str],
    ) -> None:
        self._calls = calls
        self._tags = tags
        self._api_key = api_key
        self._options = options

    def check(self) -> Sequence[Finding]:
        """Prove the key first: without it there is nothing more to ask."""
        try:
            self._calls.contacts_with(Tally())
            findings = [
                Finding(
                    check="key",
                    is_ok=True,
                    message=f"CRM.COM accepts the key; it opens {self._mode()} data.",
                ),
                *self._custom_fields(),
            ]
        except CrmPipelineError as error:
            return [_failed("key", error)]
        if listed(self._options.get("tags")):
            findings += self._findings("tags", self._tags_exist)
        if PURCHASE in self._options.get("sends", "").split(","):
            findings += self._findings("purchases", self._purchases)
        return findings

    @staticmethod
    def _findings(check: str, ask: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
        try:
            return ask()
        except CrmPipelineError as error:
            return [_failed(check, error)]

    def _tags_exist(self) -> Sequence[Finding]:
        wanted = listed(self._options.get("tags"))
        missing = self._tags.unknown(wanted, Tally())
        if not missing:
            message = f"All {len(wanted)} tags of contacts exist."
            return [Finding(check="tags", is_ok=True, message=message)]
        return [
            Finding(
                check=f"tag {tag}",
                is_ok=False,
                message=f"CRM.COM has no tag `{tag}` for contacts; memberships that need it are"
                " set aside.",
                remedy="Add the tag for contacts in CRM.COM's settings, or correct its name in the"
                " organisation's file.",
            )
            for tag in missing
        ]

    def _purchases(self) -> Sequence[Finding]:
        """Purchases must be readable, and searchable: or no lost answer is ever cleared up."""
        page = next(self._calls.purchases_with(_UNUSED_REFERENCE, Tally()), ())
        is_filtered = not page
        found = Finding(check="purchases", is_ok=True, message="Purchases can be read.")
        if is_filtered:
            return [found]
        return [
            found,
            Finding(
                check="purchase search",
                is_ok=False,
                message="CRM.COM does not search purchases by reference number: a purchase whose"
                " answer is lost may not be found again.",
                remedy="Ask the vendor how purchases are searched by reference number"
                f" (`GET /{PURCHASES_PATH}`).",
            ),
        ]

    def _custom_fields(self) -> Sequence[Finding]:
        chosen = self._options.get("custom_fields")
        wanted = _DEFAULT_CUSTOM_FIELDS if chosen is None else listed(chosen)
        return _custom_field_findings(wanted, self._known_custom_fields()) if wanted else []

    def _known_custom_fields(self) -> frozenset[str]:
        pages = self._calls.pages("custom_fields", {"entity": "CONTACTS"})
        keys = (as_text(as_object(entry).get("key")) for page in pages for entry in page)
        return frozenset(key for key in keys if key)

    def _mode(self) -> str:
        """Return which data the key opens, as far as its beginning tells."""
        secret = self._api_key()
        modes = (mode for start, mode in KEY_MODES.items() if secret.startswith(start))
        return next(modes, "test or live (the key does not tell)")


def _failed(check: str, error: CrmPipelineError) -> Finding:
    return Finding(check=check, is_ok=False, message=error.happened, remedy=error.remedy)


def _custom_field_findings(wanted: Sequence[str], known: frozenset[str]) -> Sequence[Finding]:
    missing = [key for key in wanted if key not in known]
    if not missing:
        return [
            Finding(
                check="custom_fields",
                is_ok=True,
                message=f"All {len(wanted)} custom fields of contacts exist.",
            )
        ]
    return [
        Finding(
            check=f"custom_field {key}",
            is_ok=False,
            message=f"CRM.COM has no custom field `{key}` for contacts; it refuses contacts that"
            " carry it.",
            remedy=f"Add a text custom field with the key `{key}` for contacts in CRM.COM's"
            " settings, or take it out of the organisation's file if it is a field of your own.",
        )
        for key in missing
    ]
