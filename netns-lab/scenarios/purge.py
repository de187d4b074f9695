"""Purge: after uplinkd --purge the kernel shows what it showed before the first start, and no child of ours runs.
Between SIGTERM and purge the dataplane stands, and a guest still gets an address."""

from lablib.ns import LabError

TOPOLOGY = "two"
SYSCTLS = ["net/ipv4/ip_forward", "net/ipv4/tcp_fwmark_accept", "net/ipv4/fwmark_reflect", "net/ipv4/conf/all/src_valid_mark",
           "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/ipv6/conf/eth0/disable_ipv6"]


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
    after = lab.host.picture()
    for part in before:
        lab.check(f"{part} as before", after[part] == before[part],
                  {"more": [x for x in after[part] if x not in before[part]],
                   "less": [x for x in before[part] if x not in after[part]]})
    lab.check("sysctls as before", sysctls(lab) == values, [values, sysctls(lab)])
    left = {name: lab.host.children(name) for name in ("dhcpcd", "dnsmasq", "uplinkd")}
    lab.check("no child of ours runs", not any(left.values()), left)
    lab.step("and it comes up again")
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
