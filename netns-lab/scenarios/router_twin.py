"""A recabled host meets a router that has the very address of its own NAT network, whose guests are not renumbered: the path
over that router works, its resolver is heard, the guests keep their addresses and their way out; and all of it is undone
when the cable goes back. A site whose own network is all of 10.0.0.0/8 leaves the default network a subnet elsewhere."""
from lablib.ns import ip_batch
from lablib.product import CONSOLE_NAME
from lablib.wires import answers

TOPOLOGY = "two"
TIMEOUT_S = 240


def renumber(lab, name, subnet, gateway, first, last):
    """The router of an uplink gets another network, as if another router stood there."""
    server, router = lab.servers[name], lab.router(name)
    server.stop_dns()
    server.stop_dhcp()
    uplink = server.uplink
    uplink.subnet, uplink.gateway, uplink.dhcp_from, uplink.dhcp_to = subnet, gateway, first, last
    length = subnet.split("/")[1]
    ip_batch(["addr flush dev lan", f"addr add {gateway}/{length} dev lan"], router.netns)
    server.start()


def accepts_local(lab):
    return lab.host.node.sysctl(f"net/ipv4/conf/{lab.host.bridge('eth1')}/accept_local").strip()


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network("lan", "10.99.0.0/24")
    usual = (lab.servers["b"].uplink.subnet, lab.servers["b"].uplink.gateway, lab.servers["b"].uplink.dhcp_from,
             lab.servers["b"].uplink.dhcp_to)
    lab.step("B's router is replaced by one at 10.99.0.1, which is the guests' gateway here")
    lab.pull("eth1")
    renumber(lab, "b", "10.99.0.0/24", "10.99.0.1", "10.99.0.220", "10.99.0.229")
    lab.plug("eth1")
    lab.expect(15, "B has a lease there", lambda: lab.host.address("eth1").startswith("10.99.0.22"))
    lab.expect(10, "its path is usable", lambda: lab.host.path_states()["eth1"] == "standby")
    lab.check("the sysctl says so", accepts_local(lab) == "1", accepts_local(lab))
    lab.check("a person is told", any("10.99.0.1" in p for p in lab.host.ctl("status")["problems"]), lab.host.ctl("status")["problems"])
    lab.step("a new start over B alone: the Console's name is asked of that router")
    lab.pull("eth0")
    lab.expect(3, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    bridge = lab.host.bridge("eth1")
    lab.expect(10, "the router answers a ping from this port", lambda: lab.host.node.run(
        ["ping", "-c1", "-W1", "-I", bridge, "10.99.0.1"], check=False).count(" 0% packet loss"))
    lab.host.stop()
    for name in ("uplink.db", "uplink.db-wal", "uplink.db-shm"):      # No address of the Console is known.
        (lab.host.state / name).unlink(missing_ok=True)
    lab.host.start()
    lab.expect(40, "the Console sees the host", lab.console.online)
    lab.check("by its name", CONSOLE_NAME in lab.host.path("eth1")["endpoint"], lab.host.path("eth1"))
    lab.expect(5, "the guest reaches its gateway", lambda: answers(vm.node, "10.99.0.1"))
    lab.step("B's router of before comes back")
    lab.pull("eth1")
    renumber(lab, "b", *usual)
    lab.plug("eth1")
    lab.expect(15, "B has a lease there", lambda: lab.host.address("eth1").startswith(usual[0].rsplit(".", 1)[0]))
    lab.expect(10, "the sysctl is as it was", lambda: accepts_local(lab) == "0")
    lab.step("a site that uses all of 10.0.0.0/8")
    lab.pull("eth1")
    renumber(lab, "b", "10.0.0.0/8", "10.0.0.1", "10.20.0.10", "10.20.0.20")
    lab.plug("eth1")
    lab.expect(15, "B has a lease there", lambda: lab.host.address("eth1").startswith("10.20.0."))
    lab.expect(10, "the default network has a subnet elsewhere", lambda: any(
        n["network"] == "default" and n["subnet"].startswith("172.31.") for n in lab.host.ctl("networks")))
    lab.expect(10, "B's path is usable", lambda: lab.host.path_states()["eth1"] in ("active", "standby"))
