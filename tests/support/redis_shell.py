"""A shell in which servers and clients are found by their usual names, as in the image of a node."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from hack.rig import redis_base
from hack.rig.debian_programs import Program
from hack.rig.redis_base import Flavor


def shell(flavor: Flavor, folder: Path, **environment: str) -> Program:
    """The shell; links to the programs are in `folder`/bin."""
    program = redis_base.program(flavor)
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    programs.chmod(0o755)
    for name, target in (("server", program.path), ("cli", program.beside(f"{flavor}-cli"))):
        with suppress(FileExistsError):
            (programs / f"{flavor}-{name}").symlink_to(target)
    if os.geteuid() == 0:
        shutil.chown(programs, folder.stat().st_uid)
    path = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return Program(Path("/bin/sh"), {**program.environment, "PATH": path, **environment})
