"""Up and down of the node: what is kept, what is made anew, what is taken away."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hack.cluster import paths, shell
from hack.cluster.node import cgroups, imagestore, layout, lifecycle, link, machine, plan, processes

FACTS = machine.Machine(cgroup_version=1, may_raise_limits=False, open_files=4096, nftables=True)


class World:
    """Stands in for namespaces, network and containerd."""

    def __init__(self, node: layout.Layout) -> None:
        self.node = node
        self.running = False
        self.others: list[str] = []
        self.taken: list[str] = []
        self.did: list[str] = []
        self.fail: BaseException | None = None

    def prepare(self, _layout: layout.Layout, todo: plan.Plan) -> None:
        self.node.log.mkdir(parents=True)
        todo.write(self.node.plan)

    def start(self, _layout: layout.Layout) -> None:
        self.did.append("start")
        self.running = True

    def wait(self, _layout: layout.Layout) -> None:
        if self.fail:
            raise self.fail

    def end(self, _plan: Path) -> bool:
        was, self.running = self.running, False
        return was

    def run(self, argv: list[str], **_: object) -> None:
        self.did.append(f"import {Path(argv[-1]).name}")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.setenv("SOPHIA_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(layout.Layout, "check", lambda _self: None)
    world = World(layout.Layout(paths.state(), tmp_path / "bin"))
    monkeypatch.setattr(machine, "require", lambda: FACTS)
    monkeypatch.setattr(imagestore, "prepare", lambda _archives, _programs: None)
    monkeypatch.setattr(lifecycle, "_prepare", world.prepare)
    monkeypatch.setattr(lifecycle, "_start", world.start)
    monkeypatch.setattr(lifecycle, "_wait_until_ready", world.wait)
    monkeypatch.setattr(processes, "first_process", lambda _plan: 7 if world.running else None)
    monkeypatch.setattr(processes, "of_other_states", lambda _plan: world.others)
    monkeypatch.setattr(processes, "end", world.end)
    monkeypatch.setattr(link, "conflicts_now", lambda: world.taken)
    monkeypatch.setattr(link, "remove", lambda: world.did.append("unlink"))
    monkeypatch.setattr(cgroups, "remove", lambda: world.did.append("remove groups"))
    monkeypatch.setattr(shell, "run", world.run)
    return world


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "operator.tar"
    path.write_text("image")
    return path


def test_a_node_that_is_up_as_wanted_is_kept(world: World, archive: Path) -> None:
    lifecycle.up(world.node, [archive])
    world.did.clear()
    lifecycle.up(world.node, [archive])
    assert world.did == []
    assert lifecycle.is_up(world.node)


def test_a_node_that_is_kept_gets_the_images_that_changed(world: World, archive: Path) -> None:
    lifecycle.up(world.node, [archive])
    world.did.clear()
    archive.write_text("another image")
    lifecycle.up(world.node, [archive])
    assert world.did == ["import operator.tar"]


def test_a_node_with_other_settings_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lifecycle.up(world.node, [])
    world.did.clear()
    richer = machine.Machine(cgroup_version=2, may_raise_limits=True, open_files=4096, nftables=True)
    monkeypatch.setattr(machine, "require", lambda: richer)
    lifecycle.up(world.node, [])
    assert world.did == ["unlink", "remove groups", "start"]


def test_a_node_that_died_is_replaced(world: World) -> None:
    lifecycle.up(world.node, [])
    world.running = False
    world.did.clear()
    assert lifecycle.problems(world.node) == ["its processes do not run"]
    lifecycle.up(world.node, [])
    assert "start" in world.did


def test_a_node_of_which_a_component_died_is_replaced(world: World) -> None:
    lifecycle.up(world.node, [])
    world.node.ended.write_text("kube-scheduler -9\n")
    assert "kube-scheduler ended with code -9" in lifecycle.problems(world.node)
    world.did.clear()
    lifecycle.up(world.node, [])
    assert "start" in world.did


@pytest.mark.parametrize("error", [KeyboardInterrupt(), lifecycle.NodeError("kubelet ended")])
def test_a_start_that_is_interrupted_or_fails_leaves_nothing(world: World, error: BaseException) -> None:
    world.fail = error
    with pytest.raises(type(error)):
        lifecycle.up(world.node, [])
    assert not world.running
    assert not world.node.state.exists()
    world.fail = None
    lifecycle.up(world.node, [])
    assert lifecycle.is_up(world.node)


def test_a_start_that_was_killed_is_begun_again(world: World) -> None:
    lifecycle.up(world.node, [])
    world.node.ready.unlink()  # as if `up` had been killed just before the end
    world.did.clear()
    lifecycle.up(world.node, [])
    assert world.did == ["unlink", "remove groups", "start"]


def test_down_can_be_repeated(world: World) -> None:
    lifecycle.up(world.node, [])
    assert lifecycle.down(world.node)
    assert not world.node.state.exists()
    assert not lifecycle.down(world.node)


def test_addresses_in_use_are_an_error_before_anything_starts(world: World) -> None:
    world.taken = ["other0 (10.77.0.1)"]
    with pytest.raises(lifecycle.NodeError, match=r"10\.77\.0\.0/16 are in use by: other0"):
        lifecycle.up(world.node, [])
    assert "start" not in world.did


def test_another_states_node_is_neither_replaced_nor_harmed(world: World) -> None:
    world.others = ["/elsewhere/plan.json"]
    with pytest.raises(lifecycle.NodeError, match=r"SOPHIA_STATE=/elsewhere python -m hack.cluster down"):
        lifecycle.up(world.node, [])
    assert world.did == []


def test_loading_without_a_node_says_what_to_do(world: World, archive: Path) -> None:
    with pytest.raises(lifecycle.NodeError, match="up` first"):
        lifecycle.load(world.node, [archive])


def fake_process(proc: Path, pid: int, *words: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_text("".join(f"{word}\0" for word in words))


def test_the_nodes_processes_are_known_by_their_last_words(tmp_path: Path) -> None:
    mine = Path("/cache/state/plan.json")
    fake_process(tmp_path, 30, *processes.command(mine))
    fake_process(tmp_path, 31, *processes.init_command(mine))
    fake_process(tmp_path, 32, *processes.init_command(Path("/other/plan.json")))
    fake_process(tmp_path, 33, "vim", str(mine))
    fake_process(tmp_path, 34, "bash", "-c", f"{sys.executable} -m {processes.MODULE} {mine}")
    fake_process(tmp_path, 35)
    (tmp_path / "self").mkdir()
    assert processes.find(mine, tmp_path) == [30, 31]
    assert processes.first_process(mine, tmp_path) == 31
    assert processes.of_other_states(mine, tmp_path) == ["/other/plan.json"]


def test_control_groups_are_made_in_every_hierarchy_and_removed_from_all(tmp_path: Path) -> None:
    for name in ("cpu,cpuacct", "cpuset", "memory"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    for name in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "cpuset" / name).write_text("0-1")
    (tmp_path / "cpu" / "cpu.shares").write_text("1024")
    cgroups.create(tmp_path)
    group, shares = tmp_path / "cpuset" / layout.NAME, tmp_path / "cpu" / layout.NAME / "cpu.shares"
    assert (group / "cpuset.cpus").read_text() == "0-1"
    assert shares.read_text() == "10240"
    assert len(cgroups.groups(tmp_path)) == 3
    for file in (group / "cpuset.cpus", group / "cpuset.mems", shares):
        file.unlink()  # the kernel's files do not hinder rmdir, those of a test do
    (tmp_path / "memory" / layout.NAME / "kubepods" / "pod1").mkdir(parents=True)
    cgroups.remove(tmp_path)
    assert cgroups.groups(tmp_path) == []
    cgroups.remove(tmp_path)


def test_a_control_group_that_stays_in_use_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "memory" / layout.NAME).mkdir(parents=True)
    (tmp_path / "memory" / layout.NAME / "busy").write_text("")
    with pytest.raises(TimeoutError, match="still in use"):
        cgroups.remove(tmp_path, timeout=0)


def test_on_cgroup_v2_the_controllers_are_turned_on_for_the_pods(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory pids cpu cpuset\n")
    group = tmp_path / layout.NAME
    group.mkdir()
    (group / "cgroup.controllers").write_text("memory\n")
    (group / "cgroup.subtree_control").write_text("")
    (group / "cpu.weight").write_text("100")
    cgroups.create(tmp_path)
    assert (group / "cgroup.subtree_control").read_text() == "+memory"
    assert (group / "cpu.weight").read_text() == "1000"
    assert cgroups.groups(tmp_path) == [group]
