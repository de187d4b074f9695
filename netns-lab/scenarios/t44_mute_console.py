"""T44. One address of the Console accepts TCP but never answers: the other one is used at once, the cause is shown."""
import socket

TOPOLOGY = "twodoors"


def run(lab):
    mute, good = lab.topology.console_addresses
    with lab.console.node.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((mute, lab.topology.console_port))
        listener.listen(64)
        lab.console.tunnel_addresses = [good]
        lab.host.settings["console"]["endpoints"] = [f"{mute}:{lab.topology.console_port}",
                                                     f"{good}:{lab.topology.console_port}"]
        lab.console.address = good
        lab.console.start()
        lab.host.start()
        took = lab.expect(10, "the host is online over the good address", lab.console.online)
        lab.figure("start_to_online", took * 1000)
        lab.expect(12, "the mute address is named as broken at TLS or Console", lambda: any(
            p["endpoint"].startswith(mute) and p["broken_step"] in ("tls", "console", "tcp") for p in lab.host.paths()))
        lab.wait_paths(10)
