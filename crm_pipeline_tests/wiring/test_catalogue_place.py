"""A catalogue's file is looked for beside the organisation's own file."""

from contextlib import closing

from crm_pipeline.settings import load_settings
from crm_pipeline.wiring import Runtime

FILE = """
sources: {catalogue: {location: products.csv}}
destinations: {crm_com: {sends: [products]}}
"""


def test_a_relative_path_begins_where_the_organisation_s_file_is(tmp_path, monkeypatch):
    folder = tmp_path / "organisations"
    folder.mkdir()
    (folder / "acme.yaml").write_text(FILE)
    (folder / "products.csv").write_text("sku,name\nF1,Flat white\n")
    monkeypatch.chdir(tmp_path)
    environ = {"CRM_PIPELINE_CONFIG": str(folder), "CRM_PIPELINE_HOME": str(tmp_path / "home")}
    with Runtime(load_settings(environ)) as runtime:
        source = runtime.organisation("acme").sources["catalogue"]
        with closing(source.connect()) as api:
            page = api.decode("products", api.first_page("products"))
    assert page.rows.column("sku").to_pylist() == ["F1"]
