"""T34, T35. The store's disk is read-only, or full, already at the start; or its folder is: the daemon starts, keeps the
network and the tunnel, says it everywhere, refuses commands in one line, and goes on by itself when the disk is back:
what was stored before runs then, once, and every event arrives, once."""

TOPOLOGY = "two"


def run(lab):
    host, state = lab.host, lab.host.state
    state.mkdir(parents=True, exist_ok=True)
    host.node.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(state)])
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    lab.console.must(lab.publish("r-0"))
    model = host.ctl("export")

    def read_only(on):
        if on:      # A mount of its own: children that stay have files open for writing in the other one.
            host.node.run(["mount", "--bind", str(state), str(state)])
        host.node.run(["mount", "-o", "remount,bind," + ("ro" if on else "rw"), str(state)])

    def full(on):
        host.node.run(["sh", "-c", f"dd if=/dev/zero of={state}/fill bs=64k 2>/dev/null; true"] if on else
                      ["rm", f"{state}/fill"])

    def empty_and_read_only(on):
        if on:
            host.node.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(state)])
        else:
            host.node.run(["umount", "-l", str(state)])

    for number, fault in enumerate((read_only, full, empty_and_read_only), 1):
        lab.step(f"the disk: {fault.__name__}")
        told = lab.events_arrived()
        before = host.picture()
        host.stop()
        if fault is full:
            host.node.run(["rm", "-f", f"{state}/uplink.db-shm", f"{state}/uplink.db.reserve"])
        fault(True)
        host.start()
        took = lab.expect(15, "the host is online", lab.console.online)
        lab.figure(f"{fault.__name__}_online", took * 1000)
        lab.wait_paths()
        lab.expect(10, "the network is as before", lambda: host.picture() == before)
        lab.check("the model too", host.ctl("export") == model, [host.ctl("export"), model])
        lab.step("it says so")
        status = host.ctl("status")
        lab.check("status", status["store"]["durable"] is False and any("store" in p for p in status["problems"]), status)
        code, text, _ = host.uplinkctl("doctor", check=False)
        lab.check("doctor", code == 3 and "store" in text, text)
        page = host.node.run(["curl", "-s", "http://127.0.0.1:8480/metrics"])
        lab.check("/metrics", "uplink_store_durable 0" in page, page[-600:])
        lab.expect(5, "the Console's picture of the host", lambda: lab.console.host()["store"]["durable"] is False)
        lab.expect(5, "the event", lambda: [e for e in lab.console.events(told) if e["kind"] == "store.trouble"])
        lab.step("commands are refused, in one line")
        answer = lab.console.command([lab.publish(f"r-{number}", port=9000 + number)], wait=10)
        lab.check("from the Console", answer["state"] in ("refused", "indeterminate") and len(answer["problems"]) == 1, answer)
        lab.check("nothing ran", host.ctl("export") == model, host.ctl("export"))
        code, text, error = host.uplinkctl("drain", "eth1", "10s", check=False)
        lab.check("from a person", code == 1 and "store" in text + error, [code, text, error])
        active = host.active_port()   # Not always A: what failed while it was active is remembered over a restart.
        lab.pull(active)
        lab.expect(2, "the tunnel moves all the same", lambda: host.active_port() not in (active, None))
        lab.plug(active)
        lab.step("the disk is back")
        fault(False)
        took = lab.expect(20, "the store as well", lambda: host.ctl("status")["store"] == {"state": "ok", "durable": True})
        lab.figure(f"{fault.__name__}_healed", took * 1000)
        lab.expect(15, "the host is online", lab.console.online)
        lab.wait_paths()
        lab.check("the model is the same", host.ctl("export") == model, [host.ctl("export"), model])
        lab.console.must([lab.publish(f"r-{number}", port=9000 + number)])
        model = host.ctl("export")
        lab.expect(10, "the pull is in the events of both", lambda: all(
            [e for e in events if e["kind"] == "port.carrier_down" and e["data"]["port"] == active]
            for events in (host.events(), lab.console.events(told))))
    times = [(e["time"], e["kind"], str(e["data"])) for e in lab.console.events()]
    lab.check("no event arrived twice", len(times) == len(set(times)), [t for t in times if times.count(t) > 1][:5])
