"""Asks nobody anything unless the Lease is certain: a process that was frozen must not spend tokens when it thaws, nor
take for the model's failure what is its own."""

from __future__ import annotations

from collections.abc import Callable

from sophia_operator.core.model.findings import ModelFinding, ModelProbeRequest, ReplicaFinding, ReplicaRequest
from sophia_operator.ports import Models


class DeposedError(Exception):
    """The Lease is not certain, so nothing was asked: there is no finding."""

    def __init__(self) -> None:
        super().__init__("this process does not hold the lease any more")


class FencedModels:
    """Models that are asked only while the Lease is certain. Else its calls raise DeposedError."""

    def __init__(self, models: Models, certain: Callable[[], bool]) -> None:
        self._models = models
        self._certain = certain

    async def probe(self, request: ModelProbeRequest) -> ModelFinding:
        """As in Models. Raises DeposedError."""
        self._check()
        return await self._models.probe(request)

    async def replicas(self, request: ReplicaRequest) -> tuple[ReplicaFinding, ...] | str:
        """As in Models. Raises DeposedError."""
        self._check()
        return await self._models.replicas(request)

    async def close(self) -> None:
        """As in Models."""
        await self._models.close()

    def _check(self) -> None:
        if not self._certain():
            raise DeposedError
