"""T27. Cut after execution, before the reply: executed once, the reply arrives after the session resumed."""
import uuid

from lablib.product import HOST_ID

TOPOLOGY = "one"


def run(lab):
    lab.start(active="eth0")
    lab.nat_interface()
    for n in range(3):
        id, before = str(uuid.uuid4()), lab.host.ctl("status")["revision"]
        lab.step("from now on nothing of the host reaches the Console; send a command")
        lab.cut("a", "up")
        lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands",
                            {"id": id, "operations": [lab.publish(f"r-{n}", port=20000 + n)]})
        lab.expect(3, "the host has executed it", lambda: f"r-{n}" in lab.rules())
        lab.check("the Console has no result", lab.console.command_state(id)["state"] in ("queued", "sent", "stored"),
                  lab.console.command_state(id))
        lab.expect(10, "the path is found dead", lambda: lab.host.active_port() is None)
        lab.heal("a")
        took = lab.expect(10, "the result is at the Console", lambda: lab.console.command_state(id)["state"] == "done")
        lab.figure(f"heal_to_result_{n}", took * 1000)
        lab.check("it was executed once", lab.host.ctl("status")["revision"] == before + 1)
        lab.check("the result names the revision", lab.console.command_state(id)["revision"] == before + 1)
        again = lab.console.command([lab.publish(f"r-{n}", port=20000 + n)], id=id)
        lab.check("the same id again gets the stored answer", again["state"] == "done", again)
        status, other = lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands?wait=5", {
            "id": id, "operations": [lab.publish("r-other", port=29999)]})
        lab.check("another payload under the same id is refused", status in (409, 422) or (
            isinstance(other, dict) and other.get("state") == "refused"), [status, other])
        lab.check("and has no effect", "r-other" not in lab.rules())
