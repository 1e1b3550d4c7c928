"""The keys and certificates that a route works with. Whatever is missing concerns one model only; others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_endpoint import ApiKeyRef, Model
from sophia_operator.core.model.views import ModelAccess, ModelRouteView
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Cluster, ClusterError
from sophia_operator.runtime.secret_reading import SecretReader, noting, refused, require_pem, text_of
from sophia_operator.runtime.store import ObjectStore

_GATEWAY_KEY: Final = "spec.gateway.liteLLM.credentialsSecretRef"


@dataclass(frozen=True, slots=True)
class RouteFound:
    """What was read, and what is missing."""

    #: By the name of the model; each is in one of the two.
    access: Mapping[str, ModelAccess] = field(default_factory=dict)
    missing: Mapping[str, Blocker] = field(default_factory=dict)
    #: The key for marked requests, and why there is none though the spec names one.
    gateway_key: str | None = field(default=None, repr=False)
    blockers: tuple[Blocker, ...] = ()


def secrets_of(route: ModelRouteView) -> frozenset[str]:
    """Names of the Secrets that the route reads."""
    found = [model.credentials_secret_ref for model in route.spec.models]
    found.append(_gateway_key_of(route))
    authorities = (model.endpoint.ca_secret_ref for model in route.spec.models)
    return frozenset(r.name for r in (*found, *authorities) if r is not None)


class RouteAccessReader:
    """Reads what one route works with."""

    def __init__(self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._secrets = SecretReader(cluster, store, note)

    async def read(self, route: ModelRouteView) -> RouteFound:
        """All that there is. Raises ClusterError when the API server does not answer."""
        self._secrets.keep_only(secrets_of(route))
        access: dict[str, ModelAccess] = {}
        missing: dict[str, Blocker] = {}
        for model in route.spec.models:
            problems = list[Blocker]()
            api_key, ca = await self._of_model(route.namespace, model, problems)
            if problems:
                missing[model.name] = problems[0]
            else:
                access[model.name] = ModelAccess(api_key, ca)
        blockers, gateway_key, reference = list[Blocker](), None, _gateway_key_of(route)
        if reference is not None:
            gateway_key = await self._key(route.namespace, reference, _GATEWAY_KEY, blockers)
        return RouteFound(access, missing, gateway_key, tuple(blockers))

    async def _of_model(self, namespace: str, model: Model, problems: list[Blocker]) -> tuple[str | None, str | None]:
        place = f"spec.models[{model.name}]"
        api_key: str | None = None
        ca: str | None = None
        if model.credentials_secret_ref is not None:
            where = f"{place}.credentialsSecretRef"
            api_key = await self._key(namespace, model.credentials_secret_ref, where, problems)
        authority = model.endpoint.ca_secret_ref
        if authority is not None:
            where = f"{place}.endpoint.caSecretRef"
            ca = await self._text(namespace, authority.name, authority.key, where, problems)
            if ca is not None:
                with noting(problems):
                    require_pem(f"{namespace}/{authority.name}", authority.key, where, ca)
        return api_key, ca

    async def _key(self, namespace: str, reference: ApiKeyRef, where: str, problems: list[Blocker]) -> str | None:
        """The key of an API, without the line break that `echo` leaves behind it."""
        text = await self._text(namespace, reference.name, reference.key, where, problems)
        if text is None:
            return None
        key = text.strip()
        if key and key.isascii() and key.isprintable():
            return key
        # It goes into a header, where nothing else may be.
        message = f"Secret {namespace}/{reference.name}, key {reference.key} ({where}), holds what no key of an API is"
        problems.append(Blocker(Reason.SECRET_KEY_MISSING, f"{message}, such as line breaks: correct it"))
        return None

    async def _text(self, namespace: str, name: str, key: str, where: str, problems: list[Blocker]) -> str | None:
        try:
            with noting(problems):
                content = await self._secrets.given(namespace, name, where)
                return text_of(f"{namespace}/{name}", content, key, f"{where}.key")
        except ClusterError as error:
            problems.append(refused(error, "route"))
        return None


def _gateway_key_of(route: ModelRouteView) -> ApiKeyRef | None:
    gateway = route.spec.gateway.lite_llm
    return gateway.credentials_secret_ref if gateway is not None else None
