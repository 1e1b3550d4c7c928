"""Run programs: always with a time limit, never leaving one behind, the end of the log in the error."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

TAIL_LINES = 25
_KILL_GRACE_SECONDS = 5.0


class CommandError(RuntimeError):
    """A program failed, was not found, or took too long. The message holds the end of its output."""

    def __init__(self, argv: Sequence[str], why: str, output: str = "", log: Path | None = None) -> None:
        self.argv = list(argv)
        self.why = why
        self.output = output
        lines = [f"{shlex.join(self.argv)}: {why}"]
        if tail := output.strip().splitlines()[-TAIL_LINES:]:
            lines += ["its last output:", *(f"  | {line}" for line in tail)]
        if log is not None:
            lines.append(f"whole log: {log}")
        super().__init__("\n".join(lines))


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    log: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end and return exit code, stdout and stderr.

    ``timeout`` is in seconds. ``env`` is added to our own environment. With ``log`` both streams are written
    to that file as they come (stdout of the result is then its content). The program gets its own process
    group, which is ended whole on a timeout, on Ctrl-C, or on any other exception. Raises CommandError when
    the program is missing, too slow, or (with ``check``) exits non-zero.
    """
    words = [str(word) for word in argv]
    with _sink(log) as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **env} if env else None,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT if log else err,
                text=True,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise CommandError(words, f"not found ({error.filename})") from error
        try:
            process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            end_group(process)
            output = _text(out) + _text(err)
            raise CommandError(words, f"not done after {timeout:g} s", output, log) from error
        except BaseException:
            end_group(process)
            raise
        result = subprocess.CompletedProcess(words, process.returncode, _text(out), _text(err))
    if check and result.returncode:
        raise CommandError(words, f"exit code {result.returncode}", result.stdout + result.stderr, log)
    return result


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process that leads its own group: SIGTERM, then SIGKILL to it and whatever is left of the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _sink(log: Path | None) -> IO[str]:
    if log is None:
        return tempfile.TemporaryFile("w+", errors="replace")
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("w+", errors="replace")


def _text(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()
