"""L18. A group by 802.3ad: host and switch agree by LACP on one aggregate of two ports, a guest's flows use both, each may
be pulled; a switch that stops to speak LACP on one port takes that port out, with its carrier up, and the host says so."""
import json

from lablib import aggregates

TOPOLOGY = "bond"
NEEDS = "bond"
MODE = "802.3ad"


def run(lab):
    vm, far = aggregates.make(lab, MODE)
    switch = mac_of(lab, far)
    lab.expect(20, "one aggregate of two ports, the switch is its partner", lambda: aggregates.whole(lab)
               and aggregates.bond_facts(lab)["ad_info"]["partner_mac"] == switch)
    aggregates.both_carry(lab, vm)
    lab.step("the switch's port of eth1 leaves the aggregate, its carrier stays")
    lab.node("sw").ip("link", "set", "p-eth1", "nomaster")
    lab.node("sw").ip("link", "set", "p-eth1", "up")
    lab.expect(10, "eth1 is no longer used", lambda: aggregates.bond_facts(lab)["ad_info"]["num_ports"] == 1)
    lab.check("eth1 has carrier", lab.host.port("eth1").get("card_carrier"), lab.host.port("eth1"))
    lab.expect(30, "the host says which port carries nothing, and why",
               lambda: [e for e in lab.host.events() if e["kind"] == "group.split" and "no LACP on eth1" in str(e)])
    lab.expect(10, "the guest is reached over eth0", lambda: aggregates.answers(lab.client("a"), aggregates.GUEST))
    lab.node("sw").ip("link", "set", "p-eth1", "down")
    lab.node("sw").ip("link", "set", "p-eth1", "master", far)
    lab.node("sw").ip("link", "set", "p-eth1", "up")
    lab.expect(20, "one aggregate of two again", lambda: aggregates.whole(lab))
    lab.expect(30, "and that it is whole again", lambda: "group.whole" in [e["kind"] for e in lab.host.events()])
    aggregates.both_pulled(lab)


def mac_of(lab, link):
    return json.loads(lab.node("sw").run(["ip", "-j", "link", "show", "dev", link]))[0]["address"]
