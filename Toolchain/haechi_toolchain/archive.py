"""The distribution's archive: a signed index of one suite, what a set of packages needs, their download and unpacking.

mmdebstrap writes the source list (so no mirror is named here) and fetches the index; apt resolves and
downloads. Nothing is installed on the machine and no maintainer script runs: packages are only unpacked,
which needs no privilege."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.parse

from . import cache
from .console import ToolchainError

# A mirror that is being synchronised serves an index and packages that do not fit together for a few
# minutes: five tries with growing pauses span two and a half minutes.
PAUSES_BETWEEN_TRIES_S = (5, 15, 40, 90)


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    architecture: str
    suite: str
    sha256: str
    size: int
    installed_size: int
    file_name: str

    def record(self):
        return {"name": self.name, "version": self.version, "architecture": self.architecture, "suite": self.suite, "sha256": self.sha256}


def _retry(action, steps, what):
    """Runs `action` again after each of the pauses; the last failure is raised as it is."""
    for pause_s in PAUSES_BETWEEN_TRIES_S:
        try:
            return action()
        except _DiskFull:
            raise
        except ToolchainError as error:
            steps.note(f"{what} failed ({error}) – trying again in {pause_s} s")
            time.sleep(pause_s)
    return action()


def _telling_line(text, default):
    """The line of a program's error output that says most: the first error, on which the later ones follow, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors[:1] or lines[-1:] or [default])[0].removeprefix("E:").strip().rstrip(".:")


def require_programs(names):
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        raise ToolchainError(f"{', '.join(missing)} is needed and not installed; install it with the system's package manager.")


class _DiskFull(ToolchainError):
    """Trying again does not help."""


class Index:
    """The signed package index of one suite for some architectures, in a throw-away folder."""

    def __init__(self, folder, suite, architectures, downloads, steps):
        self._folder = folder
        self._suite = suite
        self._architectures = architectures
        self._downloads = downloads
        self._steps = steps

    @classmethod
    def fetch(cls, folder, suite, architectures, downloads, steps):
        """Makes the index in `folder` (replaced when it exists). Retried, because mirrors synchronise."""
        require_programs(["mmdebstrap", "apt-get", "apt-cache", "gpgv", "dpkg-deb", "tar"])
        index = cls(folder, suite, architectures, downloads, steps)
        _retry(index._fetch_once, steps, f"fetching the {suite} index")
        return index

    def _fetch_once(self):
        if self._folder.exists():
            cache.remove_tree(self._folder)
        command = [
            "mmdebstrap",
            "--mode=chrootless",
            "--variant=extract",
            "--format=directory",
            "--architectures=" + ",".join(self._architectures),
            "--skip=cleanup/apt,cleanup/mmdebstrap,cleanup/tmp,cleanup/reproducible",
        ]
        if self._suite == "sid":
            # The development suite's index may be past its date; its signature is still checked.
            command.append('--aptopt=Acquire::Check-Valid-Until "false"')
        with _package_client(self._steps):
            result = subprocess.run(
                [*command, self._suite, str(self._folder)], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
            )
        if result.returncode:
            raise ToolchainError(
                f"the package index of {self._suite} could not be fetched: {_telling_line(result.stderr, 'mmdebstrap said nothing')}."
            )
        self._write_apt_configuration()
        self._check_signatures()

    def _write_apt_configuration(self):
        quoted = str(self._folder)
        self._configuration = self._folder / "haechi-apt.conf"
        self._configuration.write_text(
            f'Apt::Architecture "{self._architectures[0]}";\n'
            f"Apt::Architectures {{ {' '.join(f'{chr(34)}{name}{chr(34)};' for name in self._architectures)} }};\n"
            f'Dir "{quoted}";\nDir::State::Status "{quoted}/var/lib/dpkg/status";\n'
            # Not this machine's settings: they may turn checks off.
            f'Dir::Etc::Parts "{quoted}/etc/apt/apt.conf.d";\nDir::Etc::Main "{quoted}/etc/apt/apt.conf";\n'
            'APT::Install-Recommends "false";\nAcquire::Languages "none";\nAcquire::Retries "3";\n'
            'APT::Get::AllowUnauthenticated "false";\nAcquire::AllowInsecureRepositories "false";\n'
            # Without this an unprivileged helper user would need to write into the cache.
            'APT::Sandbox::User "";\nAPT::Get::Assume-Yes "true";\nDebug::NoLocking "true";\n'
            # Packages that a machine cannot do without are not added by themselves: only what is listed.
            'pkgCacheGen::ForceEssential ",";\n',
            encoding="utf-8",
        )

    def _check_signatures(self):
        """Every release file must carry a good signature by a key of the distribution's key ring. apt has checked
        this already; it is checked once more because everything else rests on it."""
        rings = sorted(pathlib.Path("/usr/share/keyrings").glob("debian-archive-*.gpg"))
        if not rings:
            raise ToolchainError("the distribution's keys are missing; install the package debian-archive-keyring.")
        releases = sorted((self._folder / "var/lib/apt/lists").glob("*InRelease"))
        if not releases:
            raise ToolchainError(f"the package index of {self._suite} has no signed release file.")
        for release in releases:
            command = ["gpgv"] + [word for ring in rings for word in ("--keyring", str(ring))]
            result = subprocess.run([*command, str(release)], capture_output=True, text=True, check=False)
            # gpgv fails when any of several signatures is by a key that it does not have; one good one is what apt asks for.
            if "Good signature from" not in result.stderr or "BAD signature" in result.stderr:
                raise ToolchainError(
                    f"the signature of {release.name} is not by a key of debian-archive-keyring; "
                    "bring that package up to date, and if it is, do not trust this mirror."
                )

    def _apt(self, program, *arguments):
        environment = {**os.environ, "APT_CONFIG": str(self._configuration), "LC_ALL": "C.UTF-8"}
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=environment)

    def versions(self, package, architecture):
        """The versions of a package that the suite has for one architecture."""
        result = self._apt("apt-cache", "madison", f"{package}:{architecture}")
        found = []
        for line in result.stdout.splitlines():
            fields = [field.strip() for field in line.split("|")]
            if len(fields) == 3 and f" {architecture} " in fields[2]:
                found.append(fields[1])
        return found

    def resolve(self, wanted, with_dependencies=True):
        """`wanted` holds apt's `name:architecture` or `name:architecture=version`. The packages, each with its hash from the signed index."""
        verb = ["install"] if with_dependencies else ["download"]
        result = self._apt("apt-get", *verb, "--print-uris", "-qq", *wanted)
        if result.returncode:
            raise ToolchainError(f"{self._suite} cannot give {', '.join(wanted)}: {_telling_line(result.stderr, 'apt-get said nothing')}.")
        chosen = []
        for line in result.stdout.splitlines():
            match = re.match(r"'[^']+' (\S+) (\d+) ", line)
            if match:
                name, version, architecture = match.group(1).removesuffix(".deb").split("_")
                chosen.append((name, urllib.parse.unquote(version), architecture, match.group(1)))
        if not chosen:
            raise ToolchainError(f"{self._suite} resolved {', '.join(wanted)} to no package at all.")
        return self._describe(chosen)

    def _describe(self, chosen):
        lookups = [self._lookup(name, version, architecture) for name, version, architecture, _ in chosen]
        described = {}
        for paragraph in self._apt("apt-cache", "show", *lookups).stdout.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
            if "SHA256" in fields:
                described[fields["Package"], fields["Version"], fields["Architecture"]] = fields
        packages = []
        for name, version, architecture, file_name in chosen:
            fields = described.get((name, version, architecture))
            if not fields:
                raise ToolchainError(f"the {self._suite} index has no SHA-256 for {name} {version} ({architecture}).")
            packages.append(
                Package(
                    name,
                    version,
                    architecture,
                    self._suite,
                    fields["SHA256"],
                    int(fields["Size"]),
                    int(fields.get("Installed-Size", "0")) * 1024,
                    file_name,
                )
            )
        return packages

    @staticmethod
    def _lookup(name, version, architecture):
        """apt's way to name exactly one package; packages for every architecture are found without naming one."""
        return f"{name}={version}" if architecture == "all" else f"{name}:{architecture}={version}"

    def download(self, packages):
        """Brings every package into the downloads folder and checks its SHA-256. Retried, because mirrors synchronise."""
        (self._downloads / "partial").mkdir(parents=True, exist_ok=True)
        missing = [package for package in packages if not _is_whole(self._downloads / package.file_name, package)]
        if missing:
            cache.check_room(self._downloads, sum(package.size for package in missing), "downloading the packages")
            _retry(lambda: self._download_once(missing), self._steps, f"downloading from {self._suite}")
        return {package: self._downloads / package.file_name for package in packages}

    def _download_once(self, packages):
        wanted = [self._lookup(package.name, package.version, package.architecture) for package in packages]
        environment = {**os.environ, "APT_CONFIG": str(self._configuration), "LC_ALL": "C.UTF-8"}
        with _package_client(self._steps):
            result = subprocess.run(
                ["apt-get", "download", "-qq", *wanted], cwd=self._downloads, env=environment, capture_output=True, text=True, check=False
            )
        if "No space left" in result.stderr:
            raise _DiskFull(
                f"the disk of {self._downloads} became full during a download; free some space or set HAECHI_CACHE to a folder on a larger disk."
            )
        if result.returncode:
            raise ToolchainError(f"a download from {self._suite} did not succeed: {_telling_line(result.stderr, 'apt-get said nothing')}.")
        for package in packages:
            path = self._downloads / package.file_name
            if not _is_whole(path, package):
                path.unlink(missing_ok=True)
                raise ToolchainError(
                    f"the download of {package.name} {package.version} ({package.architecture}) is broken: "
                    "its SHA-256 is not the one in the signed index."
                )


@contextlib.contextmanager
def _package_client(steps):
    with cache.lock(cache.package_client_lock(), steps, "the package client"):
        yield


def _is_whole(path, package):
    if not path.is_file() or path.stat().st_size != package.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256


def prepare_root(root):
    """The links of a merged /usr, which must exist before packages that still name /lib are unpacked."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def unpack(package_file, root, excludes=(), members=(), strip_components=0, transform=None):
    """Unpacks one package into `root` as the calling user, without running anything of it; the paths that it wrote."""
    command = [
        "tar",
        "--extract",
        "--file=-",
        f"--directory={root}",
        "--keep-directory-symlink",
        "--no-same-owner",
        "--no-same-permissions",
        "--verbose",
        "--show-transformed-names",
        "--wildcards",
        f"--strip-components={strip_components}",
    ]
    command += [f"--exclude={pattern}" for pattern in excludes]
    if transform:
        command.append(f"--transform={transform}")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package_file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source:
        result = subprocess.run([*command, *members], stdin=source.stdout, capture_output=True, text=True, check=False)
        source.stdout.close()
        source_status = source.wait()
    if result.returncode:
        reason = _telling_line(result.stderr, "tar said nothing")
        if "No space left" in result.stderr:
            raise ToolchainError(
                f"the disk of {root} became full while {package_file.name} was unpacked; free some space "
                "or set HAECHI_CACHE to a folder on a larger disk."
            )
        raise ToolchainError(f"{package_file.name} could not be unpacked: {reason}.")
    if source_status:
        raise ToolchainError(f"{package_file.name} is not a readable package.")
    return result.stdout.splitlines()


def make_links_relative(root):
    """Turns absolute symbolic links into relative ones, so that they stay inside the root when it is not at `/`."""
    root = str(root)
    for parent, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                target = os.readlink(path)
                if target.startswith("/"):
                    os.unlink(path)
                    os.symlink(os.path.relpath(root + target, parent), path)


def add_links(root, links):
    for path, target in links:
        link = root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() and not link.exists():
            link.symlink_to(target)
