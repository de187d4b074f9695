"""Small packets pass, large ones vanish without a word: the tunnel leaves the path, and later uses it with small segments."""
import contextlib

from lablib.product import HOST_ID
from lablib.streams import CheckedEnd, Forward, Listener

TOPOLOGY = "two"
MEGABYTE = 1_000_000
USABLE = ("standby", "active")


def run(lab):
    lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022"]
    lab.start(active="eth0")
    lab.wait_paths()
    forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
    lab.step("A swallows packets of more than 1300 bytes, both ways; a megabyte goes through the tunnel")
    lab.swallow_large("a", 1300)
    with transfer(lab, forward) as took:
        lab.figure("over_b", took * 1000)
    lab.expect(10, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.expect(20, "A is given up", lambda: any(e["kind"] == "path.down" for e in lab.host.events()))
    lab.expect(20, "A is usable again, with small segments", lambda: lab.host.path_states()["eth0"] in USABLE)
    lab.step("B is pulled: A is the only one")
    lab.pull("eth1")
    lab.expect(5, "the tunnel is on A", lambda: lab.host.active_port() == "eth0")
    with transfer(lab, forward) as took:
        lab.figure("over_a", took * 1000)
    lab.check("A carried it", lab.host.active_port() == "eth0", lab.host.path_states())


@contextlib.contextmanager
def transfer(lab, forward):
    """A megabyte from the Console to the host, each byte checked; gives the seconds."""
    ends = []
    with Listener(lab.host.node, 9022, lambda connection: ends.append(CheckedEnd(connection, send_bytes=0))):
        with CheckedEnd(forward.connect(), send_bytes=MEGABYTE):
            took = lab.expect(20, "all bytes are there", lambda: ends and ends[0].received >= MEGABYTE)
            lab.check("every byte is right", ends[0].wrong_at is None and ends[0].received == MEGABYTE,
                      (ends[0].received, ends[0].wrong_at, ends[0].error))
            yield took
            ends[0].stop()
