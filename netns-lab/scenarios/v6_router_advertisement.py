"""IPv6: a router advertises a prefix and serves DHCPv6: both addresses, the port's own table and rules; gone with the cable, back after it; IPv4 unaffected."""
TOPOLOGY = "two"

CONFIG = """
port=0
interface=lan
bind-dynamic
enable-ra
ra-param=lan,5,1800
dhcp-range=fd00:1::100,fd00:1::200,slaac,64,10m
dhcp-leasefile={folder}/v6.leases
pid-file=
"""


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    router, hv = lab.node("router-a"), lab.node("hv")
    bridge = lab.host.port("eth0")["bridge"]

    lab.step("router A begins to advertise fd00:1::/64 with DHCPv6")
    router.sysctl("net/ipv6/conf/lan/disable_ipv6", 0)
    router.ip("-6", "addr", "add", "fd00:1::1/64", "dev", "lan", "nodad")
    router.sysctl("net/ipv6/conf/all/forwarding", 1)
    config = router.dir / "v6.conf"
    config.write_text(CONFIG.format(folder=router.dir))
    router.spawn(["dnsmasq", "-k", "-C", str(config)], log="v6-dnsmasq")

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
    lab.check("the IPv4 path never noticed", lab.host.path_states()["eth0"] in ("active", "standby"), lab.host.path_states())

    lab.step("pull A and plug it in again")
    lab.pull("eth0")
    lab.expect(2, "no IPv6 default route over A", lambda: "default" not in hv.run(
        ["ip", "-6", "route", "show", "table", str(table)], check=False))
    lab.plug("eth0")
    lab.expect(15, "the default route of A is back", lambda: "default via fe80:" in hv.run(
        ["ip", "-6", "route", "show", "table", str(table)]))
