"""U49, T32. Two commands in flight, the first one fails: the second, made for the revision that the first would have made,
is not applied on a wrong base but answered superseded, with both revisions. An older generation after a newer one has no
effect and is told what changed. Both also behind a trial that is taken back."""
from lablib.trial import end, push

TOPOLOGY = "one"


def network(name, number):
    return [{"op": "network.create", "network": name, "kind": "nat", "subnet": f"10.{number}.0.0/24"}]


def networks(lab):
    return {n["network"] for n in lab.host.ctl("networks")}


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    base = lab.host.ctl("status")["revision"]

    lab.step("the first is refused: somebody else has a link of that name")
    lab.host.node.ip("link", "add", "n-red", "type", "bridge")
    theirs = lab.host.kernel("-d", "link", "show", "dev", "n-red")
    dry = lab.console.command(network("red", 51), dry_run=True)
    lab.check("a dry run says so, naming it", dry["state"] != "done" and "n-red" in str(dry["problems"]), dry)
    first = push(lab, network("red", 51), revision=base)
    second = push(lab, network("blue", 50), revision=base + 1)
    refused = end(lab, first)
    lab.check("the first is refused, naming the link", refused["state"] == "refused"
              and any("n-red" in line["what"] for line in refused["problems"]), refused)
    lab.check("which is as it was", lab.host.kernel("-d", "link", "show", "dev", "n-red") == theirs)
    stale = end(lab, second)
    lab.check("the second is not applied on a wrong base", stale["state"] == "superseded" and "blue" not in networks(lab), stale)
    lab.check("both revisions are named", f"made for revision {base + 1}, the host is at {base}" in str(stale["problems"]), stale)
    lab.check("and that its base did not stay", "was taken back" in str(stale.get("difference")), stale)
    lab.host.node.ip("link", "delete", "n-red")

    lab.step("both made for the same revision")
    first = push(lab, network("red", 51), revision=base)
    second = push(lab, network("blue", 50), revision=base)
    lab.check("the first is done", end(lab, first)["state"] == "done")
    stale = end(lab, second)
    lab.check("the second is superseded, with what changed", stale["state"] == "superseded"
              and "+ networks red" in str(stale["difference"]) and "blue" not in networks(lab), stale)

    lab.step("behind a trial that is taken back")
    base = lab.host.ctl("status")["revision"]
    first = push(lab, [{"op": "adapter.set", "adapter": "eth0", "mtu": 3000}], revision=base, confirm="manual",
                 confirm_within_s=3)
    second = push(lab, network("blue", 50), revision=base + 1)
    third = push(lab, network("green", 52), revision=base)
    lab.check("the trial is taken back", end(lab, first)["state"] == "rolled_back")
    lab.check("what builds on it is superseded", end(lab, second)["state"] == "superseded" and "blue" not in networks(lab))
    lab.check("the trial's number is given to no other", end(lab, third)["revision"] == base + 2, lab.console.command_state(third))
    late = push(lab, network("blue", 50), revision=base + 1)
    lab.check("not even what builds on it and comes late has a base", end(lab, late)["state"] == "superseded"
              and "blue" not in networks(lab), lab.console.command_state(late))
    lab.check("what builds on the revision from before is done", end(lab, third)["state"] == "done" and "green" in networks(lab))

    lab.step("T32: an old generation after a newer one")
    old = push(lab, [{"op": "network.delete", "network": "green"}], revision=base)
    lab.check("it has no effect", end(lab, old)["state"] == "superseded" and "green" in networks(lab))
