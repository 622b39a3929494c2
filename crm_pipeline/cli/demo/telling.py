"""What the demo says when it is ready."""

from pathlib import Path

from crm_pipeline.cli.demo.state import SLUGS, Ports


def where_to_look(ports: Ports, *, has_ui: bool) -> str:
    """Return the addresses to open."""
    addresses = [
        *([f"  Dagster   {ports.dagster_url}"] if has_ui else []),
        f"  LOKE      {ports.loke_url}/_sandbox/state",
        f"  CRM.COM   {ports.crm_com_url}/_sandbox/requests?summary=1",
        f"  SoPost    {ports.sopost_url}/_sandbox/state",
    ]
    return "\n".join(("", "Open (Ctrl-C ends the demo at any time):", *addresses))


def next_things(folder: Path, ports: Ports, *, has_ui: bool) -> str:
    """Return the lines to try once every organisation is in the CRM."""
    slug = SLUGS[1]
    body = f'{{"organisation": "{slug}", "count": 25}}'
    watcher = "Dagster's sensor sees it and" if has_ui else "the running sync sees it and"
    return "\n".join(
        (
            "",
            f"Try, in another terminal: change 25 customers; {watcher} carries them over.",
            f"  curl -s {ports.loke_url}/_sandbox/customers/mutate -d '{body}'",
            "",
            "Any command works on the demo:",
            f"  . {folder / 'demo.env'}",
            "  crm-pipeline demo act --list",
            "  crm-pipeline demo act payment",
            "  crm-pipeline status",
            f"  crm-pipeline plan list --org {slug}",
            f"  crm-pipeline verify --org {slug}",
        )
    )
