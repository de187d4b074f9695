"""IPv6 forwarding is switched on with the first network that has IPv6 and given back after the last one, also across a
restart of the daemon; where the machine had it on by itself, it stays on."""
TOPOLOGY = "one"
KEY = "net/ipv6/conf/all/forwarding"


def network(name, subnet6):
    return {"op": "network.create", "network": name, "kind": "nat", "subnet6": subnet6}


def delete(name):
    return {"op": "network.delete", "network": name}


def run(lab):
    host = lab.host
    host.node.sysctl(KEY, 0)
    lab.start(active="eth0")

    def becomes(value):
        lab.expect(5, f"forwarding is {value}", lambda: host.node.sysctl(KEY) == value)

    lab.console.must([network("one", "fd00:aa:0:1::/64"), network("two", "fd00:aa:0:2::/64")])
    becomes("1")
    lab.console.must([delete("one")])
    lab.never(0.5, "it goes while one is left", lambda: host.node.sysctl(KEY) != "1")
    host.stop()
    host.start()
    lab.expect(10, "the Console sees the host online", lab.console.online)
    lab.console.must([delete("two")])
    becomes("0")
    lab.step("and again")
    lab.console.must([network("one", "fd00:aa:0:1::/64")])
    becomes("1")
    lab.console.must([delete("one")])
    becomes("0")
    lab.step("the machine's own wish")
    host.node.sysctl(KEY, 1)
    lab.console.must([network("one", "fd00:aa:0:1::/64")])
    lab.console.must([delete("one")])
    lab.never(0.5, "it is taken away", lambda: host.node.sysctl(KEY) != "1")
