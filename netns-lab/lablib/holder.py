"""A lab that stays: `lab up` starts a holder process that owns the instance; the other verbs talk to it."""
import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import subprocess

from . import victims
from .network import REGISTRY, instances
from .ns import LabError
from .scenario import Lab, NotMet

DEFAULT_INSTANCE = "lab"


def socket_path(instance):
    return str(REGISTRY / f"{instance}.sock")


def ask(instance, verb, **args):
    """One request to the holder of an instance; its answer. Errors: LabError with the holder's words."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        try:
            connection.connect(socket_path(instance))
        except OSError:
            raise LabError(f"no lab {instance} is up: netns-lab/lab up TOPOLOGY") from None
        connection.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
        line = connection.makefile("rb").readline()
    answer = json.loads(line) if line else {"error": f"the lab {instance} went away"}
    if "error" in answer:
        raise LabError(answer["error"])
    return answer["data"]


def held():
    """Instances that a holder answers for."""
    return [name for name, facts in instances().items() if facts["alive"] and os.path.exists(socket_path(name))]


def choose(instance):
    """The instance a verb means: the one named, or the only one that is up."""
    up = held()
    if instance or len(up) != 1:
        if (instance or DEFAULT_INSTANCE) in up:
            return instance or DEFAULT_INSTANCE
        raise LabError(f"no lab {instance or ''} is up".replace("  ", " ") + (f"; up: {' '.join(up)}" if up else
                       ": netns-lab/lab up TOPOLOGY"))
    return up[0]


def start(topology, instance, programs):
    """Starts a holder in the background and waits until the lab stands. Errors: LabError with what it said."""
    command = ["/usr/bin/python3", "-m", "lablib.cli", "_hold", topology, "--instance", instance]
    command += ["--programs", str(programs)] if programs else []
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, start_new_session=True)
    said = []
    for line in child.stdout:
        if line.strip() == "READY":
            child.stdout.close()
            return
        said.append(line.rstrip())
    child.wait()
    raise LabError("\n".join(said[-20:]) or "the lab did not come up")


def hold(topology, instance, programs):
    """The holder's life. programs None: only the network."""
    lab = Lab(topology, programs, instance, say=lambda text: None)
    listener = None
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        lab.prepare()
        if programs:
            lab.start()
            with contextlib.suppress(NotMet):
                lab.wait_paths()
        listener = open_listener(instance)
        print("READY", flush=True)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        serve(lab, listener)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if listener:
            listener.close()
        pathlib.Path(socket_path(instance)).unlink(missing_ok=True)
        if lab.nodes or listener is None:       # Else `down` has done it, and the name may be another's by now.
            lab.down()


def open_listener(instance):
    """The socket that the verbs talk to."""
    pathlib.Path(socket_path(instance)).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(socket_path(instance))
    listener.listen(8)
    return listener


def serve(lab, listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                request = json.loads(connection.makefile("rb").readline())
                if request["verb"] == "down":
                    problems = lab.finish()
                    leftovers = lab.down()
                    answer = {"data": problems + [f"left behind: {x}" for x in leftovers]}
                else:
                    answer = {"data": act(lab, request["verb"], request["args"])}
            except (LabError, OSError, KeyError, ValueError, TypeError) as error:
                answer = {"error": str(error)}
            connection.sendall(json.dumps(answer).encode() + b"\n")
        if request.get("verb") == "down":
            return


def act(lab, verb, args):
    """What a verb does in the lab."""
    actions = {"pull": lab.pull, "plug": lab.plug, "cut": lab.cut, "loss": lab.loss, "heal": lab.heal,
               **{name: functools.partial(getattr(victims, name), lab) for name in ("kill", "stop", "start")}}
    if verb in actions:
        actions[verb](**args)
        return None
    if verb == "entry":
        return lab.node(args["node"]).entry()
    if verb == "status":
        return status(lab)
    raise LabError(f"unknown verb {verb}")


def status(lab):
    """The lab and, where it runs, the product's own words."""
    facts = {"instance": lab.instance, "topology": lab.topology.name, "summary": lab.topology.summary,
             "nodes": {name: node.netns for name, node in lab.nodes.items()}, "plugged": lab.plugged,
             "folder": str(lab.dir), "api": f"http://{lab.topology.console_addresses[0]}:{lab.topology.api_port}"}
    if lab.host and lab.host.running():
        with contextlib.suppress(OSError):      # Stopped, or just killed.
            facts["ports"], facts["paths"] = lab.host.ctl("ports"), lab.host.paths()
    return facts
