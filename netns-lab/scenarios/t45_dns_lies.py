"""T45. A's DNS says that there is no such name, then names somebody else: the Console is reached over A with the last good
address; whoever it is that DNS names fails the check of his certificate, which is told."""

TOPOLOGY = "two"
LIAR = "203.0.113.66"


def run(lab):
    lab.start()
    lab.wait_paths()
    for text, addresses in (("there is no such name", []), ("it is somebody else", [LIAR])):
        lab.step(f"A's DNS: {text}; A is pulled and plugged again")
        lab.servers["a"].answer(addresses)
        if addresses:
            impostor(lab)
        lab.pull("eth0")
        lab.expect(3, "A is out", lambda: lab.host.path_states().get("eth0") not in ("standby", "active"))
        lab.plug("eth0")
        took = lab.expect(15, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
        if addresses:
            lab.check("who it was is told", [e for e in lab.host.events() if e["kind"] == "path.dns_degraded" and LIAR in str(e)],
                      lab.host.log_tail())
        lab.figure("plug_to_standby_" + ("hijacked" if addresses else "nxdomain"), took * 1000)


def impostor(lab):
    """A TLS server at the address that DNS names, with a certificate of another authority for the Console's name."""
    lab.pki.authority("liar-ca")
    lab.pki.issue("liar", "liar-ca", lab.pki.console_names("console.example", [LIAR]), server=True)
    lab.console.node.ip("addr", "add", f"{LIAR}/24", "dev", "eth0")
    lab.console.node.spawn(["openssl", "s_server", "-quiet", "-accept", f"{LIAR}:{lab.topology.console_port}",
                            "-cert", lab.pki.pem("liar"), "-key", lab.pki.key("liar")], log="liar.log")
