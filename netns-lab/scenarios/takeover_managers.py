"""Taking over beside NetworkManager and firewalld, Debian's own programs, which run: NetworkManager has set the addresses of
eth0 and eth2, eth2 is not given to us. The administrator's session over eth0 lives through the start, a new start of
NetworkManager and a reload of firewalld; eth2 and firewalld's table stay as they are; the address goes back at the purge."""
from lablib.administrator import PORT, Administrator
from lablib.managers import Managers
from lablib.product import USABLE

TOPOLOGY = "three"


def run(lab):
    uplink = {u.port: u for u in lab.topology.uplinks}
    lab.host.settings["adapters"]["ignore"] = ["eth2"]
    addresses = {port: (f"{uplink[port].network()[50]}/{uplink[port].network().prefixlen}", uplink[port].gateway)
                 for port in ("eth0", "eth2")}
    ours, foreign = (addresses[port][0].split("/")[0] for port in ("eth0", "eth2"))
    managers = Managers(lab)
    managers.firewalld()
    managers.allow("tcp", PORT)
    managers.network_manager(addresses)

    def theirs():
        [link] = lab.host.kernel("-4", "addr", "show", "dev", "eth2")
        routes = [(r["dst"], r.get("gateway"), r.get("protocol"), r.get("metric")) for r in lab.host.kernel(
            "-4", "route", "show", "dev", "eth2")]
        return {"eth2": (link.get("master"), link["mtu"], [a["local"] for a in link["addr_info"]], routes),
                "firewall": managers.firewall()}

    def steady(when):
        lab.lasts(3)
        administrator.alive(when)
        lab.expect(20, f"both ports carry a path {when}", lambda: [lab.host.path_states().get(p) in USABLE
                                                                   for p in ("eth0", "eth1")] == [True, True])
        lab.expect(10, f"the address is on the bridge {when}", lambda: ours in lab.host.kernel_addresses("eth0"))
        lab.expect(20, f"eth2 and the firewall are theirs {when}", lambda: theirs() == before, interval=0.5)

    before = theirs()
    lab.check("eth2 is as NetworkManager has set it", before["eth2"][2] == [foreign], before)
    with Administrator(lab, ours) as administrator:
        lab.step("first start")
        lab.start()
        lab.expect(20, "both ports carry a path", lambda: [lab.host.path_states().get(p) in USABLE for p in ("eth0", "eth1")]
                   == [True, True])
        steady("after the start")
        found = {e["kind"]: e["data"] for e in lab.host.events() if e["kind"].startswith("takeover.")
                 and e["data"].get("port") in ("eth0", None)}
        lab.check("it says what it takes", found["takeover.adapter"]["addresses"] == [addresses["eth0"][0]], found)
        lab.check("and whom it found", {"NetworkManager", "firewalld"} <= set(found["takeover.foreign"]["managers"])
                  and "inet firewalld" in found["takeover.foreign"]["nft_tables"], found)
        lab.step("firewalld reloads, NetworkManager starts anew")
        managers.reload_firewalld()
        managers.restart_network_manager()
        steady("after both")
        lab.step("commands")
        lab.nat_interface()
        lab.console.must([lab.publish("r-1"), {"op": "adapter.set", "adapter": "eth1", "mtu": 1600}])
        steady("after commands")
        drift = [e["data"] for e in lab.host.events() if e["kind"] == "drift.repaired"]
        lab.check("nobody fights", len(drift) <= 4, drift)
        lab.step("handed back")
        lab.host.stop()
        lab.host.purge()
        administrator.alive("after the purge")
        lab.check("the address is on the adapter", [a["local"] for x in lab.host.kernel("-4", "addr", "show", "dev", "eth0")
                                                    for a in x["addr_info"]] == [ours])
    lab.host.start()
