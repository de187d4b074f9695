"""U44. Configurations that break the way to the Console: each is taken back within the confirm time plus 10 s, the tunnel
is up again at the revision from before, and the Console hears why, with the failing step of the path. Over one of two
paths the other one does not hide it; over the only path the host comes back by itself."""
from lablib.scenario import NotMet
from lablib.trial import taken_back

TOPOLOGY = "two"
CONFIRM_S = 10

BAD = {
    "static address in a subnet that is not there":
        [{"op": "host.set", "management": {"adapter": "eth0", "address": "10.77.0.5/24", "gateway": "10.77.0.1"}}],
    "static address with a gateway that is nobody":
        [{"op": "host.set", "management": {"adapter": "eth0", "address": "192.168.1.77/24", "gateway": "192.168.1.66"}}],
    "static address in the subnet that the other port is in":
        [{"op": "host.set", "management": {"adapter": "eth0", "address": "192.168.2.77/24", "gateway": "192.168.2.1"}}],
    "static address in the subnet of the default network of guests":
        [{"op": "host.set", "management": {"adapter": "eth0", "address": "192.168.122.77/24", "gateway": "192.168.122.78"}}],
    "the port is switched to a static address that the router has":
        [{"op": "host.set", "management": {"adapter": "eth0", "address": "192.168.1.1/24", "gateway": "192.168.1.254"}}],
}


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    before = lab.host.picture()
    dials = lab.host.path("eth1")["dials"]
    for name, operations in BAD.items():
        names_the_step(lab, tried(lab, f"{name}, one of two paths", operations))
        as_before(lab, before)
        lab.check("the other path never fell", lab.host.path("eth1")["dials"] == dials, lab.host.path("eth1"))
    lab.pull("eth1")
    lab.expect(5, "eth0 is the only path", lambda: lab.host.path_states() == {"eth0": "active", "eth1": "down"})
    lab.expect(10, "eth1 has no routes left", lambda: not [
        r for r in lab.host.kernel("route", "show", "table", "all") if r.get("dev") == lab.host.bridge("eth1")
        and r["dst"] == "default"])
    before = lab.host.picture()
    for name, operations in BAD.items():
        names_the_step(lab, tried(lab, f"{name}, the only path", operations))
        as_before(lab, before)
    lab.step("what would certainly cut the last path")
    off = [{"op": "adapter.set", "adapter": "eth0", "enabled": False}]
    refused = lab.console.command(off)
    lab.check("it is refused, and says what it would cost", refused["state"] == "refused"
              and "force" in str(refused["problems"]) and "its path ends" in str(refused["problems"]), refused)
    lab.plug("eth1", into="dead")
    lab.expect(5, "eth1 has carrier, and no path", lambda: lab.host.port("eth1").get("carrier")
               and lab.host.path_states() == {"eth0": "active", "eth1": "down"})
    refused = lab.console.command(off)
    lab.check("a cable in a dead switch is no way: refused as well", refused["state"] == "refused"
              and "force" in str(refused["problems"]), refused)
    lab.pull("eth1")
    planned = lab.console.command(off, dry_run=True)
    lab.check("a dry run says so too", "force" in str(planned["warnings"]), planned)
    forced = tried(lab, "the only port is switched off by force", off, force=True)
    lab.check("nothing confirmed it", "not confirmed" in str(forced["problems"]), forced)


def names_the_step(lab, record):
    lab.check("the path and its step are named", "path eth0/" in str(record["problems"]), record)


def as_before(lab, before):
    """Waits until the kernel shows this picture again; names what differs."""
    def differs():
        now = lab.host.picture()
        return {part: sorted(set(now[part]) ^ set(before[part])) for part in before if now[part] != before[part]}
    try:
        lab.expect(10, "the kernel is as before", lambda: not differs())
    except NotMet:
        lab.check("the kernel is as before", False, differs())


def tried(lab, name, operations, **fields):
    """Pushes a bad configuration and awaits its end; the record."""
    lab.step(name)
    return taken_back(lab, operations, CONFIRM_S, **fields)
