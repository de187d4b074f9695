"""What a failed scenario leaves for whoever looks into it: where programs stand, what the kernel shows, all logs."""
import pathlib
import shutil

KERNEL = ("ip -d address", "ip rule", "ip route show table all", "bridge -d link", "bridge vlan", "nft list ruleset")


def write_stacks(program):
    """Where in the kernel a program is, into stacks.log: tells a stall of ours from one of the machine."""
    lines = []
    for task in sorted(pathlib.Path(f"/proc/{program.daemon.pid}/task").iterdir()):
        lines += [f"thread {task.name} {(task / 'comm').read_text().strip()}", (task / "stack").read_text()]
    (program.node.dir / "stacks.log").write_text("\n".join(lines))


def write_kernel(node):
    """What the node's kernel shows, into kernel.log."""
    parts = [f"$ {line}\n{node.run(line.split(), check=False)}" for line in KERNEL]
    (node.dir / "kernel.log").write_text("\n".join(parts))


def keep_logs(target, lab):
    """Copies the logs of a lab to the folder target."""
    shutil.rmtree(target, ignore_errors=True)
    if lab.dir and lab.dir.exists():
        for log in sorted(lab.dir.glob("*/*.log")):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, target / f"{log.parent.name}-{log.name}")
