"""Organisation files that change while the receiver runs."""

import pytest

from crm_pipeline.settings import load_settings
from crm_pipeline.wiring.hooks import HookDirectory
from crm_pipeline_tests.webhooks.running import (
    ACME,
    LOKE_SECRET,
    RunningReceiver,
    environment,
    loke_body,
)


@pytest.fixture
def files(tmp_path):
    return tmp_path / "organisations"


@pytest.fixture
def directory(tmp_path):
    return HookDirectory(load_settings(environment(tmp_path)))


def statuses(receiver, *bodies_and_secrets, org="acme"):
    return [receiver.post_loke(body, secret, org).status for body, secret in bodies_and_secrets]


def test_a_new_organisation_and_a_new_secret_need_no_restart(environ, ledger, tmp_path, files):
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    red = (
        "sources: {loke: {base_url: 'http://127.0.0.1:1', organisation_id: 01HRED,"
        f" webhooks: {{url: 'http://127.0.0.1:1', secret: {{file: {secret}}}}}}}}}\n"
        "destinations: {crm_com: {base_url: 'http://127.0.0.1:3'}}\n"
    )
    body = loke_body(organisation_id="01HRED")
    with RunningReceiver(tmp_path, environ) as receiver:
        assert statuses(receiver, (body, "first"), org="red") == [404]
        (files / "red.yaml").write_text(red)
        assert statuses(receiver, (body, "first"), org="red") == [200]
        secret.write_text("second\n")
        assert statuses(receiver, (body, "second"), (body, "first"), org="red") == [200, 401]
        secret.unlink()
        assert statuses(receiver, (body, "second"), org="red") == [503]


def test_an_organisation_that_replaced_its_secret_is_believed_at_once(
    environ, ledger, tmp_path, files
):
    with RunningReceiver(tmp_path, environ) as receiver:
        blue = loke_body(organisation_id="01HBLUE")
        assert statuses(receiver, (blue, LOKE_SECRET), org="blue") == [401]
        text = (files / "blue.yaml").read_text()
        (files / "blue.yaml").write_text(text.replace("LOKE_HOOK_BLUE", "LOKE_HOOK_ACME"))
        assert statuses(receiver, (blue, LOKE_SECRET), org="blue") == [200]


def test_while_a_secret_is_missing_nothing_is_refused_for_ever(environ, ledger, tmp_path):
    del environ["LOKE_HOOK_ACME"]
    with RunningReceiver(tmp_path, environ) as receiver:
        # Signed with the new secret, which we do not have: we cannot tell that it is wrong.
        assert statuses(receiver, (loke_body(), LOKE_SECRET)) == [503]
        assert statuses(receiver, (loke_body(), "old-loke-secret")) == [200]


def test_a_file_that_breaks_takes_no_hook_away(directory, files):
    directory.refresh()
    assert directory.is_whole
    (files / "acme.yaml").write_text("sources: [")
    directory.refresh()
    assert not directory.is_whole
    assert directory.find("acme", "loke") is not None
    assert directory.find("blue", "loke") is not None
    (files / "acme.yaml").write_text(ACME.replace("01HACME", "01HNEW"))
    directory.refresh()
    assert directory.is_whole
    assert directory.find("acme", "loke").organisation_id == "01HNEW"


def test_a_folder_that_goes_away_takes_no_hook_away(directory, files):
    directory.refresh()
    files.rename(files.with_name("away"))
    directory.refresh()
    assert len(directory.all()) == 4
    assert not directory.is_whole
    files.with_name("away").rename(files)
    directory.refresh()
    assert directory.is_whole


def test_an_organisation_that_is_removed_receives_no_more(directory, files):
    directory.refresh()
    (files / "blue.yaml").unlink()
    directory.refresh()
    assert directory.find("blue", "loke") is None
    assert directory.is_whole


def test_while_a_file_cannot_be_read_an_unknown_organisation_may_be_ours(
    environ, ledger, tmp_path, files
):
    (files / "red.yaml").write_text("sources: [")
    with RunningReceiver(tmp_path, environ) as receiver:
        assert statuses(receiver, (loke_body(), "x"), org="red") == [503]
        (files / "red.yaml").unlink()
        assert statuses(receiver, (loke_body(), "x"), org="red") == [404]


def test_hooks_hold_no_secret_that_can_be_printed(directory):
    directory.refresh()
    assert LOKE_SECRET not in repr(directory.all())
