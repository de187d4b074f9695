"""L9, L10. An isolated network is silent: no frame of its guests on any uplink and none from outside at a guest, while
guests, host and DHCP work; the lease names no router, the host resolves nothing of the outside for it."""
from lablib.reach import Capture, Greeter, advertise, dns, global_addresses, guest, mac_bytes, packed, reach

TOPOLOGY = "two"


def run(lab):
    outside6 = advertise(lab, "a", "fd00:1::")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "network.create", "network": "iso", "kind": "isolated", "subnet": "10.63.0.0/24",
                       "subnet6": "fd00:aa:0:3::/64"}]
                     + [{"op": "interface.attach", "interface": f"i-{n}", "vm": "v", "network": "iso"} for n in (1, 2)])
    (one, own, own6), (two, other, other6) = (guest(lab, f"i-{n}", ipv6=True) for n in (1, 2))
    address = lab.host.address("eth0")
    outside = lab.topology.uplink("a").client_address()
    lab.step("the lease names no router, the advertisement is none of a router")
    for family in ("-4", "-6"):
        lab.check(f"no default route ({family})", one.node.ip(family, "route", "show", "default") == "",
                  one.node.ip(family, "route"))
    lab.check("a guest's name resolves", dns(one.node, "10.63.0.1", "i-2")[1] == 1, dns(one.node, "10.63.0.1", "i-2"))
    lab.check("a name outside does not", dns(one.node, "10.63.0.1", "console.example") in ((5, 0), (3, 0), (2, 0)),
              dns(one.node, "10.63.0.1", "console.example"))
    lab.check("and does from the host's own uplink", dns(lab.node("hv"), lab.topology.uplink("a").gateway,
                                                         "console.example")[1] == 1)
    lab.step("guests and outside try all they can, with routes that would lead there")
    client = lab.client("a")
    uplink = lab.host.bridge("eth0")
    lab.expect(20, "the host has an IPv6 address", lambda: global_addresses(lab.node("hv"), uplink))
    address6 = global_addresses(lab.node("hv"), uplink)[0]
    for family, subnet, via in (("-4", "10.63.0.0/24", address), ("-6", "fd00:aa:0:3::/64", address6)):
        client.ip(family, "route", "add", subnet, "via", via)
    for node, gateway, gateway6 in ((one.node, "10.63.0.1", "fd00:aa:0:3::1"), (two.node, "10.63.0.1", "fd00:aa:0:3::1")):
        node.ip("route", "add", "default", "via", gateway)
        node.ip("-6", "route", "add", "default", "via", gateway6)
    marks = [mac_bytes(one.mac), mac_bytes(two.mac), *map(packed, (own, own6, other, other6))]
    with Capture(lab.node("hv"), ["eth0", "eth1"]) as wire, Capture(one.node, ["eth0"]) as inside, \
            Greeter(client, 7000, "outside"), Greeter(one.node, 7000, "one"), Greeter(two.node, 7000, "two"), \
            Greeter(lab.node("hv"), 7000, "host"):
        for to, server, protocol in ((other, "two", "tcp"), (other6, "two", "tcp"), ("10.63.0.1", "host", "tcp"),
                                     ("fd00:aa:0:3::1", "host", "udp"), (address, "host", "tcp")):
            said = reach(one.node, to, 7000, protocol)
            lab.check(f"{server} answers at {to}", said.startswith(f"{server} "), said)
        for node, to in ((one.node, outside), (one.node, outside6), (one.node, "203.0.113.10"), (one.node, "198.51.100.1"),
                         (client, own), (client, own6)):
            for protocol in ("tcp", "udp"):
                said = reach(node, to, 7000, protocol, timeout_s=0.4)
                lab.check(f"{node.name} does not reach {to} over {protocol}", said == "", said)
            node.run(["ping", "-c1", "-W1", to], check=False)
        one.node.run(["ping", "-b", "-c1", "-W1", "255.255.255.255", "-I", "eth0"], check=False)
        one.node.run(["ping", "-c1", "-W1", "ff02::1%eth0"], check=False)
        said = reach(one.node, other, 7000)      # What came before has been seen when this one is answered.
        lab.check("the guests still reach each other", said == f"two {own}", said)
    tried = [f for f in wire.having(packed(own)) if packed(outside).hex() in f[1] and client_sent(lab, f)]
    lab.check("the outside did try", tried)
    leaks = [f for f in wire.having(*marks) if not client_sent(lab, f)]
    lab.check("no frame of the isolated network on an uplink", not leaks, leaks[:3])
    entered = inside.having(packed(outside), packed(outside6))
    entered = [f for f in entered if mac_bytes(one.mac).hex() != f[1][12:24]]
    lab.check("no frame from outside at a guest", not entered, entered[:3])


def client_sent(lab, captured):
    """What a machine outside sent towards us: it came in, it did not go out."""
    return captured[1][12:24] not in (lab.host.port("eth0")["mac"].replace(":", ""),
                                      lab.host.port("eth1")["mac"].replace(":", ""))
