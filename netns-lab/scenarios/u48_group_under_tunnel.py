"""U48. A group is made, changed and dissolved under a running tunnel: the session stays, no command is lost, the port keeps
its lease; a group whose members sit on two switches is said beforehand."""
from lablib import pace
from lablib.traffic import CommandStream, UdpEcho, UdpFlow

TOPOLOGY = "bond"
NEEDS = "bond"


def both(lab):
    return {"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"]}


def members(lab):
    return {m["adapter"] for g in lab.host.ctl("groups") if g["group"] == "lan" for m in g["members"]}


def run(lab):
    lab.plug("eth1", into="b")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.expect(15, "eth1 has a path of its own", lambda: lab.host.path_states().get("eth1") in ("active", "standby"))
    session, address = lab.host.session(), lab.host.address("eth0")
    lab.step("dry run with the cables on two switches")
    result = lab.console.command([both(lab)], dry_run=True)
    lab.check("plan and consequences", result["state"] == "done" and any("type bond" in line for line in result["plan"])
              and result["consequences"], result)
    lab.check("they do not hear each other", "eth0 | eth1" in " ".join(result.get("warnings", [])), result)
    lab.check("nothing happened", not lab.host.kernel("link", "show", "type", "bond"))
    lab.plug("eth1", into="a")
    lab.expect(15, "eth1 has a lease of a", lambda: lab.host.address("eth1").startswith("192.168.1."))
    lab.nat_interface()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.1, wait_s=120) as stream, UdpEcho(lab.host.node, 7001), \
            UdpFlow(lab.client("a"), (address, 7001), interval_s=0.01) as flow:
        lab.expect(5, "the address answers", flow.flowing)
        under_the_tunnel(lab, session, address)
        gap = flow.gap_s()
    lab.figure("address_gap", gap * 1000)
    lab.check("the address was never away for a second", gap < pace.deadline(1), gap)
    lab.figure("commands", lab.check_exactly_once(stream, others=4), "commands")
    lab.figure("longest_gap", stream.gap_s() * 1000)


def under_the_tunnel(lab, session, address):
    lab.step("the group is made under the tunnel")
    lab.expect(10, "no warning now", lambda: not lab.console.command([both(lab)], dry_run=True, wait=30).get("warnings"))
    lab.console.must([both(lab)])
    lab.expect(15, "the path over the group is usable", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
    lab.check("the same session", lab.host.session() == session, lab.host.session())
    lab.check("the same address", lab.host.address("eth0") == address, lab.host.address("eth0"))
    lab.check("eth1 has no path of its own", "eth1" not in lab.host.path_states(), lab.host.path_states())
    lab.expect(20, "all hear each other", lambda: lab.host.uplinkctl("groups", "--check", check=False)[0] == 0)
    lab.step("a member moves to another switch")
    lab.plug("eth1", into="b")
    lab.expect(30, "the group is split, and says so", lambda: any("eth0 | eth1" in p for p in lab.host.ctl("status")["problems"]))
    lab.plug("eth1", into="a")
    lab.expect(30, "it is whole again", lambda: not any("eth0 | eth1" in p for p in lab.host.ctl("status")["problems"]))
    lab.step("a third member joins under the tunnel")
    lab.plug("eth2", into="a")
    lab.expect(15, "eth2 has a lease of a", lambda: lab.host.address("eth2").startswith("192.168.1."))
    lab.console.must([{"op": "group.update", "group": "lan", "adapters": ["eth0", "eth1", "eth2"]}])
    lab.expect(15, "it is a member and no port", lambda: members(lab) == {"eth0", "eth1", "eth2"} and "eth2" not in lab.host.path_states())
    lab.step("and another one leaves")
    lab.console.must([{"op": "group.update", "group": "lan", "adapters": ["eth0", "eth2"]}])
    lab.expect(15, "eth1 has a path of its own", lambda: members(lab) == {"eth0", "eth2"}
               and lab.host.path_states().get("eth1") in ("active", "standby"))
    lab.check("the same session", lab.host.session() == session, lab.host.session())
    lab.check("the same address", lab.host.address("eth0") == address, lab.host.address("eth0"))
    lab.step("the group is dissolved under the tunnel")
    lab.console.must([{"op": "group.delete", "group": "lan"}])
    lab.expect(15, "eth2 has a path of its own again", lambda: lab.host.path_states().get("eth2") in ("active", "standby"))
    lab.check("the same session", lab.host.session() == session, lab.host.session())
    lab.check("the same address", lab.host.address("eth0") == address, lab.host.address("eth0"))
    lab.check("no bond is left", not lab.host.kernel("link", "show", "type", "bond"))
