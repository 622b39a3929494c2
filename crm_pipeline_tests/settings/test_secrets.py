"""Secrets: looked up when needed, named when missing, never shown."""

from pathlib import Path

import pytest

from crm_pipeline.errors import EXIT_CONFIGURATION, SecretMissingError
from crm_pipeline.settings import Environment, SecretReader, SecretReference


def reader(reference: dict[str, str], environ: dict[str, str]) -> SecretReader:
    return SecretReader(
        SecretReference.model_validate(reference),
        Environment(environ),
        organisation="harbour",
        field="destinations.crm_com.api_key",
        source_file=Path("/config/harbour.yaml"),
    )


def test_a_secret_is_looked_up_at_every_use() -> None:
    environ = {"KEY": "one"}
    secret = reader({"env": "KEY"}, environ)
    assert secret() == "one"
    environ["KEY"] = "two"
    assert secret() == "two"


def test_a_secret_file_may_end_with_a_line_break(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"canary\r\n")
    assert reader({"file": str(file)}, {})() == "canary"


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}, {"KEY": " \n"}])
def test_a_missing_secret_names_organisation_file_field_and_variable(
    environ: dict[str, str],
) -> None:
    with pytest.raises(SecretMissingError) as caught:
        reader({"env": "KEY"}, environ)()
    for name in ("harbour", "harbour.yaml", "destinations.crm_com.api_key", "KEY", "doctor"):
        assert name in str(caught.value)
    assert caught.value.exit_code == EXIT_CONFIGURATION


def test_a_secret_with_a_line_break_is_refused_without_showing_it() -> None:
    with pytest.raises(SecretMissingError, match="line break") as caught:
        reader({"env": "KEY"}, {"KEY": "canary\r\nx-header: 1"})()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_secret_file_that_holds_no_secret_is_missing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(SecretMissingError, match="the file"):
        reader({"file": str(file)}, {})()


def test_a_secret_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SecretMissingError, match="cannot be read"):
        reader({"file": str(tmp_path / "none")}, {})()


def test_a_reader_shows_the_place_and_not_the_value() -> None:
    secret = reader({"env": "KEY"}, {"KEY": "canary"})
    assert repr(secret) == "SecretReader(the variable KEY)"
