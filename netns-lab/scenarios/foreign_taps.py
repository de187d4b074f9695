"""A VM manager's own tap in a bridge of ours that goes: with the network that a trial brought and takes back, by a rollback, and
by a purge from every bridge there is. It survives as it was, is named, and has none of the host's addresses afterwards.
Our own taps belong to the user that the configuration names."""
import pwd

from lablib.trial import answer, begin, end

TOPOLOGY = "two"
OWNER = "nobody"


def tap(lab, name, bridge):
    lab.host.node.ip("tuntap", "add", "dev", name, "mode", "tap")
    lab.host.node.ip("link", "set", name, "master", bridge, "up")


def link(lab, name):
    return lab.host.kernel("link", "show", "dev", name)[0]


def run(lab):
    host = lab.host
    host.settings["taps"] = {"owner": OWNER}
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    ours = next(i["tap"] for i in host.ctl("interfaces") if i["interface"] == "web")
    owner = int(host.node.sysfs(f"class/net/{ours}/owner"))
    lab.check(f"our tap belongs to {OWNER}", owner == pwd.getpwnam(OWNER).pw_uid, owner)
    said = [opened(host, ours, uid) for uid in (owner, owner - 1)]
    lab.check("he may open it without being root, nobody else may", said == ["opened", "Operation not permitted"], said)
    undone(lab)
    rolled_back(lab)
    purged(lab)


OPEN_TAP = """
import fcntl, os, struct, sys
try:
    tun = os.open("/dev/net/tun", os.O_RDWR)        # Who may open this file is the machine's own business.
    os.setgroups([])
    os.setresuid(*[int(sys.argv[2])] * 3)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", sys.argv[1].encode(), 0x5002))   # TUNSETIFF: a tap, no PI, vnet_hdr
    print("opened")
except OSError as error:
    print(error.strerror)
"""


def opened(host, name, uid):
    """What a process of that user, without privileges, is told when it opens the tap."""
    return host.node.run(["/usr/bin/python3", "-c", OPEN_TAP, name, str(uid)]).strip()


def undone(lab):
    lab.step("a trial brings a network, a VM manager uses it, the trial is taken back")
    host = lab.host
    id = begin(lab, [{"op": "network.create", "network": "tried", "kind": "nat", "subnet": "10.77.0.0/24"},
                     {"op": "adapter.set", "adapter": "eth1", "mtu": 1600}])
    tap(lab, "vnet0", "n-tried")
    lab.expect(5, "it is counted", lambda: next(n for n in host.ctl("networks") if n["network"] == "tried")["interfaces"] == 1)
    last = max(e["n"] for e in host.events())
    lab.check("the Console says no", answer(lab, id, "abort") in (200, 202))
    lab.check("it is taken back", end(lab, id)["state"] == "rolled_back")
    lab.expect(5, "its bridge is gone", lambda: "n-tried" not in [x["ifname"] for x in host.kernel("link")])
    left(lab, "vnet0")
    lab.expect(3, "an event names the tap and its network", lambda: [
        e for e in host.events() if e["n"] > last and e["kind"] == "port.released" and "vnet0" in str(e) and "n-tried" in str(e)])


def rolled_back(lab):
    lab.step("a rollback to a revision without the network is refused while the tap is in it, and names both")
    host = lab.host
    lab.console.must({"op": "network.create", "network": "later", "kind": "nat", "subnet": "10.78.0.0/24"})
    host.node.ip("link", "set", "vnet0", "master", "n-later")
    lab.expect(5, "it is counted", lambda: next(n for n in host.ctl("networks") if n["network"] == "later")["interfaces"] == 1)
    status, out, err = host.uplinkctl("rollback", check=False)
    lab.check("refused, with what to do", status == 1 and all(w in out + err for w in ("vnet0", "later", "nomaster")), [status, out, err])
    lab.check("it is where it was", link(lab, "vnet0").get("master") == "n-later")


def purged(lab):
    lab.step("a purge takes every bridge from under the taps of others")
    host = lab.host
    tap(lab, "vnet1", host.bridge("eth0"))
    before = {name: (link(lab, name)["mtu"], link(lab, name)["address"]) for name in ("vnet0", "vnet1")}
    host.stop()
    said = host.purge()
    for name in before:
        left(lab, name)
        lab.check(f"{name} is as it was", (link(lab, name)["mtu"], link(lab, name)["address"]) == before[name])
        lab.check(f"the purge names {name}", f"ip link set dev {name} nomaster" in said, said)
        seen = [a["local"] for x in host.kernel("-4", "addr", "show", "dev", name) for a in x.get("addr_info", [])]
        lab.check(f"{name} got no address", not seen, seen)
    for name in before:
        host.node.ip("link", "del", name)
    host.start()
    lab.expect(15, "the host is online", lab.console.online)


def left(lab, name):
    lab.check(f"{name} is there, up, in no bridge", "master" not in link(lab, name) and "UP" in link(lab, name)["flags"],
              link(lab, name))
