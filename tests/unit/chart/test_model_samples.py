"""The samples of ModelRoutes fit together: routes, what stands behind them, and the names that the operator goes by."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from hack.cluster import shell
from hack.cluster.daemons import free_ports
from hack.rig.waiting import until
from sophia_operator.adapters.models import HttpModels
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.core.model import names
from sophia_operator.core.model.findings import Completion, ModelProbeRequest
from sophia_operator.core.model.render.litellm import key_variable
from tests.support.helm import ROOT

SAMPLES: Final = ROOT / "manifests/samples"
_START_SECONDS: Final = 20.0


def objects(name: str) -> dict[tuple[str, str], Any]:
    """Of a file, by kind and name."""
    found = yaml.safe_load_all((SAMPLES / name).read_text())
    return {(o["kind"], o["metadata"]["name"]): o for o in found}


def spec_of(found: dict[tuple[str, str], Any]) -> ModelRouteSpec:
    (route,) = (o for (kind, _), o in found.items() if kind == "ModelRoute")
    return ModelRouteSpec.model_validate(route["spec"])


def test_each_model_of_the_route_has_its_service_and_its_pods() -> None:
    found = objects("model-route.yaml")
    for model in spec_of(found).models:
        ref = model.endpoint.service_ref
        assert ref is not None
        service, template = (
            found["Service", ref.name]["spec"],
            found["Deployment", ref.name]["spec"]["template"],
        )
        (port,) = service["ports"]
        (container,) = template["spec"]["containers"]
        assert port["port"] == ref.port
        assert port["targetPort"] in [p["name"] for p in container["ports"]]
        assert service["selector"] == template["metadata"]["labels"]
        (volume,) = template["spec"]["volumes"]
        assert ("ConfigMap", volume["configMap"]["name"]) in found


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[str]:
    """The program that stands in for a model, where it answers."""
    (program,) = objects("model-route.yaml")["ConfigMap", "stand-in"]["data"].items()
    (tmp_path / program[0]).write_text(program[1])
    (port,) = free_ports(1)
    environment = {"PATH": os.environ["PATH"], "MODEL_NAME": "llama-large", "MODEL_PORT": str(port)}
    url = f"http://127.0.0.1:{port}/v1"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(tmp_path / program[0])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            until("the stand-in to answer", lambda: _is_up(url), seconds=_START_SECONDS, every=0.05)
            yield url
        finally:
            shell.end_group(process)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


async def test_what_stands_in_for_a_model_passes_the_probe_of_the_route(stand_in: str) -> None:
    probe = spec_of(objects("model-route.yaml")).probe
    request = ModelProbeRequest(
        name="large",
        base_url=stand_in,
        model="llama",
        prompt=probe.prompt,
        max_tokens=probe.max_tokens,
        timeout_seconds=10.0,
        expect=probe.expect,
    )
    models = HttpModels()
    try:
        found = await models.probe(request)
    finally:
        await models.close()
    assert isinstance(found.answer, Completion)


def test_what_stands_in_for_a_model_answers_users_whole(stand_in: str) -> None:
    asked = {"model": "llama", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"{stand_in}/chat/completions", json=asked, trust_env=False).json()
    assert answer["choices"][0]["message"]["content"] == "llama-large is ready"


def test_the_proxies_of_the_litellm_sample_read_what_the_operator_writes() -> None:
    found = objects("gateways/model-route-litellm.yaml")
    spec, template = spec_of(found), found["Deployment", "litellm"]["spec"]["template"]
    gateway = spec.gateway.lite_llm
    assert gateway is not None
    assert gateway.selector.items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert gateway.port in [p["containerPort"] for p in container["ports"]]
    (volume,) = template["spec"]["volumes"]
    assert volume["configMap"]["name"] == names.litellm_config_map("assistant")
    refs = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e}
    with_keys = {key_variable("assistant", m.name): m.credentials_secret_ref for m in spec.models}
    for variable, ref in with_keys.items():
        if ref is not None:
            assert refs[variable] == {"name": ref.name, "key": ref.key}
    key = gateway.credentials_secret_ref
    assert key is not None
    assert refs["LITELLM_MASTER_KEY"] == {"name": key.name, "key": key.key}


def test_the_pods_of_the_portkey_sample_are_those_that_the_route_leads_to() -> None:
    found = objects("gateways/model-route-portkey.yaml")
    gateway = spec_of(found).gateway.portkey
    assert gateway is not None
    template = found["Deployment", "portkey"]["spec"]["template"]
    assert gateway.selector.items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert [p["containerPort"] for p in container["ports"]] == [gateway.port]
    policy = found["NetworkPolicy", "portkey"]["spec"]
    assert policy["podSelector"]["matchLabels"] == gateway.selector
    assert policy["ingress"][0]["ports"] == [{"port": gateway.port}]
