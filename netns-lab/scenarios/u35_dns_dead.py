"""U35. A's DNS is dead, routing is fine: the Console is reached over A with the last good address within 5 s. A host that has
no such address yet says that DNS is what is broken, and whose; and comes when it answers."""
from lablib.product import CONSOLE_NAME

TOPOLOGY = "two"
TIMEOUT_S = 240


def run(lab):
    lab.step("a new host, with A alone, whose DNS is dead")
    lab.servers["a"].stop_dns()
    lab.pull("eth1")
    lab.console.start()
    lab.host.start()
    resolver = lab.servers["a"].router_address()
    lab.expect(20, "A says that DNS is what is broken", lambda: lab.host.path("eth0").get("broken_step") == "dns")
    path = lab.host.path("eth0")
    lab.check("it names what it asked and whom", CONSOLE_NAME in path["cause"] and resolver in path["cause"], path)
    shown = lab.host.uplinkctl("paths", check=False)[1]
    lab.check("a person is told as much", path["cause"] in " ".join(shown.split()), shown)
    lab.servers["a"].answer(lab.topology.console_addresses)
    lab.expect(30, "the Console sees the host online", lab.console.online)
    lab.plug("eth1")
    lab.wait_paths()
    lab.expect(100, "the tunnel is on A", lambda: lab.host.active_port() == "eth0")
    lab.step("A's DNS dies, A is pulled and plugged again")
    lab.servers["a"].stop_dns()
    lab.pull("eth0")
    lab.expect(2, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.plug("eth0")
    lab.expect(5, "A has its lease", lambda: lab.host.port("eth0")["state"] == "leased")
    took = lab.expect(5, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
    lab.figure("lease_to_standby", took * 1000)
