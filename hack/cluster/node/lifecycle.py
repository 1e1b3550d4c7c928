"""Bring the node up, see how it is, load images into it, and take it away without a trace."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import components, console, daemons, kubeconfig, paths, pki, shell
from hack.cluster.node import cgroups, imagestore, link, machine, network, plan, processes
from hack.cluster.node.layout import NAME, Layout

_START_TIMEOUT_SECONDS = 20.0
_READY_TIMEOUT_SECONDS = 120.0
_LOAD_TIMEOUT_SECONDS = 300.0
_POLL_SECONDS = 0.05


class NodeError(RuntimeError):
    """The node did not come up, or is not up."""


def up(layout: Layout, archives: Sequence[Path]) -> None:
    """Bring the node up with the images of ``archives``; a node that is up as wanted is kept, and gets new images.

    Interrupted or failed, it takes everything away again. Raises NodeError, machine.UnsuitableError and what the
    steps raise.
    """
    layout.check()
    facts = machine.require()
    todo = plan.make(layout, facts, imagestore.folder())
    if is_up(layout) and not _ended(layout) and layout.ready.read_text() == todo.fingerprint():
        load(layout, archives)
        return
    down(layout)
    _require_room(layout)
    imagestore.prepare(archives, layout.programs)
    try:
        with console.step("Start the node", "6-10 s") as step:
            step.update("keys and settings")
            _prepare(layout, todo)
            step.update("namespaces and network")
            _start(layout)
            step.update("control plane and kubelet")
            _wait_until_ready(layout)
            _remember_images(layout, archives)
            layout.ready.write_text(todo.fingerprint())
    except BaseException:
        with contextlib.suppress(OSError):
            _keep_logs(layout)
        down(layout)
        raise


def down(layout: Layout) -> bool:
    """Take the node away: processes, network, control groups, files. Safe to repeat. Tell whether there was one.

    Mounts, firewall rules and interfaces die with the processes' namespaces; the machine's settings were not touched.
    """
    there = processes.end(layout.plan)
    if not processes.of_other_states(layout.plan):  # else they are another node's
        link.remove()
        cgroups.remove()
    if layout.state.exists():
        there = True
        _unmount_below(layout.state)
        shutil.rmtree(layout.state)
    return there


def is_up(layout: Layout) -> bool:
    """Tell whether the node came up whole and lives."""
    return layout.ready.exists() and processes.first_process(layout.plan) is not None


def load(layout: Layout, archives: Sequence[Path]) -> None:
    """Load ``archives`` into the running node, those only that it does not have. Raises NodeError when it is down."""
    if not is_up(layout):
        raise NodeError("The node is not up: run `python -m hack.cluster up` first.")
    have = _images(layout)
    lacking = [each for each in archives if have.get(each.name) != imagestore.identity(each)]
    for archive in lacking:
        with console.step(f"Load {archive.name}", "1-5 s"):
            command = imagestore.import_command(layout.programs / "ctr", layout.socket, archive)
            shell.run(command, timeout=_LOAD_TIMEOUT_SECONDS)
    _remember_images(layout, lacking)


def problems(layout: Layout) -> list[str]:
    """Return what is wrong with a node that should be up, in words; nothing when all is well."""
    if processes.first_process(layout.plan) is None:
        return ["its processes do not run"]
    found = [f"{line.split()[0]} ended with code {line.split()[1]}" for line in _ended(layout)]
    if not layout.ready.exists():
        found.append("it did not come up whole")
    elif not _node_is_ready(layout, for_pods=False):
        found.append("Kubernetes does not call it Ready")
    return found


def _require_room(layout: Layout) -> None:
    """Raise NodeError when something else uses our addresses: requests would reach that instead of the node."""
    if others := processes.of_other_states(layout.plan):
        raise NodeError(
            f"Another node runs on this machine, from {Path(others[0]).parent}. There can be one: take it away with "
            f"`SOPHIA_STATE={Path(others[0]).parent} python -m hack.cluster down`."
        )
    if taken := link.conflicts_now():
        raise NodeError(f"The node's addresses {network.WHOLE} are in use by: {', '.join(taken)}.")


def _prepare(layout: Layout, todo: plan.Plan) -> None:
    for folder in (layout.state, layout.log, layout.memory):
        folder.mkdir(parents=True, exist_ok=True)
    layout.state.chmod(0o700)
    keys = pki.create(layout.pki, plan.IDENTITIES)
    server = plan.ENDPOINTS.server
    kubeconfig.write(paths.kubeconfig(), context=NAME, server=server, authority=keys, identity="admin")
    for identity in plan.WITH_KUBECONFIG:
        path = layout.kubeconfig(identity.name)
        kubeconfig.write(path, context=NAME, server=server, authority=keys, identity=identity.name)
    for name, text in todo.files.items():
        file = layout.config / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    todo.write(layout.plan)
    cgroups.create()


def _start(layout: Layout) -> None:
    shell.run(["modprobe", "-a", "br_netfilter", "overlay", "nf_tables"], timeout=30, check=False)
    with (layout.log / "init.log").open("wb") as log:
        # It outlives whoever starts it, so it is nobody's child: a parent would have to wait for it.
        subprocess.run(
            ["setsid", "--fork", *processes.command(layout.plan)],
            cwd=paths.REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=_START_TIMEOUT_SECONDS,
            check=True,
        )
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while (pid := processes.first_process(layout.plan)) is None or not _has_own_network(pid):
        if time.monotonic() > deadline:
            raise NodeError(f"The node's first process did not start:\n{_tail(layout, 'init')}")
        time.sleep(_POLL_SECONDS)
    link.create(pid)


def _wait_until_ready(layout: Layout) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while not _node_is_ready(layout):
        if processes.first_process(layout.plan) is None:
            raise NodeError(f"The node's first process ended:\n{_tail(layout, 'init')}")
        for line in _ended(layout):
            name, code = line.split()
            raise NodeError(f"{name} ended with code {code}:\n{_tail(layout, name)}")
        if time.monotonic() > deadline:
            raise NodeError(f"The node is not Ready after {_READY_TIMEOUT_SECONDS:g} s:\n{_tail(layout, 'kubelet')}")
        time.sleep(_POLL_SECONDS)


def _node_is_ready(layout: Layout, *, for_pods: bool = True) -> bool:
    """Tell whether the Node is Ready and, ``for_pods``, without taints: a pod made earlier is put off for 5 s."""
    answer = daemons.api_get(
        plan.ENDPOINTS.server, pki.Authority(layout.pki), components.ADMIN.name, f"/api/v1/nodes/{NAME}"
    )
    if answer is None:
        return False
    node = json.loads(answer)
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not (for_pods and node["spec"].get("taints"))


def _has_own_network(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:
        return False


def _ended(layout: Layout) -> list[str]:
    return layout.ended.read_text().splitlines() if layout.ended.exists() else []


def _tail(layout: Layout, component: str) -> str:
    log = layout.log / f"{component}.log"
    if not log.exists():
        return "  | (it wrote no log)"
    lines = log.read_text(errors="replace").splitlines()[-shell.TAIL_LINES :]
    return "\n".join(f"  | {line}" for line in lines)


def _keep_logs(layout: Layout) -> None:
    """Keep the logs of a start that failed where ``down`` does not remove them."""
    kept = paths.cache() / "last-failure"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(layout.log, kept)
    console.say(f"The logs of the components are kept in {kept}")


def _images(layout: Layout) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads((layout.state / "images.json").read_text())
    except (OSError, ValueError):
        return {}
    return content


def _remember_images(layout: Layout, archives: Sequence[Path]) -> None:
    known = _images(layout) | {each.name: imagestore.identity(each) for each in archives}
    (layout.state / "images.json").write_text(json.dumps(known))


def _unmount_below(folder: Path) -> None:
    """Unmount what is mounted below ``folder`` on the host. Nothing should be; deleting through a mount would hurt."""
    prefix = f"{folder}/"
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((each for each in points if each.startswith(prefix)), reverse=True):
        shell.run(["umount", "--lazy", point], timeout=30)
