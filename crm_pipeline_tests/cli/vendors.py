"""Organisation files and variables for a sandbox that runs beside the test."""

from pathlib import Path
from textwrap import indent

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation

ORGANISATIONS = (
    SandboxOrganisation(id="01HBLUE", name="Blue", slug="blue", customers=30),
    SandboxOrganisation(id="01HREDD", name="Red", slug="red", customers=20),
)


def write_organisation(
    folder: Path, sandbox: Sandbox, slug: str, *, crm_extra: str = "", top_extra: str = ""
) -> Path:
    """Write the file of one of the sandbox's organisations; extras are YAML lines."""
    organisation = next(each for each in ORGANISATIONS if each.slug == slug)
    text = (
        "sources:\n"
        "  loke:\n"
        f"    base_url: {sandbox.loke_url}\n"
        f"    organisation_id: {organisation.id}\n"
        "destinations:\n"
        "  crm_com:\n"
        f"    base_url: {sandbox.crm_com_url}\n"
        "    limits: {calls_per_second: 1000, concurrency: 4}\n"
        f"{indent(crm_extra, '    ')}\n"
        f"{top_extra}\n"
    )
    file = folder / f"{slug}.yaml"
    file.write_text(text)
    return file


def secrets() -> dict[str, str]:
    """Return the variables that the organisations' files name."""
    keys = {f"CRM_COM_KEY_{each.slug.upper()}": each.crm_test_key for each in ORGANISATIONS}
    return {"LOKE_CLIENT_ID": "sandbox-client", "LOKE_CLIENT_SECRET": "sandbox-secret", **keys}
