"""Purge: after uplinkd --purge the kernel shows what it showed before the first start, and no child of ours runs.
Between SIGTERM and purge the dataplane stands, and a guest still gets an address. The same of a daemon that was killed
and had no time to end what it had started."""

from lablib.ns import LabError

TOPOLOGY = "two"
SYSCTLS = ["net/ipv4/ip_forward", "net/ipv4/tcp_fwmark_accept", "net/ipv4/fwmark_reflect", "net/ipv4/conf/all/src_valid_mark",
           "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/ipv6/conf/eth0/disable_ipv6"]
CHILDREN = ("uplinkd", "dhcpcd", "dnsmasq", "uplink-dhcp-kee")       # comm has 15 characters


def sysctls(lab):
    """Of the host's namespace; a value that this kernel does not have is missing."""
    lines = lab.host.node.run(["sysctl", "-e", *[name.replace("/", ".") for name in SYSCTLS]])
    return sorted(lines.splitlines())


def run(lab):
    before, values = lab.host.picture(), sysctls(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_network()
    lab.console.must(lab.publish("r-1"))
    lab.check("we did change some", sysctls(lab) != values, values)
    lab.step("beside a daemon that runs it is refused, and nothing is touched")
    here = lab.host.picture()
    refused = ""
    try:
        lab.host.purge()
    except LabError as error:
        refused = str(error)
    lab.check("it says why and what to do", "uplinkd runs" in refused and "stop it first" in refused, refused)
    lab.check("nothing was touched", lab.host.picture() == here and len(lab.host.dhcp_clients()) == 2, lab.host.dhcp_clients())
    lab.step("SIGTERM leaves the dataplane as it is")
    served = lab.host.children("dnsmasq")
    lab.host.stop()
    text = lab.host.node.run(["nft", "list", "table", "inet", "uplink"])
    lab.check("the publication still stands", "8080" in text, text[-500:])
    lab.check("guests keep DHCP and DNS", served and lab.host.children("dnsmasq") == served, served)
    lab.step("the next start replaces them, one for one")
    lab.host.start()
    lab.wait_paths()
    lab.expect(5, "one dnsmasq per network, none of the old", lambda: len(lab.host.children("dnsmasq")) == len(served)
               and not set(served) & set(lab.host.children("dnsmasq")))
    lab.host.stop()
    lab.host.purge()
    as_found(lab, before, values)
    lab.step("it comes up again, is killed, and what it leaves is purged")
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
    lab.wait_paths()
    lab.expect(5, "a dnsmasq per network", lambda: len(lab.host.children("dnsmasq")) == len(served))
    lab.host.kill()
    lab.check("which outlive it", len(lab.host.children("dnsmasq")) == len(served), lab.host.children("dnsmasq"))
    lab.host.purge()
    as_found(lab, before, values)


def as_found(lab, before, values):
    """The kernel and the sysctls as before the first start, and no child of the daemon is alive."""
    lab.expect(2, "no child of ours runs", lambda: not any(lab.host.children(name) for name in CHILDREN))
    after = lab.host.picture()
    for part in before:
        lab.check(f"{part} as before", after[part] == before[part],
                  {"more": [x for x in after[part] if x not in before[part]],
                   "less": [x for x in before[part] if x not in after[part]]})
    lab.check("sysctls as before", sysctls(lab) == values, [values, sysctls(lab)])
