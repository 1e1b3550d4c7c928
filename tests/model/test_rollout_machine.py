"""Thousands of ways that a rollout can go, with a crash possible between any two writes."""

from __future__ import annotations

import pytest

from tests.model.machine import PROFILE, RolloutMachine

TestRollout = RolloutMachine.TestCase
TestRollout.settings = PROFILE
TestRollout = pytest.mark.timeout(3600)(TestRollout)
