"""Doors from the machine's own loopback into lab nodes, so that a browser can see the web pages of a kept lab."""
import contextlib
import selectors
import socket
import threading


class Door:
    """127.0.0.1:<port> leads to address:to_port as seen from a node. Threads of its own; close() ends them."""

    def __init__(self, node, address, to_port, wanted_port):
        self.node, self.target = node, (address, to_port)
        self._stop = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("127.0.0.1", wanted_port))
        except OSError:
            self._listener.bind(("127.0.0.1", 0))       # taken: any other
        self._listener.listen(16)
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def _accept(self):
        while not self._stop.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                continue
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        with near, self.node.socket() as far, selectors.DefaultSelector() as waiting:
            try:
                far.connect(self.target)
            except OSError:
                return
            waiting.register(near, selectors.EVENT_READ, far)
            waiting.register(far, selectors.EVENT_READ, near)
            with contextlib.suppress(OSError):
                while not self._stop.is_set():
                    for key, _ in waiting.select(0.5):
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        key.data.sendall(data)

    def close(self):
        self._stop.set()
        self._listener.close()
