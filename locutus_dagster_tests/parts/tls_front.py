"""TLS in front of a server that speaks none, as a reverse proxy does it.

What belongs here: ending TLS and passing bytes on. What does not: faults (`fault_proxy.py`).

Debian 12's Orthanc cannot do it itself: its libcivetweb 1.15 looks up `SSL_get_peer_certificate`
in OpenSSL, which version 3 has no more, and Orthanc dies at the first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from types import TracebackType

from typing_extensions import Self

__all__ = ["TlsFront"]


class TlsFront:
    """Listens with TLS on a free port of 127.0.0.1, in front of `host:port`.

    Attributes:
        port: where it listens.
    """

    def __init__(self, context: ssl.SSLContext, host: str, port: int) -> None:
        self.port = 0
        self._context, self._behind = context, (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            there, onward = await asyncio.open_connection(*self._behind)
            writers.append(onward)
            ways = [_pass_on(reader, onward), _pass_on(there, writer)]
            passing = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            for way in passing:
                way.cancel()
        except OSError:
            pass
        finally:
            for one in writers:
                one.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
