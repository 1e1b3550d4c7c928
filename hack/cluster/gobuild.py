"""Build programs from Go modules, reproducibly, into a given directory."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hack.cluster import console, debian, paths, recipes, shell, versions

_TIMEOUT_SECONDS = 3600.0


class GoMissingError(RuntimeError):
    """No Go compiler, or one that is too old."""


def build(what: recipes.GoBuild, into: Path) -> None:
    """Run ``what`` and leave its outputs in ``into``. The compiler's words go to ``into``'s log file.

    Interrupting is safe: Go's own build cache keeps what was compiled, so the next run goes on from there.
    Raises GoMissingError, or shell.CommandError when the build fails.
    """
    require_go()
    if what.cgo:
        debian.ensure(["gcc", "libc6-dev", "libseccomp-dev", "pkg-config"], why=f"to build {what.title}")
    log = into / "go.log"
    settings = environment(what, into)
    if cross(what):
        settings["GOMODCACHE"] = shell.run(["go", "env", "GOMODCACHE"], timeout=60).stdout.strip()
    with console.step(f"Build {what.title} from Go modules", what.usually) as step:
        step.follow(log)
        shell.run(
            command(what, into),
            timeout=_TIMEOUT_SECONDS,
            cwd=paths.SOURCE / what.directory if what.directory else into,
            env=settings,
            log=log,
        )
    for program in into.glob("bin/*/*"):  # where Go installs what is for another system
        program.rename(into / program.name)


def command(what: recipes.GoBuild, into: Path) -> list[str]:
    """Return the compiler's command line. ``-v`` names each package, which is what the ticker shows."""
    ldflags = " ".join(["-s -w", *(f"-X {define}" for define in what.defines)])
    flags = ["-v", "-trimpath", "-ldflags", ldflags]
    if what.tags:
        flags += ["-tags", ",".join(what.tags)]
    if what.directory:
        (name,) = set(what.outputs.values())
        return ["go", "build", *flags, "-o", str(into / name), "."]
    return ["go", "install", *flags, *what.packages]


def environment(what: recipes.GoBuild, into: Path) -> dict[str, str]:
    """Return what the compiler needs in its environment, beyond what is there."""
    # Go refuses to install a program for another system into GOBIN; it has a folder below GOPATH for them.
    target = {"GOBIN": "", "GOPATH": str(into), "GOOS": what.system, "GOARCH": recipes.ARCH}
    return {
        **(target if cross(what) else {"GOBIN": str(into)}),
        # Nothing of the machine or the checkout gets into the program: same recipe, same bytes.
        "GOFLAGS": "-buildvcs=false",
        "CGO_ENABLED": "1" if what.cgo else "0",
        "GOWORK": "off",
    }


def cross(what: recipes.GoBuild) -> bool:
    """Tell whether ``what`` is for another operating system than this one."""
    return what.system != recipes.OS


def require_go(purpose: str = "it builds what could not be downloaded as an official release") -> None:
    """Raise GoMissingError, with what to do, unless a Go compiler that is new enough is on the PATH.

    ``purpose`` is the part of the message that says what Go is for.
    """
    wanted = versions.of("go")
    advice = f"Install Go {wanted} or newer (https://go.dev/dl/) and put its bin folder on PATH; {purpose}."
    if shutil.which("go") is None:
        raise GoMissingError(f"There is no Go compiler on PATH. {advice}")
    found = shell.run(["go", "version"], timeout=60).stdout
    match = re.search(r"go(\d+)\.(\d+)", found)
    if match is None or tuple(map(int, match.groups())) < tuple(map(int, wanted.split("."))):
        # A Go since 1.21 fetches the newer toolchain that a module asks for, unless it is told not to.
        local = shell.run(["go", "env", "GOTOOLCHAIN"], timeout=60).stdout.strip() == "local"
        if local or match is None or tuple(map(int, match.groups())) < (1, 21):
            raise GoMissingError(f"{found.strip()} is too old. {advice}")


def on_path() -> bool:
    """Tell whether there is a Go compiler at all."""
    return shutil.which("go", path=os.environ.get("PATH")) is not None
