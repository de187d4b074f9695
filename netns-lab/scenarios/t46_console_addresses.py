"""T46. The Console's addresses are changed by a command: used without a restart, in the place of those of uplink.toml, over
restarts too. A list by which nobody is reached is taken back with the reason, while the paths from before stay up."""
from lablib.trial import push, state

TOPOLOGY = "twodoors"


def endpoints(lab):
    """Of the paths that are up."""
    return sorted({p["endpoint"] for p in lab.host.paths() if p["state"] in ("active", "standby")})


def downs(lab):
    return [e for e in lab.host.events() if e["kind"] == "path.down"]


def where(lab):
    console = lab.host.ctl("status")["console"]
    return console["endpoints"], console["endpoints_from"]


def list_of(*addresses):
    return [{"op": "host.set", "console": {"endpoints": list(addresses)}}]


def run(lab):
    first, second = (f"{a}:{lab.topology.console_port}" for a in lab.topology.console_addresses)
    nobody = f"203.0.113.99:{lab.topology.console_port}"
    lab.host.settings["console"]["endpoints"] = [first]
    lab.start(active="eth0")
    lab.wait_paths()
    session, pid, revision = lab.host.session(), lab.host.daemon.pid, lab.host.ctl("status")["revision"]

    lab.step("a list of nobody")
    before = len(downs(lab))
    id = push(lab, list_of(nobody), confirm_within_s=10)
    lab.expect(25, "it is taken back", lambda: state(lab, id) == "rolled_back")
    problems = str(lab.console.command_state(id)["problems"])
    lab.check("the Console hears of each path", all(f"path {p}/{nobody}: " in problems for p in ("eth0", "eth1")), problems)
    lab.check("the list from before is in force", where(lab) == ([first], "uplink.toml") and endpoints(lab) == [first],
              [where(lab), lab.host.paths()])
    lab.check("its paths never went down", all(first not in e["data"]["path"] for e in downs(lab)[before:]), downs(lab))
    lab.check("no revision was made", lab.host.ctl("status")["revision"] == revision)

    lab.step("another address of the Console")
    id = push(lab, list_of(second))
    took = lab.expect(30, "it is kept", lambda: state(lab, id) == "done")
    lab.figure("kept", took * 1000)
    lab.expect(10, "both paths lead there, and none elsewhere", lambda: endpoints(lab) == [second]
               and {p["endpoint"] for p in lab.host.paths()} == {second} and len(lab.host.paths()) == 2)
    lab.check("without a restart, in the same session", [lab.host.session(), lab.host.daemon.pid] == [session, pid])
    lab.check("it is shown", where(lab) == ([second], "command"), where(lab))
    lab.check("the network works over it", lab.console.must(list_of(second, nobody))["warnings"])

    lab.step("a restart finds it")
    lab.host.stop()
    lab.host.start()
    lab.expect(30, "both paths lead there", lambda: endpoints(lab) == [second]
               and all(s in ("active", "standby") for s in lab.host.path_states().values()))
    lab.check("uplink.toml is said to be set aside", any(e["kind"] == "start.note" and "host.set console" in e["data"]["what"]
                                                         for e in lab.host.events()))

    lab.step("back to uplink.toml")
    id = push(lab, [{"op": "host.set", "console": None}])
    lab.expect(30, "it is kept", lambda: state(lab, id) == "done")
    lab.expect(10, "its address is used", lambda: endpoints(lab) == [first] and where(lab) == ([first], "uplink.toml"))
