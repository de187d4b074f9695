"""Stores of other versions, under the real programs. A newer one, the host's and the Console's, is refused in one line and left as
it is, while the host's network stands; the Console's of each older schema that it can be brought back to is migrated, with a copy
kept and everything still there. (The host's store has had one schema; units hold both to every schema that was released.)"""
import hashlib
import json
import sqlite3

from lablib.product import HOST_ID

TOPOLOGY = "one"
NEWER = 77
# What schema n + 1 added, taken away again.
BACK = {6: "DROP TABLE event_lines; ALTER TABLE commands DROP COLUMN word; " + "; ".join(
            f"ALTER TABLE hosts DROP COLUMN {column}"
            for column in ("renewal", "renewal_ordered", "renewal_ended", "renewal_said")),
        5: "DROP TABLE former", 4: "DROP TABLE issued",
        3: "ALTER TABLE hosts DROP COLUMN revoked; ALTER TABLE hosts DROP COLUMN revoked_reason"}


def version(file, number=None):
    with sqlite3.connect(file) as store:
        if number is not None:
            store.execute(f"PRAGMA user_version={number}")
        found, = store.execute("PRAGMA user_version").fetchone()
    store.close()
    return found


def model_version(file, number=None):
    """Of the newest revision's model."""
    text = "model FROM revisions WHERE number = (SELECT max(number) FROM revisions)"
    with sqlite3.connect(file) as store:
        model, = store.execute(f"SELECT {text}").fetchone()
        found = json.loads(model)["schema_version"]
        if number is not None:
            store.execute("UPDATE revisions SET model = replace(model, ?, ?)",
                          (f'"schema_version":{found}', f'"schema_version":{number}'))
    store.close()
    return found


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    picture, revision = lab.host.picture(), lab.host.ctl("status")["revision"]

    lab.step("the host's, newer")
    lab.host.stop()
    file = lab.host.state / "uplink.db"
    refused(lab, lab.host, file)
    lab.step("the host's, with a model that a newer program wrote")
    refused(lab, lab.host, file, model_version, "schema_version")
    lab.check("its network stands", lab.host.picture() == picture)
    lab.host.start()
    lab.wait_paths()
    lab.check("nothing was lost", lab.host.ctl("status")["revision"] == revision and lab.host.picture() == picture)

    file = lab.console.state / "console.db"
    lab.step("the Console's, newer")
    commands = len(lab.console.get(f"/api/v1/hosts/{HOST_ID}/commands")["commands"])
    lab.console.stop()
    refused(lab, lab.console, file)
    for schema in BACK:
        lab.step(f"the Console's of schema {schema}")
        with sqlite3.connect(file) as store:
            store.executescript(";".join(undo for newer, undo in BACK.items() if newer >= schema))
        store.close()
        version(file, schema)
        lab.console.start()
        lab.expect(20, "the host is online", lab.console.online)
        lab.check("its commands are there", len(lab.console.get(f"/api/v1/hosts/{HOST_ID}/commands")["commands"]) == commands)
        lab.console.must({"op": "network.create", "network": f"n{schema}", "kind": "nat"})
        commands += 1
        lab.console.stop()
        copy = file.with_name(f"{file.name}.v{schema}")
        lab.check("a copy is kept, of that schema", version(copy) == schema)
        lab.check("it is at the newest again", version(file) == max(BACK) + 1, version(file))
    lab.console.start()
    lab.expect(20, "the host is online", lab.console.online)


def refused(lab, program, file, version=version, word="schema"):
    """Started with a newer store it ends, says so in one line, and has not touched it."""
    now = version(file)
    version(file, NEWER)
    digest = hashlib.sha256(file.read_bytes()).digest()
    before = len(program.log().splitlines())
    process = program.node.spawn([program.programs / program.name, "--config", program.config_file], log=f"{program.name}.log",
                                 env=program.environment)
    lab.expect(10, "it ends", lambda: process.poll() is not None)
    said = [line for line in program.log().splitlines()[before:] if f"{word} {NEWER}" in line]
    lab.check("it failed, and said why in one line", process.returncode != 0 and len(said) == 1
              and "this program knows" in said[0], [process.returncode, program.log().splitlines()[before:]])
    lab.check("the file is as it was", hashlib.sha256(file.read_bytes()).digest() == digest)
    version(file, now)
