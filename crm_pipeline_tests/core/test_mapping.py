"""What a LOKE customer becomes, and what an organisation may change about it."""

import pytest

from crm_pipeline.core.mapping import (
    CONTACT_FIELDS,
    DEFAULT_LOKE_CUSTOMER,
    ChannelConsent,
    FieldMapping,
    MappingContext,
    MappingInvalidError,
    column_lineage,
    map_contact,
    override,
    sources_of,
)

MINA = {
    "id": "01HRP5E5X8V37E3S3E28JT97KB",
    "created_at": "2024-03-11T07:08:09Z",
    "updated_at": "2024-06-07T10:00:00.000Z",
    "first_name": "Mina",
    "last_name": "Okafor",
    "email": "Mina.Okafor@Example.com",
    "phone_number": "+61400000001",
    "dob": "1990-05-17",
    "gender": "FEMALE",
    "has_agreed_to_marketing": True,
    "points_balance": 1250,
    "total_spend": 18450,
    "last_spent_at": "2024-06-06T22:10:11.000Z",
    "extra": '{"favourite":"flat white","tags":["a"]}',
}
YES = ChannelConsent(email=True, sms=True)


def mapped(row, mapping=DEFAULT_LOKE_CUSTOMER, consent=YES, currency="AUD"):
    return map_contact(row, mapping, consent, MappingContext(currency=currency))


def test_a_customer_becomes_a_contact():
    contact = mapped(MINA)
    assert contact.fields == {
        "first_name": "Mina",
        "last_name": "Okafor",
        "email": "Mina.Okafor@example.com",
        "phone_country": "AUS",
        "phone_number": "400000001",
        "date_of_birth": "1990-05-17",
        "gender": "FEMALE",
        "custom.loke_customer_id": "01HRP5E5X8V37E3S3E28JT97KB",
        "custom.loke_points_balance": "1250",
        "custom.loke_total_spend": "184.50",
        "custom.loke_last_spent_at": "2024-06-06T22:10:11Z",
        "custom.loke_created_at": "2024-03-11T07:08:09Z",
        "custom.loke_updated_at": "2024-06-07T10:00:00Z",
        "email_opt_out": False,
        "sms_opt_out": False,
    }
    assert contact.issues == ()
    assert contact.rejected == ""


def test_a_customer_who_said_nothing_is_opted_out_and_named_by_placeholders():
    contact = mapped({"id": "x"}, consent=ChannelConsent())
    assert contact.fields == {
        "first_name": "-",
        "last_name": "-",
        "custom.loke_customer_id": "x",
        "email_opt_out": True,
        "sms_opt_out": True,
    }
    assert contact.issues == ("first_name_placeholder", "last_name_placeholder")


def test_each_channel_has_its_own_consent():
    contact = mapped(MINA, consent=ChannelConsent(email=True))
    assert (contact.fields["email_opt_out"], contact.fields["sms_opt_out"]) == (False, True)


def test_what_is_unusable_is_left_out_and_told_once():
    contact = mapped({**MINA, "email": "nobody", "phone_number": "12", "dob": "soon"})
    assert contact.issues == ("email_invalid", "phone_unparsable", "date_invalid")
    assert not {"email", "phone_country", "phone_number", "date_of_birth"} & contact.fields.keys()


def test_money_follows_the_currency():
    assert mapped(MINA, currency="JPY").fields["custom.loke_total_spend"] == "18450"


def test_a_currency_that_does_not_exist_is_a_fault_of_the_configuration():
    with pytest.raises(MappingInvalidError, match="ZZZ"):
        mapped(MINA, currency="ZZZ")


def test_an_organisation_may_change_and_add_fields():
    changes = {
        "last_name": FieldMapping(placeholder="Unknown"),
        "email": FieldMapping(on_invalid="reject"),
        "gender": FieldMapping(on_invalid="drop"),
        "custom.favourite": FieldMapping(source="extra.favourite"),
        "custom.spend": FieldMapping(source="total_spend", transform="money"),
    }
    mapping = override(DEFAULT_LOKE_CUSTOMER, changes)
    contact = mapped({**MINA, "last_name": ""}, mapping)
    assert contact.fields["last_name"] == "Unknown"
    assert contact.fields["custom.favourite"] == "flat white"
    assert contact.fields["custom.spend"] == "184.50"
    assert mapped({**MINA, "email": "x"}, mapping).rejected == "email_invalid"
    assert mapped({**MINA, "email": None, "extra": None}, mapping).rejected == "email_missing"
    assert mapping.version != DEFAULT_LOKE_CUSTOMER.version


def test_the_first_reason_to_reject_is_told():
    changes = {name: FieldMapping(on_invalid="reject") for name in ("email", "gender")}
    assert mapped({"id": "x"}, override(DEFAULT_LOKE_CUSTOMER, changes)).rejected == "email_missing"


def test_all_faults_of_a_mapping_are_told_at_once():
    changes = {
        "email_opt_out": FieldMapping(source="has_agreed_to_marketing"),
        "nickname": FieldMapping(source="first_name"),
        "custom.new": FieldMapping(),
        "custom.other": FieldMapping(source="shoe_size", transform="shout"),
        "gender": FieldMapping(on_invalid="panic"),
        "email": FieldMapping(on_invalid="placeholder"),
    }
    with pytest.raises(MappingInvalidError) as caught:
        override(DEFAULT_LOKE_CUSTOMER, changes)
    faults = caught.value.faults
    assert set(faults) == set(changes)
    assert "Consent" in faults["email_opt_out"]
    assert "custom." in faults["nickname"]
    assert "`from`" in faults["custom.new"]
    assert "shoe_size" in faults["custom.other"]
    assert "shout" in faults["custom.other"]
    assert "panic" in faults["gender"]
    assert "placeholder" in faults["email"]


def test_no_change_is_the_same_mapping():
    assert override(DEFAULT_LOKE_CUSTOMER, {}).version == DEFAULT_LOKE_CUSTOMER.version


def test_the_lineage_names_the_source_of_every_field():
    lineage = column_lineage(DEFAULT_LOKE_CUSTOMER)
    assert set(CONTACT_FIELDS) <= lineage.keys()
    assert lineage["phone_country"] == ("phone_number",)
    assert lineage["email_opt_out"] == ("has_agreed_to_marketing",)


def test_only_the_columns_that_are_mapped_are_read():
    changes = {
        "custom.a": FieldMapping(source="extra.a"),
        "custom.b": FieldMapping(source="extra.b"),
    }
    columns = sources_of(override(DEFAULT_LOKE_CUSTOMER, changes))
    assert columns.count("extra") == 1
    assert columns.count("phone_number") == 1
    assert "extra" not in sources_of(DEFAULT_LOKE_CUSTOMER)
