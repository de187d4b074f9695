"""L22. Who reaches whom: {bridged, nat, routed, isolated, open} x {host, other guest, outside, from outside}, a TCP
connection in every cell, IPv4 and IPv6; open follows the host's own firewall rules, as its footnote says."""
from lablib.reach import Greeter, advertise, global_addresses, guest, reach

TOPOLOGY = "two"
PORT = 7000
PREFIX6 = {"nat": "fd00:aa:0:1::/64", "routed": "fd00:aa:0:2::/64", "isolated": "fd00:aa:0:3::/64",
           "open": "fd00:aa:0:4::/64"}
SUBNET = {"nat": "10.61.0.0/24", "routed": "10.62.0.0/24", "isolated": "10.63.0.0/24", "open": "10.64.0.0/24"}
#            host  other outside from outside
TABLE = {
    "bridged": (True, True, True, True),
    "nat": (True, True, True, False),
    "routed": (True, True, True, True),
    "isolated": (True, True, False, False),
    "open": (True, True, True, True),
}
HOST_RULES = """table inet admin {
  chain forward { type filter hook forward priority 0; iifname "n-open" drop; oifname "n-open" drop; }
}"""


def run(lab):
    outside6 = advertise(lab, "a", "fd00:1::")
    lab.start(active="eth0")
    lab.wait_paths()
    hv, client = lab.node("hv"), lab.client("a")
    bridge = lab.host.bridge("eth0")
    lab.expect(20, "the host has an IPv6 address", lambda: global_addresses(hv, bridge))
    lab.console.must([{"op": "network.create", "network": kind, "kind": kind, "subnet": SUBNET[kind],
                       "subnet6": PREFIX6[kind]} for kind in SUBNET]
                     + [{"op": "interface.attach", "interface": f"{kind}-{i}", "vm": f"vm-{kind}-{i}",
                         "network": bridge if kind == "bridged" else kind} for kind in TABLE for i in (1, 2)])
    address = lab.host.address("eth0")
    address6 = global_addresses(hv, bridge)[0]
    outside = lab.topology.uplink("a").client_address()
    for kind in SUBNET:      # The outside knows a way to every network: what is silent is refused, not lost.
        client.ip("route", "add", SUBNET[kind], "via", address)
        client.ip("-6", "route", "add", PREFIX6[kind], "via", address6)
    guests = {(kind, i): guest(lab, f"{kind}-{i}", ipv6=True) for kind in TABLE for i in (1, 2)}
    gateway = {kind: (SUBNET[kind].replace("0/24", "1"), PREFIX6[kind].replace("/64", "1")) for kind in SUBNET}
    gateway["bridged"] = (address, address6)

    servers = [Greeter(hv, PORT, "host"), Greeter(client, PORT, "outside")]
    servers += [Greeter(vm.node, PORT, f"{kind}-{i}") for (kind, i), (vm, _, _) in guests.items()]
    try:
        for kind, cells in TABLE.items():
            row(lab, kind, cells, guests, gateway[kind], (outside, outside6), client)
        sources(lab, guests, (outside, outside6), (address, address6))
        lab.step("open, with the host's own firewall closed: as its rules say")
        hv.nft(HOST_RULES)
        row(lab, "open", (True, True, False, False), guests, gateway["open"], (outside, outside6), client)
        lab.check("our tables do not name the open network",
                  "n-open" not in hv.run(["nft", "list", "table", "inet", "uplink"]))
        hv.run(["nft", "delete", "table", "inet", "admin"])
        row(lab, "open", TABLE["open"], guests, gateway["open"], (outside, outside6), client)
        between(lab, guests)
    finally:
        for server in servers:
            server.stop()


def row(lab, kind, cells, guests, gateway, outside, client):
    """One row of the table, both families."""
    (vm, v4, v6), (_, other4, other6) = guests[kind, 1], guests[kind, 2]
    for version, own, other, host, far in ((4, v4, other4, gateway[0], outside[0]),
                                           (6, v6, other6, gateway[1], outside[1])):
        asked = (("the host", vm.node, host, "host"), ("the other guest", vm.node, other, f"{kind}-2"),
                 ("outside", vm.node, far, "outside"), ("from outside", client, own, f"{kind}-1"))
        for wanted, (what, node, to, greeting) in zip(cells, asked):
            said = reach(node, to, PORT, timeout_s=3.0 if wanted else 0.7)
            lab.check(f"{kind}, IPv{version}, {what} ({to}): {'yes' if wanted else 'no'}",
                      said.startswith(greeting + " ") if wanted else said == "", said or "no answer")
    lab.step(f"{kind}: " + ", ".join(f"{name} {'yes' if yes else 'no'}" for yes, name in zip(
        cells, ("host", "other guest", "outside", "from outside"))))


def sources(lab, guests, outside, host):
    """Nat guests appear with the host's address, all others with their own."""
    for kind in ("bridged", "nat", "routed", "open"):
        vm, v4, v6 = guests[kind, 1]
        for far, own, masked in zip(outside, (v4, v6), host):
            said = reach(vm.node, far, PORT)
            wanted = masked if kind == "nat" else own
            if kind == "bridged" and ":" in far:
                lab.check("bridged, IPv6: its own network's address", said.split()[1].startswith("fd00:1:"), said)
            elif kind == "nat" and ":" in far:
                lab.check("nat, IPv6: an address of the host", said.split()[1].startswith("fd00:1:"), said)
            else:
                lab.check(f"{kind}: outside sees {wanted}", said == f"outside {wanted}", said)


def between(lab, guests):
    """Across networks, as netmodel/nft.md says."""
    for start, end, wanted in (("nat", "routed", True), ("routed", "nat", False), ("nat", "isolated", False),
                               ("isolated", "nat", False), ("routed", "isolated", False), ("isolated", "routed", False),
                               ("open", "nat", False), ("open", "isolated", False), ("open", "routed", True),
                               ("routed", "open", True), ("nat", "open", False), ("bridged", "nat", False)):
        vm = guests[start, 1][0]
        for to in guests[end, 1][1:]:
            said = reach(vm.node, to, PORT, timeout_s=3.0 if wanted else 0.7)
            lab.check(f"{start} to {end} at {to}: {'yes' if wanted else 'no'}",
                      said.startswith(f"{end}-1 ") if wanted else said == "", said or "no answer")
    lab.step("between networks: as the policy table says")
