"""U26. Two ports, one wire, one subnet, one gateway: each address answers ARP only on its port; both paths work alone."""
import re

TOPOLOGY = "onewire"


def run(lab):
    lab.plug("eth1", into="a")
    lab.start()
    lab.expect(10, "both ports have usable paths", lambda: all(
        lab.host.path_states().get(p) in ("standby", "active") for p in ("eth0", "eth1")))
    client = lab.client("a")
    for index, port in enumerate(("eth0", "eth1")):
        address = lab.host.address(port)
        said = client.run(["arping", "-c", "3", "-w", "3", "-i", "eth0", address], check=False)
        macs = set(re.findall(r"from ([0-9a-f:]{17})", said))
        lab.check(f"{address} answers only with the MAC of {port}", macs == {f"02:00:00:00:01:{index:02x}"}, said)
        lab.check(f"{address} can be pinged", ", 0% packet loss" in client.run(["ping", "-c2", "-i0.2", "-W1", address]))
    lab.check("the two ports have different addresses", lab.host.address("eth0") != lab.host.address("eth1"))
    active = lab.host.active_port()
    other = {"eth0": "eth1", "eth1": "eth0"}[active]
    lab.step(f"pull {active}: the path over {other} must not depend on it")
    lab.pull(active)
    lab.expect(1.5, "the tunnel is on the other port", lambda: lab.host.active_port() == other)
