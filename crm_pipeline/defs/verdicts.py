"""One sentence about many organisations: what a check says to a person.

Pure. Not here: how an organisation is judged (``checks``).
"""

from collections.abc import Mapping

import dagster as dg

from crm_pipeline.defs.failures import named

#: Offending organisations in the table of a check; the sentence has the whole number.
ROWS_SHOWN = 100


def verdict(
    fault: str,
    offenders: Mapping[str, str],
    total: int,
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Return a check's result about ``total`` organisations.

    ``fault`` completes "3 of 1,000 organisations ...". ``offenders`` says why, by organisation.
    """
    return dg.AssetCheckResult(
        passed=not offenders,
        severity=severity,
        description=sentence(fault, offenders, total=total),
        metadata={
            "organisations": total,
            "offenders": len(offenders),
            **({"why": why(offenders)} if offenders else {}),
        },
    )


def sentence(fault: str, offenders: Mapping[str, str], *, total: int) -> str:
    """Return the aggregate in words.

    >>> sentence("outside their guard", {"alfa": "", "bravo": ""}, total=1000)
    '2 of 1,000 organisations outside their guard: alfa, bravo.'
    >>> sentence("outside their guard", {}, total=1000)
    'None of 1,000 organisations outside their guard.'
    """
    if not offenders:
        return f"None of {total:,} organisations {fault}."
    return f"{len(offenders):,} of {total:,} organisations {fault}: {named(offenders)}."


def why(offenders: Mapping[str, str]) -> dg.TableMetadataValue:
    """Return one row for each offending organisation."""
    shown = sorted(offenders.items())[:ROWS_SHOWN]
    return dg.MetadataValue.table(
        records=[dg.TableRecord({"organisation": slug, "why": text}) for slug, text in shown],
        schema=dg.TableSchema([dg.TableColumn("organisation"), dg.TableColumn("why")]),
    )
