"""The tables of a picture: a title, and columns of which only sentences are folded."""

from __future__ import annotations

from typing import Final

from rich.table import Table

_SENTENCES: Final = ("why", "message", "cause", "what", "statement")


def section(title: str, *columns: tuple[str, str]) -> Table:
    """An empty table with a title. `columns` are names, each with `right` where numbers stand, else empty."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold")
    for name, justify in columns:
        # Only sentences may be folded: a name in two lines cannot be copied.
        table.add_column(
            name,
            justify="right" if justify == "right" else "left",
            header_style="dim",
            overflow="fold",
            no_wrap=name not in _SENTENCES,
        )
    return table
