"""A stock Debian kernel on disk: the package fetched and unpacked (never installed), a tiny initramfs beside it."""
import fcntl
import gzip
import lzma
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

from .ns import LabError
from .product import REPOSITORY

CACHE = REPOSITORY / "build/vm"
GUEST = REPOSITORY / "netns-lab/guest"
META_PACKAGE = "linux-image-amd64"      # depends on the newest kernel; the plain flavour: the cloud one has no 9p
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")      # what it takes to mount the host's root


class GuestKernel:
    """vmlinux, initrd and modules of one kernel version; all below build/vm/<version>."""

    def __init__(self, folder):
        self.folder = folder
        self.version = folder.name.removeprefix("linux-image-")
        self.vmlinuz = folder / f"boot/vmlinuz-{self.version}"
        self.vmlinux = folder / "vmlinux"       # unpacked: saves its decompression at each boot, under emulation
        self.modules = folder / f"lib/modules/{self.version}"
        self.initrd = folder / "initrd.gz"


def ready(say=print):
    """The kernel, made now when the cache has none. Errors: LabError with the words of apt or dpkg."""
    subprocess.run([REPOSITORY / "tests/install-packages", "--vm"], check=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernel = cached() or fetch(say)
        if not kernel.vmlinux.exists():
            write_vmlinux(kernel)
        if not kernel.initrd.exists() or kernel.initrd.stat().st_mtime < (GUEST / "init").stat().st_mtime:
            write_initrd(kernel)
        return kernel


def cached():
    found = sorted(p for p in CACHE.glob("linux-image-*") if (p / "complete").exists())
    return GuestKernel(found[-1]) if found else None


def package_name():
    """What the meta package depends on now."""
    text = command("apt-cache", "depends", META_PACKAGE)
    for line in text.splitlines():
        word = line.strip().removeprefix("Depends: ")
        if word != META_PACKAGE and word.startswith("linux-image-") and word.endswith("-amd64"):
            return word
    raise LabError(f"{META_PACKAGE} depends on no kernel that apt knows: run apt-get update")


def fetch(say):
    name = package_name()
    say(f"Fetching {name} (70 MB, once; unpacked into {CACHE.relative_to(REPOSITORY)}, not installed) ...")
    target = CACHE / name
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        os.chmod(work, 0o777)           # apt downloads as a user of its own
        try:
            command("apt-get", "download", "-q", name, cwd=work)
        except LabError:                # the lists on this machine are older than the archive
            command("apt-get", "update", "-q")
            command("apt-get", "download", "-q", name, cwd=work)
        [package] = pathlib.Path(work).glob("*.deb")
        shutil.rmtree(target, ignore_errors=True)
        command("dpkg", "-x", str(package), str(target))
    kernel = GuestKernel(target)
    command("depmod", "-b", str(target), kernel.version)
    (target / "complete").touch()
    return kernel


def write_vmlinux(kernel):
    """The ELF file inside the bzImage, which QEMU starts by its PVH note. Source: Documentation/arch/x86/boot.rst."""
    image = kernel.vmlinuz.read_bytes()
    setup_sectors = image[0x1F1]
    offset, length = struct.unpack_from("<II", image, 0x248)        # payload_offset, payload_length
    payload = image[(setup_sectors + 1) * 512 + offset:][:length]
    part = kernel.vmlinux.with_suffix(".part")
    try:
        part.write_bytes(lzma.LZMADecompressor().decompress(payload))
    except lzma.LZMAError as error:
        raise LabError(f"{kernel.vmlinuz}: not compressed by xz: {error}") from error
    part.rename(kernel.vmlinux)


def write_initrd(kernel):
    """busybox, what it takes to reach the host's files, and guest/init."""
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        root = pathlib.Path(work)
        for folder in ("bin", "modules", "proc", "sys", "dev", "host", "rw", "root"):
            (root / folder).mkdir()
        shutil.copy("/bin/busybox", root / "bin/busybox")
        shutil.copy(GUEST / "init", root / "init")
        os.chmod(root / "init", 0o755)
        order = module_files(kernel, BOOT_MODULES)
        for file in order:
            shutil.copy(kernel.modules / file, root / "modules")
        (root / "modules/order").write_text("".join(f"{pathlib.Path(f).name}\n" for f in order))
        names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
        archive = subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(),
                                 capture_output=True, check=True).stdout
        part = kernel.initrd.with_suffix(".part")
        part.write_bytes(gzip.compress(archive, 1))
        part.rename(kernel.initrd)


def module_files(kernel, names):
    """Module files in the order in which they have to be loaded, dependencies first."""
    depends = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        file, _, needed = line.partition(":")
        depends[pathlib.Path(file).stem.replace("-", "_")] = (file, needed.split())
    order = []
    for name in names:
        file, needed = depends[name.replace("-", "_")]
        order += [f for f in [*reversed(needed), file] if f not in order]
    return order


def command(*argv, cwd=None):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout

