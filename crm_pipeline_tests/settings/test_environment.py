"""The environment: defaults, floors, and what a bad variable is answered with."""

import os
from pathlib import Path

import pytest

from crm_pipeline.errors import ConfigurationError
from crm_pipeline.settings import load_settings, prepare_home
from crm_pipeline.settings.environment import WAITS


def test_all_state_is_under_one_folder_by_default(tmp_path: Path) -> None:
    settings = load_settings({"CRM_PIPELINE_HOME": str(tmp_path)})
    assert settings.lake_url == str(tmp_path / "lake")
    assert settings.dagster_home == tmp_path / "dagster"
    assert settings.ledger_url.get_secret_value() == f"sqlite:///{tmp_path}/ledger.sqlite3"


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"HOME": "/h"}, "/h/.local/share/crm-pipeline"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/crm-pipeline"),
        ({"HOME": "/h", "CRM_PIPELINE_HOME": "~/state"}, "/h/state"),
        ({"HOME": "/h", "CRM_PIPELINE_HOME": ""}, "/h/.local/share/crm-pipeline"),
    ],
)
def test_the_home_has_a_sensible_default(environ: dict[str, str], home: str) -> None:
    assert load_settings(environ).home == Path(home)


def test_relative_folders_are_taken_from_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({"CRM_PIPELINE_HOME": "state", "HOME": "/h"})
    assert settings.home == tmp_path / "state"
    assert settings.config_folder == tmp_path / "organisations"


def test_waits_have_their_documented_units() -> None:
    waits = load_settings(
        {
            "CRM_PIPELINE_RETRY_BASE_MS": "200",
            "CRM_PIPELINE_RETRY_MAX_MS": "2000",
            "CRM_PIPELINE_SETTLE_MS": "1500",
            "CRM_PIPELINE_OVERLAP_S": "90",
            "CRM_PIPELINE_LEASE_S": "30",
            "CRM_PIPELINE_TIMEOUT_S": "10",
        }
    ).waits
    assert (waits.retry_base_seconds, waits.retry_max_seconds) == (0.2, 2.0)
    assert (waits.settle_seconds, waits.overlap_seconds) == (1.5, 90)
    assert (waits.lease_seconds, waits.timeout_seconds) == (30, 10)


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_below_its_floor_needs_test_mode(name: str) -> None:
    low = {name: "0.5"}
    with pytest.raises(ConfigurationError, match=f"{name} must be at least .*CRM_PIPELINE_TEST=1"):
        load_settings(low)
    assert load_settings({**low, "CRM_PIPELINE_TEST": "1"}).waits is not None


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1e12"])
def test_a_wait_that_is_no_wait_is_refused_without_repeating_it(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value, "CRM_PIPELINE_TEST": "1"})
    assert name in str(caught.value)
    assert value not in str(caught.value).replace(name, "")


def test_a_time_out_of_nothing_is_refused_even_in_a_test() -> None:
    with pytest.raises(ConfigurationError, match="CRM_PIPELINE_TIMEOUT_S"):
        load_settings({"CRM_PIPELINE_TIMEOUT_S": "0", "CRM_PIPELINE_TEST": "1"})


def test_every_bad_variable_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(
            {
                "CRM_PIPELINE_TEST": "yes",
                "CRM_PIPELINE_LEASE_S": "x",
                "CRM_PIPELINE_LAKE_URL": "s3://user:word@bucket/lake",
                "CRM_PIPELINE_RETRY_BASE_MS": "5000",
                "CRM_PIPELINE_RETRY_MAX_MS": "2000",
            }
        )
    text = str(caught.value)
    for name in ("TEST", "LEASE_S", "LAKE_URL", "RETRY_BASE_MS"):
        assert f"CRM_PIPELINE_{name}" in text
    assert "word" not in text


def test_settings_never_print_a_secret() -> None:
    settings = load_settings(
        {
            "CRM_PIPELINE_LEDGER_URL": "postgresql://u:canary-1@h/db",
            "LOKE_CLIENT_SECRET": "canary-2",
        }
    )
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.environment!r}"
    assert "canary" not in shown


def test_the_home_is_private_whatever_the_umask(tmp_path: Path) -> None:
    settings = load_settings({"CRM_PIPELINE_HOME": str(tmp_path / "a" / "home")})
    before = os.umask(0)
    try:
        prepare_home(settings)
    finally:
        os.umask(before)
    assert settings.home.stat().st_mode & 0o777 == 0o700


def test_a_home_that_others_can_read_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    prepare_home(load_settings({"CRM_PIPELINE_HOME": str(home)}))
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_everybody_writes_to_is_not_taken_over(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ConfigurationError, match="everybody may write"):
        prepare_home(load_settings({"CRM_PIPELINE_HOME": str(shared)}))
    assert shared.stat().st_mode & 0o1777 == 0o1777


def test_a_home_that_is_a_file_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError, match="CRM_PIPELINE_HOME"):
        prepare_home(load_settings({"CRM_PIPELINE_HOME": str(file / "home")}))
