"""Commands that nobody waits for, and trials: pushed, under way, at their end, taken back over the path that they cut off."""
import time

from .product import HOST_ID, USABLE

FINAL = ("done", "refused", "rolled_back", "superseded", "expired", "indeterminate")


def push(lab, operations, **fields):
    """Sends operations and waits for nothing; the command's id."""
    return lab.console.command(operations, wait=0, **fields)["id"]


def state(lab, id):
    return lab.console.command_state(id)["state"]


def end(lab, id, within=20):
    """Awaits its end; its record."""
    lab.expect(within, "it has its end", lambda: state(lab, id) in FINAL)
    return lab.console.command_state(id)


def begin(lab, operations, **fields):
    """A trial that nobody confirms by himself, under way; its id."""
    id = push(lab, operations, confirm="manual", **fields)
    lab.expect(15, "it is tried out", lambda: state(lab, id) == "confirming" and lab.host.ctl("status").get("trial"))
    return id


def answer(lab, id, verb):
    """The Console's word about a trial, "confirm" or "abort"; the status of the API."""
    return lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands/{id}/{verb}")[0]


def taken_back(lab, operations, confirm_s, **fields):
    """Pushes what cuts off the path of eth0 and awaits that it is taken back, at most 10 s after its time; its record."""
    revision, start = lab.host.ctl("status")["revision"], time.monotonic()
    id = push(lab, operations, confirm_within_s=confirm_s, **fields)
    lab.expect(confirm_s + 10, "it is taken back", lambda: state(lab, id) == "rolled_back")
    lab.figure(f"back_{len(lab.figures)}", (time.monotonic() - start) * 1000)
    lab.check("at the revision from before", lab.host.ctl("status")["revision"] == revision)
    lab.expect(15, "the path is up again", lambda: lab.host.path_states()["eth0"] in USABLE)
    return lab.console.command_state(id)


def mtu(lab, port):
    return lab.host.kernel("link", "show", "dev", port)[0]["mtu"]
