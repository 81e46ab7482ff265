"""What the package ships and what it asks for."""

import importlib.metadata
import pathlib
import re

import pytest

import nasjax
from nasjax.proxies import registry

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_data_and_type_marker_are_declared():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"nasjax": ["py.typed"]' in text and '"nasjax.data": ["assets/*"]' in text
    assets = list((ROOT / "nasjax" / "data" / "assets").iterdir())
    # Photos 1.4 MB, tables of accuracies, proxies and latencies; none is above 1.5 MB.
    sizes = [file.stat().st_size for file in assets]
    assert assets and max(sizes) < 1.5e6 and sum(sizes) < 4e6
    assert (ROOT / "nasjax" / "py.typed").is_file()


def test_every_folder_of_code_is_a_package():
    for file in (ROOT / "nasjax").rglob("*.py"):
        assert (file.parent / "__init__.py").is_file(), f"{file.parent.relative_to(ROOT)} is left out of the wheel"


def test_every_requirement_is_used_or_announced():
    # The design asks for these from the start; the parts that use them come one by one.
    announced = {"flax", "jraph", "optax", "orbax-checkpoint", "chex"}
    modules = {"pillow": "PIL", "absl-py": "absl", "tensorflow-datasets": "tensorflow_datasets"}
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    block = re.search(r"install_requires=\[(.*?)\n    \],", text, re.DOTALL)[1]
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "nasjax").rglob("*.py"))
    for name in re.findall(r'^ +"([a-z-]+)>=', block, re.MULTILINE):
        used = re.search(rf"^ *(import|from) {modules.get(name, name)}\b", code, re.MULTILINE)
        assert used or name in announced, f"{name} is required and not used"


def test_minimum_versions_hold_here():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    block = re.search(r"install_requires=\[(.*?)\n    \],", text, re.DOTALL)[1]
    for name, least in re.findall(r'"([a-z-]+)>=([0-9.]+)', block):
        found = importlib.metadata.version(name)
        assert _numbers(found) >= _numbers(least.rstrip(".")), f"{name} {found} is older than {least}"


@pytest.mark.parametrize(
    "name", ["Makefile", ".ci/run", "LICENSE", "NOTICE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff"]
)
def test_files_that_people_look_for(name):
    assert (ROOT / name).stat().st_size > 0


def test_links_of_the_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            # Sphinx makes the pages of the reference, and checks links to them.
            if "://" not in link and not link.startswith("reference/"):
                assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_notice_names_every_asset_and_every_proxy():
    text = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for file in (ROOT / "nasjax" / "data" / "assets").iterdir():
        assert file.name in text, f"NOTICE says nothing of {file.name}"
    ideas = re.findall(r"[a-z0-9_]+", text.partition(". Ideas\n")[2])
    covered = {"params", "flops", *(f"az_{part}" for part in ("expressivity", "progressivity", "trainability"))}
    for name in set(registry.names()) - covered - {"te_ntk", "te_regions", "lswag"}:
        assert name in ideas, f"NOTICE says nothing of the origin of {name}"


def test_versions_agree():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'version="{nasjax.__version__}"' in setup and f"\nversion: {nasjax.__version__}\n" in citation
    # What the page of installation names is what the metadata name.
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for version in re.findall(r"Python :: (3\.\d+)", setup):
        assert version in page
    for extra in re.findall(r'^        "([a-z]+)": \[', setup, re.MULTILINE):
        assert f"`{extra}`" in page, f"docs/install.md says nothing of the extra {extra}"


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
