"""What the CRM should hold, worked out from LOKE's state by other, simpler code than ours."""

from collections import Counter
from typing import Any


def differences(customers: list[dict[str, Any]], contacts: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong, in words without personal data; empty when the CRM is right."""
    codes = Counter(contact["code"] for contact in contacts)
    wrong = [f"{code} exists {count} times" for code, count in codes.items() if count > 1]
    by_code = {contact["code"]: contact for contact in contacts}
    wanted = {f"loke:{customer['id']}": customer for customer in customers}
    wrong += [f"{code} is missing" for code in wanted.keys() - by_code.keys()]
    wrong += [f"{code} should not exist" for code in by_code.keys() - wanted.keys()]
    first_email, first_phone = _owners(wanted)
    for code in wanted.keys() & by_code.keys():
        for name in _wrong_fields(code, wanted[code], by_code[code], first_email, first_phone):
            wrong.append(f"{code}: {name}")
    return wrong


def _owners(wanted: dict[str, dict[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """The smallest code for each e-mail and each phone."""
    emails: dict[str, str] = {}
    phones: dict[str, str] = {}
    for code in sorted(wanted):
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
