"""A command moves a silent guest, or its whole network, from one port to another on the same switch: the switch is told by a RARP
frame on the new port, so that the guest is reached at once."""
from lablib.reach import BROADCAST, Capture, mac_bytes
from lablib.wires import answers

TOPOLOGY = "bond"
ADDRESS = "192.168.1.77"
ETH_P_RARP = b"\x80\x35"


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.expect(15, "eth1 has a lease of a", lambda: lab.host.address("eth1").startswith("192.168.1."))
    bridges = {port: lab.host.bridge(port) for port in ("eth0", "eth1")}
    lab.console.must([{"op": "interface.attach", "interface": "quiet", "vm": "vm-quiet", "network": bridges["eth0"]},
                      {"op": "interface.attach", "interface": "header", "vm": "v", "network": "default", "hardware": "e1000"}])
    vm, client, sw = lab.vm("quiet"), lab.client("a"), lab.node("sw")
    opened_otherwise(lab)
    vm.node.ip("addr", "add", f"{ADDRESS}/24", "dev", "eth0")
    lab.expect(15, "it answers", lambda: answers(client, ADDRESS))
    moves = [("the guest moves", {"op": "interface.update", "interface": "quiet", "network": bridges["eth1"]}, "p-eth1"),
             ("and back", {"op": "interface.update", "interface": "quiet", "network": bridges["eth0"]}, "p-eth0")]
    for text, operation, socket in moves:
        lab.step(text)
        with Capture(sw, [socket]) as wire:
            lab.console.must(operation)
            lab.expect(2, "it is announced there", lambda wire=wire: any(
                data[:6] == mac_bytes(BROADCAST) and data[6:14] == mac_bytes(vm.mac) + ETH_P_RARP for _, data in wire.frames))
        lab.check("it answers at once", answers(client, ADDRESS))


def opened_otherwise(lab):
    """QEMU asks for packet headers whatever card the guest has: its tap stays what it is."""
    def index():
        return next(link["ifindex"] for link in lab.host.kernel("link") if link["ifname"].startswith("t-header"))
    before = index()
    lab.vm("header")
    lab.console.must({"op": "network.update", "network": "default", "dns": ["192.0.2.53"]})
    lab.check("nothing is left to be written", lab.host.ctl("plan")["plan"] == [], lab.host.ctl("plan")["plan"])
    lab.check("the tap that a VM has open is the same", index() == before)
