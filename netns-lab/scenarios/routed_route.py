"""L11, L12. A routed network: guests appear with their own addresses, both ways; the outside reaches them once it has a
route and not before (the host answers no ARP for them); replies leave by the uplink through which the request came."""
from lablib.reach import Capture, ETH_P_ARP, Greeter, guest, packed, reach

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "network.create", "network": "dmz", "kind": "routed", "subnet": "10.62.0.0/24"},
                      {"op": "interface.attach", "interface": "web", "vm": "v", "network": "dmz"}])
    vm, own, _ = guest(lab, "web")
    clients = {name: lab.client(name) for name in "ab"}
    addresses = {"a": lab.host.address("eth0"), "b": lab.host.address("eth1")}
    outside = {name: lab.topology.uplink(name).client_address() for name in "ab"}
    with Greeter(vm.node, 7000, "web"), Greeter(clients["a"], 7000, "outside"):
        lab.step("without a route outside")
        clients["a"].ip("route", "add", "10.62.0.0/24", "dev", "eth0")     # As if it were on its wire.
        with Capture(lab.node("hv"), ["eth0"]) as wire:
            lab.check("nobody answers", reach(clients["a"], own, 7000, timeout_s=1.0) == "")
        asked = [f for f in wire.having(packed(own)) if f[1][24:28] == f"{ETH_P_ARP:04x}"]
        lab.check("it was asked for by ARP, and the host is no proxy", asked and all(f[1][40:44] == "0001" for f in asked),
                  asked[:3])
        lab.check("the guest gets no answer back either", reach(vm.node, outside["a"], 7000, timeout_s=1.0) == "")
        clients["a"].ip("route", "del", "10.62.0.0/24", "dev", "eth0")
        lab.step("with one, by the first uplink and by the second")
        for name, client in clients.items():
            client.ip("route", "add", "10.62.0.0/24", "via", addresses[name])
            for protocol in ("tcp", "udp"):
                said = reach(client, own, 7000, protocol)
                lab.check(f"client-{name} reaches the guest over {protocol}, its address intact",
                          said == f"web {outside[name]}", said)
        said = reach(vm.node, outside["a"], 7000)
        lab.check("the outside sees the guest's own address", said == f"outside {own}", said)
        lab.step("a client far behind the second uplink: the answer leaves where the question came in")
        router = lab.router("b")
        router.ip("route", "add", "10.62.0.0/24", "via", addresses["b"])
        lab.node("console").ip("route", "add", "10.62.0.0/24", "via", lab.topology.uplink("b").wan)
        with Capture(lab.node("hv"), ["eth0", "eth1"]) as wire:
            said = reach(lab.node("console"), own, 7000)
            lab.check("the console's machine is answered", said == "web 203.0.113.10", said)
        links = {link for link, _ in wire.having(packed(own) + packed("203.0.113.10"))}
        lab.check("through the second uplink only", links == {"eth1"}, links)
        lab.step("a guest with an address that is not its network's")
        lab.console.must({"op": "interface.update", "interface": "web", "spoof_filter": False})
        vm.node.ip("addr", "add", "10.99.99.9/32", "dev", "lo")
        clients["a"].ip("route", "add", "10.99.99.9/32", "via", addresses["a"])
        lab.check("is not let out", reach(vm.node, outside["a"], 7000, timeout_s=1.0, source="10.99.99.9") == "")
