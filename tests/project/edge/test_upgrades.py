"""Requests for another protocol than HTTP/1.1, with a WebSocket library installed and without one."""

import asyncio
import logging
from typing import Any

import pytest
from uvicorn import Config, Server

from orthancproxy.project.edge.protocol import Protocol
from orthancproxy.sandbox.orthanc import free_port

WEBSOCKET = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
HTTP_2 = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def answers(ws: Any, head: str, *bodies: bytes) -> list[bytes]:
    """The status line and body of each answer, over one connection."""
    port = free_port()
    server = Server(Config(echo, http=Protocol, ws=ws, port=port, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for body in bodies:
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        received = await reader.readuntil(b"\r\n\r\n")
        found.append(received.split(b"\r\n")[0] + b" " + await reader.readexactly(len(body)))
    writer.close()
    server.should_exit = True
    await serving
    return found


@pytest.mark.parametrize("ws", ["none", "tests.project.edge.test_upgrades:echo"], ids=["no library", "a library"])
@pytest.mark.parametrize("upgrade", [WEBSOCKET, HTTP_2], ids=["WebSocket", "HTTP/2"])
def test_request_for_another_protocol_is_answered_over_http(
    ws: str, upgrade: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"Connection: Upgrade, HTTP2-Settings\r\n{upgrade}"
    assert asyncio.run(answers(ws, head, b"", b"one", b"two")) == [
        *(b"HTTP/1.1 200 OK ", b"HTTP/1.1 200 OK one", b"HTTP/1.1 200 OK two")
    ]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
