"""U21. The Console refuses TCP on both paths: the host says that the fault is on the server's side, tears nothing down,
and is back when its back-off allows: without any path that ends at 15 s, drawn from the whole of it, so that ten thousand
hosts do not come at once."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    revision, before = lab.host.ctl("status")["revision"], lab.host.picture()
    lab.console.kill()
    lab.expect(5, "the host knows that the Console is at fault", lambda: lab.host.ctl("status")["console"]["server_side"])
    lab.lasts(8)
    lab.check("the ports are leased", all(p["state"] == "leased" for p in lab.host.ctl("ports")))
    lab.check("the kernel is as before", lab.host.picture() == before)
    lab.console.start()
    took = lab.expect(18, "the host is back", lab.console.online)
    lab.figure("console_to_online", took * 1000)
    lab.check("at the same revision", lab.host.ctl("status")["revision"] == revision)
