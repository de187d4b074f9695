"""Programs that a lab's verbs end, hold and let go on: the daemon, the Console, a port's DHCP client, an uplink's DHCP server."""
import contextlib
import os
import signal

from .ns import LabError

DAEMON, CONSOLE = "uplinkd", "uplink-console"


def known(lab):
    """Names of those that this lab has."""
    product = [DAEMON, CONSOLE, *lab.topology.ports] if lab.host else []
    return [*product, *lab.servers]


def kill(lab, program):
    """SIGKILL. The daemon replaces a DHCP client; the others stay away until start()."""
    if program in (DAEMON, CONSOLE):
        running(lab, program).kill()
    elif program in lab.topology.ports and lab.host:
        signal_client(lab, program, signal.SIGKILL)
    else:
        server(lab, program).stop_dhcp()


def stop(lab, program):
    """SIGSTOP: it is there and does nothing."""
    if program in (DAEMON, CONSOLE):
        running(lab, program).daemon.send_signal(signal.SIGSTOP)
    elif program in lab.topology.ports and lab.host:
        signal_client(lab, program, signal.SIGSTOP)
    else:
        server(lab, program).pause_dhcp()


def start(lab, program):
    """Starts one that was killed, lets one that was stopped go on."""
    if program in (DAEMON, CONSOLE):
        found = product(lab, program)
        if found.running():
            found.daemon.send_signal(signal.SIGCONT)
        else:
            found.start()
    elif program in lab.topology.ports and lab.host:
        signal_client(lab, program, signal.SIGCONT)
    else:
        server(lab, program).resume_dhcp()


def product(lab, program):
    found = lab.host if program == DAEMON else lab.console
    if not found:
        raise LabError(f"{program} is not in this lab: it was brought up with --network-only")
    return found


def running(lab, program):
    found = product(lab, program)
    if not found.running():
        raise LabError(f"{program} does not run: netns-lab/lab start {program}")
    return found


def server(lab, uplink):
    if uplink not in lab.servers:
        raise LabError(f'no program "{uplink}"; there are: {" ".join(known(lab))} (a port: its DHCP client; an uplink: its '
                       "DHCP server)")
    return lab.servers[uplink]


def signal_client(lab, port, number):
    """To all processes of the port's DHCP client."""
    bridge = lab.host.bridge(port)
    pids = lab.host.dhcp_clients().get(bridge, [])
    if not pids:
        raise LabError(f"port {port} has no DHCP client now")
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
