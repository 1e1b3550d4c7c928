"""What the node is told, on different machines."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest
import yaml

from hack.cluster.node import config, layout, link, machine, network, plan

RICH = machine.Machine(cgroup_version=2, may_raise_limits=True, open_files=1_048_576, nftables=True)
POOR = machine.Machine(cgroup_version=1, may_raise_limits=False, open_files=4096, nftables=False)
LAYOUT = layout.Layout(Path("/state"), Path("/programs"))


def make(facts: machine.Machine = RICH, store: str = "/store") -> plan.Plan:
    return plan.make(LAYOUT, facts, Path(store))


def test_where_oom_scores_may_not_be_lowered_nobody_is_told_to_lower_one() -> None:
    kubelet = yaml.safe_load(config.kubelet(LAYOUT, POOR))
    assert kubelet["oomScoreAdj"] == 0
    assert kubelet["maxOpenFiles"] == 4096
    assert "--oom-score-adj=0" in make(POOR).then["kube-proxy"]
    runtime = tomllib.loads(config.containerd(Path("/r"), Path("/s"), LAYOUT, POOR))
    assert runtime["plugins"]["io.containerd.cri.v1.runtime"]["restrict_oom_score_adj"] is True


def test_where_they_may_be_the_defaults_stay() -> None:
    kubelet = yaml.safe_load(config.kubelet(LAYOUT, RICH))
    assert "oomScoreAdj" not in kubelet
    assert kubelet["maxOpenFiles"] == 1_000_000
    assert not [word for word in make(RICH).then["kube-proxy"] if "oom" in word]
    runtime = tomllib.loads(config.containerd(Path("/r"), Path("/s"), LAYOUT, RICH))
    assert runtime["plugins"]["io.containerd.cri.v1.runtime"]["restrict_oom_score_adj"] is False


@pytest.mark.parametrize(("facts", "mode"), [(RICH, "nftables"), (POOR, "iptables")])
def test_kube_proxy_uses_what_the_kernel_has_and_changes_nothing_of_the_machine(
    facts: machine.Machine, mode: str
) -> None:
    words = make(facts).then["kube-proxy"]
    assert f"--proxy-mode={mode}" in words
    assert {"--conntrack-min=0", "--conntrack-max-per-core=0"} <= set(words)


def test_the_kubelet_collects_no_images_and_leaves_kernel_settings_alone() -> None:
    kubelet = yaml.safe_load(config.kubelet(LAYOUT, RICH))
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["protectKernelDefaults"] is True
    assert kubelet["failCgroupV1"] is False
    assert kubelet["clusterDNS"] == [network.DNS_ADDRESS]


def test_everything_that_is_written_at_run_time_lies_in_memory() -> None:
    todo = make()
    flags = [word for words in (*todo.first.values(), *todo.then.values()) for word in words]
    for flag in ("--data-dir", "--root-dir", "--cert-dir"):
        (value,) = [word.partition("=")[2] for word in flags if word.startswith(f"{flag}=")]
        assert Path(value).is_relative_to(LAYOUT.memory)
    runtime = tomllib.loads(todo.files["containerd.toml"])
    assert Path(runtime["root"]).is_relative_to(LAYOUT.memory)


def test_a_containerd_that_only_unpacks_has_no_pods() -> None:
    settings = tomllib.loads(config.containerd(Path("/r"), Path("/s"), None, POOR))
    assert "io.containerd.cri.v1.runtime" not in settings["plugins"]
    assert settings["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == config.pause_image()


def test_a_path_that_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        config.containerd(Path("/it's"), Path("/s"), None, RICH)


def test_the_pod_network_is_json_with_the_pod_range() -> None:
    bridge, portmap = json.loads(config.cni())["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": network.POD_CIDR}]]
    assert portmap["capabilities"] == {"portMappings": True}


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    todo = make()
    todo.write(tmp_path / "plan.json")
    assert plan.read(tmp_path / "plan.json") == todo


def test_the_fingerprint_follows_settings_but_not_images() -> None:
    assert make(store="/one").fingerprint() == make(store="/two").fingerprint()
    assert make(RICH).fingerprint() != make(POOR).fingerprint()
    changed = dataclasses.replace(make(), files={**make().files, "kubelet.yaml": ""})
    assert changed.fingerprint() != make().fingerprint()


@pytest.mark.parametrize("state", ["/var/lib/sophia", "/run/sophia", "/var/log/x", "/" + "a" * 90])
def test_a_state_folder_that_cannot_work_is_refused_with_what_to_do(state: str) -> None:
    with pytest.raises(ValueError, match="set SOPHIA_STATE"):
        layout.Layout(Path(state), Path("/programs")).check()
    LAYOUT.check()


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("CapEff:\t000001ffffffffff", True),
        ("CapEff:\t000001fffeffffff", False),
        ("CapEff:\t0000000000000000", False),
        ("CapPrm:\t000001ffffffffff", False),
        ("", False),
    ],
)
def test_capabilities_are_read_from_the_status_of_a_process(line: str, has: bool) -> None:
    assert machine.has_capability(f"Name:\tpython\n{line}\nSeccomp:\t0\n", 24) is has


@pytest.mark.parametrize(
    ("release", "expected"), [("6.1.0-18-amd64", (6, 1)), ("5.13", (5, 13)), ("5.9.1-x", (5, 9)), ("weird", (0, 0))]
)
def test_kernel_versions_compare_as_numbers(release: str, expected: tuple[int, int]) -> None:
    assert machine.kernel_version(release) == expected


def test_somebody_elses_interface_in_our_range_is_a_conflict() -> None:
    def interface(name: str, *addresses: str) -> dict[str, object]:
        return {"ifname": name, "addr_info": [{"local": address} for address in addresses]}

    found = link.conflicts(
        json.dumps(
            [
                interface("lo", "127.0.0.1", "::1"),
                interface(network.HOST_INTERFACE, "10.77.0.1", "fe80::1"),
                interface("eth0", "10.78.0.1"),
                interface("other0", "10.77.200.3"),
                {"ifname": "down0"},
            ]
        )
    )
    assert found == ["other0 (10.77.200.3)"]
