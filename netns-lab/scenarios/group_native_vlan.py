"""A wrong native VLAN at one socket of a group: the check of the members says so before the group is made and after, names who
does not hear whom, and says when it is right again."""
from lablib.wires import access, switch_knows_vlans

TOPOLOGY = "bond"
NEEDS = "bond vlan_filtering"
WRONG = 20


def native(lab, vlan):
    """Of the socket of eth1."""
    access(lab, "p-eth1", vlan)
    if vlan == 1:
        lab.node("sw").run(["bridge", "vlan", "del", "dev", "p-eth1", "vid", str(WRONG)])


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    switch_knows_vlans(lab, "a")
    native(lab, WRONG)
    make = [{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"]}]
    lab.step(f"eth1's socket has VLAN {WRONG} untagged, eth0's has VLAN 1")
    planned = lab.console.command(make, dry_run=True, wait=30)
    lab.check("said before it is made", "eth0 | eth1" in str(planned.get("warnings")), planned)
    lab.step("put right: nothing is said")
    native(lab, 1)
    lab.expect(10, "no warning", lambda: not lab.console.command(make, dry_run=True, wait=30).get("warnings"))
    lab.console.must(make)
    lab.expect(20, "the group has a path", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
    lab.expect(20, "all hear each other", lambda: lab.host.uplinkctl("groups", "--check", check=False)[0] == 0)
    lab.step("wrong again, under the group, both cables in")
    last = lab.events_arrived()
    native(lab, WRONG)
    status, out, _ = lab.host.uplinkctl("groups", "--check", check=False)
    lab.check("a check that is asked for says who does not hear whom", status == 3 and "eth0 | eth1" in out, [status, out])
    lab.expect(30, "so does the status", lambda: any("eth0 | eth1" in p for p in lab.host.ctl("status")["problems"]))
    event = lab.expect_event(last, "group.split")
    lab.check("and the event, with its group", event["group"] == "lan", event)
    lab.step("put right: seen by itself, no cable tells")
    native(lab, 1)
    lab.expect(30, "whole again", lambda: not any("eth0 | eth1" in p for p in lab.host.ctl("status")["problems"]))
