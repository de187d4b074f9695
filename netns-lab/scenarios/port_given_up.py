"""An adapter that the daemon has managed is to be left alone from now on ([adapters] ignore): the next start gives it back, with
the addresses that were found on it, out of our bridge; what others put into that bridge does not hold it."""
TOPOLOGY = "two"


def run(lab):
    host, uplink = lab.host.node, lab.topology.uplinks[1]
    ours = f"{uplink.network()[50]}/{uplink.network().prefixlen}"
    for line in ("link set eth1 up", f"addr add {ours} dev eth1"):
        host.ip(*line.split())
    lab.start(active="eth0")
    lab.wait_paths()
    bridge = lab.host.bridge("eth1")
    lab.check("it is in our bridge", master(lab) == bridge)

    lab.step("ignored from now on")
    given_up(lab, ours)
    lab.check("the other one is as before", lab.host.active_port() == "eth0" and lab.host.kernel_addresses("eth0"))

    lab.step("and managed again, a guest of another manager in its bridge")
    lab.host.stop()
    lab.host.settings["adapters"]["ignore"] = []
    lab.host.start()
    lab.wait_paths(30)
    host.ip("tuntap", "add", "vnet7", "mode", "tap")
    host.ip("link", "set", "vnet7", "master", bridge)
    lab.step("ignored once more")
    given_up(lab, ours)


def given_up(lab, ours):
    lab.host.stop()
    lab.host.settings["adapters"]["ignore"] = ["eth1"]
    lab.host.start()
    lab.expect(15, "eth1 is in no bridge", lambda: not master(lab))
    lab.expect(15, "it has the address that was found on it, and no other", lambda: addresses(lab) == [ours])
    lab.expect(15, "the host is online", lab.console.online)
    lab.expect(5, "nothing is left to be written", lambda: lab.host.ctl("plan")["plan"] == [])


def master(lab):
    return next(link.get("master", "") for link in lab.host.kernel("link") if link["ifname"] == "eth1")


def addresses(lab):
    return [f"{a['local']}/{a['prefixlen']}" for link in lab.host.kernel("-4", "addr") if link["ifname"] == "eth1"
            for a in link["addr_info"]]
