"""The command line: ``python -m hack.load --url http://10.77.128.80/ --host web.example --rate 100 --duration 60``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from hack.load.generator import Load


def main(arguments: list[str] | None = None) -> int:
    """Run the load; return 0 when nothing was lost, 1 when something was, 2 for bad arguments."""
    options = _parser().parse_args(arguments)
    headers = {}
    for header in options.header:
        name, colon, value = header.partition(":")
        if not colon:
            print(f"--header wants NAME:VALUE, not {header!r}", file=sys.stderr)
            return 2
        headers[name.strip()] = value.strip()
    try:
        load = Load(
            options.url,
            options.host,
            options.rate,
            duration=options.duration,
            max_requests=options.max_requests,
            timeout=options.timeout,
            fresh_share=options.fresh,
            connections=options.connections,
            headers=headers,
            log=options.log,
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupt)
    load.start()
    shown = time.monotonic()
    while not interrupted and not load.wait(0.2):
        if not options.quiet and time.monotonic() - shown >= options.every:
            shown = time.monotonic()
            now = time.time()
            print(_progress(load, now - options.every, now), file=sys.stderr, flush=True)
    load.stop()
    report = load.report()
    print(json.dumps(report.to_json(), indent=2) if options.json else report.text())
    return 1 if report.lost else 0


def _progress(load: Load, since: float, until: float) -> str:
    recent = load.report(since, until)
    shares = ", ".join(f"{name or '(unnamed)'} {share:.0%}" for name, share in recent.shares.items())
    p99 = "-" if recent.p99_ms is None else f"{recent.p99_ms:.0f} ms"
    what = f"{shares or 'no answers'}, lost {recent.lost}, errors {recent.app_errors}, p99 {p99}"
    return f"{len(load.records)} ended; just now: {what}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.load", description=__doc__)
    parser.add_argument("--url", required=True, help="where to send: http://ADDRESS[:PORT]/PATH")
    parser.add_argument("--host", help="value of the Host header, if not the URL's")
    parser.add_argument("--rate", type=float, default=100, help="requests a second (default %(default)s)")
    parser.add_argument("--duration", type=float, default=60, help="seconds (default %(default)s)")
    parser.add_argument("--max-requests", type=int, default=1_000_000, help="stop after so many (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for each request (default %(default)s)")
    parser.add_argument(
        "--fresh", type=float, default=0.1, help="share with a connection of its own (default %(default)s)"
    )
    parser.add_argument("--connections", type=int, default=8, help="kept connections (default %(default)s)")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="add a header; repeatable")
    parser.add_argument("--log", type=Path, help="file for one JSON line a request")
    parser.add_argument("--every", type=float, default=5, help="seconds between progress lines (default %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
