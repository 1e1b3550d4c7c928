"""`python -m hack.demo`: everything up, a good change promoted, a bad one rolled back, nothing lost; then all away.

Exit codes: 0 when all of that was so; 1 when not; 130 when interrupted. Figures go to `out/demo.json`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console

from hack.cluster import bringup, paths
from hack.demo import figures, show
from hack.load import Load
from hack.rig.api import Api
from hack.rig.services import Service, hostname
from sophia_operator.api.release import ReleaseState
from sophia_operator.core.situation import Situation

NAMESPACE: Final = "sophia-demo"
NAME: Final = "shop"
OUT: Final = Path("out/demo.json")
GATEWAY_SECONDS: Final = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up at the end")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second (default: 100)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    started = time.monotonic()
    try:
        bringup.up()
        with Api(paths.kubeconfig()) as api:
            good = _run(console, api, options.rate)
    except KeyboardInterrupt:
        console.print("Interrupted; cleaning up.")
        good = None
    finally:
        # A second Ctrl-C must not leave half a cluster behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not options.keep:
            bringup.down()
    console.print(f"The demo took {time.monotonic() - started:.0f} s.")
    if good is None:
        return 130
    console.print("[green]All as it should be.[/]" if good else "[bold red]Not as it should be: see above.[/]")
    return 0 if good else 1


def _run(console: Console, api: Api, rate: float) -> bool:
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    service = Service(api, NAME, NAMESPACE)
    console.rule("A service behind the gateway")
    service.apply(env={"DEMO_VERSION": "1"})
    service.wait_settled(1)
    address = gateway_address(api)
    with Load(f"http://{address}/", hostname(NAME, NAMESPACE), rate=rate, log=_log()) as load:
        api.until("the first answers", lambda: load.report().ok > rate, seconds=GATEWAY_SECONDS)
        console.rule("A good change: 10, 25, 50, 100 percent")
        service.apply(env={"DEMO_VERSION": "2"})
        show.watch(console, service, load, lambda s: _ended(s, 2), seconds=240)
        console.rule("A bad change: its users would see errors")
        service.apply(env={"DEMO_VERSION": "3", "DEMO_ERROR_PERCENT": "30", "DEMO_FAULT_AFTER_SECONDS": "3"})
        show.watch(console, service, load, lambda s: _ended(s, 3), seconds=240)
        time.sleep(2)  # the load goes on for a moment, to see that nothing more comes of the bad release
    return _tell(console, service, load)


def gateway_address(api: Api) -> str:
    """Address of the gateway, as its status tells."""

    def look() -> str | None:
        gateway = api.get("Gateway", "projectcontour", "sophia")
        addresses = ((gateway or {}).get("status") or {}).get("addresses") or []
        return str(addresses[0]["value"]) if addresses else None

    return api.until("the gateway's address", look, seconds=GATEWAY_SECONDS)


def _ended(situation: Situation, revision: int) -> bool:
    release = next((r for r in situation.releases if r.spec.revision == revision), None)
    return release is not None and (release.status.state is ReleaseState.PROMOTED or release.status.state.is_latched)


def _tell(console: Console, service: Service, load: Load) -> bool:
    good, bad = service.release(2), service.release(3)
    assert good is not None
    assert bad is not None
    report = load.report()
    stages = [*figures.stage_figures(good, load.records), *figures.stage_figures(bad, load.records)]
    fault_seconds = figures.fault_to_all_stable_seconds(bad["metadata"]["name"], load.records)
    console.print(show.table(report, stages, fault_seconds))
    outcome = bad["status"].get("outcome", {})
    console.print(f"Why {bad['metadata']['name']} went back: {outcome.get('reason')}: {outcome.get('message')}")
    promoted = good["status"]["state"] == "Promoted"
    rolled_back = bad["status"]["state"] == "RolledBack"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "sent": report.sent,
        "lost": report.lost,
        "promoted": promoted,
        "rolledBack": rolled_back,
        "faultToAllStableSeconds": None if fault_seconds is None else round(fault_seconds, 2),
        "errorsOnPurpose": report.app_errors,
        "stages": [s.to_json() for s in stages],
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    return promoted and rolled_back and report.lost == 0


def _log() -> Path:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    return OUT.with_name("demo-requests.jsonl")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
