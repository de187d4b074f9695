"""U18. The router behind A gets another address on its internet side and forgets its connections: the tunnel goes on."""

TOPOLOGY = "one"


def run(lab):
    lab.start(active="eth0")
    session = lab.host.session()
    router = lab.router("a")
    lab.step("router-a: 203.0.113.20 becomes 203.0.113.220, all connections forgotten")
    for arguments in (("addr", "flush", "dev", "wan"), ("addr", "add", "203.0.113.220/24", "dev", "wan")):
        router.ip(*arguments)
    router.run(["conntrack", "-F"], check=False)
    lab.expect(20, "a new connection of the same session is up", lambda: (
        lab.host.active_port() == "eth0" and lab.console.online() and "203.0.113.220" in lab.console.node.run(
            ["ss", "-Htn", "state", "established", f"sport = :{lab.topology.console_port}"])))
    lab.check("it is the same session", lab.host.session() == session)
