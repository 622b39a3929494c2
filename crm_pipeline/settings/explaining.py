"""pydantic's findings in the words of the person who wrote the file.

Here: type of error -> problem and remedy, with the line. Values are never repeated: a value may
be a secret in the wrong place.
"""

import difflib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from crm_pipeline.settings.organisation import OrganisationSettings
from crm_pipeline.settings.problems import ConfigProblem
from crm_pipeline.settings.yamlfile import Document, Location

_MESSAGES: dict[str, tuple[str, str]] = {
    "missing": ("This field is required and not set.", "Add it."),
    "string_type": ("Expected text.", "Put the value in quotes."),
    "bool_type": ("Expected true or false.", "Write `true` or `false`, without quotes."),
    "int_type": ("Expected a whole number.", "Write it without quotes."),
    "float_type": ("Expected a number.", "Write it without quotes."),
    "tuple_type": ("Expected a list.", "Write [one, two]."),
    "dict_type": ("Expected a block of `name: value` lines.", "Indent its fields below it."),
    "model_type": ("Expected a block of `name: value` lines.", "Indent its fields below it."),
}
_PATTERNS: dict[str, tuple[str, str]] = {
    "slug": (
        "A slug is 1 to 40 small letters, digits and `-`, and does not begin with `-`.",
        "Choose another slug (without one, the file's name is the slug).",
    ),
    "organisation_id": (
        "An organisation id is 1 to 100 letters, digits, `.`, `_` and `-`.",
        "Copy the id from the source's own pages.",
    ),
    "currency": ("A currency is three capital letters, such as AUD (ISO 4217).", ""),
    "key_prefix": ("A key prefix is 1 to 20 small letters, digits, `_` and `-`.", ""),
}


def explain_error(error: ErrorDetails, file: Path, document: Document) -> ConfigProblem:
    """Return one finding of pydantic with its line, its field and a remedy."""
    location: Location = tuple(part for part in error["loc"] if part != "[key]")
    problem, remedy = _words(error, location)
    return ConfigProblem(
        file=file,
        line=document.line_of(location),
        field=".".join(str(part) for part in location),
        problem=problem,
        remedy=remedy,
    )


def _words(error: ErrorDetails, location: Location) -> tuple[str, str]:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_field(location)
    if kind == "string_pattern_mismatch" and location and location[-1] in _PATTERNS:
        return _PATTERNS[str(location[-1])]
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    message = error["msg"].replace("Input should", "The value should")
    return message if message.endswith(".") else f"{message}.", ""


def _unknown_field(location: Location) -> tuple[str, str]:
    known = _fields_at(location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    remedy = f"Did you mean `{close[0]}`?" if close else f"Known here: {', '.join(known)}."
    return "There is no such field.", remedy


def _fields_at(location: Location) -> list[str]:
    model: Any = OrganisationSettings
    for part in location:
        model = _model_below(model, str(part))
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _model_below(model: Any, part: str) -> Any:
    if isinstance(model, type) and issubclass(model, BaseModel):
        field = model.model_fields.get(part)
        return field.annotation if field else None
    arguments = get_args(model)  # a dict of models: dict[name, Model]
    return arguments[1] if len(arguments) == 2 else None
