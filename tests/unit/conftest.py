"""What unit tests share: one API server for those that ask a real one."""

from __future__ import annotations

from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name
