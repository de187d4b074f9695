"""U44. An MTU that the path does not carry: router and Console take 9000, the socket in the wall 1500. Small packets pass,
the connections that stand go on, only a new TLS handshake shows it: taken back, with the step, over one path of two and
over the only one."""
import uuid

from lablib.product import HOST_ID

TOPOLOGY = "two"
CONFIRM_S = 10
USABLE = ("active", "standby")


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
    id = str(uuid.uuid4())
    lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {
        "id": id, "operations": [{"op": "adapter.set", "adapter": "eth0", "mtu": 9000}], "confirm_within_s": CONFIRM_S})
    took = lab.expect(CONFIRM_S + 10, "it is taken back", lambda: lab.console.command_state(id)["state"] == "rolled_back")
    lab.figure(f"back_{len(lab.figures)}", took * 1000)
    record = lab.console.command_state(id)
    lab.check("the path and its step are named", "path eth0/" in str(record["problems"]), record)
    lab.check("the MTU is as before", lab.host.kernel("link", "show", "dev", "eth0")[0]["mtu"] == 1500)
    lab.expect(20, "the path is up again", lambda: lab.host.path_states()["eth0"] in USABLE)
