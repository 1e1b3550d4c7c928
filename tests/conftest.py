"""What all tests share."""

from __future__ import annotations

from tests.support.apiserver import pytest_collection_finish as pytest_collection_finish  # noqa: PLC0414 - a hook
