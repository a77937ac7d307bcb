"""A way to a worker that can be shut: its peers reach it through here, or not at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Proxy:
    """Passes on what arrives at a port of its own.

    Parameters
    ----------
    find_target : callable
        Returns host and port of where it goes, asked at each connection.
    """

    def __init__(self, find_target: Callable[[], tuple[str, int]]) -> None:
        self._find_target = find_target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_shut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def shut(self) -> None:
        """Break off what is connected, and whatever tries to."""
        with self._lock:
            self._is_shut = True
            for end in self._open:
                _break(end)
            self._open.clear()

    def open(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_shut = False

    def close(self) -> None:
        """Shut it for good."""
        self.shut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._find_target(), timeout=10)
                far.settimeout(None)
            except OSError:
                _break(near)
                continue
            with self._lock:
                if self._is_shut:
                    _break(near)
                    _break(far)
                    continue
                self._open |= {near, far}
            for ends in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pass_on, args=ends, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(2**16):
                target.sendall(data)
        except OSError:
            pass
        with self._lock:
            self._open -= {source, target}
        _break(source)
        _break(target)


def _break(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
