"""The process environment as one frozen value.

Here: every variable that the product knows, its default and its floor. Not here: organisations
(``loading``). ``load_settings`` gets the mapping passed in; it never looks at ``os.environ``.
"""

import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from crm_pipeline.core.records import Waits
from crm_pipeline.errors import ConfigurationError


class Environment:
    """Reads single variables; holds them without ever printing them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get(self, name: str) -> str | None:
        """Return one variable, or None when it is not set."""
        return self._values.get(name)

    def __repr__(self) -> str:
        """Show nothing: the environment holds secrets."""
        return "Environment(...)"


class Settings(BaseModel):
    """Where the state and the configuration are, and how long to wait for what."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    home: Path
    config_folder: Path
    ledger_url: SecretStr
    lake_url: str
    dagster_home: Path
    tombstone_key_file: Path
    waits: Waits
    is_test: bool = False
    is_debug: bool = False
    environment: Environment = Field(repr=False, exclude=True)


#: Variable -> field of ``Waits``, units in one second, floor in the variable's own unit.
WAITS: Mapping[str, tuple[str, int, float]] = {
    "CRM_PIPELINE_RETRY_BASE_MS": ("retry_base_seconds", 1000, 100),
    "CRM_PIPELINE_RETRY_MAX_MS": ("retry_max_seconds", 1000, 1_000),
    "CRM_PIPELINE_SETTLE_MS": ("settle_seconds", 1000, 500),
    "CRM_PIPELINE_OVERLAP_S": ("overlap_seconds", 1, 60),
    "CRM_PIPELINE_LEASE_S": ("lease_seconds", 1, 15),
    "CRM_PIPELINE_TIMEOUT_S": ("timeout_seconds", 1, 5),
}
_CEILING_SECONDS = 86_400.0
#: May be nothing at all in a test; every other wait is more than zero.
_MAY_BE_ZERO = {"CRM_PIPELINE_SETTLE_MS", "CRM_PIPELINE_OVERLAP_S"}


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings. Raises ConfigurationError naming every bad variable at once."""
    values = {name: value for name, value in environ.items() if value}
    problems: list[str] = []
    is_test = _flag(values, "CRM_PIPELINE_TEST", problems)
    is_debug = _flag(values, "CRM_PIPELINE_DEBUG", problems)
    waits = _waits(values, problems, is_test=is_test)
    home = _path(values, "CRM_PIPELINE_HOME", lambda: _default_home(values))
    lake_url = values.get("CRM_PIPELINE_LAKE_URL", str(home / "lake"))
    if "@" in lake_url.partition("://")[2].partition("/")[0]:
        problems.append("CRM_PIPELINE_LAKE_URL holds credentials; use the storage's own variables.")
    if problems:
        raise ConfigurationError(
            " ".join(problems),
            not_done="Nothing was started.",
            remedy="Correct or unset these variables.",
        )
    ledger_url = values.get("CRM_PIPELINE_LEDGER_URL", f"sqlite:///{home / 'ledger.sqlite3'}")
    return Settings(
        home=home,
        config_folder=_path(values, "CRM_PIPELINE_CONFIG", lambda: Path("organisations")),
        ledger_url=SecretStr(ledger_url),
        lake_url=lake_url,
        dagster_home=_path(values, "DAGSTER_HOME", lambda: home / "dagster"),
        tombstone_key_file=_path(
            values, "CRM_PIPELINE_TOMBSTONE_KEY_FILE", lambda: home / "tombstone.key"
        ),
        waits=waits,
        is_test=is_test,
        is_debug=is_debug,
        environment=Environment(environ),
    )


def prepare_home(settings: Settings) -> None:
    """Create the state folder, readable by its owner only; tighten it when it was looser.

    Raises ConfigurationError for a folder that others can write to, such as ``/tmp``: it is not
    ours to tighten.
    """
    home = settings.home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = home.stat().st_mode
        if mode & stat.S_IWOTH:
            raise ConfigurationError(
                f"CRM_PIPELINE_HOME is {home}, a folder that everybody may write to.",
                not_done="Nothing was stored.",
                remedy="Name a folder of its own, for example a new one inside it.",
            )
        if mode & 0o077:
            home.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The state folder {home} cannot be used ({type(error).__name__}).",
            not_done="Nothing was stored.",
            remedy="Set CRM_PIPELINE_HOME to a folder that you own.",
        ) from error


def _default_home(values: Mapping[str, str]) -> Path:
    if "XDG_DATA_HOME" in values:
        return Path(values["XDG_DATA_HOME"]) / "crm-pipeline"
    return _user_home(values) / ".local" / "share" / "crm-pipeline"


def _user_home(values: Mapping[str, str]) -> Path:
    return Path(values["HOME"]) if "HOME" in values else Path.home()


def _path(values: Mapping[str, str], name: str, default: Callable[[], Path]) -> Path:
    given = values.get(name)
    if given is None:
        return default().absolute()
    if given == "~" or given.startswith("~/"):
        return (_user_home(values) / given[2:]).absolute()
    return Path(given).absolute()


def _flag(values: Mapping[str, str], name: str, problems: list[str]) -> bool:
    value = values.get(name, "0")
    if value not in ("0", "1"):
        problems.append(f"{name} must be 1 or 0.")
    return value == "1"


def _waits(values: Mapping[str, str], problems: list[str], *, is_test: bool) -> Waits:
    found: dict[str, float] = {}
    for name, (field, per_second, floor) in WAITS.items():
        if name not in values:
            continue
        lowest = floor if not is_test else 0.0
        number = _number(values[name])
        if number is None or number > _CEILING_SECONDS * per_second:
            problems.append(f"{name} must be a number from {floor:g} to a day.")
        elif number < lowest or (number == 0 and name not in _MAY_BE_ZERO):
            hint = "" if is_test else " (lower values need CRM_PIPELINE_TEST=1)"
            problems.append(f"{name} must be at least {lowest or 1:g}{hint}.")
        else:
            found[field] = number / per_second
    longest = found.get("retry_max_seconds", Waits().retry_max_seconds)
    found.setdefault("retry_base_seconds", min(Waits().retry_base_seconds, longest))
    waits = Waits(**found)  # type: ignore[arg-type]
    if waits.retry_base_seconds > waits.retry_max_seconds:
        problems.append("CRM_PIPELINE_RETRY_BASE_MS is larger than CRM_PIPELINE_RETRY_MAX_MS.")
    return waits


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
