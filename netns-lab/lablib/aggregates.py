"""Groups that use every member at once, against an aggregate of the switch: what holds for 802.3ad and balance-xor."""
import contextlib

from .traffic import UdpEcho, UdpFlow
from .wires import aggregate, answers

GUEST, ECHO_PORT, OUTSIDE_COUNT = "192.168.1.77", 7100, 8


def group(lab):
    return next(g for g in lab.host.ctl("groups") if g["group"] == "lan")


def bond_facts(lab):
    """What the kernel says of the group's bond."""
    return lab.host.kernel("-d", "link", "show", "dev", group(lab)["bond"])[0]["linkinfo"]["info_data"]


def sent_by(lab, port):
    """Packets that a port has sent so far."""
    return int(lab.host.node.sysfs(f"class/net/{port}/statistics/tx_packets"))


def make(lab, mode):
    """The switch has its aggregate first, as a person would do it; then the group, under a running tunnel.
    Returns the guest behind it and the name of the aggregate in the switch."""
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    session, address = lab.host.session(), lab.host.address("eth0")
    lab.step("the switch takes eth0 and eth1 as one")
    far = aggregate(lab, "a", ["eth0", "eth1"], mode)
    lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"], "mode": mode},
                      {"op": "interface.attach", "interface": "web", "vm": "v", "network": lab.host.bridge("eth0")}])
    lab.expect(20, "the group has a path", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
    lab.check("the same session", lab.host.session() == session)
    lab.check("the same address", lab.host.address("eth0") == address, lab.host.address("eth0"))
    facts = bond_facts(lab)
    lab.check(f"the kernel's bond is {mode}, watched by MII", facts["mode"] == mode and facts["miimon"] == 100, facts)
    vm = lab.vm("web")
    vm.node.ip("addr", "add", f"{GUEST}/24", "dev", "eth0")
    return vm, far


def both_carry(lab, vm):
    """A guest that talks to many uses both members; each answer arrives."""
    client = lab.client("a")
    outside = [f"192.168.1.{200 + i}" for i in range(OUTSIDE_COUNT)]
    for address in outside:
        client.ip("addr", "add", f"{address}/24", "dev", "eth0")
    lab.expect(15, "the guest reaches the outside", lambda: answers(vm.node, outside[0]))
    before = {port: sent_by(lab, port) for port in ("eth0", "eth1")}
    with UdpEcho(client, ECHO_PORT), contextlib.ExitStack() as flows:
        running = [flows.enter_context(UdpFlow(vm.node, (address, ECHO_PORT), interval_s=0.05)) for address in outside]
        lab.expect(15, "every flow is answered", lambda: all(len(flow.received) > 5 for flow in running))
        sent = {port: sent_by(lab, port) - before[port] for port in before}
        lab.check("both members send", all(count > 5 for count in sent.values()), sent)
        for port, other in (("eth0", "eth1"), ("eth1", "eth0")):
            lab.step(f"{port} is pulled: {other} carries all")
            lab.pull(port)
            counts = [len(flow.received) for flow in running]
            took = lab.expect(5, "every flow is answered again", lambda: all(
                len(flow.received) > count + 5 for flow, count in zip(running, counts)))
            lab.figure(f"{port}_pulled", took * 1000)
            lab.expect(10, "the group has its path", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
            lab.plug(port)
            lab.expect(15, "both carry again", lambda: all(m["carrier"] for m in group(lab)["members"]) and whole(lab))


def whole(lab):
    """Both members are in use: of 802.3ad in one aggregator."""
    ad = bond_facts(lab).get("ad_info")
    return ad is None or ad.get("num_ports") == 2


def both_pulled(lab):
    lab.step("both are pulled: the path is lost, the tunnel is on eth2")
    for port in ("eth0", "eth1"):
        lab.pull(port)
    lab.expect(5, "the tunnel is on eth2", lambda: lab.host.active_port() == "eth2")
    lab.expect(5, "the group's path is down", lambda: lab.host.path_states().get("eth0") == "down")
    for port in ("eth0", "eth1"):
        lab.plug(port)
    lab.expect(20, "the group's path is back", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
