"""Commands that are no trials touch no path: publications, also of what DHCP and DNS speak on, and another order of the
uplinks. No connection is lost or dialled anew; the very ports that the tunnel's connections have are refused; with all ports
published that the host's own connections may begin at, a path that is cut gets its lease and comes back."""
from lablib.product import USABLE

TOPOLOGY = "two"
OWN = (41000, 41063)         # Where connections of the host begin from then on.


def dials(lab):
    return {p["port"]: p["dials"] for p in lab.host.paths()}


def tunnel_ports(lab):
    """Local ports of the connections to the Console."""
    lines = lab.host.node.run(["ss", "-Htn", "state", "established", "dst", lab.console.address]).splitlines()
    return [int(line.split()[2].rsplit(":", 1)[1]) for line in lines]


def run(lab):
    lab.host.node.sysctl("net/ipv4/ip_local_port_range", "50000 59999")     # Nobody's connection is in the way of OWN.
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    before, session = dials(lab), lab.host.session()
    ports = tunnel_ports(lab)
    lab.check("one connection per path", len(ports) == 2, ports)

    lab.step("published: the tunnel's own ports and all that DHCP and DNS speak on")
    wishes = [("tcp", n) for n in [*ports, lab.topology.console_port, 53]] + [("udp", n) for n in (53, 67, 68, 546, 547)]
    for number, (protocol, port) in enumerate(wishes):
        record = lab.console.command(lab.publish(f"r-{number}", port=port, protocol=protocol, to_port=1000 + number))
        lab.check("done, or refused because the host uses it", record["state"] == "done" or "is used by" in str(record), record)
        lab.check("the tunnel's own are refused", port not in ports or record["state"] == "refused", record)
    lab.check("the others are published", len(lab.rules()) >= 4, lab.rules())
    for protocol in ("tcp", "udp"):
        lab.console.must(lab.publish(f"r-{protocol}", port=f"{OWN[0]}-{OWN[1]}", protocol=protocol, to_port=2000))
    lab.host.node.sysctl("net/ipv4/ip_local_port_range", f"{OWN[0]} {OWN[1]}")
    lab.lasts(2)
    lab.check("no path was lost or dialled anew", dials(lab) == before, [before, dials(lab)])
    for order in (["eth1", "eth0"], ["eth0", "eth1"]):
        lab.step(f"preferred: {order[0]}")
        lab.console.must({"op": "host.set", "uplink_order": order})
        lab.lasts(2)
        lab.check("no path was lost or dialled anew", dials(lab) == before, [before, dials(lab)])
    lab.check("the same session", lab.host.session() == session)
    trials = [e for e in lab.host.events() if e["kind"].startswith("trial.")]
    lab.check("nothing of it was a trial", not trials, trials)

    lab.step("a connection that begins with them in place")
    for port in ("eth0", "eth1"):
        lab.pull(port)
        lab.expect(10, "its path is down", lambda: lab.host.path_states()[port] not in USABLE)
        lab.plug(port)
        lab.expect(20, "with its lease it is back", lambda: lab.host.path_states()[port] in USABLE)
    lab.check("over ports that are published", all(OWN[0] <= port <= OWN[1] for port in tunnel_ports(lab)), tunnel_ports(lab))
