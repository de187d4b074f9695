"""IPv6: a router advertises a prefix and serves DHCPv6: both addresses, the port's own table and rules; gone with the cable, back
after it; IPv4 unaffected. The DHCPv6 lease outlives its client, the daemon and a power cut, each with the server dead, and ends
when it ends."""
import json
import os
import signal
import sqlite3
import time

from lablib.power import Power

TOPOLOGY = "two"

LEASE_S = 600
CONFIG = """
port=0
interface=lan
bind-dynamic
enable-ra
ra-param=lan,5,1800
dhcp-range=fd00:1::100,fd00:1::200,slaac,64,{lease_s}s
dhcp-leasefile={folder}/v6.leases
pid-file=
"""


def make_older(host, seconds):
    """Of the leases in the store of a daemon that does not run: they were granted so long ago."""
    database = sqlite3.connect(host.state / "uplink.db", isolation_level=None)
    for adapter, text in database.execute("SELECT adapter, json FROM leases WHERE family = 1").fetchall():
        lease = json.loads(text)
        lease["acquired_ms"] = int((time.time() - seconds) * 1000)
        database.execute("UPDATE leases SET json = ? WHERE adapter = ? AND family = 1", (json.dumps(lease), adapter))
    database.close()


def run(lab):
    power = Power(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    router, hv = lab.node("router-a"), lab.node("hv")
    bridge = lab.host.port("eth0")["bridge"]

    lab.step("router A begins to advertise fd00:1::/64 with DHCPv6")
    router.sysctl("net/ipv6/conf/lan/disable_ipv6", 0)
    router.ip("-6", "addr", "add", "fd00:1::1/64", "dev", "lan", "nodad")
    router.sysctl("net/ipv6/conf/all/forwarding", 1)
    config = router.dir / "v6.conf"

    config.write_text(CONFIG.format(folder=router.dir, lease_s=LEASE_S))
    server = router.spawn(["dnsmasq", "-k", "-C", str(config)], log="v6-dnsmasq")

    def addresses():
        return hv.run(["ip", "-6", "-br", "addr", "show", "dev", bridge, "scope", "global"]).split()[2:]

    took = lab.expect(20, "the port has an address by RA and one by DHCPv6",
                      lambda: any(a.endswith("/64") for a in addresses()) and any(a.endswith("/128") for a in addresses()))
    lab.figure("ra_and_dhcpv6", took * 1000)
    table = lab.host.port("eth0")["table"]
    lab.expect(5, "its table has the default route of the advertisement",
               lambda: "default via fe80:" in hv.run(["ip", "-6", "route", "show", "table", str(table)]))
    lab.expect(5, "rules lead from both addresses to its table",
               lambda: hv.run(["ip", "-6", "rule"]).count(f"lookup {table} ") >= 4)
    lab.expect(5, "the router answers over IPv6",
               lambda: " 0% packet loss" in hv.run(["ping", "-6", "-c1", "-W1", "fd00:1::1"], check=False))
    lab.check("dhcpcd's marks are mended: accept_ra is 2, addr_gen_mode is 0",
              [hv.sysctl(f"net/ipv6/conf/{bridge}/accept_ra").strip(), hv.sysctl(f"net/ipv6/conf/{bridge}/addr_gen_mode").strip()]
              == ["2", "0"])
    lab.expect(5, "the IPv4 path never noticed", lambda: lab.host.path_states()["eth0"] in ("active", "standby"))

    lab.step("pull A and plug it in again")
    lab.pull("eth0")
    lab.expect(2, "no IPv6 default route over A", lambda: "default" not in hv.run(
        ["ip", "-6", "route", "show", "table", str(table)], check=False))
    lab.plug("eth0")
    lab.expect(15, "the default route of A is back", lambda: "default via fe80:" in hv.run(
        ["ip", "-6", "route", "show", "table", str(table)]))

    def leased():
        return [a for a in addresses() if a.endswith("/128")]

    lab.expect(10, "and its DHCPv6 address", leased)
    held = leased()
    lab.expect(5, "the lease is shown", lambda: lab.host.lease("eth0").get("address6") == [held[0].split("/")[0]])
    for name, sig in (("KILL", signal.SIGKILL), ("STOP", signal.SIGSTOP)):
        lab.step(f"{name} to its DHCPv6 client")
        [old] = lab.host.dhcp_clients(6)[bridge]
        os.kill(old, sig)
        kept = []

        def replaced():
            kept.append(leased())
            doubled = lab.host.doubled_clients()
            lab.check("never two of a family on one port, nor the old one beside the new", not doubled, [old, doubled])
            return lab.host.dhcp_clients(6).get(bridge, [old]) != [old]

        lab.expect(15, "another one runs", replaced)
        lab.check("the address stayed", all(seen == held for seen in kept), kept)

    lab.step("the server dies; the daemon is killed and comes back, then the power goes")
    server.kill()
    server.wait()
    lab.host.kill()
    lab.host.start()
    lab.never(3, "the DHCPv6 address goes", lambda: leased() != held, interval=0.05)
    lab.check("the lease is shown", lab.host.lease("eth0").get("address6") == [held[0].split("/")[0]], lab.host.lease("eth0"))
    power.cut()
    lab.host.start()
    took = lab.expect(5, "the address of before is there", lambda: leased() == held)
    lab.figure("stored_lease6", took * 1000)

    lab.step("a lease of which all but some seconds are over ends by itself")
    lab.host.stop()
    make_older(lab.host, LEASE_S - 6)
    lab.host.start()
    lab.expect(5, "it is still used", lambda: leased() == held)
    lab.expect(12, "it ended", lambda: not leased())
