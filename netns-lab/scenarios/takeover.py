"""N69. Taking over: the daemon starts on a machine whose ports are in use. A connection over a port that is not ours never
notices; one over a port that becomes ours lives on, because the address moves to the bridge in one step: of 50 pings per
second to it none is lost, on the way in and, at the purge, on the way back."""
import re
import signal

from lablib.traffic import TcpEcho, UdpEcho, UdpFlow

TOPOLOGY = "three"


def run(lab):
    host, uplink = lab.host.node, {u.port: u for u in lab.topology.uplinks}
    lab.host.settings["adapters"]["ignore"] = ["eth2"]
    for port in ("eth0", "eth2"):
        network = uplink[port].network()
        host.ip("link", "set", port, "up")
        host.ip("addr", "add", f"{network[50]}/{network.prefixlen}", "dev", port)
    ours, foreign = str(uplink["eth0"].network()[50]), str(uplink["eth2"].network()[50])
    lab.expect(3, "the address answers", lambda: "1 received" in lab.client("a").run(
        ["ping", "-c1", "-W1", ours], check=False))
    with TcpEcho(host, 7000, "host"), UdpEcho(host, 7001), lab.client("a").socket() as near, \
            UdpFlow(lab.client("c"), (foreign, 7001), interval_s=0.01) as flow:
        near.settimeout(5)
        near.connect((ours, 7000))
        near.recv(100)
        lab.expect(3, "the flow over the foreign port runs", flow.flowing)
        with Pings(lab, ours):
            lab.start()
            lab.expect(10, "the port is ours", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
            lab.lasts(0.5)
        near.sendall(b"still there?")
        lab.check("the connection over the port that became ours lives", near.recv(100) == b"still there?")
        lab.figure("foreign_gap", flow.gap_s() * 1000)
        lab.check("the foreign port's flow had no pause", flow.gap_s() < lab.limit(0.5), flow.gap_s())
    lab.check("the ignored port is in no bridge", "master" not in lab.host.kernel("link", "show", "dev", "eth2")[0])
    lab.check("and is not shown as a port", "eth2" not in [p["port"] for p in lab.host.ctl("ports")])
    lab.step("the purge gives the port back under the same pings")
    lab.host.stop()
    with Pings(lab, ours):
        lab.host.purge()
        lab.lasts(0.5)
    lab.check("the address is on the adapter", ours in str(lab.host.kernel("-4", "addr", "show", "dev", "eth0")))
    lab.host.start()


class Pings:
    """While the block runs, 50 pings per second from client a; after it, none may be lost."""

    def __init__(self, lab, address):
        self.lab, self.address = lab, address

    def __enter__(self):
        name = f"pings-{len(self.lab.figures)}.log"
        self.log = self.lab.client("a").dir / name
        self.program = self.lab.client("a").spawn(["ping", "-n", "-i", "0.02", self.address], log=name)
        self.lab.expect(5, "they are answered", lambda: "bytes from" in self.log.read_text())

    def __exit__(self, kind, *error):
        self.program.send_signal(signal.SIGINT)
        self.program.wait(timeout=10)
        if kind:
            return
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", self.log.read_text()).groups())
        self.lab.figure(f"pings_lost_of_{sent}", sent - received, "packets")
        self.lab.check("none is lost", sent == received and sent >= 25, [sent, received])
