"""A3, C4. What a guest loses when the member that carries it goes, at one packet per millisecond from outside to a guest that
says nothing: pulled (the kernel looks at the link every 100 ms) and planned. No path switches, the guest keeps its address."""
from lablib.wires import answers, steady_flow

TOPOLOGY = "bond"
NEEDS = "bond"
EXCLUSIVE = True
ADDRESS = "192.168.1.77"
MIIMON_MS, MADE_MS, SETTLE_S = 100, 200, 2.0    # A guest that nobody finds again is silent for SETTLE_S and more.


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "interface.attach", "interface": "web", "vm": "v", "network": lab.host.bridge("eth0")}])
    vm, client = lab.vm("web"), lab.client("a")
    vm.node.ip("addr", "add", f"{ADDRESS}/24", "dev", "eth0")
    lab.expect(15, "the guest answers", lambda: answers(client, ADDRESS))
    client.ip("neigh", "replace", ADDRESS, "lladdr", vm.mac, "dev", "eth0", "nud", "permanent")     # It is not asked either.

    def measure(name, limit_ms, act):
        with steady_flow(lab, client, vm.node, ADDRESS) as result:
            lab.lasts(SETTLE_S)
            act()
            lab.lasts(SETTLE_S)
        lab.say(f"  - {name}: {result}")
        lab.figure(f"{name}_lost", result["lost"], "packets")
        lab.figure(f"{name}_gap", result["longest_ms"])
        lab.check(f"{name}: packets arrived", result["received"] > 100, result)
        lab.check(f"{name}: at most {limit_ms} ms without one", result["longest_ms"] <= 1000 * lab.limit(limit_ms / 1000), result)
        lab.check(f"{name}: no more were lost than in that time", result["lost"] <= 1000 * lab.limit(limit_ms / 1000), result)

    def other_than(first, act):
        act()
        lab.expect(3, "the other carries", lambda: carries(lab) not in (first, None))

    lab.step("the group is made under the guest's traffic")
    measure("made", MADE_MS, lambda: lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"]}]))
    lab.expect(15, "both members are up and one carries", lambda: carries(lab) and len(alive(lab)) == 2)
    lab.expect(15, "the group has a path", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
    lab.expect(30, "the tunnel is on the group again", lambda: lab.host.active_port() == "eth0")
    last, session, first = lab.events_arrived(), lab.host.session(), carries(lab)
    lab.step("the member that carries is pulled")
    measure("pulled", 2 * MIIMON_MS, lambda: other_than(first, lambda: lab.pull(first)))
    lab.plug(first)
    lab.expect(10, "both are up again", lambda: len(alive(lab)) == 2)
    lab.step("a planned switch, both have carrier: the switch is told where the guest is")
    measure("planned", MIIMON_MS, lambda: other_than(carries(lab), lambda: lab.host.node.ip(
        "link", "set", "dev", row(lab)["bond"], "type", "bond", "active_slave", first)))
    lab.check("no path switched", not lab.switches(last), lab.switches(last))
    lab.step("the group is dissolved under the guest's traffic")
    measure("dissolved", MADE_MS, lambda: lab.console.must([{"op": "group.delete", "group": "lan"}]))
    lab.check("the same session", lab.host.session() == session)


def row(lab):
    return next(g for g in lab.host.ctl("groups") if g["group"] == "lan")


def carries(lab):
    return next((m["adapter"] for m in row(lab)["members"] if m["active"]), None)


def alive(lab):
    """Members that the bond counts as up."""
    text = lab.host.node.run(["cat", f"/proc/net/bonding/{row(lab)['bond']}"])
    return [part for part in text.split("Slave Interface: ")[1:] if "MII Status: up" in part]
