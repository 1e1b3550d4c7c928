"""Addresses of the loopback interface."""

from __future__ import annotations

import os


def own_address(number: int) -> str:
    """An address of the loopback interface that no other process of tests takes: the port of nodes is one for all."""
    pid = os.getpid()
    return f"127.{64 + pid // 250 % 128}.{1 + pid % 250}.{number}"
