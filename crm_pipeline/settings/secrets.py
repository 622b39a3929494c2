"""Secrets by name: where a secret is, and how it is looked up at the moment of use.

Here: references and their reader. Not here: secrets themselves; no value is kept or printed.
"""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from crm_pipeline.errors import SecretMissingError
from crm_pipeline.settings.environment import Environment

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_MAX_BYTES = 64 * 1024
_HOW = "Write {env: NAME_OF_A_VARIABLE} or {file: /path/to/a/file}"


class SecretReference(BaseModel):
    """The name of a secret: an environment variable or a file, never the secret itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    env: str | None = None
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def refuse_literals(cls, value: object) -> object:
        """Refuse everything but one name, without repeating what was written."""
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "secret_literal",
                "A secret must be named here, not written out. "
                + _HOW
                + " and, if this was a real secret, replace it at its issuer.",
            )
        if len(value) != 1 or next(iter(value)) not in ("env", "file"):
            raise PydanticCustomError(
                "secret_shape", "A secret has exactly one name. " + _HOW + "."
            )
        ((kind, name),) = value.items()
        if not isinstance(name, str) or not _is_name(kind, name):
            raise PydanticCustomError(
                "secret_name",
                "`env` takes a variable name such as CRM_COM_KEY (capitals, digits and _),"
                " `file` an absolute path.",
            )
        return value

    @property
    def place(self) -> str:
        """Where the secret is, in words."""
        return f"the variable {self.env}" if self.env else f"the file {self.file}"


def _is_name(kind: str, name: str) -> bool:
    if kind == "env":
        return _VARIABLE.fullmatch(name) is not None
    return name.startswith("/") and ".." not in Path(name).parts and "\0" not in name


class SecretReader:
    """Looks one secret up each time it is called.

    ``field`` and ``source_file`` say where the reference was written, for the error message.
    """

    __slots__ = ("_environment", "_field", "_organisation", "_reference", "_source_file")

    def __init__(
        self,
        reference: SecretReference,
        environment: Environment,
        *,
        organisation: str,
        field: str,
        source_file: Path,
    ) -> None:
        self._reference = reference
        self._environment = environment
        self._organisation = organisation
        self._field = field
        self._source_file = source_file

    def __repr__(self) -> str:
        """Name the place, never the value."""
        return f"SecretReader({self._reference.place})"

    def __call__(self) -> str:
        """Return the secret. Raises SecretMissingError when the named place holds none."""
        value = self._read().strip("\r\n")
        if not value.strip():
            raise self._missing("is empty or not set")
        if any(ord(letter) < 32 for letter in value):
            raise self._missing("holds a line break or another control character")
        return value

    def _read(self) -> str:
        if self._reference.file is None:
            return self._environment.get(self._reference.env or "") or ""
        try:
            with Path(self._reference.file).open("rb") as stream:
                return stream.read(_MAX_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            raise self._missing("cannot be read") from None

    def _missing(self, problem: str) -> SecretMissingError:
        return SecretMissingError(
            f"{self._organisation} needs a secret from {self._reference.place}, which {problem}"
            f" (field `{self._field}` in {self._source_file.name}).",
            not_done="Nothing was sent.",
            remedy=f"Put it there, then run `crm-pipeline doctor {self._organisation}`.",
        )
