"""``crm-pipeline audit``: who did what, and whether the record of it is whole."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import Json, MaybeOrganisation, examples
from crm_pipeline.errors import EXIT_DATA, ConfigurationError

if TYPE_CHECKING:
    from crm_pipeline.core.audit import AuditEntry, AuditHead
    from crm_pipeline.store.ledger.audit import Audit

LIST_EXAMPLES = examples("audit list", "audit list --org harbour-coffee")
VERIFY_EXAMPLES = examples("audit verify", "audit verify --against head.json")
EXPORT_EXAMPLES = examples("audit export > audit.jsonl", "audit export --org harbour-coffee")
HEAD_EXAMPLES = examples("audit head --json > head.json")
EXAMPLES = examples(
    "audit list --org harbour-coffee",
    "audit head --json > head.json",
    "audit verify --against head.json",
    "audit export > audit.jsonl",
)
#: How the chain of the installation is called here.
INSTALLATION_NAME = "(installation)"

app = typer.Typer(
    help="Who did what: a chain of entries that shows whether any was changed.",
    no_args_is_help=True,
    epilog=EXAMPLES,
)


@app.callback()
def root() -> None:
    """Look at the audit log, check it, take it elsewhere."""


@app.command("list", epilog=LIST_EXAMPLES)
def list_entries(
    org: MaybeOrganisation = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the newest entries, of one organisation or of the installation and all."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        audit = runtime.ledger.audit
        found = [entry for chain in _chains(audit, org) for entry in audit.newest(chain, limit)]
    newest = sorted(found, key=lambda entry: entry.at, reverse=True)[:limit]
    rows = [
        [
            _shown(entry.chain),
            entry.seq,
            f"{entry.at:%Y-%m-%d %H:%M:%S} UTC",
            entry.who,
            entry.what,
            ", ".join(f"{name}: {_text(value)}" for name, value in entry.details.items()),
        ]
        for entry in newest
    ]
    screen.table("Audit log", ["Chain", "No.", "When", "Who", "What", "Details"], rows)
    screen.result({"entries": [entry_json(entry) for entry in newest]})


@app.command(epilog=VERIFY_EXAMPLES)
def verify(
    org: MaybeOrganisation = None,
    *,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="What `audit head --json` wrote earlier: finds what is missing at the end.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the chains from their beginning. Exit code 65: one is broken, the first bad entry."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    noted = {} if against is None else {head.chain: head for head in _noted(against)}
    with opened_runtime() as runtime:
        audit = runtime.ledger.audit
        chains = _chains(audit, org)
        chains += [chain for chain in sorted(noted) if org in (None, chain) and chain not in chains]
        faults = [audit.verify(chain, noted.get(chain)) for chain in chains]
    broken = [fault for fault in faults if fault is not None]
    for fault in broken:
        screen.line(f"{_shown(fault.chain)}: entry {fault.seq:,}: {fault.problem}")
    screen.line(f"{len(chains):,} chains were checked; {len(broken):,} are broken.")
    documents = [{"chain": each.chain, "seq": each.seq, "problem": each.problem} for each in broken]
    screen.result({"chains": chains, "broken": documents})
    if broken:
        raise typer.Exit(EXIT_DATA)


@app.command(epilog=EXPORT_EXAMPLES)
def export(org: MaybeOrganisation = None) -> None:
    """Write every entry as one JSON line each, oldest first, with its hashes."""
    from crm_pipeline.cli.opening import opened_runtime

    with opened_runtime() as runtime:
        audit = runtime.ledger.audit
        for chain in _chains(audit, org):
            for entry in audit.entries(chain):
                typer.echo(json.dumps(entry_json(entry), sort_keys=True))


@app.command(epilog=HEAD_EXAMPLES)
def head(org: MaybeOrganisation = None, *, as_json: Json = False) -> None:
    """Show the newest hash of each chain: keep it where nobody here can change it."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        heads = [each for each in runtime.ledger.audit.heads() if org in (None, each.chain)]
    rows = [[_shown(each.chain), each.seq, each.hash] for each in heads]
    screen.table("", ["Chain", "Entries", "Hash"], rows)
    documents = [{"chain": each.chain, "seq": each.seq, "hash": each.hash} for each in heads]
    screen.result({"heads": documents})


def entry_json(entry: "AuditEntry") -> dict[str, Any]:
    """Return one entry as it is exported; the time in ISO 8601, UTC."""
    return {
        "chain": entry.chain,
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "what": entry.what,
        "details": dict(entry.details),
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }


def _chains(audit: "Audit", org: str | None) -> list[str]:
    return audit.chains() if org is None else [org]


def _noted(file: Path) -> Sequence["AuditHead"]:
    """Read the heads that were written down. Raises ConfigurationError for another file."""
    from crm_pipeline.core.audit import AuditHead

    try:
        return [
            AuditHead(chain=str(each["chain"]), seq=int(each["seq"]), hash=str(each["hash"]))
            for each in json.loads(file.read_text(encoding="utf-8"))["heads"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{file} is not what `crm-pipeline audit head --json` writes.",
            not_done="Nothing was checked.",
        ) from error


def _shown(chain: str) -> str:
    return chain or INSTALLATION_NAME


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
