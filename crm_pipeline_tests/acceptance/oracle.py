"""What the CRM should hold, worked out from LOKE's state by other, simpler code than ours."""

from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

#: What the sandbox's CRM gives of a purchase, in percent.
AWARD = Decimal(5)


def differences(
    customers: list[dict[str, Any]],
    contacts: list[dict[str, Any]],
    *,
    keys: Mapping[str, str] | None = None,
) -> list[str]:
    """Return what is wrong, in words without personal data; empty when the CRM is right.

    ``keys`` are the keys of contacts that do not have LOKE's: of two with the same e-mail or phone
    the one with the smaller key has it.
    """
    codes = Counter(contact["code"] for contact in contacts)
    wrong = [f"{code} exists {count} times" for code, count in codes.items() if count > 1]
    by_code = {contact["code"]: contact for contact in contacts}
    wanted = {f"loke:{customer['id']}": customer for customer in customers}
    wrong += [f"{code} is missing" for code in wanted.keys() - by_code.keys()]
    wrong += [f"{code} should not exist" for code in by_code.keys() - wanted.keys()]
    first_email, first_phone = _owners(wanted, keys or {})
    for code in wanted.keys() & by_code.keys():
        for name in _wrong_fields(code, wanted[code], by_code[code], first_email, first_phone):
            wrong.append(f"{code}: {name}")
    return wrong


def _owners(
    wanted: dict[str, dict[str, Any]], keys: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The code with the smallest key for each e-mail and each phone."""
    emails: dict[str, str] = {}
    phones: dict[str, str] = {}
    for code in sorted(wanted, key=lambda each: keys.get(each, each)):
        customer = wanted[code]
        if customer.get("email"):
            emails.setdefault(customer["email"].strip().lower(), code)
        if customer.get("phoneNumber"):
            phones.setdefault(customer["phoneNumber"], code)
    return emails, phones


def _wrong_fields(
    code: str,
    customer: dict[str, Any],
    contact: dict[str, Any],
    emails: dict[str, str],
    phones: dict[str, str],
) -> list[str]:
    wrong = []
    if customer["firstName"] and contact["first_name"] != customer["firstName"].strip():
        wrong.append("first_name")
    may_be_mailed = customer.get("hasAgreedToMarketing") is True
    if contact["email_opt_out"] is may_be_mailed or contact["sms_opt_out"] is may_be_mailed:
        wrong.append("opt_out")
    email = (customer.get("email") or "").strip().lower()
    if email and emails[email] == code and (contact.get("email") or "").lower() != email:
        wrong.append("email")
    if email and emails[email] != code and contact.get("email"):
        wrong.append("email of another contact")
    phone = contact.get("phone")
    given = customer.get("phoneNumber")
    if phone and not (given and given.endswith(phone["number"]) and phones[given] == code):
        wrong.append("phone")
    custom = {field["key"]: field["value"] for field in contact.get("custom_fields", [])}
    if custom.get("loke_customer_id") != customer["id"]:
        wrong.append("loke_customer_id")
    balance = customer.get("statistics", {}).get("pointsBalance")
    if balance is not None and custom.get("loke_points_balance") != str(balance):
        wrong.append("loke_points_balance")
    return wrong


def trade_differences(
    payments: list[dict[str, Any]],
    purchases: list[dict[str, Any]],
    balances: dict[str, int],
    *,
    before: dict[str, int] | None = None,
) -> list[str]:
    """Return what is wrong with purchases and wallets; empty when each payment counts once.

    ``balances`` are of all contacts, by code, in the smallest unit; ``before`` what they were
    without our purchases.
    """
    sold = {f"loke:{each['id']}": each for each in payments if each.get("customer")}
    counts = Counter(each["reference_number"] for each in purchases)
    wrong = [f"{number} exists {count} times" for number, count in counts.items() if count > 1]
    made = {each["reference_number"]: each for each in purchases}
    wanted = set(sold) | {f"{key}:refund" for key in sold if _is_part(sold[key])}
    wrong += [f"{number} is missing" for number in wanted - made.keys()]
    wrong += [f"{number} should not exist" for number in made.keys() - wanted]
    for key in sold.keys() & made.keys():
        is_cancelled = made[key]["state"] == "CANCELLED"
        if is_cancelled is not _is_whole(sold[key]):
            wrong.append(f"{key}: state")
        if made[key]["transaction_amounts"]["total"] != Decimal(sold[key]["total"]) / 100:
            wrong.append(f"{key}: total")
        if (made[key]["contact"] or {}).get("code") != f"loke:{sold[key]['customer']['id']}":
            wrong.append(f"{key}: contact")
    return wrong + _wrong_balances(sold, balances, before or {})


def _wrong_balances(
    sold: dict[str, dict[str, Any]], balances: dict[str, int], before: dict[str, int]
) -> list[str]:
    expected = Counter(before)
    for payment in sold.values():
        code = f"loke:{payment['customer']['id']}"
        if not _is_whole(payment):
            expected[code] += _award(payment["total"]) - _award(payment.get("refundedAmount", 0))
    return [
        f"{code}: wallet {balances.get(code)} instead of {expected[code]}"
        for code in expected.keys() | balances.keys()
        if balances.get(code, 0) != expected[code]
    ]


def _is_part(payment: dict[str, Any]) -> bool:
    return 0 < payment.get("refundedAmount", 0) < payment["total"]


def _is_whole(payment: dict[str, Any]) -> bool:
    return "refundedAt" in payment and not _is_part(payment)


def _award(amount: int) -> int:
    return int((amount * AWARD / 100).quantize(Decimal(1), ROUND_HALF_UP))


def wrong_tags(
    wanted: dict[str, set[str]], contacts: list[dict[str, Any]], ours: set[str]
) -> list[str]:
    """Return the codes whose tags among ours differ from those that are wanted."""
    return [
        each["code"]
        for each in contacts
        if set(each["tags"]) & ours != wanted.get(each["code"], set())
    ]
