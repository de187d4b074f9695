"""T21. Middleboxes forget idle flows without a word, here after 5 s: the tunnel's paths beat often enough to stay."""

TOPOLOGY = "two"
FORGET_S = 5


def run(lab):
    for uplink in lab.topology.uplinks:
        router = lab.router(uplink.name)
        router.sysctl("net/netfilter/nf_conntrack_tcp_timeout_established", FORGET_S)
        router.sysctl("net/netfilter/nf_conntrack_tcp_loose", 0)
        router.nft("add rule ip lab fault ct state invalid drop\n")
    lab.start(active="eth0")
    lab.wait_paths()
    after = lab.events_arrived()
    with lab.console.node.socket() as listener, lab.client("a").socket() as idle:
        listener.bind((lab.console.address, 9301))
        listener.listen(1)
        idle.settimeout(5)
        idle.connect((lab.console.address, 9301))
        far, _ = listener.accept()
        with far:
            far.settimeout(2)
            idle.sendall(b"before")
            lab.check("a flow of somebody else works", far.recv(16) == b"before")
            lab.never(3 * FORGET_S, "a path is lost", lambda: [
                e for e in lab.host.events() if e["n"] > after and e["kind"] == "path.down"], interval=0.5)
            idle.sendall(b"after")
            try:
                heard = far.recv(16)
            except TimeoutError:
                heard = None
            lab.check("his was forgotten: nobody hears him any more", heard is None, heard)
    lab.expect(5, "both paths are as they were", lambda: sorted(lab.host.path_states().values()) == ["active", "standby"])
