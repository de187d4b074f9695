"""Somebody else's network behind the host, as Docker makes it: a bridge, masquerading and a published port in a table of its
own. Its container reaches the outside over either uplink, and is reached at its port, answers included."""
from lablib.ns import ip_batch
from lablib.reach import Greeter, reach

TOPOLOGY = "two"
CONTAINER = "172.30.0.2"
NFT = f"""table ip theirs {{
  chain post {{ type nat hook postrouting priority srcnat; ip saddr 172.30.0.0/24 oifname != "docker0" masquerade; }}
  chain pre {{ type nat hook prerouting priority dstnat; fib daddr type local tcp dport 8081 dnat to {CONTAINER}:80; }}
}}
"""


def run(lab):
    host, container = lab.host.node, lab.add_node("container")
    ip_batch([f"link add vethd netns {host.netns} type veth peer name eth0 netns {container.netns}"])
    for line in ("link add docker0 type bridge forward_delay 0", "addr add 172.30.0.1/24 dev docker0", "link set docker0 up",
                 "link set vethd master docker0 up"):
        host.ip(*line.split())
    for line in (f"addr add {CONTAINER}/24 dev eth0", "link set eth0 up", "route add default via 172.30.0.1"):
        container.ip(*line.split())
    host.nft(NFT)
    lab.start(active="eth0")
    lab.wait_paths()
    clients = {name: lab.client(name) for name in ("a", "b")}
    outside = {name: lab.topology.uplink(name).client_address() for name in clients}
    with Greeter(container, 80, "container"), Greeter(clients["a"], 443, "a"), Greeter(clients["b"], 443, "b"):
        for name, port in (("a", "eth0"), ("b", "eth1")):
            own = lab.host.address(port)
            lab.check(f"the container reaches client-{name}, as the host", reach(container, outside[name], 443) == f"{name} {own}")
            lab.check(f"client-{name} reaches the container's port at the host", reach(clients[name], own, 8081).startswith("container "))
        lab.step("the first uplink is pulled")
        lab.pull("eth0")
        lab.expect(5, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
        lab.check("the container reaches client-b", reach(container, outside["b"], 443).startswith("b "))
