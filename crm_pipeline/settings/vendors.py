"""Defaults that depend on the vendor or on the organisation's slug.

Here: public addresses and the usual names of secrets, so that a minimal file is short. Source of
the addresses: the vendors' own documentation.
"""

import re
from collections.abc import Callable

from crm_pipeline.settings.yamlfile import JsonValue

Section = dict[str, JsonValue]

LOKE_API = "https://api.loke.global"
LOKE_ISSUER = "https://auth.loke.global"
CRM_COM_BY_MODE = {
    "test": "https://sandbox.crm.com/backoffice/v2",
    "live": "https://app.crm.com/backoffice/v2",
}


def fill_defaults(data: Section, stem: str) -> Section:
    """Return the data of a file with the defaults of its vendors and its slug.

    ``stem`` is the file's name without its ending: the default slug.
    """
    filled: Section = {"slug": stem, **data}
    slug = filled["slug"]
    text = slug if isinstance(slug, str) else stem
    filled.setdefault("name", text.replace("-", " ").title()[:200] or "?")
    if "sources" in data:
        filled["sources"] = _fill_each(data["sources"], _fill_source)
    if "destinations" in data:
        filled["destinations"] = _fill_each(
            data["destinations"], lambda name, section: _fill_destination(name, section, text)
        )
    _share_account(filled.get("sources"), filled.get("destinations"))
    return filled


def _share_account(sources: JsonValue, destinations: JsonValue) -> None:
    """Let a source that is one of our CRMs (its orders) use the address and key of that CRM."""
    if not isinstance(sources, dict) or not isinstance(destinations, dict):
        return
    for name in sources.keys() & destinations.keys():
        source, destination = sources[name], destinations[name]
        if isinstance(source, dict) and isinstance(destination, dict):
            for field in ("base_url", "api_key"):
                if field in destination:
                    source.setdefault(field, destination[field])


def _fill_each(sections: JsonValue, fill: Callable[[str, Section], Section]) -> JsonValue:
    if not isinstance(sections, dict):
        return sections
    result: Section = {}
    for name, section in sections.items():
        known = {} if section is None else section
        result[name] = fill(name, known) if isinstance(known, dict) else known
    return result


#: What each source reads when its section does not say.
_DATASETS: dict[str, list[JsonValue]] = {
    "loke": ["customers"],
    "sopost": ["orders"],
    "catalogue": ["products"],
    "crm_com": ["orders"],
}
#: The usual names of a source's secrets, by setting.
_SECRETS: dict[str, dict[str, str]] = {
    "loke": {"client_id": "LOKE_CLIENT_ID", "client_secret": "LOKE_CLIENT_SECRET"},
    "sopost": {"user_id": "SOPOST_USER_ID", "password": "SOPOST_PASSWORD"},
}


def _fill_source(name: str, section: Section) -> Section:
    defaults: Section = {
        **{field: {"env": variable} for field, variable in _SECRETS.get(name, {}).items()},
        "key_prefix": name.replace("_", "-")[:20],
        "datasets": _DATASETS.get(name, []),
    }
    if name == "loke":
        defaults["base_url"] = LOKE_API
    filled = {**defaults, **section}
    base_url = filled.get("base_url")
    if name == "loke" and isinstance(base_url, str):
        issuer = LOKE_ISSUER if base_url.rstrip("/") == LOKE_API else base_url.rstrip("/")
        filled.setdefault("token_url", issuer + "/token")
    return filled


def _fill_destination(name: str, section: Section, slug: str) -> Section:
    variable = "CRM_COM_KEY" if name == "crm_com" else f"{name.upper()}_KEY"
    suffix = re.sub("[^A-Z0-9]", "_", slug.upper()[:40])
    defaults: Section = {"api_key": {"env": f"{variable}_{suffix}"}}
    if name == "crm_com":
        mode = "live" if section.get("mode") == "live" else "test"
        defaults["base_url"] = CRM_COM_BY_MODE[mode]
    if name == "crm_com_classic":
        defaults["sends"] = ["products", "purchases"]
    return {**defaults, **section}
