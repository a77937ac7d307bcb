"""An S3 server on a free port, in front of which requests may fail."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Environ = dict[str, Any]


class Faults:
    """What goes wrong: a fault for each request that it is for, as often as it is told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Callable[[Environ], bool] = lambda _: False
        self._kind, self._left = "", 0
        self.n_done = 0

    def set(self, kind: str, wanted: Callable[[Environ], bool], times: int) -> None:
        """Have so many requests fail: ``slow down`` (503) or ``reset`` (the connection)."""
        with self._lock:
            self._kind, self._wanted, self._left, self.n_done = kind, wanted, times, 0

    def next(self, environ: Environ) -> str:
        """Return what happens to a request."""
        with self._lock:
            if self._left and self._wanted(environ):
                self._left -= 1
                self.n_done += 1
                return self._kind
            return ""


class _Quiet(WSGIRequestHandler):
    def log(self, *args: Any, **more: Any) -> None:
        """Say nothing."""


@contextmanager
def s3_server(faults: Faults) -> Iterator[str]:
    """Give the server's address."""
    app = DomainDispatcherApplication(create_backend_app)

    def serve(environ: Environ, start_response: Any) -> Any:
        match faults.next(environ):
            case "slow down":
                start_response("503 Slow Down", [("Content-Type", "application/xml")])
                code = (
                    b"<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
                )
                return [code]
            case "reset":
                end = environ["werkzeug.socket"]
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
                raise ConnectionResetError
        return app(environ, start_response)

    server = make_server("127.0.0.1", 0, serve, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(address: str) -> Any:
    """Return a client of it that goes past fsspec."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
