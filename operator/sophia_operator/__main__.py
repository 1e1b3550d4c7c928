"""The operator's command line."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from sophia_operator.runtime.caches.world import DEFAULT_IMAGE as REDIS_IMAGE
from sophia_operator.runtime.logging import configure
from sophia_operator.runtime.pools.world import DEFAULT_IMAGE
from sophia_operator.wiring import Options, run_operator

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Rolls services out blue-green, gated on Prometheus, and rolls back by itself; runs pools and caches, and switches
    models."""


@app.command()
def run(
    *,
    namespace: Annotated[
        list[str] | None,
        typer.Option(envvar="SOPHIA_NAMESPACES", help="Work in this namespace only; may be repeated. Default: all."),
    ] = None,
    leader_elect: Annotated[
        bool, typer.Option(envvar="SOPHIA_LEADER_ELECT", help="Act only while holding a Lease.")
    ] = True,
    lease_namespace: Annotated[
        str, typer.Option(envvar=["SOPHIA_LEASE_NAMESPACE", "POD_NAMESPACE"], help="Namespace of the Lease.")
    ] = "sophia-system",
    lease_name: Annotated[str, typer.Option(envvar="SOPHIA_LEASE_NAME", help="Name of the Lease.")] = "sophia-operator",
    lease_seconds: Annotated[
        int,
        typer.Option(envvar="SOPHIA_LEASE_SECONDS", min=3, max=600, help="A standby takes over after so long."),
    ] = 15,
    identity: Annotated[
        str | None,
        typer.Option(
            envvar=["SOPHIA_IDENTITY", "POD_NAME"],
            help="Holder of the Lease; no two processes may share it. Default: the host's name and a random suffix.",
        ),
    ] = None,
    metrics_port: Annotated[
        int, typer.Option(envvar="SOPHIA_METRICS_PORT", min=0, max=65535, help="Port of /metrics; 0: none.")
    ] = 8080,
    health_port: Annotated[
        int, typer.Option(envvar="SOPHIA_HEALTH_PORT", min=0, max=65535, help="Port of /healthz and /readyz; 0: none.")
    ] = 8081,
    prometheus_url: Annotated[
        str | None,
        typer.Option(envvar="SOPHIA_PROMETHEUS_URL", help="The Prometheus that gates ask when a service names none."),
    ] = None,
    pgbouncer_image: Annotated[
        str,
        typer.Option(envvar="SOPHIA_PGBOUNCER_IMAGE", help="What ConnectionPools run that name no image."),
    ] = DEFAULT_IMAGE,
    redis_image: Annotated[
        str,
        typer.Option(envvar="SOPHIA_REDIS_IMAGE", help="What CacheTiers run that name no image."),
    ] = REDIS_IMAGE,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(envvar="SOPHIA_KUBECONFIG", help="Access to the cluster; default: the pod's, or kubectl's."),
    ] = None,
    context: Annotated[str | None, typer.Option(envvar="SOPHIA_CONTEXT", help="Context in the kubeconfig.")] = None,
    log_level: Annotated[str, typer.Option(envvar="SOPHIA_LOG_LEVEL", help="debug, info, warning or error.")] = "info",
    log_format: Annotated[str, typer.Option(envvar="SOPHIA_LOG_FORMAT", help="json or text.")] = "json",
) -> None:
    """Run the operator until it is told to stop, or loses its Lease."""
    if log_level.upper() not in logging.getLevelNamesMapping():
        raise typer.BadParameter(f"{log_level!r} is no level", param_hint="--log-level")
    if log_format not in ("json", "text"):
        raise typer.BadParameter(f"{log_format!r} is no format", param_hint="--log-format")
    configure(log_level, text=log_format == "text")
    options = Options(
        namespaces=tuple(namespace or ()),
        lease=(lease_namespace, lease_name) if leader_elect else None,
        lease_seconds=lease_seconds,
        identity=identity or f"{socket.gethostname()}-{uuid4().hex[:8]}",
        metrics_port=metrics_port,
        health_port=health_port,
        prometheus_url=prometheus_url,
        pgbouncer_image=pgbouncer_image,
        redis_image=redis_image,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(asyncio.run(run_operator(options)))


def main() -> None:
    """Entry point of `sophia-operator`."""
    app(prog_name="sophia-operator")


if __name__ == "__main__":
    main()
