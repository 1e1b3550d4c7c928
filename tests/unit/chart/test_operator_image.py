"""`images/operator/Dockerfile`: the same checkout gives the same image, today and in a year."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from hack.cluster import versions
from tests.support.helm import ROOT

DOCKERFILE: Final = ROOT / "images/operator/Dockerfile"


def installed() -> list[list[str]]:
    """The words after each `pip install`."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return [re.split(r" &&|\n", rest)[0].split() for rest in re.findall(r"pip(?: --python \S+)? install(.*)", text)]


def tools() -> dict[str, str]:
    """The tools of the build and their versions. Fails for one without an exact version."""
    words = [word.strip("'\"") for word in installed()[0] if not word.startswith("-")]
    return dict(word.split("==") for word in words)


def test_nothing_but_what_is_named_is_installed() -> None:
    assert len(installed()) == 3
    for words in installed():
        assert "--no-deps" in words, words


def test_the_tools_of_the_build_are_the_pinned_ones() -> None:
    assert tools()["uv"] == versions.of("uv")
    assert "hatchling" in tools()


def test_the_tools_of_the_build_agree_with_the_lock() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    locked = {package["name"]: package["version"] for package in lock["package"]}
    both = set(tools()) & set(locked)
    assert len(both) >= 3
    assert {name: tools()[name] for name in both} == {name: locked[name] for name in both}
