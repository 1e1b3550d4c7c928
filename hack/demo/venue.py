"""Where the demo plays: a cluster, brought up when there is none, and a namespace of its own on it."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from hack.cluster import bringup, paths
from hack.cluster.providers import choose
from hack.rig.api import Api
from hack.rig.namespaces import clear_namespace

NAMESPACE: Final = "sophia-demo"
#: Its provider takes nothing of the cluster away when it goes down: the cluster is somebody else's.
_OUTLIVES_DOWN: Final = "existing"


class Venue:
    """Open it, play, and close it whatever happened. A cluster that was there before stays, unless `down` is asked."""

    def __init__(self, console: Console, *, keep: bool = False, down: bool = False) -> None:
        self._console = console
        self._keep = keep
        self._down = down
        #: Until it is known, nothing was brought up that could be taken away.
        self._was_there = True
        self._api: Api | None = None

    def open(self) -> Api:
        """Bring the cluster up if needed, and return its API with an empty namespace, whatever an earlier run left."""
        self._was_there = _is_there()
        bringup.up()
        self._api = Api(paths.kubeconfig())
        clear_namespace(self._api, NAMESPACE)
        self._api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        return self._api

    def close(self) -> None:
        """Remove the namespace, and take the cluster away or say why it stays."""
        why_stays = self._why_it_stays()
        provider = choose.remembered()
        outlives_us = why_stays is not None or (provider is not None and provider.name == _OUTLIVES_DOWN)
        try:
            self._leave(clear=outlives_us)  # else the namespace goes with the cluster
        finally:
            # Whatever became of the namespace, the cluster's fate does not hang on it.
            if provider is not None:
                self._end(why_stays)

    def _why_it_stays(self) -> str | None:
        if self._keep:
            return "as --keep says"
        if self._was_there and not self._down:
            return "since it was up before"
        return None

    def _leave(self, *, clear: bool) -> None:
        if self._api is None:
            return
        with self._api as api:
            if clear:
                self._console.print(f"Deleting the namespace {NAMESPACE}.")
                clear_namespace(api, NAMESPACE)

    def _end(self, why_stays: str | None) -> None:
        if why_stays:
            self._console.print(f"The cluster stays up, {why_stays}; `make cluster-down` takes it away.")
            return
        asked = "as --down says" if self._was_there else "since this demo brought it up"
        self._console.print(f"Taking the cluster away, {asked}.")
        bringup.down()


def _is_there() -> bool:
    """Whether somebody had a cluster before, well or not: one that is not well is theirs to take away, too."""
    provider = choose.remembered()
    return provider is not None and provider.problems() is not None
