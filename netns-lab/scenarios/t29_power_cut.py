"""T29. Power cut right after a command was acknowledged as stored: it is still in the journal and gets its one effect."""
import uuid

from lablib.power import Power
from lablib.product import HOST_ID

TOPOLOGY = "one"
CUTS = 5


def run(lab):
    power = Power(lab)
    lab.start(active="eth0")
    lab.nat_interface()
    ids = {}
    for n in range(CUTS):
        ids[n] = str(uuid.uuid4())
        lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands",
                            {"id": ids[n], "operations": [lab.publish(f"r-{n}", port=20000 + n)]})
        lab.expect(5, "the Console has it as stored", lambda: lab.console.command_state(ids[n])["state"] not in
                   ("queued", "sent"), interval=0.0005)
        power.cut_daemon()
        lab.step("power cut: only what was synced is left")
        lab.host.start()
        known = lab.expect(10, "the command is done", lambda: lab.console.command_state(ids[n])["state"] == "done")
        lab.figure(f"restart_to_final_{n}", known * 1000)
    lab.check("each has its effect, and nothing else happened", lab.rules() == {f"r-{n}" for n in ids}, lab.rules())
    lab.lasts(0.5)
