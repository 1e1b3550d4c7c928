"""Read ``versions.toml``, the one file that pins every version."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("versions.toml")


@cache
def _tables() -> dict[str, dict[str, Any]]:
    with FILE.open("rb") as file:
        return tomllib.load(file)


def of(name: str) -> str:
    """Return the pinned version of ``name`` ("1.36.3": no leading "v").

    Raises KeyError, naming the file, when nothing is pinned under that name.
    """
    return _entry("versions", name)


def image(name: str) -> str:
    """Return the pinned reference of an image that somebody else publishes, such as ``kind-node``."""
    return _entry("images", name)


def sha256(file_name: str) -> str | None:
    """Return the proved SHA-256 (hex) of a release file, or None when the release's own checksum must do."""
    value = _tables().get("sha256", {}).get(file_name)
    return None if value is None else str(value)


def _entry(table: str, name: str) -> str:
    try:
        return str(_tables()[table][name])
    except KeyError:
        raise KeyError(f"{FILE.name} pins no {name!r} in [{table}]") from None
