"""One sentence about many organisations: what a check says to a person.

Pure. Not here: how an organisation is judged (``checks``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from crm_pipeline.defs.failures import named

_WHY = "why"
#: Offending organisations in the table of a check; the sentence has the whole number.
ROWS_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is wrong, by organisation, among ``total`` of them.

    ``is_part``: not all were judged, but those of one run and those found at fault before.
    """

    offenders: Mapping[str, str]
    total: int
    is_part: bool = False


def verdict(
    fault: str,
    judged: Judged,
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Return a check's result; ``fault`` completes "3 of 1,000 organisations are ..."."""
    offenders = judged.offenders
    return dg.AssetCheckResult(
        passed=not offenders,
        severity=severity,
        description=sentence(fault, judged),
        metadata={
            "organisations": judged.total,
            "offenders": len(offenders),
            **({_WHY: why(offenders)} if offenders else {}),
        },
    )


def sentence(fault: str, judged: Judged) -> str:
    """Return the aggregate in words.

    >>> two = {"alfa": "", "bravo": ""}
    >>> sentence("outside their guard", Judged(offenders=two, total=1000))
    '2 of 1,000 organisations are outside their guard: alfa, bravo.'
    >>> sentence("outside their guard", Judged(offenders={}, total=25, is_part=True))
    'None of 25 organisations (of this run, or found before) is outside their guard.'
    >>> sentence("outside their guard", Judged(offenders={}, total=0))
    'No organisation has it: nothing to judge.'
    """
    if not judged.total:
        return "No organisation has it: nothing to judge."
    noun = "organisation" if judged.total == 1 else "organisations"
    noun += " (of this run, or found before)" if judged.is_part else ""
    if not judged.offenders:
        return f"None of {judged.total:,} {noun} is {fault}."
    names, count = named(judged.offenders), len(judged.offenders)
    return f"{count:,} of {judged.total:,} {noun} {'is' if count == 1 else 'are'} {fault}: {names}."


def why(offenders: Mapping[str, str]) -> dg.TableMetadataValue:
    """Return one row for each offending organisation."""
    shown = sorted(offenders.items())[:ROWS_SHOWN]
    return dg.MetadataValue.table(
        records=[dg.TableRecord({"organisation": slug, "why": text}) for slug, text in shown],
        schema=dg.TableSchema([dg.TableColumn("organisation"), dg.TableColumn("why")]),
    )


def offenders_in(metadata: Mapping[str, dg.MetadataValue]) -> Iterator[str]:
    """Give the organisations that an earlier verdict's table names."""
    table = metadata.get(_WHY)
    if isinstance(table, dg.TableMetadataValue):
        for row in table.records:
            yield str(row.data["organisation"])
