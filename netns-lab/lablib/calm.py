"""A path that is bad, but not broken: nothing is declared dead for it, and the tunnel moves once at most."""


def begin(lab):
    """Both paths up, A active, and something to publish; the last event before it."""
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    return lab.events_arrived()


def check(lab, after):
    down = [e for e in lab.host.events() if e["n"] > after and e["kind"] == "path.down"]
    lab.check("nothing was declared dead", not down, down)
    lab.check("one switch at most", len(lab.switches(after)) <= 1, lab.switches(after))
