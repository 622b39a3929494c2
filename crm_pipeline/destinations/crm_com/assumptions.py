"""What CRM.COM's public documentation does not say and we had to choose.

Each constant is one guess; a person with an account can confirm or correct it here, in one place.
"""

#: Path of the contact list. The seed guide once says ``/customers``; every client uses this one.
CONTACTS_PATH = "contacts"

#: Name of the e-mail address in bodies that we send (reading accepts ``email`` as well).
EMAIL_MEMBER = "email_address"

#: Where our key goes on create. The documentation names the attribute, not its place in the body.
CODE_MEMBER = "code"

#: All our numbers are sent as this type: LOKE does not say which kind a number is.
PHONE_TYPE = "MOBILE"

#: Where an address goes, and which of a contact's addresses is ours.
ADDRESS_MEMBER = "address"
ADDRESS_TYPE = "HOME"

#: The part of an address above its town. Every other part was seen in working code.
STATE_MEMBER = "state_province_county"

#: A PUT with an address changes the home address and adds no second one. It always carries every
#: part, an empty one as null, so that nothing stays of the old address whether a PUT replaces the
#: address or merges its parts.
IS_ADDRESS_CHANGED_IN_PLACE = True

#: A contact shows its address when it is read. If not, set this to False: what is not shown is
#: then not taken for a difference.
IS_ADDRESS_SHOWN = True

#: A member that a PUT leaves out keeps its value, so an update sends only what changed.
IS_OMITTED_UNCHANGED = True

#: What clears a plain member, a phone, an address, or one part of an address or of
#: ``demographics`` in a PUT.
CLEARED = None

#: What clears one custom field in a PUT. Values are always strings; null means "no value".
CLEARED_CUSTOM_VALUE = None

#: A PUT merges custom fields by key: those not named keep their value.
ARE_CUSTOM_FIELDS_MERGED = True

#: Last segments of error names, in upper case, that say "a medium is another contact's".
MEDIUM_TAKEN_NAMES = (
    "CIMALREADYEXISTS",
    "CONTACTUNIQUELYIDENTIFY",
    "EMAILALREADYEXISTS",
    "PHONEALREADYEXISTS",
)

#: The same for "a contact with this code exists". No name was found for it in public.
CODE_TAKEN_NAMES = ("CODEALREADYEXISTS", "CODEALREADYINUSE", "CODENOTUNIQUE")

#: The same for "there is no such record"; it comes with status 400 as well as 404.
NOT_FOUND_NAMES = ("NOTFOUND",)

#: What the parameters of an error call the two media (parameters may hold values as well).
MEDIUM_WORDS = {
    "email": ("email", "email_address"),
    "phone": ("phone", "phone_number", "phones", "number"),
}

#: There is no call that deletes a contact or takes it out of use: one that is archived is kept and
#: opted out of everything.
ARCHIVED_FLAGS = {"email_opt_out": True, "sms_opt_out": True}

#: The name of a person who was erased: both names are required.
ERASED_NAME = "Erased"

#: How often an erased contact is read back before CRM.COM is taken not to have obeyed.
ERASED_LOOKS = 3

#: Codes that start like this are ours. Codes that CRM.COM draws itself have 16 digits.
KEY_PREFIX = "loke:"

#: The custom field that still names our record when a contact's code is not ours (linked, merged).
SOURCE_ID_FIELD = "custom.loke_customer_id"

#: The same for a person whom only sample orders made a contact.
SAMPLE_ID_FIELD = "custom.sopost_identity"

#: Beginnings of API keys that tell which data they open.
KEY_MODES = {"crm_test": "test", "crm_live": "live"}

#: Contacts on one page; the documented maximum.
PAGE_SIZE = 100

# -- purchases -------------------------------------------------------------------------------------

#: Path of purchases: submit, list, read.
PURCHASES_PATH = "purchases"

#: The last part of the path that takes goods back without a purchase.
RETURNS_PATH = "ad_hoc_return"

#: Where the time of a purchase goes, in epoch seconds. The older bridge called it ``performed_on``.
DATE_MEMBER = "date"

#: The member that names a terminal (transaction acquiring point) by its code.
TAP_MEMBER = "merchant_tap"

#: The filter of the list that finds a reference number. Not documented: whatever is listed is
#: compared exactly, and a list that is not filtered is read for ``MOST_SEARCH_PAGES`` pages.
REFERENCE_FILTER = "search_value"

#: Pages of purchases, newest first, in which a reference number is looked for. A list that goes on
#: is not filtered: then nobody can say that the purchase is not there, and nothing is sent.
MOST_SEARCH_PAGES = 20

#: The state of a purchase that was undone.
CANCELLED_STATE = "CANCELLED"

#: Parts of error names, in upper case, that say "there is one with this id or reference number".
DUPLICATE_NAMES = ("ALREADYEXIST", "DUPLICATE", "ALREADYUSED", "ALREADYINUSE", "NOTUNIQUE")

#: Words of an error's message that say the same.
DUPLICATE_WORDS = ("already exists", "already used", "already in use", "duplicate", "not unique")

# -- tags ------------------------------------------------------------------------------------------

#: Path of the list of tags. They are made by a person; no call that makes one was found.
TAGS_PATH = "tags"

#: Whose tags they are, in that list.
TAGS_ENTITY = "CONTACTS"

#: Error names that say "no such tag", besides "not found" and the member's name.
TAG_MEMBERS = ("tag", "tags")

# -- products --------------------------------------------------------------------------------------

#: Path that takes many products at once.
SYNCHRONISE_PATH = "synchronise_products"

#: Products in one call. The older generation's limit.
PRODUCTS_PER_CALL = 1_000

#: Members that may hold the process's id in the answer.
PROCESS_ID_MEMBERS = ("id", "process_id")

#: Whether a process can be asked how far it is. If not, products are read back instead; the same
#: happens when the path answers "not found".
HAS_PROCESS_STATUS = True

#: Path of a process, before its id.
PROCESSES_PATH = "processes"

#: States of a process that is over; every other state means "not yet".
PROCESS_DONE = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FINISHED", "DONE"})
PROCESS_FAILED = frozenset({"FAILED", "CANCELLED", "ERROR"})

#: Path of the list of products, and its filter: SKUs, separated like this.
PRODUCTS_PATH = "products"
SKUS_FILTER = "product_skus"
SKU_SEPARATOR = ","

#: What empties a text of a product. Its family, brand and numbers are emptied as elsewhere.
CLEARED_PRODUCT_TEXT = ""

#: SKUs in one look-up, so that the address stays short.
SKUS_PER_LOOK = 50
