"""IPv6 for an uplink and the Console behind it: prefix by router advertisement, resolver of its own, way back."""

CONSOLE = "fd00:203::10"
CONFIG = """
bind-interfaces
except-interface=lo
interface=lan
enable-ra
ra-param=lan,5,1800
dhcp-range={prefix}100,{prefix}200,slaac,64,10m
dhcp-option=option6:dns-server,[{router}]
{names}
no-resolv
no-hosts
user=root
dhcp-leasefile={folder}/v6.leases
pid-file=
"""


def serve_console(lab):
    """The Console listens on IPv6 too. Call it before the Console starts."""
    node = lab.node("console")
    node.sysctl("net/ipv6/conf/eth0/disable_ipv6", 0)
    node.ip("-6", "addr", "add", f"{CONSOLE}/64", "dev", "eth0", "nodad")
    lab.console.tunnel_addresses.append(f"[{CONSOLE}]")


def forward(lab, name, *numbers):
    """Router `name` forwards between fd00:<number>::/64, for each of the numbers, and the Console."""
    router, outside = lab.router(name), f"fd00:203::2{numbers[0]}"
    for link in ("lan", "wan"):
        router.sysctl(f"net/ipv6/conf/{link}/disable_ipv6", 0)
    router.ip("-6", "addr", "add", f"{outside}/64", "dev", "wan", "nodad")
    router.sysctl("net/ipv6/conf/all/forwarding", 1)
    for number in numbers:
        router.ip("-6", "addr", "add", f"fd00:{number}::1/64", "dev", "lan", "nodad")
        lab.node("console").ip("-6", "route", "replace", f"fd00:{number}::/64", "via", outside)


def serve_uplink(lab, name, number):
    """Router `name` advertises fd00:<number>::/64 and forwards to the Console, which its DNS names with all addresses."""
    router, prefix = lab.router(name), f"fd00:{number}::"
    forward(lab, name, number)
    server = lab.servers[name]
    server.stop_dns()
    names = "\n".join(f"host-record=console.example,{address}" for address in [*server.console_addresses, CONSOLE])
    config = router.dir / "v6.conf"
    config.write_text(CONFIG.format(router=f"{prefix}1", prefix=prefix, names=names, folder=router.dir))
    return router.spawn(["dnsmasq", "-k", "-C", str(config)], log="v6-dnsmasq.log")


def break_forwarding(lab, name):
    """Addresses and resolver stay, packets to the Console are swallowed: IPv6 as badly run networks have it."""
    lab.router(name).nft("table ip6 lab { chain fault { type filter hook forward priority -300; policy drop; }; }")
