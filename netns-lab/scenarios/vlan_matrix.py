"""G4, A4, A9, N20. Untagged and VLAN networks of one adapter, its socket a trunk: who hears whom, cell by cell, by packets that
need ARP; what is on the wire has its tag; a guest that changes its network is moved at once and keeps its tap, and so do the
guests of a network whose VLAN id changes in place."""
import json

from lablib.reach import arp_request, frame, BROADCAST, ETH_P_ARP, send_frame
from lablib.wires import TaggedCapture, answers, switch_knows_vlans, trunk

TOPOLOGY = "two"
NEEDS = "vlan_filtering vlan"
NETWORK = {"plain": None, "ten": 10, "twenty": 20}
GUESTS = {"p1": "plain", "p2": "plain", "t1": "ten", "t2": "ten", "w1": "twenty"}


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    switch_knows_vlans(lab, "a")
    for socket in ("p-eth0", "c-a"):
        trunk(lab, socket, 10, 20)
    client = lab.client("a")
    client.sysctl("net/ipv4/conf/all/arp_ignore", 1)      # It answers for an address in that address's VLAN only.
    outside = {"plain": "172.31.0.201", "ten": "172.31.0.210", "twenty": "172.31.0.220"}
    for name, vlan in NETWORK.items():
        link = "eth0"
        if vlan:
            link = f"eth0.{vlan}"
            client.ip("link", "add", "link", "eth0", "name", link, "type", "vlan", "id", str(vlan))
            client.ip("link", "set", link, "up")
        client.ip("addr", "add", f"{outside[name]}/32", "dev", link)
    session = lab.host.session()
    lab.console.must([{"op": "network.create", "network": "plain", "kind": "untagged", "adapter": "eth0"},
                      {"op": "network.create", "network": "ten", "kind": "vlan", "adapter": "eth0", "vlan_id": 10},
                      {"op": "network.create", "network": "twenty", "kind": "vlan", "adapter": "eth0", "vlan_id": 20}]
                     + [{"op": "interface.attach", "interface": name, "vm": f"vm-{name}", "network": network}
                        for name, network in GUESTS.items()])
    vms = {}
    for index, name in enumerate(GUESTS, 1):
        vms[name] = lab.vm(name)
        vms[name].node.ip("addr", "add", f"172.31.0.{index}/24", "dev", "eth0")
    address = {name: f"172.31.0.{index}" for index, name in enumerate(GUESTS, 1)}
    for name, vm in vms.items():      # The answer goes back into the VLAN of the question.
        vlan = NETWORK[GUESTS[name]]
        client.ip("route", "add", f"{address[name]}/32", "dev", f"eth0.{vlan}" if vlan else "eth0", "src", outside[GUESTS[name]])

    lab.step("the matrix")
    with TaggedCapture(lab.host.node, ["eth0"]) as wire:
        for name, network in GUESTS.items():
            cells = [f"{other} {'yes' if hears(lab, vms[name], name, other, address[other]) else 'no'}"
                     for other in GUESTS if other != name]
            for far, far_address in outside.items():
                cell(lab, f"{name} in {network}, outside in {far}", vms[name], far_address, far == network)
            lab.say(f"    {name} in {network}: {', '.join(cells)}; outside in {network} only")
    for name, network in GUESTS.items():
        lab.check(f"frames of {name} leave with VLAN {NETWORK[network]}",
                  wire.tags(vms[name].mac) == {NETWORK[network]}, wire.tags(vms[name].mac))
    lab.step("a broadcast is heard in its own VLAN only, without a tag")
    with TaggedCapture(vms["t2"].node, ["eth0"]) as same, TaggedCapture(vms["w1"].node, ["eth0"]) as other, \
            TaggedCapture(vms["p1"].node, ["eth0"]) as plain:
        send_frame(vms["t1"].node, frame(BROADCAST, vms["t1"].mac, ETH_P_ARP,
                                         arp_request(vms["t1"].mac, address["t1"], "172.31.0.99")))
        lab.expect(5, "the other guest of the VLAN hears it", lambda: same.tags(vms["t1"].mac) == {None})
    lab.check("nobody else does", not other.tags(vms["t1"].mac) and not plain.tags(vms["t1"].mac))

    lab.step("t1 moves into VLAN 20: its tap stays, its VLAN changes")
    before = lab.host.kernel("link", "show", "dev", vms["t1"].tap)[0]["ifindex"]
    lab.console.must({"op": "interface.update", "interface": "t1", "network": "twenty"})
    lab.check("the same tap", lab.host.kernel("link", "show", "dev", vms["t1"].tap)[0]["ifindex"] == before)
    lab.expect(5, "it reaches the guest there", lambda: answers(vms["t1"].node, address["w1"]))
    lab.check("and not the one it reached", not answers(vms["t1"].node, address["t2"]))
    lab.check("the tunnel carried on", lab.host.session() == session and lab.host.active_port() == "eth0")
    lab.step("network twenty gets VLAN 30 in place: its guests keep their taps and each other")
    taps = {name: lab.host.kernel("link", "show", "dev", vms[name].tap)[0]["ifindex"] for name in ("t1", "w1")}
    lab.console.must({"op": "network.update", "network": "twenty", "vlan_id": 30})
    lab.check("the same taps", taps == {name: lab.host.kernel("link", "show", "dev", vms[name].tap)[0]["ifindex"] for name in taps})
    with TaggedCapture(lab.host.node, ["eth0"]) as wire:
        lab.expect(5, "they reach each other", lambda: answers(vms["t1"].node, address["w1"]))
        send_frame(vms["w1"].node, frame(BROADCAST, vms["w1"].mac, ETH_P_ARP,
                                         arp_request(vms["w1"].mac, address["w1"], "172.31.0.99")))
        lab.expect(5, "frames of w1 leave with VLAN 30", lambda: wire.tags(vms["w1"].mac) == {30})
    lab.check("the adapter carries 30 in place of 20", {10, 30} <= carried(lab) and 20 not in carried(lab), carried(lab))
    lab.step("what a network's interfaces need is not deleted under them")
    refused = lab.console.command({"op": "network.delete", "network": "twenty"})
    lab.check("refused, naming them", refused["state"] == "refused" and "t1" in str(refused["problems"])
              and "w1" in str(refused["problems"]), refused)
    lab.console.must([{"op": "interface.detach", "interface": name} for name in ("t1", "w1")]
                     + [{"op": "network.delete", "network": "twenty"}])
    lab.check("its VLAN has left the trunk", 30 not in carried(lab) and 10 in carried(lab), carried(lab))


def carried(lab):
    """VLAN ids of the adapter."""
    [port] = json.loads(lab.host.node.run(["bridge", "-j", "vlan", "show", "dev", "eth0"]))
    return {entry["vlan"] for entry in port["vlans"]}


def hears(lab, vm, name, other, address):
    """Whether one guest reaches another, which has to be so within a network and not otherwise."""
    return cell(lab, f"{name} ({GUESTS[name]}) to {other} ({GUESTS[other]})", vm, address, GUESTS[name] == GUESTS[other])


def cell(lab, text, vm, address, wanted):
    """One ping may be late in the emulated machine; one that gets through where it must not is one too many."""
    if wanted:
        lab.expect(5, f"{text}: yes", lambda: answers(vm.node, address))
    else:
        lab.check(f"{text}: no", not answers(vm.node, address))
    return wanted
