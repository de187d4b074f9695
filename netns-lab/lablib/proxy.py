"""What stands between a host and the Internet: an explicit HTTP proxy, a captive portal."""
import contextlib
import socket

from . import pace
from .ns import LabError, ip_batch
from .traffic import Worker


class Proxy:
    """tinyproxy on a machine of its own, on the wire of an uplink. user "": it asks nobody who he is."""
    PORT = 3128

    def __init__(self, lab, uplink, user="", password="", targets=None):
        self.lab, self.user, self.password = lab, user, password
        self.targets = targets or [lab.topology.console_port]
        facts, name = lab.topology.uplink(uplink), f"proxy-{uplink}"
        self.address, self.wire = str(facts.network()[-8]), f"x-{uplink}"
        self.node = lab.add_node(name)
        ip_batch([lab.cable(name, "eth0", "sw", self.wire)])
        ip_batch([f"link set {self.wire} master sw-{uplink} up"], lab.node("sw").netns)
        ip_batch([f"addr add {self.address}/{facts.network().prefixlen} dev eth0", "link set eth0 up",
                  f"route add default via {facts.gateway}"], self.node.netns)
        (self.node.dir / "resolv.conf").write_text(f"nameserver {lab.servers[uplink].router_address()}\n")
        self._child = None

    def url(self, user="", password=""):
        secret = f"{user}:{password}@" if user else ""
        return f"http://{secret}{self.address}:{self.PORT}"

    def start(self):
        """(Re)starts it with the settings it has now; returns when it takes connections."""
        self.kill()
        config = self.node.dir / "tinyproxy.conf"
        lines = [f"Port {self.PORT}", f"Listen {self.address}", "Timeout 600", "MaxClients 50", "LogLevel Connect"]
        lines += [f"ConnectPort {port}" for port in self.targets]
        lines += [f"BasicAuth {self.user} {self.password}"] if self.user else []
        config.write_text("\n".join(lines) + "\n")
        self._child = self.node.spawn(["tinyproxy", "-d", "-c", config], log="tinyproxy.log")
        if pace.wait_until(self._takes, 10, 0.02) is None:
            raise LabError("tinyproxy does not listen: " + self.log()[-500:])
        return self

    def _takes(self):
        with contextlib.closing(self.node.socket()) as probe:
            return probe.connect_ex((self.address, self.PORT)) == 0 or None

    def kill(self):
        """kill -9: the kernel ends all its connections, those to the host and those to the Console."""
        if self._child:
            self._child.kill()
            self._child.wait()
            self._child = None

    def cable(self, plugged):
        """The machine's own cable: without it everything just falls silent, the host's carrier stays."""
        self.lab.node("sw").set_link(self.wire, plugged)

    def log(self):
        path = self.node.dir / "tinyproxy.log"
        return path.read_text(errors="replace") if path.exists() else ""


class CaptivePortal(Worker):
    """A web server on an uplink's router that answers in place of whoever is asked; use as a context manager."""
    PORT = 8888
    LOGIN = "http://login.hotel.example"
    REDIRECT = f"HTTP/1.1 302 Found\r\nLocation: {LOGIN}/?mac=02:00:00:00:00:01\r\nConnection: close\r\n\r\n"
    PAGE = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\n<html>Welcome</html>"

    def __init__(self, lab, uplink):
        super().__init__()
        self.router = lab.router(uplink)
        self.answer = self.REDIRECT
        self._socket = self.router.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("0.0.0.0", self.PORT))
        self._socket.listen(50)
        self._socket.settimeout(0.1)
        self.router.nft("table ip portal {\n  chain catch { type nat hook prerouting priority -110; }\n"
                        "  chain refuse { type filter hook forward priority -310; }\n}\n")
        self._run(self._serve)

    def catch(self, ports, refuse=()):
        """New TCP connections to these ports of anybody end here; those to the others are reset. Replaces what was caught."""
        def listed(numbers):
            return "{ " + ", ".join(map(str, numbers)) + " }"
        lines = ["flush table ip portal"]
        lines += [f'add rule ip portal catch iifname "lan" tcp dport {listed(ports)} redirect to :{self.PORT}'] if ports else []
        lines += [f'add rule ip portal refuse iifname "lan" tcp dport {listed(refuse)} reject with tcp reset'] if refuse else []
        self.router.nft("\n".join(lines) + "\n")

    def let_through(self):
        """Somebody has logged in."""
        self.catch([])

    def _serve(self):
        while not self._stop.is_set():
            try:
                guest, _ = self._socket.accept()
            except TimeoutError:
                continue
            with contextlib.closing(guest), contextlib.suppress(OSError):
                guest.settimeout(2)
                guest.recv(4096)
                guest.sendall(self.answer.encode())
                guest.shutdown(socket.SHUT_WR)
                while guest.recv(4096):      # A close with unread input would be a reset, which overtakes the answer.
                    pass

    def stop(self):
        super().stop()
        self._socket.close()
