"""G7, L2, L5, L6, L8, C2. The network `default` works with no command and no Console ever reached: gateway, DHCP, DNS, the
way out; also after a restart. A guest joins it unless told otherwise, is moved to another network without losing its tap,
and its tap is of the kind that its hardware asks for."""
import json

from lablib.reach import Greeter, dns, reach
from lablib.wires import answers

TOPOLOGY = "two"
TUN_FLAGS = {"virtio": 0x4000, "virtio-multiqueue": 0x4100, "e1000": 0}     # IFF_VNET_HDR, IFF_MULTI_QUEUE


def apply(lab, *operations):
    """By a person at the machine: nobody else is there."""
    file = lab.host.node.dir / "apply.json"
    file.write_text(json.dumps({"operations": list(operations)}))
    return lab.host.uplinkctl("apply", file)


def run(lab):
    host = lab.host
    host.start()
    lab.expect(15, "both ports have leases", lambda: host.address("eth0") and host.address("eth1"))
    facts = next(n for n in host.ctl("networks") if n["network"] == "default")
    lab.check("the default network is a nat network with subnet and DHCP", facts["kind"] == "nat" and facts["subnet"]
              and facts["dhcp"], facts)
    bridge, gateway = facts["bridge"], facts["gateway"]
    lab.check("its bridge has the gateway's address", gateway in str(host.kernel("addr", "show", "dev", bridge)))
    lab.step("a guest that names no network")
    apply(lab, {"op": "interface.attach", "interface": "web", "vm": "v"})
    vm = lab.vm("web")
    first = vm.dhcp()
    lab.check("it is in the default network", first.rsplit(".", 1)[0] == gateway.rsplit(".", 1)[0], first)
    outside = lab.topology.uplink("a").client_address()
    with Greeter(lab.client("a"), 7000, "outside"):
        said = reach(vm.node, outside, 7000)
        lab.check("it goes out with the host's address", said == f"outside {host.address('eth0')}", said)
    lab.check("its resolver answers for the outside", dns(vm.node, gateway, "console.example"), gateway)
    lab.check("it has carrier", vm.node.run(["cat", "/sys/class/net/eth0/carrier"]).strip() == "1")
    lab.step("each verb, for people and as --json, says what the daemon says")
    for verb, word in (("status", "hv-01"), ("ports", "eth0"), ("paths", "eth0"), ("leases", "eth0"), ("groups", None),
                       ("networks", "default"), ("interfaces", "web"), ("gateway", None), ("events", "port.added")):
        ended, text, _ = host.uplinkctl(verb, check=False)    # 3: there is trouble, here no Console
        lab.check(f"{verb}: a table with its {word}", ended in (0, 3) and text.strip() and (word is None or word in text), text)

        def same(verb=verb):        # Two looks, between which a path may have begun to dial.
            seen, said = json.loads(host.uplinkctl(verb, "--json", check=False)[1]), host.ctl(verb)
            return [x.keys() for x in seen] == [x.keys() for x in said] if isinstance(said, list) else seen.keys() == said.keys()
        lab.expect(5, f"{verb} --json: the same", same)
    lab.step("the daemon is restarted: the same network, the same tap")
    index = host.kernel("link", "show", "dev", vm.tap)[0]["ifindex"]
    host.stop()
    lab.expect(5, "the network works without the daemon", lambda: answers(vm.node, gateway))
    host.start()
    lab.expect(10, "it is the same network", lambda: next(
        n for n in host.ctl("networks") if n["network"] == "default")["gateway"] == gateway)
    lab.check("the same tap", host.kernel("link", "show", "dev", vm.tap)[0]["ifindex"] == index)
    lab.expect(5, "the guest reaches its gateway", lambda: answers(vm.node, gateway))
    lab.step("the guest is moved to another network, powered on: its tap stays")
    apply(lab, {"op": "network.create", "network": "second", "kind": "nat", "subnet": "10.99.0.0/24"},
          {"op": "interface.update", "interface": "web", "network": "second"})
    lab.check("the same tap", host.kernel("link", "show", "dev", vm.tap)[0]["ifindex"] == index)
    given = next(i["address"] for i in host.ctl("interfaces") if i["interface"] == "web").split("/")[0]
    lab.check("it has an address there", given.startswith("10.99.0."), given)
    vm.node.ip("addr", "add", f"{given}/24", "dev", "eth0")
    lab.expect(5, "it reaches the gateway there", lambda: answers(vm.node, "10.99.0.1"))
    lab.step("taps by hardware")
    for hardware, flags in TUN_FLAGS.items():
        name = hardware[:7].replace("-", "") + str(len(hardware))
        apply(lab, {"op": "interface.attach", "interface": name, "vm": "v", "hardware": hardware})
        row = next(i for i in host.ctl("interfaces") if i["interface"] == name)
        seen = int(host.node.sysfs(f"class/net/{row['tap']}/tun_flags"), 16)
        lab.check(f"{hardware}: the tap's flags", seen & 0x4100 == flags, [hex(seen), row])
        lab.check(f"{hardware} is returned", hardware in lab.host.uplinkctl("export")[1])
    lab.step("the host goes down: the guest sees its link go, then come back")
    host.node.set_link(vm.tap, False)
    lab.expect(5, "repaired: the tap is up again", lambda: "UP" in host.kernel("link", "show", "dev", vm.tap)[0]["flags"])
