"""T53. Everything that a host sent to the Console over one connection, from the ClientHello on, is kept by somebody on the
way and sent again: whole, in part, many times. No session, no path, no command's second run; the host notices nothing."""
import contextlib
import select
import socket

from lablib import pace
from lablib.traffic import CommandStream, Worker

TOPOLOGY = "one"
RELAY_PORT = 8444
REPLAYS = 40


def run(lab):
    with Relay(lab) as relay:
        lab.host.settings["console"]["endpoints"] = [f"{lab.console.address}:{RELAY_PORT}"]
        lab.start(active="eth0")
        lab.nat_interface()
        with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
            lab.expect(20, "commands went through the relay", lambda: len(stream.replied()) > 20)
        lab.check_exactly_once(stream)
        events, session, dials = lab.events_arrived(), lab.host.session(), lab.host.path("eth0")["dials"]
        captured = bytes(relay.kept[0])
        lab.check("a ClientHello, and more", captured[:2] == b"\x16\x03" and len(captured) > 2000, captured[:8])
        commands = lab.host.ctl("status")["counts"]["commands_executed"]
        flight = client_hello(captured)

        lab.step(f"{REPLAYS} replays of {len(captured)} bytes, {REPLAYS} of the ClientHello's {len(flight)}")
        first = replay(lab, captured)
        lab.check("the Console answers with a handshake of its own", first[:1] == b"\x16", first[:16])
        again = replay(lab, captured)
        lab.check("another one each time", first != again)
        for number in range(REPLAYS):
            said = replay(lab, captured, step=1 + number * 97)
            lab.check("and ends it", said == b"" or said[:1] in (b"\x16", b"\x15"), said[:16])
        held = [begin(lab, flight) for _ in range(REPLAYS)]
        lab.expect(20, "what says no more is closed", lambda: all(closed(one) for one in held))
        for one in held:
            one.close()

        lab.step("nothing of it had an effect")
        lab.check("one path", paths(lab) == 1, paths(lab))
        lab.check("of the same session", lab.host.session() == session)
        lab.check("the host's connection stands", lab.host.path("eth0")["dials"] == dials)
        lab.check("no command ran again", lab.host.ctl("status")["counts"]["commands_executed"] == commands)
        new = [e["kind"] for e in lab.console.events(events)]
        lab.check("the host has noticed nothing", not [k for k in new if k.startswith(("path.", "session."))], new)
        lab.console.must([lab.publish("r-after", port=30000)])


class Relay(Worker):
    """Passes bytes between the host and the Console, and keeps what the host says: one bytearray per connection."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.kept, self.pairs = lab, [], {}
        self.door = lab.console.node.socket()
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.door.bind((lab.console.address, RELAY_PORT))
        self.door.listen(16)
        self._run(self._serve)

    def _turn(self):
        ready, _, _ = select.select([self.door, *self.pairs], [], [], 0.1)
        for one in ready:
            if one is self.door:
                host, _ = self.door.accept()
                console = self.lab.console.node.socket()
                console.connect((self.lab.console.address, self.lab.topology.console_port))
                self.kept.append(bytearray())
                self.pairs[host], self.pairs[console] = (console, self.kept[-1]), (host, None)
                continue
            if one not in self.pairs:
                continue
            other, kept = self.pairs[one]
            try:
                part = one.recv(65536)
                if part:
                    other.sendall(part)
            except OSError:
                part = b""
            if part and kept is not None:
                kept += part
            if not part:
                for end in (one, other):
                    self.pairs.pop(end, None)
                    end.close()

    def _serve(self):
        while not self._stop.is_set():
            self._turn()
        for end in [self.door, *self.pairs]:
            end.close()


def client_hello(captured):
    """The first record of TLS: 5 bytes of header, of which the last two are its length."""
    return captured[:5 + int.from_bytes(captured[3:5], "big")]


def begin(lab, said):
    one = lab.console.node.socket()
    one.settimeout(pace.deadline(10))
    one.connect((lab.console.address, lab.topology.console_port))
    one.sendall(said)
    return one


def closed(one):
    """True once the Console has ended it."""
    one.setblocking(False)
    try:
        while one.recv(65536):
            continue
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def replay(lab, captured, step=0):
    """All that the Console says until it ends the connection. step: the bytes come in parts of this size."""
    heard = b""
    with contextlib.closing(begin(lab, captured[:step] if step else captured)) as one, contextlib.suppress(OSError):
        for start in range(step, len(captured) if step else 0, max(step, 1)):
            one.sendall(captured[start:start + step])
        while part := one.recv(65536):
            heard += part
    return heard


def paths(lab):
    metrics = lab.console.request("GET", "/metrics")[1]
    return int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("uplink_console_paths ")))
