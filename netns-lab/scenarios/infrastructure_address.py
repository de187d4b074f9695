"""C10, C11 over the bond of an infrastructure group: a static management address and the virtual address are on the group, a
member that is pulled takes neither away, and with both members pulled the virtual address is given up."""
from lablib.product import USABLE
from lablib.wires import answers

TOPOLOGY = "bond"
NEEDS = "bond"
OWN, VIP = "192.168.1.11", "192.168.1.50"


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    session, host, client = lab.host.session(), lab.host, lab.client("a")
    lab.console.must([
        {"op": "group.create", "group": "infra", "adapters": ["eth0", "eth1"], "role": "infrastructure"},
        {"op": "host.set", "management": {"group": "infra", "address": f"{OWN}/24", "gateway": "192.168.1.1",
                                          "dns": ["192.168.1.1"]},
         "virtual_ip": VIP, "cluster": {"id": 7, "priority": 200, "advert_ms": 500, "hosts": [OWN]}}])
    lab.expect(20, "its path is usable", lambda: host.path_states().get("eth0") in USABLE)
    lab.expect(15, "both addresses are on the group's bridge", lambda: {OWN, VIP} <= set(host.kernel_addresses("eth0")))
    lab.check("no lease beside them", host.address("eth0") in ("", OWN), host.address("eth0"))
    lab.check("the same session", host.session() == session)
    for address in (OWN, VIP):
        lab.expect(5, f"{address} answers", lambda address=address: answers(client, address))
    last = lab.events_arrived()
    for port, other in (("eth0", "eth1"), ("eth1", "eth0")):
        lab.step(f"{port} is pulled: both addresses are reached over {other}")
        lab.pull(port)
        for address in (OWN, VIP):
            lab.expect(5, f"{address} answers", lambda address=address: answers(client, address))
        lab.expect(10, "the path is up", lambda: host.path_states().get("eth0") in USABLE)
        lab.plug(port)
        lab.expect(15, f"{port} is up", lambda: all(m["carrier"] for g in host.ctl("groups") if g["group"] == "infra"
                                                     for m in g["members"]))
    lab.check("the virtual address was never given up", not [e for e in host.events() if e["n"] > last
                                                             and e["kind"].startswith("virtual_ip.")], host.events()[-5:])
    lab.step("both are pulled: the virtual address is given up, the tunnel is on eth2")
    for port in ("eth0", "eth1"):
        lab.pull(port)
    lab.expect(5, "it is given up", lambda: VIP not in host.kernel_addresses("eth0"))
    lab.expect(5, "the tunnel is on eth2", lambda: host.active_port() == "eth2")
    for port in ("eth0", "eth1"):
        lab.plug(port)
    lab.expect(20, "the path is back", lambda: host.path_states().get("eth0") in USABLE)
    lab.expect(15, "so is the virtual address", lambda: answers(client, VIP))
