"""What the command line's verbs do, in their order; each is safe to interrupt and to repeat."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator, Sequence

from hack.cluster import binaries, console, images, kubeconfig, operator_release, paths, platform
from hack.cluster.providers import base, choose


def up(*, with_platform: bool = True, with_operator: bool = True) -> None:
    """Bring the cluster up: programs, images, cluster, platform, operator. What is there already is kept."""
    started = time.monotonic()
    with exclusive():
        provider, reason = choose.chosen()
        console.say(f"Cluster: {provider.name}, because {reason}.")
        provider.check()
        if (earlier := choose.remembered()) and earlier.name != provider.name:
            raise base.ProviderError(
                f"A cluster of the provider {earlier.name} is there: run `python -m hack.cluster down` first."
            )
        folder = binaries.ensure(programs(provider))
        wanted = provider.images if with_platform or with_operator else _least(provider)
        if with_platform:
            platform.prepare()
        archives = images.build_all(wanted)
        choose.remember(provider.name)
        provider.up(archives)
        if with_platform:
            platform.install(paths.kubeconfig(), folder, provider.platform())
        if with_operator:
            operator_release.install(folder, paths.kubeconfig(), archives)
    console.say(f"The cluster is up after {console.duration(time.monotonic() - started)}. To use it:")
    console.say('  eval "$(python -m hack.cluster env)"')


def down() -> None:
    """Take the cluster away, with everything that belongs to it except the cache."""
    with exclusive():
        provider = choose.remembered() or choose.chosen()[0]
        with console.step(f"Take the cluster away ({provider.name})") as step:
            step.done("done" if provider.down() else "there was none")
        choose.forget()


def load(names: Sequence[str]) -> None:
    """Build the images ``names`` where their sources changed, and load them into the running cluster."""
    with exclusive():
        provider = _existing_provider()
        binaries.ensure(provider.programs)
        provider.load(images.build_all(list(names)))


def status() -> int:
    """Say how the cluster is. Return 0 when it is well, 1 when something is wrong, 3 when there is none."""
    provider = choose.remembered()
    problems = None if provider is None else provider.problems()
    if provider is None or problems is None:
        print("There is no cluster.")
        return 3
    print(f"provider:   {provider.name}")
    print(f"kubeconfig: {paths.kubeconfig()} (context {kubeconfig.current_context(paths.kubeconfig())})")
    for problem in problems:
        print(f"problem:    {problem}")
    print(f"state:      {'wrong' if problems else 'well'}")
    return 1 if problems else 0


def gateway_url() -> str:
    """Return where this machine reaches the cluster's gateway, such as ``http://127.0.0.1:49153``."""
    return _existing_provider().gateway_url()


def programs(provider: base.Provider) -> list[str]:
    """Return what a provider needs in all: its programs, and those that its images hold."""
    in_images = images.programs_in(images.select(provider.images))
    return list(dict.fromkeys((*provider.programs, *in_images)))


def wanted_programs() -> list[str]:
    """Return what this machine's kind of cluster and the tests need; without a cluster, only what the tests need."""
    with contextlib.suppress(base.ProviderError):
        provider, _ = choose.chosen()
        return list(dict.fromkeys((*programs(provider), *binaries.TESTS)))
    return list(binaries.TESTS)


def wanted_images() -> list[str] | None:
    """Return the images that this machine's kind of cluster needs; None stands for all."""
    with contextlib.suppress(base.ProviderError):
        provider, _ = choose.chosen()
        return None if provider.images is None else list(provider.images)
    return None


def environment() -> str:
    """Return shell lines that make kubectl, helm and the rest use the cluster."""
    return f'export KUBECONFIG="{paths.kubeconfig()}"\nexport PATH="{binaries.view()}:$PATH"'


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Let one process at a time change the cluster; say so while another one does."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / ".cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step("Wait for another process that changes the cluster"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _existing_provider() -> base.Provider:
    provider = choose.remembered()
    if provider is None:
        raise base.ProviderError("There is no cluster: run `python -m hack.cluster up` first.")
    return provider


def _least(provider: base.Provider) -> list[str]:
    """Return the images without which a bare cluster of ``provider`` runs no pod."""
    return ["pause"] if provider.images is None else []
