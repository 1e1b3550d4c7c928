"""The command line for people: `kubectl sophia`."""

from __future__ import annotations


def main() -> None:
    """Run `kubectl-sophia`; ends the process with its exit code."""
    from sophia_operator.cli.app import app  # noqa: PLC0415 - importing the package must stay cheap

    app(prog_name="kubectl sophia")
