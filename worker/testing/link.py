"""A connection to a target that can be cut at any exchange, before or after it took effect."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_SECONDS = 30.0


class Link:
    """Listens on loopback and passes everything on to a port there, or to a Unix socket, piece by piece.

    Once `cut_after` pieces have passed, the connection is cut before the next one, and no other is let through
    until `mend`: a piece to the target that is dropped is a call that took no effect, one from it is an
    answer that was lost.
    """

    def __init__(self, target: int | str) -> None:
        self._target = target
        self._left: int | None = None
        self._lock = threading.Lock()
        self.was_cut = False
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_SECONDS)
        self._drop()

    def cut_after(self, pieces: int) -> None:
        with self._lock:
            self._left, self.was_cut = pieces, False

    def mend(self) -> None:
        """Lets everything through again; what hangs from before is dropped."""
        self._drop()
        with self._lock:
            self._left = None

    def _may_pass(self) -> bool:
        with self._lock:
            if self._left is None:
                return True
            if self._left == 0:
                self.was_cut = True
                return False
            self._left -= 1
            return True

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.was_cut and self._left is not None:
                near.close()
                continue
            try:
                far = self._connect()
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, drain in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, drain), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target), timeout=_SECONDS)
        made = socket.socket(socket.AF_UNIX)
        made.connect(self._target)
        return made

    def _pump(self, source: socket.socket, drain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_CHUNK):
                if not self._may_pass():
                    self._drop()
                    return
                drain.sendall(piece)
            drain.shutdown(socket.SHUT_WR)

    def _drop(self) -> None:
        """Ends every connection at once, so that both sides see it broken. It is done when this returns."""
        with self._lock:
            ended, self._open = self._open, set()
            for each in ended:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
