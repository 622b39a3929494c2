"""A folder of organisation files that a test writes, and the settings that point to it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from crm_pipeline.settings import LoadedOrganisations, load_organisations, load_settings

MINIMAL = """\
sources:
  loke: {organisation_id: 01HSANDB0XHARB0VRC0FFEE001}
destinations:
  crm_com: {}
"""

LoadFiles = Callable[[Mapping[str, str]], LoadedOrganisations]


@pytest.fixture
def load_files(tmp_path: Path) -> LoadFiles:
    """Write files by name and load the folder."""

    def load(files: Mapping[str, str]) -> LoadedOrganisations:
        folder = tmp_path / "organisations"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return load_organisations(load_settings({"CRM_PIPELINE_CONFIG": str(folder)}))

    return load
