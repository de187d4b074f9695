"""U44. An MTU that the path does not carry: router and Console take 9000, the socket in the wall 1500. Small packets pass,
the connections that stand go on, only a new TLS handshake shows it: taken back, with the step, over one path of two and
over the only one."""
from lablib.trial import mtu, taken_back

TOPOLOGY = "two"
CONFIRM_S = 10


def run(lab):
    for node, links in {"sw": ("console", "w-a", "r-a", "w-b", "r-b", "inet", "sw-a", "sw-b"), "router-a": ("wan", "lan"),
                        "router-b": ("wan", "lan"), "console": ("eth0",)}.items():
        for link in links:
            lab.node(node).ip("link", "set", link, "mtu", "9000")
    lab.start(active="eth0")
    lab.wait_paths()
    tried(lab, "one of two paths")
    lab.pull("eth1")
    lab.expect(5, "eth0 is the only path", lambda: lab.host.path_states() == {"eth0": "active", "eth1": "down"})
    tried(lab, "the only path")
    lab.step("a socket that carries it: kept")
    lab.node("sw").ip("link", "set", "p-eth0", "mtu", "9000")
    lab.console.must([{"op": "adapter.set", "adapter": "eth0", "mtu": 9000}])


def tried(lab, name):
    lab.step(name)
    record = taken_back(lab, [{"op": "adapter.set", "adapter": "eth0", "mtu": 9000}], CONFIRM_S)
    lab.check("the path and its step are named", "path eth0/" in str(record["problems"]), record)
    lab.check("the MTU is as before", mtu(lab, "eth0") == 1500)
