"""The node's first process, pid 1 of its namespaces: ``python -m hack.cluster.node.init PLAN``.

When it dies the kernel kills every process of the node, and with the namespaces go all mounts, interfaces, routes and
firewall rules. So it never cleans up.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from hack.cluster import components, daemons, pki
from hack.cluster.node import borrowed, layout, network, plan

_LINK_TIMEOUT_SECONDS = 30.0
_READY_TIMEOUT_SECONDS = 120.0
_POLL_SECONDS = 0.02


def main(plan_file: str) -> None:
    """Carry out the plan, then wait for children for ever; returns only by an exception."""
    # Pid 1 ignores signals that it has no handler for, so it needs one to be stoppable politely.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    todo = plan.read(Path(plan_file))
    mounts(todo)
    socket.sethostname(todo.hostname)
    connect()
    running = {name: start(todo, name, argv) for name, argv in todo.first.items()}
    threading.Thread(target=start_the_rest, args=(todo, running), daemon=True).start()
    reap(todo, running)


def mounts(todo: plan.Plan) -> None:
    """Give the node its own view of the file system; nothing of it reaches the host."""
    command("mount", "--make-rprivate", "/")
    command("mount", "--make-rshared", "/")  # the kubelet wants to propagate mounts into pods
    # Bind mounts of other network namespaces would keep those alive as long as we live.
    subprocess.run(["umount", "-R", "/run/netns"], stderr=subprocess.DEVNULL, check=False)
    for folder, size in (("/run", "256m"), (todo.memory, todo.memory_size)):
        command("mount", "-t", "tmpfs", "-o", f"mode=755,size={size}", "tmpfs", folder)
    for folder in layout.COVERED:
        cover(folder, Path(todo.memory, "covered", folder.strip("/").replace("/", ".")))
    images(todo)
    for name, value in todo.kernel_settings.items():
        pretended = Path(todo.settings_folder, name.replace("/", "."))
        pretended.parent.mkdir(parents=True, exist_ok=True)
        pretended.write_text(f"{value}\n")
        command("mount", "--bind", str(pretended), f"/proc/sys/{name}")


def images(todo: plan.Plan) -> None:
    """Give containerd the unpacked images, which it cannot change."""
    store = Path(todo.memory, "images")
    store.mkdir()
    command("mount", "--bind", todo.image_store, str(store))
    command("mount", "-o", "remount,bind,ro", str(store))
    borrowed.borrow(store, Path(todo.containerd_root))


def cover(folder: str, changes: Path) -> None:
    """Let the node read ``folder`` of the host, and keep what it writes there to itself."""
    upper, work = changes / "upper", changes / "work"
    for each in (upper, work):
        each.mkdir(parents=True)
    options = f"lowerdir={folder},upperdir={upper},workdir={work}"
    command("mount", "-t", "overlay", "-o", options, "overlay", folder)


def connect() -> None:
    """Bring up the interfaces; the host gives us ours as soon as it knows our pid."""
    command("ip", "link", "set", "lo", "up")
    deadline = time.monotonic() + _LINK_TIMEOUT_SECONDS
    while not _link_is_there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no interface {network.NODE_INTERFACE} after {_LINK_TIMEOUT_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)
    address = f"{network.NODE_ADDRESS}/{network.LINK_PREFIX}"
    command("ip", "address", "add", address, "dev", network.NODE_INTERFACE)
    command("ip", "link", "set", network.NODE_INTERFACE, "up")
    command("ip", "link", "add", network.SERVICES_INTERFACE, "type", "bridge")
    command("ip", "link", "set", network.SERVICES_INTERFACE, "arp", "off", "up")
    command("ip", "route", "add", network.SERVICE_CIDR, "dev", network.SERVICES_INTERFACE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    # Else an answer from one pod to another passes the bridge beside the rules that translate addresses.
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")


def start(todo: plan.Plan, name: str, argv: list[str]) -> subprocess.Popen[bytes]:
    """Start a component with its output in its log file."""
    with Path(todo.log, f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            argv,
            env={"PATH": todo.path, "HOME": "/root", **components.ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def start_the_rest(todo: plan.Plan, running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Wait for the API server and start what needs it; before that they would only run into their back-offs."""
    keys = pki.Authority(Path(todo.pki))
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while not daemons.api_ready(plan.ENDPOINTS.server, keys, components.ADMIN.name):
        if time.monotonic() > deadline:
            print("the API server did not become ready", flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(_POLL_SECONDS)
    for name, argv in todo.then.items():
        running[name] = start(todo, name, argv)


def reap(todo: plan.Plan, running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Collect dead children, ours and those that others left, and write down when a component was among them."""
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:  # every component has ended; stay, so that the logs can be read
            time.sleep(1)
            continue
        for name, process in list(running.items()):
            if process.pid == pid:
                code = os.waitstatus_to_exitcode(status)
                with Path(todo.ended).open("a") as file:
                    file.write(f"{name} {code}\n")


def command(*argv: str) -> None:
    """Run a short command; raises CalledProcessError, with its words in our log."""
    subprocess.run(argv, check=True, timeout=120)


def _link_is_there() -> bool:
    # Not by /sys: that shows the interfaces of the namespace in which it was mounted, the host's.
    return any(name == network.NODE_INTERFACE for _, name in socket.if_nameindex())


if __name__ == "__main__":
    main(sys.argv[1])
