"""Service Gateway: tcp and udp, ports and ranges, one adapter or all, several rules on one port of different adapters,
restricted sources, hairpins, IPv6, answers by the uplink of the question; nothing else is reachable; conflicts are refused."""
from lablib.reach import Greeter, advertise, dhcpv6, global_addresses, guest, packed, reach

TOPOLOGY = "two"


def network(name, subnet, kind="nat", **more):
    return {"op": "network.create", "network": name, "kind": kind, "subnet": subnet, **more}


def attach(name, network):
    return {"op": "interface.attach", "interface": name, "vm": f"vm-{name}", "network": network}


def run(lab):
    outside6 = advertise(lab, "a", "fd00:1::")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([network("lan", "10.61.0.0/24", subnet6="auto"), network("other", "10.65.0.0/24"),
                      network("dmz", "10.62.0.0/24", "routed"), network("iso", "10.63.0.0/24", "isolated"),
                      attach("web", "lan"), attach("db", "lan"), attach("far", "other"), attach("open", "dmz"),
                      attach("shut", "iso")])
    web, web4, _ = guest(lab, "web", ipv6=True)
    web6 = dhcpv6(lab, web)
    lab.check("the same host number in both families", int(packed(web6)[-2:].hex(), 16) == packed(web4)[3], [web4, web6])
    db, far, shown, shut = (guest(lab, name)[0] for name in ("db", "far", "open", "shut"))
    a, b = lab.host.address("eth0"), lab.host.address("eth1")
    clients = {name: lab.client(name) for name in "ab"}
    outside = {name: lab.topology.uplink(name).client_address() for name in "ab"}
    lab.console.must([
        lab.publish("all", port=8080, to_port=80), lab.publish("udp", port=5353, to_port=53, protocol="udp"),
        lab.publish("range", port="9000-9003", to_port=7000), lab.publish("first", port=8443, to_port=80, adapters=["eth0"]),
        lab.publish("second", interface="db", port=8443, to_port=80, adapters=["eth1"]),
        lab.publish("some", port=8081, to_port=80, sources=[f"{outside['a']}/32", "198.51.100.0/24"])])
    lab.expect(10, "the host has an IPv6 address that is published", lambda: hairpins6(lab))
    servers = [Greeter(node, port, name) for node, port, name in (
        (web.node, 80, "web"), (web.node, 53, "web-53"), (web.node, 81, "web-81"), (db.node, 80, "db"),
        *((web.node, 7000 + i, f"web-{7000 + i}") for i in range(4)), (web.node, 7004, "web-7004"))]

    def expect(node, to, port, wanted, protocol="tcp", source=None):
        said = reach(node, to, port, protocol, timeout_s=3.0 if wanted else 0.7, source=source)
        lab.check(f"{node.name} at {to}:{port}/{protocol}: {wanted or 'nobody'}",
                  said == wanted if " " in wanted or not wanted else said.startswith(wanted + " "), said or "no answer")

    try:
        lab.step("ports, ranges, transports, adapters")
        for name, address in (("a", a), ("b", b)):
            expect(clients[name], address, 8080, f"web {outside[name]}")
            expect(clients[name], address, 5353, f"web-53 {outside[name]}", "udp")
            for i in (0, 1, 3):
                expect(clients[name], address, 9000 + i, f"web-{7000 + i} {outside[name]}")
            expect(clients[name], address, 9004, "")
        expect(clients["a"], a, 8443, f"web {outside['a']}")
        expect(clients["b"], b, 8443, f"db {outside['b']}")
        lab.step("restricted sources")
        clients["a"].ip("addr", "add", "192.168.1.77/24", "dev", "eth0")
        expect(clients["a"], a, 8081, f"web {outside['a']}", source=outside["a"])
        expect(clients["a"], a, 8081, "", source="192.168.1.77")
        expect(clients["b"], b, 8081, "")
        lab.step("hairpins: the host, the target itself, its network, other networks")
        for node, wanted in ((lab.node("hv"), "web"), (web.node, "web"), (db.node, "web"), (far.node, "web"),
                             (shown.node, "web"), (shut.node, "")):
            for address in (a, b):
                expect(node, address, 8080, wanted)
        expect(db.node, b, 8443, "db")
        expect(far.node, a, 8443, "web")
        lab.step("IPv6")
        expect(clients["a"], own6(lab), 8080, f"web {outside6}")
        expect(clients["a"], own6(lab), 9001, f"web-7001 {outside6}")
        expect(clients["a"], own6(lab), 8081, "")        # Restricted to IPv4 sources: not open to IPv6.
        expect(lab.node("hv"), own6(lab), 8080, "web")
        lab.step("nothing else")
        clients["a"].ip("route", "add", "10.61.0.0/24", "via", a)
        clients["a"].ip("-6", "route", "add", web6 + "/128", "via", own6(lab))
        for to, port, protocol in ((a, 80, "tcp"), (a, 81, "tcp"), (a, 7000, "tcp"), (a, 8080, "udp"), (a, 5353, "tcp"),
                                   (web4, 80, "tcp"), (web4, 81, "tcp"), (web6, 80, "tcp"), (own6(lab), 81, "tcp")):
            expect(clients["a"], to, port, "", protocol)
        lab.step("answers leave by the uplink of the question")
        far_client(lab, expect, b)
        conflicts(lab)
    finally:
        for server in servers:
            server.stop()


def own6(lab):
    """The host's IPv6 address on the first uplink; "" before it has one."""
    return next(iter(global_addresses(lab.node("hv"), lab.host.bridge("eth0"))), "")


def hairpins6(lab):
    """Whether our table knows that address."""
    return own6(lab) and own6(lab) in lab.node("hv").run(["nft", "list", "map", "inet", "uplink", "own_addresses6"])


def far_client(lab, expect, b):
    """Someone behind the second uplink's router, which the host's main route would answer through the first."""
    lab.router("b").nft(f"""table ip lab {{
  chain in {{
    type nat hook prerouting priority -100
    iifname "wan" tcp dport 8443 dnat to {b}
  }}
}}""")
    expect(lab.node("console"), lab.topology.uplink("b").wan, 8443, "db 203.0.113.10")


def conflicts(lab):
    """Each refusal is one line that names the owner."""
    lab.step("conflicts")
    tunnel = int(lab.node("hv").run(["ss", "-Htn", "dport", "=", ":8443"]).split()[3].rsplit(":", 1)[1])
    with Greeter(lab.node("hv"), 7777, "own"):
        lab.lasts(2.2)       # A list of the host's listeners may be used for 2 s while the next one is read.
        refusals(lab, tunnel)


def refusals(lab, tunnel):
    for operation, words in (
            (lab.publish("x", port=8080), ["8080", '"all"']),
            (lab.publish("x", port="8050-8080", adapters=["eth1"]), ["8050-8080", '"all"']),
            (lab.publish("x", port=8443), ['"first"']),
            (lab.publish("x", port=8443, adapters=["eth1"]), ['"second"']),
            (lab.publish("x", port="9003-9010"), ['"range"']),
            (lab.publish("x", port=8480), ["8480", "status page"]),
            (lab.publish("x", port=7777), ["7777", '"python3"']),
            (lab.publish("x", port="7770-7780", protocol="udp"), ["7777", '"python3"']),
            (lab.publish("x", port=tunnel), [str(tunnel), "the tunnel"]),
            (lab.publish("x", port=0), ["1..65535"]), (lab.publish("x", port=65536), ["65536", "1..65535"]),
            (lab.publish("x", port="9100-9099"), ["9100-9099", "reversed"]),
            (lab.publish("x", port="65530-65535", to_port=65531), ["65531-65536"]),
            (lab.publish("x", interface="open", port=1), ["open", "routed", "no publication"]),
            (lab.publish("x", interface="shut", port=1), ["shut", "isolated"]),
            (lab.publish("x", port=1, sources=["10.0.0.1/8"]), ["10.0.0.0/8"])):
        problems = lab.console.command([operation], wait=5).get("problems")
        lab.check(f"{operation} is refused, naming {words}", problems and len(problems) == 1
                  and all(word in str(problems[0]) for word in words), problems)
