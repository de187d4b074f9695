"""C6, C7, C8, C9. Infrastructure groups on real NICs: a link of 1 Gbit/s and a single adapter are refused with the reason,
accepted for an evaluation and then warned of for as long as it lasts; too few adapters in all are reported; VM groups may
be slow."""
import json

from lablib.nics import set_speed

TOPOLOGY = "virtio"
NEEDS = "virtio bond"


def infrastructure(adapters, **more):
    return {"op": "group.create", "group": "infra", "adapters": adapters, "role": "infrastructure", **more}


def run(lab):
    host = lab.host
    for port, mbps in (("eth0", 10_000), ("eth1", 1_000), ("eth2", 10_000)):
        set_speed(host.node, port, mbps)
    lab.start(active="eth0")
    lab.wait_paths()
    speeds = {p["port"]: p.get("speed_mbps") for p in host.ctl("ports")}
    lab.check("the ports' speeds are known", speeds == {"eth0": 10_000, "eth1": 1_000, "eth2": 10_000}, speeds)
    revision = host.ctl("status")["revision"]
    for operation, words in ((infrastructure(["eth0", "eth1"]), ["eth1", "1000 Mbit/s", "10000 Mbit/s", "allow_single"]),
                             (infrastructure(["eth0"]), ["at least two adapters", "has 1", "allow_single"])):
        answer = lab.console.command(operation)
        lab.check(f"refused, naming {words}", answer["state"] == "refused"
                  and all(word in str(answer["problems"]) for word in words), answer)
        status, out, err = apply(lab, operation)
        lab.check("at the machine too", status == 1 and all(word in out + err for word in words), [status, out, err])
    lab.check("nothing was applied", host.ctl("status")["revision"] == revision)
    lab.step("for an evaluation")
    lab.console.must(infrastructure(["eth1"], allow_single=True))
    lab.expect(5, "a standing warning", lambda: any("evaluation" in p and "infra" in p for p in problems(lab)))
    lab.expect(5, "and that the machine has too few adapters", lambda: any("a host of a cluster needs 4" in p for p in problems(lab)))
    lab.console.must({"op": "group.delete", "group": "infra"})
    lab.expect(5, "both are gone", lambda: not any("evaluation" in p or "cluster needs 4" in p for p in problems(lab)))
    lab.step("two fast adapters are accepted; a VM group may be slow")
    lab.plug("eth2", into="a")       # Members of a group are in one network, or its path would not be proven.
    lab.expect(15, "eth2 is in the network of eth0", lambda: host.address("eth2").startswith("192.168.1."))
    lab.expect(15, "its path is usable", lambda: host.path_states().get("eth2") in ("active", "standby"))
    session = host.session()
    lab.console.must([infrastructure(["eth0", "eth2"]), {"op": "group.create", "group": "vms", "adapters": ["eth1"]}])
    lab.expect(20, "the infrastructure has a path", lambda: host.path_states().get("eth0") in ("active", "standby"))
    lab.check("the same session", host.session() == session)
    lab.check("no warning about it but the number of adapters",
              [p for p in problems(lab) if "infra" in p] == [p for p in problems(lab) if "cluster needs 4" in p], problems(lab))
    lab.step("a link of it comes back at 1 Gbit/s")
    lab.pull("eth2")
    lab.expect(10, "its speed is not known", lambda: any('speed of port "eth2" is not known' in p for p in problems(lab)))
    set_speed(host.node, "eth2", 1_000)
    lab.plug("eth2", into="a")
    lab.expect(10, "a standing warning", lambda: any('"eth2" runs at 1000 Mbit/s' in p for p in problems(lab)))


def problems(lab):
    return lab.host.ctl("status")["problems"]


def apply(lab, operation):
    """The same by a person at the machine."""
    file = lab.host.node.dir / "apply.json"
    file.write_text(json.dumps({"operations": [operation]}))
    return lab.host.uplinkctl("apply", file, check=False)
