"""Documents that can be checked are."""

import re
import tomllib
from pathlib import Path

from typer.main import get_command

from hatcat.cli import app
from hatcat.settings import Settings

ROOT = Path(__file__).parents[1]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[>=<]", item)[0] for item in project["dependencies"]}
    table = re.findall(r"^\| ([a-z0-9-]+) \|", (ROOT / "docs/DEPENDENCIES.md").read_text(), re.M)
    assert declared == set(table) - {"package"}


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [name for name in get_command(app).commands if not re.search(rf"hatcat [a-z /`]*{name}\b", readme)]  # type: ignore[attr-defined]
    assert not missing


def test_settings_page_lists_every_setting() -> None:
    page = (ROOT / "docs/SETTINGS.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` | `HATCAT_{name.upper()}` |" in page, name
        assert str(field.description) in page, name


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
