"""An administrator at work on the host: a TCP session to one of its addresses, which must live through what the daemon does."""
import contextlib

from . import pace
from .traffic import TcpEcho

PORT = 7000


class Administrator:
    """Sits at client a. Waits until the address answers; a context manager: connected within, and alive() may be asked."""

    def __init__(self, lab, address):
        self.lab, self.address = lab, address
        lab.expect(10, "the address answers", lambda: "1 received" in lab.client("a").run(
            ["ping", "-c1", "-W1", address], check=False))

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(TcpEcho(self.lab.host.node, PORT, "host"))
            self._session = stack.enter_context(self.lab.client("a").socket())
            self._session.settimeout(pace.deadline(5))
            self._session.connect((self.address, PORT))
            self._session.recv(100)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._open.close()

    def alive(self, when):
        self._session.sendall(b"still there?")
        self.lab.check(f"the administrator's session lives {when}", self._session.recv(100) == b"still there?")
