"""T12. Somebody else moves the main default route to another NIC: the bound paths are unaffected, his route stays."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    host, bridge = lab.host.node, lab.host.bridge("eth1")
    before = lab.events_arrived()
    lab.step("a foreign default route through B, better than all of ours")
    host.ip("route", "add", "default", "via", "192.168.2.1", "dev", bridge, "metric", "1")
    states = lab.host.path_states()
    lab.never(4, "a path changes", lambda: changed(lab, states))
    lab.check("no switch happened", not lab.switches(after=before))
    routes = [r for r in lab.host.kernel("route") if r["dst"] == "default" and r.get("metric") == 1]
    lab.check("the foreign route is still there", len(routes) == 1, lab.host.kernel("route"))
    lab.step("a foreign default route to nowhere")
    host.ip("route", "replace", "default", "via", "192.168.2.77", "dev", bridge, "metric", "1")
    lab.never(4, "a path changes", lambda: changed(lab, states))


def changed(lab, states):
    """Ports whose paths are not what they were; a stalled machine makes one suspect, and that is no change."""
    return {port for port, state in lab.host.path_states().items() if state not in ("suspect", states[port])}
