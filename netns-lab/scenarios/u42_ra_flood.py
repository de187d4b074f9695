"""U42. B has IPv6 alone, by router advertisement. Somebody floods it with forged advertisements: B's path stays on its router
(dialled anew at most once: a forged word that there is no DHCPv6 takes the address that came of it), what the host keeps is
bounded, the IPv4 port notices nothing. Its router retires (lifetime 0): no way over it is left in B's table."""
import json
import os
import socket

from lablib import advertise, ipv6
from lablib.product import USABLE
from lablib.traffic import CommandStream

TOPOLOGY = "two"
ON_DEMAND = True     # seen to pass thrice only
RATE, FLOOD_S = 200, 6
ADDRESSES_MAX = 16 + 2      # the kernel's max_addresses; one of DHCPv6, one link-local


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(lab):
    lab.servers["b"].stop_dhcp()
    ipv6.serve_console(lab)
    daemon = ipv6.serve_uplink(lab, "b", 2)
    lab.start(active="eth0")
    lab.expect(30, "B's path works, by IPv6 alone", lambda: lab.host.path_states().get("eth1") == "standby")
    lab.nat_interface()
    hv, router, bridge = lab.host.node, lab.router("b"), lab.host.bridge("eth1")
    table = lab.host.port("eth1")["table"]
    gateway = lab.host.kernel("-6", "route", "show", "default", "table", str(table))[0]["gateway"]
    after, before, cpu = lab.events_arrived(), lab.host.usage(), cpu_s(lab.host.daemon.pid)

    lab.step("a flood of advertisements on B")
    with CommandStream(lab.console, lab.publishing(), interval_s=0.2) as stream:
        with advertise.Flood(router, "lan", RATE) as flood:
            lab.expect(30, "it has come", lambda: flood.sent >= RATE * FLOOD_S, interval=0.1)
    usage = lab.host.usage()
    lab.figure("advertisements", flood.sent, "")
    used = cpu_s(lab.host.daemon.pid) - cpu
    lab.figure("cpu_of_daemon", used, "s")
    lab.check("it leaves the machine its time", used <= FLOOD_S, used)      # 2 s of 6 with sanitizers
    lab.figure("rss_grown", usage["rss_kib"] - before["rss_kib"], "KiB")
    lab.figure("kernel_routes", hv.run(["ip", "-6", "route", "show", "table", "all"]).count("\n"), "")
    lab.check_exactly_once(stream)
    lab.check("addresses are bounded", hv.run(["ip", "-6", "-o", "addr", "show", "dev", bridge]).count("\n") <= ADDRESSES_MAX)
    lab.check("rules and routes of ours are bounded",
              hv.run(["ip", "-6", "rule"]).count(f"lookup {table} ") <= 4 * ADDRESSES_MAX
              and hv.run(["ip", "-6", "route", "show", "table", str(table)]).count("\n") <= 2 * ADDRESSES_MAX)
    lab.check("its table leads over its own router", [r["gateway"] for r in lab.host.kernel(
        "-6", "route", "show", "default", "table", str(table))] == [gateway])
    news = [e for e in lab.host.events() if e["n"] > after and e["kind"] in ("path.down", "path.switch", "lease.lost")]
    lab.check("nothing switched, no IPv4 path went down, B's once at most",
              all(e["kind"] == "path.down" and e["data"]["path"].startswith("eth1/") for e in news) and len(news) <= 1, news)
    lab.expect(15, "B's path works", lambda: lab.host.path_states().get("eth1") in USABLE)
    lab.check("no descriptors are kept", usage["fds"] <= before["fds"] + 8, [before, usage])

    lab.step("B's router retires: lifetime 0")
    daemon.terminate()
    daemon.wait()
    source = advertise.link_local(router, "lan")
    mac = bytes.fromhex(json.loads(router.run(["ip", "-j", "link", "show", "dev", "lan"]))[0]["address"].replace(":", ""))
    lab.check("the router is who the host follows", gateway == socket.inet_ntop(socket.AF_INET6, source), gateway)
    with router.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("lan", 0))
        out.send(advertise.advertisement(mac, source, router_lifetime_s=0))
    lab.expect(10, "its table has no way over it any more", lambda: not [r for r in lab.host.kernel(
        "-6", "route", "show", "default", "table", str(table)) if r["gateway"] == gateway])
    lab.check("the IPv4 port is where it was", lab.host.active_port() == "eth0")
