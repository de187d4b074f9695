"""A private CA, the Console's and the host's certificates, and the wrong ones that T49 presents. By the openssl CLI."""
import contextlib
import datetime
import os
import pathlib
import shutil
import subprocess
import tempfile

DAY = datetime.timedelta(days=1)


class Pki:
    """Certificates in one folder: NAME.pem and NAME.key. Keys are P-256."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)

    def standard(self, host_id, console_name, console_addresses):
        """ca, console and host: what works. With $LAB_PKI_CACHE made once and copied: under emulation that is 8 s less."""
        cache = os.environ.get("LAB_PKI_CACHE")
        if cache:
            kept = pathlib.Path(cache) / "-".join([host_id, console_name, *console_addresses])
            if not kept.exists():
                part = Pki(tempfile.mkdtemp(prefix="pki-", dir="/run"))
                part._make_standard(host_id, console_name, console_addresses)
                kept.parent.mkdir(exist_ok=True)
                with contextlib.suppress(OSError):      # another lab was quicker
                    part.dir.rename(kept)
            shutil.copytree(kept, self.dir, dirs_exist_ok=True)
            return self
        return self._make_standard(host_id, console_name, console_addresses)

    def _make_standard(self, host_id, console_name, console_addresses):
        self.authority("ca")
        self.issue("console", "ca", self.console_names(console_name, console_addresses), server=True)
        self.issue("host", "ca", host_names(host_id))
        return self

    @staticmethod
    def console_names(name, addresses):
        return ",".join([f"DNS:{name}"] + [f"IP:{a}" for a in addresses])

    def authority(self, name):
        """A self-signed CA of ten years."""
        self._key(name)
        self._openssl("req", "-x509", "-new", "-key", self.key(name), "-out", self.pem(name), "-days", "3650",
                      "-subj", f"/CN=lab {name}", "-addext", "basicConstraints=critical,CA:TRUE",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def bundle(self, name, *authorities):
        """One file with several CAs, as during a rotation."""
        self.pem(name).write_text("".join(self.pem(ca).read_text() for ca in authorities))

    def issue(self, name, ca, alt_names, server=False, start=-1 * DAY, end=365 * DAY):
        """A leaf signed by ca, valid from now+start to now+end, with these subjectAltNames."""
        self._key(name)
        request = self.dir / f"{name}.csr"
        self._openssl("req", "-new", "-key", self.key(name), "-out", request, "-subj", f"/CN={name}")
        extensions = self.dir / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alt_names}\nbasicConstraints=critical,CA:FALSE\n"
                              "keyUsage=critical,digitalSignature\n"
                              f"extendedKeyUsage={'serverAuth' if server else 'clientAuth'}\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        database = self.dir / f"{name}.db"
        database.mkdir()
        (database / "index.txt").touch()
        config = self.dir / f"{name}.cnf"
        config.write_text(f"[ca]\ndefault_ca=lab\n[lab]\ndatabase={database}/index.txt\nnew_certs_dir={database}\n"
                          "rand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n"
                          "[any]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.pem(ca), "-keyfile", self.key(ca),
                      "-in", request, "-out", self.pem(name), "-extfile", extensions,
                      "-startdate", stamp(now + start), "-enddate", stamp(now + end))

    def pem(self, name):
        return self.dir / f"{name}.pem"

    def key(self, name):
        return self.dir / f"{name}.key"

    def _key(self, name):
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key(name))
        self.key(name).chmod(0o600)

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")


def host_names(host_id):
    return f"URI:urn:gallium:host:{host_id}"


def stamp(moment):
    return moment.strftime("%Y%m%d%H%M%SZ")
