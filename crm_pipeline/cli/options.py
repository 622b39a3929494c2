"""Options that several commands share, so that one word means one thing everywhere."""

from typing import Annotated

import typer

Organisation = Annotated[
    str, typer.Option("--org", metavar="SLUG", help="The organisation, by its slug.")
]
MaybeOrganisation = Annotated[
    str | None, typer.Option("--org", metavar="SLUG", help="Only this organisation.")
]
MaybeSource = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="Only this source, such as loke.")
]
MaybeDestination = Annotated[
    str | None,
    typer.Option("--destination", metavar="NAME", help="Only this destination, such as crm_com."),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", metavar="SOURCE/NAME", help="Only this dataset; may be repeated."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output instead.")
]
Full = Annotated[
    bool, typer.Option("--full", help="Look at everything, not only at what changed since.")
]


def lines(*texts: str) -> str:
    r"""Return help text that keeps its line breaks.

    >>> lines("Examples:", "one", "two")
    'Examples:\none\ntwo'
    """
    return "\n".join(texts)


def examples(*commands: str) -> str:
    """Return the epilog of a command: lines to copy."""
    return lines("Examples:", *(f"  crm-pipeline {command}" for command in commands))
