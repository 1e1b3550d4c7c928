"""What the documentation says of the command line is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml

from sophia_operator.cli.app import app
from tests.support.helm import ROOT

PAGES: Final = sorted((ROOT / "docs").rglob("*.md"))
#: Whatever shows somebody a command.
SHOWING: Final = [*PAGES, ROOT / "README.md", *sorted((ROOT / "manifests/samples").glob("*.yaml"))]
_EXAMPLE: Final = re.compile(r"^(?:    |\$ |# +)?(?:.*&& )?kubectl sophia ([^\n#`|;&]*)", re.MULTILINE)
REFERENCE: Final = (ROOT / "docs/reference/cli.md").read_text()
GROUP: Final[Any] = typer.main.get_command(app)
EXAMPLES: Final = sorted(
    {
        found.strip()
        for page in [*PAGES, ROOT / "README.md", *(ROOT / "manifests/samples").glob("*.yaml")]
        for found in re.findall(
            r"^(?:    |\$ |# +)?(?:.*&& )?kubectl sophia ([^\n#`|;&]*)", page.read_text(), re.MULTILINE
        )
    }
)


def _commands() -> dict[str, Any]:
    """Every command, by its words: those of `cache` have two."""
    own = {name: c for name, c in GROUP.commands.items() if not hasattr(c, "commands")}
    groups = {name: c for name, c in GROUP.commands.items() if hasattr(c, "commands")}
    return own | {f"{name} {sub}": c for name, group in groups.items() for sub, c in group.commands.items()}


COMMANDS: Final = _commands()


def test_the_reference_names_every_command_and_option() -> None:
    for name, command in COMMANDS.items():
        assert re.search(rf"^\| `{name}\b", REFERENCE, re.MULTILINE), name
        for option in (o for p in command.params for o in p.opts if o.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", REFERENCE), f"{name} {option}"


def test_the_reference_names_nothing_else() -> None:
    found = re.findall(r"^\| `([a-z]+(?: [a-z]+)?) ?[\w. \[\]-]*` \|", REFERENCE, re.MULTILINE)
    assert set(found) == set(COMMANDS)


def test_samples_call_the_plugin_as_kubectl_does() -> None:
    """`kubectl -n shop sophia` is no plugin call: flags go behind the plugin's name."""
    for page in SHOWING:
        assert not re.search(r"kubectl -[^\n]* sophia (?:get|status|explain|abort)", page.read_text()), page


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 10


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_in_the_documentation_are_understood(example: str) -> None:
    words = shlex.split(example)
    if words == ["--help"]:
        return
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    COMMANDS[name].make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", page.read_text())
    for target in re.findall(r"\]\(([^)#]+)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / "manifests/samples").glob("*.yaml")], ids=lambda p: p.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for path in re.findall(r"`((?:manifests|charts|images|crds|hack)/[\w./-]+)", page.read_text()):
        assert (ROOT / path).exists(), path


def test_the_gitops_examples_are_whole() -> None:
    for file in (ROOT / "manifests/gitops").glob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            assert {"apiVersion", "kind", "metadata"} <= set(document), file
