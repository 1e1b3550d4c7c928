"""`python -m hack.load` against servers on the loopback interface."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiohttp import web

from tests.unit.load.test_generator import good, serving


async def command_line(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hack.load", "--json", *arguments, stdout=PIPE, stderr=PIPE
    )


@pytest.mark.parametrize(("status", "code"), [(200, 0), (502, 1)])
async def test_the_command_line(status: int, code: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(handler) as url:
        process = await command_line("--url", url, "--rate", "200", "--max-requests", "20")
        out, _ = await process.communicate()
    report = json.loads(out)
    assert process.returncode == code
    assert report["sent"] == 20
    assert report["lost"] == (20 if code else 0)


async def test_an_interrupt_ends_the_command_with_its_report(tmp_path: Path) -> None:
    answered = asyncio.Event()
    log = tmp_path / "requests.jsonl"

    async def handler(request: web.Request) -> web.Response:
        answered.set()
        return await good(request)

    async with serving(handler) as url:
        process = await command_line("--url", url, "--rate", "100", "--duration", "600", "--log", str(log))
        await answered.wait()
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["sent"] == len(log.read_text().splitlines())


async def test_the_command_line_refuses_bad_arguments() -> None:
    process = await command_line("--url", "https://127.0.0.1/")
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"want a http:// URL" in err
