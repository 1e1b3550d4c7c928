"""A name that can be moved: a port that leads to one server, and then to another, as a Service does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hack.rig.postgres import Postgres


class Forwarder:
    """Passes bytes on in a thread of its own. Who is connected stays where it is when the name is moved."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.port = 0
        self._target: Postgres | None = None
        self._hanging = False
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, daemon=True, name="forwarder")

    def lead_to(self, server: Postgres | None) -> None:
        """New connections go there from now on; to nobody with None."""
        self._target, self._hanging = server, False

    def hang(self) -> None:
        """New connections get no answer from now on, as from a machine that is gone."""
        self._hanging = True

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, self.address, 0))
        self.port = int(server.sockets[0].getsockname()[1])
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for writer in self._writers:
            writer.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0.01))  # what was aborted is closed in the loop's next round
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self._target
        mine = {writer}
        self._writers.add(writer)
        try:
            if self._hanging:
                await asyncio.Event().wait()
            if target is None:
                return
            there, back = await asyncio.open_connection(target.host, target.port)
            mine.add(back)
            self._writers.add(back)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        except OSError:
            return
        finally:
            for each in mine:
                each.transport.abort()
            self._writers -= mine


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until either side ends; then both do."""
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@contextmanager
def forwarder(address: str, server: Postgres) -> Iterator[Forwarder]:
    """A name that leads to the server; gone at the end."""
    made = Forwarder(address)
    made.lead_to(server)
    made.start()
    try:
        yield made
    finally:
        made.stop()
