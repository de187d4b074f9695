"""T34. The disk with the store is full: a command is refused with no_space before anything runs; the tunnel and the network stay; with room again the next command is done."""
TOPOLOGY = "two"


def run(lab):
    host = lab.host
    host.state.mkdir(parents=True, exist_ok=True)
    # The daemon's own disk, small enough to fill: a tmpfs in the mount namespace of the node.
    host.node.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(host.state)])
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    revision = host.ctl("status")["revision"]

    lab.step("fill the disk to the last byte")
    host.node.run(["sh", "-c", f"dd if=/dev/zero of={host.state}/fill bs=64k 2>/dev/null || true"])
    answer = lab.console.command([lab.publish("r-1", port=20001)], wait=10)
    lab.check("the command is refused and says why", answer["state"] == "refused" and "no_space" in str(answer["problems"]), answer)
    lab.check("nothing was applied", host.ctl("status")["revision"] == revision and lab.rules() == set(), host.ctl("gateway"))
    lab.expect(5, "the tunnel stands over both ports", lambda: lab.console.online() and
               set(host.path_states().values()) <= {"active", "standby"})
    lab.step("a cable is pulled while the disk is full: the tunnel still moves")
    lab.pull("eth0")
    lab.expect(1, "the tunnel is on B", lambda: host.active_port() == "eth1")
    lab.plug("eth0")

    lab.step("room again")
    host.node.run(["rm", f"{host.state}/fill"])
    answer = lab.console.command([lab.publish("r-1", port=20001)], wait=10)
    lab.check("the next command is done", answer["state"] == "done", answer)
