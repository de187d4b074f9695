"""A failover on purpose, from the Console and at the host: who takes over and how fast is in the answer; the port that was
left comes back by itself; without another way it is refused."""
import json

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()

    lab.step("the Console asks for a drill of 2 s")
    answer = lab.console.command([{"op": "failover.drill", "seconds": 2}])
    said = answer.get("observed", [""])[0]
    lab.check("done, B took over, and how fast", answer["state"] == "done" and said.startswith("eth1 works:"), answer)
    lab.check("it is on B", lab.host.active_port() == "eth1", lab.host.path_states())
    lab.events_arrived()
    event = next((e for e in lab.console.events() if e["kind"] == "failover.drill"), {"data": {}})["data"]
    lab.check("the Console has the event, with both ports", (event.get("from"), event.get("to")) == ("eth0", "eth1"), event)
    lab.figure("took_over", event["ms"])
    lab.expect(10, "A is back by itself", lambda: lab.host.path_states()["eth0"] in ("standby", "active"))

    lab.step("at the host, of the port that carries it now and of one that does not")
    carries = lab.host.active_port()
    other = "eth0" if carries == "eth1" else "eth1"
    code, out, _ = lab.host.uplinkctl("drill", other, check=False)
    lab.check("the other shows nothing", code == 1 and f"{other} does not carry the tunnel" in out, out)
    out = lab.host.uplinkctl("drill", carries, "--for", "2s")[1]
    lab.check("done", out.startswith("done") and f"{other} works: the Console answered over it" in out, out)
    lab.expect(10, f"{carries} is back by itself", lambda: lab.host.path_states()[carries] in ("standby", "active"))

    lab.step("the only way is not left")
    lab.pull("eth1")
    lab.expect(5, "A is the only way", lambda: lab.host.active_port() == "eth0" and lab.host.path_states()["eth1"] == "down")
    code, out, _ = lab.host.uplinkctl("--json", "drill", check=False)
    answer = json.loads(out)
    lab.check("refused, and why", code == 1 and answer["state"] == "refused"
              and "there is nothing to fail over to" in answer["problems"][0]["what"], out)
    lab.never(0.5, "the tunnel is gone", lambda: lab.host.active_port() != "eth0")
