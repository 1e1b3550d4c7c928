"""Gives each request for a ModelRoute the model that the operator chose. LiteLLM proxies load this file.

It stands alone, beside `route.json`, in a ConfigMap that is mounted as a directory. The file is looked at for each
request, and read again when it is another one: models, their endpoints, shares and fallbacks follow with no restart.

What is decided here for a request, `<route>` or `<route>/<model>`: a model group of the router, in which one deployment
is, and the groups to ask after it. All else is LiteLLM's own work.
"""

# LiteLLM loads this without listing it in sys.modules, where dataclasses would look for their module: hence tuples.

import json
import logging
import os
import random
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

if find_spec("litellm") is not None:
    from fastapi import HTTPException
    from litellm.integrations.custom_logger import CustomLogger
    from litellm.proxy import proxy_server
    from litellm.types.router import Deployment as RouterDeployment
    from litellm.types.router import LiteLLM_Params, ModelInfo
else:  # outside of a proxy, where its tests read it
    CustomLogger = object

#: Of route.json. A newer operator may write another one, which this file would get wrong: it must be restarted with.
FORMAT: Final = 1
REVISION_HEADER: Final = "x-sophia-revision"
MODEL_HEADER: Final = "x-sophia-model"
#: Where a request keeps by which revision it was decided; LiteLLM sends nothing of it to models.
_KEPT: Final = "sophia_revision"
#: A model without credentials gets this as key: without any, LiteLLM would send that of its own environment.
NO_KEY: Final = "none"

_log: Final = logging.getLogger("sophia_route")


class Deployment(NamedTuple):
    """A model, as LiteLLM's router knows it."""

    #: `<namespace>/<route>/<model>`: what metrics call it.
    id: str
    #: Its model group: `<route>/<model>`.
    group: str
    #: `litellm_params`, without the key.
    params: Mapping[str, Any]
    #: `model_info`, without the id.
    info: Mapping[str, Any]
    #: Name of the environment variable with its key; None when it needs none.
    key_variable: str | None


class Table(NamedTuple):
    """What route.json says."""

    route: str
    #: Of the ids of its deployments.
    prefix: str
    revision: int
    shares: Mapping[str, int]
    fallbacks: tuple[str, ...]
    deployments: Mapping[str, Deployment]


def parse(text: str) -> Table:
    """Raises ValueError with what is wrong."""
    try:
        raw = json.loads(text)
        if raw["format"] != FORMAT:
            raise ValueError(f"its format is {raw['format']}, and this hook reads {FORMAT}: restart the proxy")
        route, prefix = str(raw["route"]), f"{raw['namespace']}/{raw['route']}/"
        deployments = {
            name: Deployment(
                f"{prefix}{name}", f"{route}/{name}", {**found["params"]}, {**found["info"]}, found["keyVariable"]
            )
            for name, found in raw["models"].items()
        }
        shares = {name: int(share) for name, share in raw["shares"].items() if int(share) > 0}
        table = Table(route, prefix, int(raw["revision"]), shares, tuple(raw["fallbacks"]), deployments)
        unknown = {*table.shares, *table.fallbacks} - set(deployments)
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"it is no table of a route: {problem!r}") from problem
    if unknown:
        raise ValueError(f"it names models that it does not describe: {', '.join(sorted(unknown))}")
    return table


def choose(table: Table, asked: str, chance: random.Random) -> tuple[str, list[str]] | None:
    """The model for a request, and those to ask after it, by name; None when the request is not for the route.

    Raises LookupError when no model serves yet.
    """
    route, _, wanted = asked.partition("/")
    if route != table.route:
        return None
    if not table.shares:
        raise LookupError(f"no model of {table.route} serves yet")
    if wanted in table.deployments:
        first = wanted
    else:
        # A model that is gone, and a client that still wants it: the route knows better than to fail.
        first = chance.choices(list(table.shares), weights=list(table.shares.values()))[0]
    # The model with most of the traffic is there for what another one does not answer, listed or not.
    leader = max(table.shares, key=lambda name: table.shares[name])
    after = table.fallbacks if leader in table.fallbacks else (leader, *table.fallbacks)
    return first, [name for name in after if name != first]


class TableFile:
    """route.json, read again when it is another file or changed."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError or OSError: a proxy that never knew a table must not start."""
        self._path = path
        self._seen = self._look()
        self._table = parse(path.read_text(encoding="utf-8"))
        self._told: str | None = None

    def table(self) -> Table:
        """The newest one that could be read. What is wrong with a newer one is logged once."""
        try:
            seen = self._look()
            if seen != self._seen:
                self._table = parse(self._path.read_text(encoding="utf-8"))
                self._seen, self._told = seen, None
        except (OSError, ValueError) as problem:
            self._tell(f"{self._path}: {problem}; revision {self._table.revision} stays")
        return self._table

    def _look(self) -> tuple[int, int, int]:
        # kubelet swaps a symbolic link: another inode, where the time of a change may be the same one.
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _tell(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            _log.error("%s", problem)


class _WhoAnswered(str):
    """Name of the model that answered, looked up when the header is sent.

    LiteLLM asks for headers before it has read anything of a stream. When that breaks before its first piece, another
    model gives the whole of it, and only LiteLLM's own headers follow.
    """

    __slots__ = ("_prefix", "_response")
    _prefix: str
    _response: Any

    @classmethod
    def of(cls, response: Any, prefix: str) -> "_WhoAnswered":
        text = cls(_answered(response, prefix))
        text._response, text._prefix = response, prefix
        return text

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return _answered(self._response, self._prefix).encode(encoding, errors)


def _answered(response: Any, prefix: str) -> str:
    hidden: Any = getattr(response, "_hidden_params", None) or {}
    return str(hidden.get("model_id") or "").removeprefix(prefix)


class RouteHook(CustomLogger):  # type: ignore[misc]
    """The callback."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = TableFile(path)
        self._chance = random.Random()  # noqa: S311 - spreads requests, guards nothing
        self._known: tuple[Any, Table] | None = None
        self._told_keys: set[str] = set()

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Set the model, and the fallbacks, of a request for the route."""
        table = self._file.table()
        self._bring(proxy_server.llm_router, table)
        try:
            chosen = choose(table, str(data.get("model")), self._chance)
        except LookupError as problem:
            raise HTTPException(503, str(problem)) from problem
        if chosen is not None:
            first, then = chosen
            data["model"] = table.deployments[first].group
            data["fallbacks"] = [table.deployments[name].group for name in then]
            _metadata(data)[_KEPT] = table.revision
        return data

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
        litellm_call_info: dict[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """Say by which revision an answer was given, and by which model."""
        revision = _metadata(data).get(_KEPT)
        if not isinstance(revision, int):
            return None
        headers = {REVISION_HEADER: str(revision)}
        if response is not None:  # None: no model answered
            headers[MODEL_HEADER] = _WhoAnswered.of(response, self._file.table().prefix)
        return headers

    def _bring(self, router: Any, table: Table) -> None:
        """Let the router know the models of the table, and no others of the route."""
        wanted = {deployment.id: deployment for deployment in table.deployments.values()}
        # A proxy with a database of models removes what is in neither that nor the file that it was started with.
        if self._known == (router, table) and all(router.has_model_id(i) for i in wanted):
            return
        for deployment in wanted.values():
            params = LiteLLM_Params(**deployment.params, api_key=self._key(deployment))
            info = ModelInfo(id=deployment.id, **deployment.info)
            router.upsert_deployment(
                RouterDeployment(model_name=deployment.group, litellm_params=params, model_info=info)
            )
        for known in router.get_model_ids():
            if known.startswith(table.prefix) and known not in wanted:
                router.delete_deployment(known)
        # For lists of models alone: a request for the route itself gets its group here, before aliases count.
        router.model_group_alias[table.route] = next(iter(wanted.values())).group
        self._known = (router, table)

    def _key(self, deployment: Deployment) -> str:
        variable = deployment.key_variable
        if variable is None:
            return NO_KEY
        key = os.environ.get(variable)
        if not key and variable not in self._told_keys:
            self._told_keys.add(variable)
            _log.error("no key for %s: the environment has no %s", deployment.group, variable)
        return key or NO_KEY


def _metadata(data: dict[str, Any]) -> dict[str, Any]:
    """Where LiteLLM keeps what is its own of a request: by one of two names, by the kind of the request."""
    name = "litellm_metadata" if "litellm_metadata" in data else "metadata"
    if not isinstance(data.get(name), dict):
        data[name] = {}
    found: dict[str, Any] = data[name]
    return found


hook = RouteHook(Path(__file__).with_name("route.json")) if CustomLogger is not object else None
