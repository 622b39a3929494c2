"""A look into the demo's own lake: whether a record has landed."""

from collections.abc import Mapping


def is_landed(environ: Mapping[str, str], slug: str, dataset: str, row_id: str) -> bool:
    """Whether an organisation's lake holds a record of ``<source>/<dataset>``."""
    from crm_pipeline.settings import load_settings
    from crm_pipeline.wiring import Runtime

    table = f"landed/{dataset}"
    with Runtime(load_settings(environ)) as runtime:
        lake = runtime.workspace.lake
        if not lake.exists(slug, table):
            return False
        with lake.session() as session:
            session.attach("landed", slug, table)
            return bool(session.value("SELECT count(*) FROM landed WHERE id = ?", [row_id]))
