"""The way in: where the gateway is, and when it leads to a new host."""

from __future__ import annotations

from typing import Final

from hack.load import Load
from hack.rig.api import Api
from hack.rig.waiting import until

_SECONDS: Final = 30.0
_PROBES_PER_SECOND: Final = 10.0
_PROBES_IN_A_ROW: Final = 5
_PROBE_TIMEOUT_SECONDS: Final = 2.0


def gateway_address(api: Api, *, seconds: float = _SECONDS) -> str:
    """Address of the gateway, as its status tells. Raises TimeoutError."""

    def look() -> str | None:
        gateway = api.get("Gateway", "projectcontour", "sophia")
        addresses = ((gateway or {}).get("status") or {}).get("addresses") or []
        return str(addresses[0]["value"]) if addresses else None

    return api.until("the gateway's address", look, seconds=seconds)


def wait_reachable(url: str, host: str, *, seconds: float = _SECONDS) -> None:
    """Wait until the gateway at `url` gives requests for `host` to a release, several times in a row.

    Its listener learns of a new host a moment after the route says so, each of its threads by itself: books that are
    opened earlier count its own 404s as lost. Raises TimeoutError, which says what came instead.
    """
    # A connection of its own for each, since a kept one would ask the same thread again and again.
    with Load(url, host, _PROBES_PER_SECOND, fresh_share=1.0, timeout=_PROBE_TIMEOUT_SECONDS) as probe:
        try:
            until(f"the gateway at {url} to lead to {host}", lambda: _reached(probe), seconds=seconds, every=0.1)
        except TimeoutError as error:
            reasons = probe.report().lost_reasons or "answers, but of no release"
            raise TimeoutError(f"{error}; instead there were: {reasons}") from None


def _reached(probe: Load) -> bool:
    newest = probe.records[-_PROBES_IN_A_ROW:]
    return len(newest) == _PROBES_IN_A_ROW and all(record.release is not None for record in newest)
