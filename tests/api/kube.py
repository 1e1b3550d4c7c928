"""A small client of the API server for the schema tests: plain JSON in, the server's own words out."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from kubernetes import client, config

from sophia_operator.api.schema.kinds import KINDS

Object = dict[str, Any]

TIMEOUT_SECONDS: Final = 30.0
_PLURALS: Final = {kind.name: kind.plural for kind in KINDS} | {"HTTPRoute": "httproutes"}


# What the server adds for whoever reads its list of causes; it is no cause itself.
_NOTICE: Final = "some validation rules were not checked because the object was invalid"


class RefusedError(Exception):
    """The API server refused an object. `causes` are its (field, message) pairs."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message")))
        causes = (status.get("details") or {}).get("causes") or [{"field": "", "message": status.get("message", "")}]
        self.causes = [
            (cause.get("field", ""), cause["message"])
            for cause in causes
            # A field with a dot in front comes from the scale subresource, which checks replicas once more.
            if _NOTICE not in cause["message"] and not cause.get("field", "").startswith(".")
        ]


class Api:
    """Speaks to the API server that a kubeconfig names, as its user or as who that may act as. Close it when done."""

    def __init__(self, kubeconfig: Path, user: str | None = None) -> None:
        access = client.Configuration()
        config.load_kube_config(config_file=str(kubeconfig), client_configuration=access)
        context = ssl.create_default_context(cafile=access.ssl_ca_cert)
        if access.cert_file:
            context.load_cert_chain(access.cert_file, access.key_file)
        headers = {"Authorization": token} if (token := access.api_key.get("authorization")) else {}
        headers |= {"Impersonate-User": user} if user is not None else {}
        self._http = httpx.Client(base_url=access.host, verify=context, headers=headers, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Object:
        return self._send("GET", path)

    def put(self, path: str, body: Object) -> Object:
        return self._send("PUT", path, body)

    def post(self, path: str, body: Object) -> Object:
        return self._send("POST", path, body)

    def merge(self, path: str, body: Object) -> Object:
        """Merge-patch. Raises `RefusedError`."""
        return self._send("PATCH", path, body, headers={"Content-Type": "application/merge-patch+json"})

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply. Raises `RefusedError`."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        return self._send("PATCH", path, body, {"fieldManager": "schema-tests", "force": "true"}, headers)

    def table(self, collection: str) -> list[dict[str, Any]]:
        """The rows that `kubectl get -o wide` prints, each by column name."""
        table = self._send("GET", collection, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
        names = [column["name"] for column in table["columnDefinitions"]]
        return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]

    def apply_crd(self, crd: Object) -> Object:
        """Apply a CRD and return it once it is Established. Raises `RefusedError`, `TimeoutError`."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
        self.apply(path, crd)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            found = self.get(path)
            conditions = {c["type"]: c["status"] for c in found["status"]["conditions"] or ()}
            if conditions.get("Established") == "True":
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{crd['metadata']['name']} did not become Established: {conditions}")
            time.sleep(0.05)

    def create_namespace(self, name: str) -> None:
        self._send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def submit(self, document: Object, namespace: str, *, dry_run: bool = False) -> Object:
        """Create the object, or replace the one of that name; then its status, if it has one. Raises `RefusedError`."""
        collection = _collection(document, namespace)
        path = f"{collection}/{document['metadata']['name']}"
        present = self._http.get(path)
        if present.status_code == httpx.codes.OK:
            found = self._send("PUT", path, _at_version(document, present.json()), params=_params(dry_run))
        else:
            found = self._send("POST", collection, document, params=_params(dry_run))
        return found if dry_run or "status" not in document else self.submit_status(document, namespace)

    def submit_status(self, document: Object, namespace: str, *, dry_run: bool = False) -> Object:
        """Replace the status of an object that is there. Raises `RefusedError`."""
        path = f"{_collection(document, namespace)}/{document['metadata']['name']}"
        return self._send("PUT", f"{path}/status", _at_version(document, self.get(path)), params=_params(dry_run))

    def _send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        response = self._http.request(method, path, json=body, params=params, headers=headers)
        answer: Object = response.json()
        if response.is_error:
            raise RefusedError(answer)
        if warnings := response.headers.get_list("Warning"):
            raise AssertionError(f"{method} {path} warns: {warnings}")
        return answer


def _collection(document: Object, namespace: str) -> str:
    return f"/apis/{document['apiVersion']}/namespaces/{namespace}/{_PLURALS[document['kind']]}"


def _params(dry_run: bool) -> dict[str, str]:
    return {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})


def _at_version(document: Object, present: Object) -> Object:
    version = present["metadata"]["resourceVersion"]
    return {**document, "metadata": {**document["metadata"], "resourceVersion": version}}
