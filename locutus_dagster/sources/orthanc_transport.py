"""pyorthanc's questions, sent over our own wire.

What belongs here: the few lines between httpx, which pyorthanc speaks, and `orthanc_wire.py`. A
module of its own, because httpx is only imported when a question is asked.
"""

from __future__ import annotations

import httpx

from locutus_dagster.sources.orthanc_wire import Wire

__all__ = ["WireTransport"]


class WireTransport(httpx.BaseTransport):
    """Sends httpx's requests over a `Wire`; failures are the wire's own errors."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read its whole answer."""
        with self._wire.ask(
            request.method,
            request.url.raw_path.decode("ascii"),
            body=request.read() or None,
            content_type=request.headers.get("content-type", ""),
        ) as answer:
            kept = {
                name: answer.headers[name]
                for name in ("content-type", "content-encoding")
                if name in answer.headers
            }
            return httpx.Response(answer.status, headers=kept, content=answer.read())
