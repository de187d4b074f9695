"""Bad input to the network model: every rule as a refusal with one clear line, in the answer to the command; nothing is
applied. Ten thousand problems in one command answer in bounded size."""
import json

TOPOLOGY = "two"
MANAGEMENT = {"adapter": "eth0", "address": "192.168.1.11/24", "gateway": "192.168.1.1"}
ANSWER_BYTES_MAX = 64 * 1024


def network(id="x", kind="nat", **more):
    return {"op": "network.create", "network": id, "kind": kind, **more}


def vlan(id, name="x"):
    return network(name, "vlan", adapter="eth0", vlan_id=id)


def attach(id="x", **more):
    return {"op": "interface.attach", "interface": id, "vm": "v", "network": "lan", **more}


def cases(lab, mac):
    """(operations, what the line says)"""
    publish = lab.publish
    return [
        ([vlan(0)], ["0 is out of range 2..4094"]), ([vlan(1)], ["1 is out of range 2..4094"]),
        ([vlan(4095)], ["4095 is out of range 2..4094"]), ([vlan("x")], ["VLAN id \"x\"", "2..4094"]),
        ([network("u1", "untagged", adapter="eth0"), network("u2", "untagged", adapter="eth0")],
         ["u2", "u1", "the untagged one of this group already; a group has one"]),
        ([{"op": "group.create", "group": "g1", "adapters": ["eth0"]},
          {"op": "group.create", "group": "g2", "adapters": ["eth0"]}],
         ["g1", "g2", "eth0", "an adapter belongs to one group"]),
        ([{"op": "group.create", "group": "g", "adapters": []}], ["adapter"]),
        ([{"op": "group.create", "group": "g", "adapters": ["eth7"]}], ["eth7"]),
        ([{"op": "group.create", "group": "g", "adapters": ["02:00:00:00:77:77"]}], ["02:00:00:00:77:77"]),
        ([network("x", "vlan", group="none", vlan_id=7)], ["none", "does not exist"]),
        ([network("x", "untagged")], ["exactly one of", "group", "adapter"]),
        ([{"op": "adapter.set", "adapter": "eth0", "mtu": 1499}], ["1499", "1500..9000"]),
        ([{"op": "adapter.set", "adapter": "eth0", "mtu": 9001}], ["9001", "1500..9000"]),
        *[([{"op": "group.create", "group": "g", "adapters": ["eth0"], "mode": mode}], [mode, "breaks bridged VMs"])
          for mode in ("balance-rr", "broadcast", "balance-tlb", "balance-alb")],
        ([{"op": "group.create", "group": "g", "adapters": ["eth0"], "arp_interval": 100}], ["ARP monitoring does not work"]),
        ([network(subnet="192.168.1.128/25")], ["192.168.1", "eth0"]),
        ([network(subnet="10.99.0.0/16")], ["10.99.0.0/16", "lan"]),
        ([network(subnet="10.50.0.0/24", dhcp={"from": "10.51.0.10", "to": "10.51.0.20"})], ["10.51.0.10", "10.50.0.1..10.50.0.254"]),
        ([network(subnet="10.50.0.0/24", dhcp={"from": "10.50.0.20", "to": "10.50.0.10"})], ["10.50.0.20", "10.50.0.10"]),
        ([{"op": "host.set", "management": {"adapter": "eth0", "address": "10.99.0.7/24"}}], ["10.99.0", "lan"]),
        *[([{"op": "host.set", "management": MANAGEMENT, "virtual_ip": vip, "cluster": {"id": 7, "hosts": hosts}}], words)
          for vip, hosts, words in (
              ("10.1.1.1", [], ["virtual_ip 10.1.1.1", "management subnet 192.168.1.0/24"]),
              ("192.168.1.11", [], ["virtual_ip 192.168.1.11", "this host's management address"]),
              ("192.168.1.12", ["192.168.1.11", "192.168.1.12"], ["192.168.1.12", "of a host of the cluster"]),
              ("192.168.1.255", [], ["virtual_ip 192.168.1.255", "192.168.1.0/24"]),
              ("192.168.1.50", ["192.168.1.11", "10.1.1.2"], ["cluster.hosts 10.1.1.2", "192.168.1.0/24"]))],
        ([attach(mac="01:00:5e:00:00:01")], ["01:00:5e:00:00:01"]), ([attach(mac=mac)], [mac, "web"]),
        ([publish("r", port=0)], ["port 0 is out of range 1..65535"]),
        ([publish("r", port=65536)], ["port 65536 is out of range 1..65535"]),
        ([publish("r", port="90-80")], ["90-80"]),
        ([publish("r", port=8480)], ["8480", "the status page"]),
        ([network("a" * 33, subnet="10.50.0.0/24")], ["a" * 33]),
        ([attach("b" * 33)], ["b" * 33]),
        ([{"op": "network.delete", "network": "lan"}], ["lan", "web"]),
    ]


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    mac = next(i["mac"] for i in lab.host.ctl("interfaces") if i["interface"] == "web")
    before, export = lab.host.ctl("status")["revision"], lab.host.uplinkctl("export")[1]
    kernel = lab.host.picture()
    unclear = []
    for operations, words in cases(lab, mac):
        problems = refused(lab, operations)
        if not any(all(word in problem for word in words) for problem in problems):
            unclear.append((operations[-1], words, problems))
    lab.check("each refusal has one line that names the thing, the value and what is allowed", not unclear, unclear)
    every_problem(lab, mac)
    lab.step("cards that come later are accepted when asked for")
    lab.console.must([{"op": "group.create", "group": "later", "adapters": ["02:00:00:00:77:77"], "allow_pending": True}])
    [row] = [g for g in lab.host.ctl("groups") if g["group"] == "later"]
    lab.check("the group is shown with the card that it waits for", row["state"] == "absent"
              and "02:00:00:00:77:77 (absent)" in lab.host.uplinkctl("groups")[1], row)
    lab.console.must({"op": "group.delete", "group": "later"})
    lab.step("10,000 problems in one command")
    problems = refused(lab, [{"op": "network.delete", "network": f"n{i}"} for i in range(10_000)])
    lab.check("a hundred are named, the others counted, in bounded size", 100 <= len(problems) <= 101
              and len(json.dumps(problems)) < ANSWER_BYTES_MAX, [len(problems), problems[-1:]])
    problems = refused(lab, [{"op": "network.delete", "network": f"n{i}"} for i in range(10_001)])
    lab.check("more operations than a command holds are refused as such", len(problems) == 1 and "10001" in problems[0], problems[:3])
    lab.check("the model is what it was", lab.host.uplinkctl("export")[1] == export)
    lab.check("so is the kernel", lab.host.picture() == kernel)
    lab.check("only the two good commands made revisions", lab.host.ctl("status")["revision"] == before + 2)


def every_problem(lab, mac):
    """All of a command's problems are told, each with its operation, and none twice: those of its form, then those of its sense."""
    form = [([vlan(0, "a")], "0 is out of range 2..4094"), ([vlan(4095, "b")], "4095 is out of range 2..4094"),
            ([{"op": "adapter.set", "adapter": "eth0", "mtu": 1499}], "1500..9000"),
            ([{"op": "group.create", "group": "g", "adapters": ["eth0"], "mode": "broadcast"}], "breaks bridged VMs"),
            ([lab.publish("r1", port=0)], "port 0"), ([lab.publish("r2", port="90-80")], "90-80"),
            ([network("a" * 33, subnet="10.50.0.0/24")], "a" * 33), ([attach("i", mac="nonsense")], "nonsense")]
    sense = [([network("n1", subnet="192.168.1.128/25")], "192.168.1.128/25"),
             ([network("n2", subnet="10.99.0.0/16")], "10.99.0.0/16"),
             ([network("n3", subnet="10.50.0.0/24", dhcp={"from": "10.51.0.10", "to": "10.50.0.20"})], "10.51.0.10"),
             ([network("n4", "untagged", group="none")], "none"),
             ([{"op": "group.create", "group": "g1", "adapters": ["eth0"]},
               {"op": "group.create", "group": "g2", "adapters": ["eth0"]}], "belongs to one group"),
             ([attach("i1", mac="01:00:5e:00:00:01")], "01:00:5e:00:00:01"), ([attach("i2", mac=mac)], mac),
             ([{"op": "network.delete", "network": "gone"}], "gone"), ([lab.publish("r1", port=8480)], "8480"),
             ([lab.publish("r2", port=9000), lab.publish("r3", port="8999-9001")], "9000"),
             ([{"op": "interface.detach", "interface": "ghost"}], "ghost")]
    for name, several in (("form", form), ("sense", sense)):
        problems = refused(lab, [operation for operations, _ in several for operation in operations])
        missing = [word for _, word in several if sum(word in problem for problem in problems) < 1]
        lab.check(f"every problem of {name} is told", not missing, [missing, problems])
        lab.check(f"of {name}: none is told twice", len(set(problems)) == len(problems), problems)
        spare = [problem for problem in problems if not any(word in problem for _, word in several)]
        lab.check(f"of {name}: nothing else is told", not spare, spare)


def refused(lab, operations):
    """The lines of a refusal, whoever speaks it: Console or host."""
    status, answer = lab.console.request("POST", "/api/v1/hosts/hv-01/commands?wait=20", {"operations": operations})
    lab.check(f"{str(operations)[:200]} is refused", status in (400, 413, 422) or (status == 200 and answer["state"] == "refused"),
              [status, str(answer)[:500]])
    found = answer.get("problems") or [answer.get("detail") or answer.get("title") or ""]
    return [p["what"] if isinstance(p, dict) else str(p) for p in found]
