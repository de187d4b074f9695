"""T33. A command's deadline passes while all paths are out: expired, no effect."""
import datetime
import uuid

from lablib.product import HOST_ID

TOPOLOGY = "one"


def run(lab):
    lab.start(active="eth0")
    lab.nat_interface()
    lab.pull("eth0")
    lab.expect(10, "the host is offline", lambda: not lab.console.online())
    deadline = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    late, later = str(uuid.uuid4()), str(uuid.uuid4())
    for id, rule, fields in ((late, "r-late", {"deadline": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}),
                             (later, "r-later", {})):
        status, answer = lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {
            "id": id, "operations": [lab.publish(rule, port=20000 + len(rule))], **fields})
        lab.check("the Console takes it", status == 202, [status, answer])
    lab.lasts(3)
    lab.plug("eth0")
    lab.expect(10, "the other command is done", lambda: lab.console.command_state(later)["state"] == "done")
    lab.expect(5, "the late one is expired", lambda: lab.console.command_state(late)["state"] == "expired")
    lab.check("without effect", lab.rules() == {"r-later"}, lab.rules())
