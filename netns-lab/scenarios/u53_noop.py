"""U53. An identical configuration again: not one netlink write, not one packet lost."""
import json

from lablib.traffic import UdpEcho, UdpFlow

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network()
    lab.console.must(lab.publish("r-1"))
    host = lab.host.node
    # The kernel itself announces an address once more when its duplicate detection ends (RFC 4862 5.4): not a write of ours.
    lab.expect(5, "every address of the host is past duplicate detection",
               lambda: "tentative" not in lab.host.node.ip("-6", "address", "show"))
    lab.step("watch the kernel while the same model is applied again")
    host.spawn(["ip", "monitor", "link", "address", "route", "rule"], log="monitor-ip.log")
    host.spawn(["nft", "monitor"], log="monitor-nft.log")
    lab.lasts(0.5)

    def written():
        return [(host.dir / f"monitor-{x}.log").read_text() for x in ("ip", "nft")]

    with UdpEcho(lab.node("console"), 9000), UdpFlow(vm.node, ("203.0.113.10", 9000), interval_s=0.005) as flow:
        lab.expect(3, "the VM's flow is answered", flow.flowing)
        lab.lasts(0.3)
        before, first = written(), max(flow.sent)
        _, text, _ = lab.host.uplinkctl("export")
        (host.dir / "model.json").write_text(text)
        for _ in range(3):
            lab.host.uplinkctl("apply", host.dir / "model.json")
        model = json.loads(text)
        record = lab.console.command({"op": "model.replace", "model": model.get("model", model)})
        lab.check("the Console's replace by the same model is done", record["state"] == "done", record)
        lab.lasts(0.5)
        last = max(flow.sent)
    lab.lasts(0.1)
    after = written()
    lab.check("nothing was written", after == before, [a[len(b):][:600] for a, b in zip(after, before)])
    lost = [n for n in range(first, last - 20) if n not in flow.received]
    lab.check("no packet was lost", not lost, lost[:20])
