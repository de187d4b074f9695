"""T35. The store is damaged or gone: the daemon starts, keeps the network and the routing tables, sets the file aside, says
so, and does not run again what the Console repeats. Header, a page in the middle, half the file, WAL, no file; and once
without the file of the last known model: then the kernel tells, and the Console has kept the model that was lost."""
import shutil
import uuid

from lablib.product import HOST_ID

TOPOLOGY = "two"


def header(state):
    with open(state / "uplink.db", "r+b") as file:
        file.write(b"\0" * 100)


def middle(state):
    with open(state / "uplink.db", "r+b") as file:
        pages = file.seek(0, 2) // 4096
        for page in range(pages // 2, pages):
            file.seek(page * 4096)
            file.write(b"\xff" * 512)


def truncated(state):
    with open(state / "uplink.db", "r+b") as file:
        file.truncate(file.seek(0, 2) // 2 + 100)


def wal(state):
    """Nothing ever reached the database itself but what was there before; the rest is noise."""
    with open(state / "uplink.db-wal", "r+b") as file:
        length = file.seek(0, 2)
        file.seek(0)
        file.write(b"\xa5" * length)


def missing(state):
    for name in ("uplink.db", "uplink.db-wal", "uplink.db-shm", "uplink.db.reserve"):
        (state / name).unlink(missing_ok=True)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    lab.console.must(lab.publish("r-0"))
    for number, damage in enumerate((header, middle, truncated, wal, missing), 1):
        lab.step(f"damage: {damage.__name__}")
        told = lab.events_arrived()
        tables = port_tables(lab)
        lost = {"id": str(uuid.uuid4()), "operations": [lab.publish(f"r-{number}", port=9000 + number)]}
        lab.check("it is done", lab.console.request(
            "POST", f"/api/v1/hosts/{HOST_ID}/commands?wait=10", lost)[1]["state"] == "done")
        before, model = wait_picture(lab), lab.host.ctl("export")
        lab.expect(5, "the last known model is written", lambda: f'"r-{number}"' in
                   (lab.host.runtime / "last-known.json").read_text())
        if damage in (wal, missing):
            lab.host.kill()
        else:
            lab.host.stop()              # Nothing of it is in the WAL any more, which would heal it.
        damage(lab.host.state)
        lab.host.start()
        took = lab.expect(15, "the host is online", lab.console.online)
        lab.figure(f"{damage.__name__}_online", took * 1000)
        lab.wait_paths()
        lab.expect(10, "the network is as before", lambda: lab.host.picture() == before)
        lab.check("the model as well", lab.host.ctl("export") == model, [lab.host.ctl("export"), model])
        lab.check("and the routing tables", port_tables(lab) == tables, [port_tables(lab), tables])
        event = [e for e in lab.host.events() if e["kind"] == "store.lost"]
        lab.check("it says so", event and event[-1]["data"]["rebuilt_from"] == "last-known", lab.host.events()[:5])
        lab.expect(5, "the Console hears it", lambda: [e for e in lab.console.events(told) if e["kind"] == "store.lost"])
        lab.step("a command that may be a repetition is not run")
        sent = lab.console.command([lab.publish(f"r-{number}0", port=9100 + number)], wait=10)
        lab.check("indeterminate, in one line", sent["state"] == "indeterminate" and len(sent["problems"]) == 1
                  and "store_lost" in sent["problems"][0]["what"], sent)
        lab.check("it had no effect", f"r-{number}0" not in lab.rules(), lab.rules())
        lab.expect(15, "after that new ones are", lambda: not lab.host.ctl("status")["store"].get("settling"), 0.2)
        lab.console.must({"op": "gateway.withdraw", "rule": f"r-{number}"})
        lab.console.must(lab.publish(f"r-{number}", port=9000 + number))
    kept = sorted(p.name for p in lab.host.state.glob("*.corrupt-?"))
    lab.check("damaged files are kept aside, the newest three at most", 1 <= len(kept) <= 3, kept)

    lab.step("no store and no last known model: the kernel tells")
    before, tables = wait_picture(lab), port_tables(lab)
    lab.expect(10, "the Console knows what it has", lambda: lab.console.host()["model"] == model)
    rules = len(lab.host.ctl("gateway"))
    lab.host.kill()
    shutil.rmtree(lab.host.state)
    (lab.host.runtime / "last-known.json").unlink()
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
    lab.wait_paths()
    lab.expect(10, "the network is as before", lambda: lab.host.picture() == before)
    lab.check("the routing tables too", port_tables(lab) == tables, [port_tables(lab), tables])
    lab.check("network and interface by their names", [i["interface"] for i in lab.host.ctl("interfaces")] == ["web"]
              and "lan" in [n["network"] for n in lab.host.ctl("networks")], lab.host.ctl("export"))
    lab.check("publications under names of our own", len(lab.host.ctl("gateway")) == rules, lab.host.ctl("gateway"))
    data = [e for e in lab.host.events() if e["kind"] == "store.lost"][-1]["data"]
    lab.check("it says what to do", data["rebuilt_from"] == "kernel" and "model.replace" in data["next"], data)
    lab.expect(15, "settled", lambda: not lab.host.ctl("status")["store"].get("settling"), 0.2)
    lab.step("the Console says how it shall be: as it was told last by the store that is lost")
    former = lab.console.get(f"/api/v1/hosts/{HOST_ID}/former")["former"]
    lab.check("it has what that store had, and at most three", 1 <= len(former) <= 3
              and former[0]["operations"] == [{"op": "model.replace", "model": model}], former)
    lab.console.must(former[0]["operations"])
    lab.check("every name is back", lab.host.ctl("export") == model, [lab.host.ctl("export"), model])


def port_tables(lab):
    return {r["oif"]: r["table"] for r in lab.host.kernel("rule") if r.get("oif", "").startswith("br")}


def wait_picture(lab):
    """The picture once two in a row are the same."""
    pictures = [lab.host.picture()]

    def still():
        pictures.append(lab.host.picture())
        return pictures[-1] == pictures[-2]
    lab.expect(5, "the picture stands still", still, 0.1)
    return pictures[-1]
