"""The verbs of netns-lab/lab."""
import argparse
import json
import os
import pathlib
import signal
import sys

from . import holder, kernels, network, runner, topology
from .ns import LabError
from .product import REPOSITORY, program_folder


def parser():
    top = argparse.ArgumentParser(prog="netns-lab/lab", description="Hosts, routers, DHCP servers, a Console and "
                                  "cables in network namespaces of this machine.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, help, *arguments, build=False, instance=False):
        sub = verbs.add_parser(name, help=help, description=help)
        for names, options in arguments:
            sub.add_argument(*names, **options)
        if build:
            sub.add_argument("--build", metavar="DIR", help="build folder with the programs (default: $UPLINK_BIN, "
                             "else build/release, built when needed)")
        if instance:
            sub.add_argument("--instance", help="which lab, when several are up")
        return sub

    port, path = (["port"], {"metavar": "PORT"}), (["path"], {"metavar": "PATH", "help": "port, uplink or path name"})
    verb("list", "scenarios and topologies")
    verb("run", "run scenarios: names, numbers, globs; all, plain (those for any kernel), special (the others)", (["scenario"], {"nargs": "+", "metavar": "SCENARIO"}),
         (["--kernel"], {"choices": ["native", "vm", "auto"], "default": "auto",
                       "help": "native: this machine's; vm: Debian's in QEMU; auto: native where it has what a scenario "
                               "needs"}), (["--json"], {"metavar": "FILE"}),
         (["--jobs"], {"type": int, "default": 2}), (["-v", "--verbose"], {"action": "store_true"}), build=True)
    verb("up", "bring a topology up, with the product in it, and keep it", (["topology"], {"metavar": "TOPOLOGY"}),
         (["--network-only"], {"action": "store_true", "help": "without uplinkd and Console"}),
         build=True, instance=True)
    verb("down", "take a lab away", (["--all"], {"action": "store_true"}), instance=True)
    verb("exec", "run a command in a node", (["node"], {"metavar": "NODE"}),
         (["command"], {"nargs": argparse.REMAINDER, "metavar": "COMMAND"}), instance=True)
    verb("pull", "unplug a port's cable", port, instance=True)
    verb("plug", "plug it in again", port, (["--into"], {"metavar": "SWITCH"}),
         (["--silent"], {"action": "store_true", "help": "without a change of carrier"}), instance=True)
    verb("cut", "an uplink forwards nothing more, carrier stays", path,
         (["--one-way"], {"choices": ["up", "down"], "help": "up: only host to Console"}), instance=True)
    verb("loss", "drop packets at random", path, (["percent"], {"type": int, "metavar": "PERCENT"}), instance=True)
    verb("heal", "end cut and loss", path, instance=True)
    program = (["program"], {"metavar": "PROGRAM", "help": "uplinkd, uplink-console, a port (its DHCP client) or an uplink "
                             "(its DHCP server)"})
    verb("kill", "SIGKILL to a program", program, instance=True)
    verb("stop", "SIGSTOP: it is there and does nothing", program, instance=True)
    verb("start", "a killed program begins anew, a stopped one goes on", program, instance=True)
    verb("status", "what is up", (["--json"], {"action": "store_true"}), instance=True)
    verb("demo", "the product at work, in about a minute", (["--stay"], {"action": "store_true",
         "help": "keep it up afterwards"}), build=True)
    verb("bench", "figures against their references", (["figure"], {"nargs": "*", "metavar": "FIGURE"}),
         (["--runs"], {"type": int, "default": 20}), (["--json"], {"metavar": "FILE"}), build=True)
    verb("vm", "run a command under a stock Debian kernel (QEMU), on this machine's files",
         (["--share"], {"metavar": "DIR", "help": "folder that the command can write to; everything else it writes is "
                        "lost (default: build/log/vm-command)"}),
         (["--ports"], {"type": int, "default": 0, "help": "cables with a virtio NIC at both ends"}),
         (["command"], {"nargs": argparse.REMAINDER, "metavar": "COMMAND"}))
    hidden = verbs.add_parser("_batch")
    hidden.add_argument("scenario", nargs="+")
    hidden.add_argument("--programs")
    hidden.add_argument("--jobs", type=int)
    hidden.add_argument("--json")
    hidden.add_argument("--verbose", action="store_true")
    hidden = verbs.add_parser("_hold")
    hidden.add_argument("topology")
    hidden.add_argument("--instance")
    hidden.add_argument("--programs")
    return top


def do_list(_):
    print("Scenarios")
    for name in runner.names():
        print(f"  {name:<26} {runner.title(name)[:110]}")
    print("Topologies")
    for name in topology.names():
        print(f"  {name:<26} {topology.load(name).summary}")


def do_run(args):
    chosen = runner.select(args.scenario)
    results = kernels.run(chosen, program_folder(args.build), args.kernel, args.jobs, args.verbose)
    if args.json:
        runner.write_json(args.json, results)
    passed = sum(r["result"] == "passed" for r in results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def do_batch(args):
    """The part of `run` that happens inside the emulated machine."""
    runner.run_many(args.scenario, args.programs, args.jobs, args.verbose,
                    on_result=lambda results: runner.write_json(args.json, results))


def do_up(args):
    instance = args.instance or holder.DEFAULT_INSTANCE
    topology.load(args.topology)
    if instance in holder.held():
        facts = holder.ask(instance, "status")
        if facts["topology"] != args.topology:
            raise LabError(f"lab {instance} is up with topology {facts['topology']}: "
                           f"netns-lab/lab down --instance {instance}")
        print(f"lab {instance} is already up")
        return 0
    holder.start(args.topology, instance, None if args.network_only else program_folder(args.build))
    return do_status(argparse.Namespace(instance=instance, json=False))


def do_down(args):
    problems = []
    network.collect_dead_instances()    # Those whose process was killed: nobody else takes them away.
    for name in (list(network.instances()) if args.all else [args.instance or None]):
        if args.all and name not in holder.held():
            continue                    # a running scenario's: it takes its own away
        chosen = name if args.all else choose_or_none(name)
        problems += holder.ask(chosen, "down") if chosen else []
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def choose_or_none(name):
    try:
        return holder.choose(name)
    except LabError as error:
        if name:
            raise
        print(error)
        return None


def do_exec(args):
    if not args.command:
        raise LabError("exec: which command?")
    entry = holder.ask(holder.choose(args.instance), "entry", node=args.node)
    os.execvp(entry[0], entry + args.command)


def do_fault(args):
    ask = {"pull": lambda: {"port": args.port}, "loss": lambda: {"path": args.path, "percent": args.percent},
           "plug": lambda: {"port": args.port, "into": args.into, "silent": args.silent},
           "cut": lambda: {"path": args.path, "way": args.one_way or "both"}, "heal": lambda: {"path": args.path},
           **dict.fromkeys(("kill", "stop", "start"), lambda: {"program": args.program})}
    holder.ask(holder.choose(args.instance), args.verb, **ask[args.verb]())


def do_status(args):
    names = [holder.choose(args.instance)] if args.instance else holder.held()
    facts = [holder.ask(name, "status") for name in names]
    if args.json:
        print(json.dumps(facts, indent=1))
        return 0
    if not facts:
        print("no lab is up")
    for lab in facts:
        print(f"lab {lab['instance']}: topology {lab['topology']} ({lab['summary']})\n  nodes: {' '.join(lab['nodes'])}"
              f"\n  cables: " + "  ".join(f"{p} in {s}" for p, s in lab["plugged"].items())
              + f"\n  Console: {lab['api']} (from node console)")
        for path in lab.get("paths", []):
            print(f"  {path['path']:<34} {path['state']:<8} {path.get('cause') or ''}")
    return 0


def do_demo(args):
    from . import demo
    return demo.run(program_folder(args.build), args.stay)


def do_bench(args):
    from . import bench
    return bench.run(program_folder(args.build), args.figure, args.runs, args.json)


def do_vm(args):
    from . import machine
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise LabError("vm: which command?")
    return machine.run_command(command, args.share or REPOSITORY / "build/log/vm-command", args.ports)


def main():
    args = parser().parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)      # also where a shell in the background ignores it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    if os.geteuid() != 0:
        print("netns-lab/lab: namespaces need root: run it with sudo", file=sys.stderr)
        return 1
    verbs = {"list": do_list, "run": do_run, "_batch": do_batch, "up": do_up, "down": do_down, "exec": do_exec,
             "pull": do_fault, "plug": do_fault, "cut": do_fault, "loss": do_fault, "heal": do_fault,
             "kill": do_fault, "stop": do_fault, "start": do_fault,
             "status": do_status, "demo": do_demo, "bench": do_bench, "vm": do_vm,
             "_hold": lambda a: holder.hold(a.topology, a.instance, a.programs and pathlib.Path(a.programs))}
    try:
        return verbs[args.verb](args) or 0
    except LabError as error:
        print(f"netns-lab/lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
