"""Purge: after uplinkd --purge the kernel shows what it showed before the first start, and no child of ours runs."""

TOPOLOGY = "two"


def run(lab):
    before = lab.host.picture()
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_network()
    lab.console.must(lab.publish("r-1"))
    lab.step("SIGTERM leaves the dataplane as it is")
    lab.host.stop()
    text = lab.host.node.run(["nft", "list", "table", "inet", "uplink"])
    lab.check("the publication still stands", "8080" in text, text[-500:])
    lab.host.purge()
    after = lab.host.picture()
    for part in before:
        lab.check(f"{part} as before", after[part] == before[part],
                  {"more": [x for x in after[part] if x not in before[part]],
                   "less": [x for x in before[part] if x not in after[part]]})
    left = {name: lab.host.children(name) for name in ("dhcpcd", "dnsmasq", "uplinkd")}
    lab.check("no child of ours runs", not any(left.values()), left)
    lab.step("and it comes up again")
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
