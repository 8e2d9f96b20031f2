"""Looks into an unpacked initramfs the way an evaluator does: from the outside, believing nothing that the build said.

Every function returns findings, one sentence each; none means that the check passed.
"""

import base64
import hashlib
import re
import stat

from . import elf

SHELLS = {"sh", "ash", "bash", "dash", "zsh", "ksh", "csh", "tcsh", "fish", "rbash", "busybox", "toybox"}
INTERPRETERS = {"python", "perl", "lua", "luajit", "ruby", "node", "php", "tclsh", "awk", "gawk", "mawk", "sed", "swift-frontend"}
LOGINS = {
    "getty",
    "agetty",
    "mgetty",
    "login",
    "sulogin",
    "su",
    "sudo",
    "doas",
    "sshd",
    "dropbear",
    "telnetd",
    "inetd",
    "rlogind",
    "ftpd",
    "passwd",
    "gdbserver",
    "gdb",
    "strace",
    "nc",
    "netcat",
    "socat",
    "adbd",
}
# What such programs say of themselves, for those that hide behind another name.
TELLTALES = {
    b"BusyBox v": "busybox",
    b"GNU bash, version": "bash",
    b"Toybox ": "toybox",
    b"OpenSSH_": "OpenSSH",
    b"Dropbear sshd": "dropbear",
    b"PyEval_EvalCode": "a Python interpreter",
    b"PL_thr_key": "a Perl interpreter",
    b"LuaJIT 2": "LuaJIT",
    b"$LuaVersion: ": "Lua",
}
ACCOUNT_FILES = {"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/sudoers", "etc/securetty", "etc/inittab"}

# crypt(5): the methods in use, each with a whole salt and a whole hash, so that the format strings inside libcrypt do not match.
HASH_CHARACTERS = rb"[./0-9A-Za-z]"
PASSWORD_HASHES = re.compile(
    rb"\$1\$" + HASH_CHARACTERS + rb"{1,8}\$" + HASH_CHARACTERS + rb"{22}"
    rb"|\$5\$(rounds=\d+\$)?" + HASH_CHARACTERS + rb"{1,16}\$" + HASH_CHARACTERS + rb"{43}"
    rb"|\$6\$(rounds=\d+\$)?" + HASH_CHARACTERS + rb"{1,16}\$" + HASH_CHARACTERS + rb"{86}"
    rb"|\$(y|gy|7)\$" + HASH_CHARACTERS + rb"{1,16}\$" + HASH_CHARACTERS + rb"{1,86}\$" + HASH_CHARACTERS + rb"{43}"
    rb"|\$2[abxy]\$\d\d\$" + HASH_CHARACTERS + rb"{53}"
    rb"|\$argon2(i|d|id)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[+/0-9A-Za-z]{8,}\$[+/0-9A-Za-z]{16,}"
)

PRIVATE_KEY_PEM = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=:, -]{16}")
PRIVATE_KEY_DER = {
    "PKCS#8 RSA": re.compile(rb"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82", re.DOTALL),
    # A private exponent that happens to be short has a length of one byte instead of two.
    "PKCS#1 RSA": re.compile(rb"\x30\x82..\x02\x01\x00\x02\x82..{120,520}?\x02\x03\x01\x00\x01\x02[\x81\x82]", re.DOTALL),
    "PKCS#8 EC": re.compile(rb"\x02\x01\x00\x30.\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06.{5,9}\x04", re.DOTALL),
    "SEC 1 EC": re.compile(rb"\x30.\x02\x01\x01\x04[\x20\x30].{32,48}\xa0.\x06", re.DOTALL),
    "PKCS#8 Ed25519 or X25519": re.compile(rb"\x02\x01\x00\x30\x05\x06\x03\x2b\x65[\x6e\x70]\x04\x22\x04\x20", re.DOTALL),
}

ALLOWED_DATA = {"etc/haechi/build", "etc/haechi/maker-ca.der", "etc/haechi/seal", "etc/haechi/volume"}
ALLOWED_FOLDERS = {"dev", "proc", "sys", "run", "etc", "etc/haechi", "lib"}


def _name(path):
    return path.rpartition("/")[2]


def programs_to_talk_to(entries):
    """Shells, interpreters, log-in programs and scripts, by name and by content."""
    found = []
    for entry in entries:
        stem = re.sub(r"[-.]?\d[\d.]*$", "", _name(entry.path))
        for kind, names in (("a shell", SHELLS), ("an interpreter", INTERPRETERS), ("a log-in or debugging program", LOGINS)):
            if stem in names and not stat.S_ISDIR(entry.mode):
                found.append(f"/{entry.path} is {kind}, by its name")
        if entry.is_regular:
            if entry.data[:2] == b"#!":
                found.append(f"/{entry.path} is a script: {entry.data.splitlines()[0].decode(errors='replace')}")
            found += [f"/{entry.path} holds {what}" for mark, what in TELLTALES.items() if mark in entry.data]
    return found


def accounts(entries):
    found = [f"/{e.path} is an account file" for e in entries if e.path in ACCOUNT_FILES]
    return found + [f"/{e.path} holds a password hash" for e in entries if PASSWORD_HASHES.search(e.data)]


def modes(entries):
    """Files with special rights, foreign owners, or that are neither file nor folder."""
    found = []
    for entry in entries:
        if entry.mode & (stat.S_ISUID | stat.S_ISGID):
            found.append(f"/{entry.path} is setuid or setgid ({entry.mode & 0o7777:04o})")
        if entry.mode & 0o002 and not stat.S_ISLNK(entry.mode):
            found.append(f"/{entry.path} is writable by everyone ({entry.mode & 0o7777:04o})")
        if (entry.uid, entry.gid) != (0, 0):
            found.append(f"/{entry.path} belongs to user {entry.uid}, group {entry.gid}")
        if not (entry.is_regular or stat.S_ISDIR(entry.mode)):
            found.append(f"/{entry.path} is neither a file nor a folder (type {stat.S_IFMT(entry.mode):o})")
    return found


def private_keys(name, data, known=()):
    """Private keys in some bytes: armoured, in DER, or as the raw numbers of keys that are `known` [(name, bytes)]."""
    found = []
    if PRIVATE_KEY_PEM.search(data):
        found.append(f"{name} holds a private key (PEM)")
    found += [
        f"{name} holds a private key ({kind}, at byte {match.start()})"
        for kind, pattern in PRIVATE_KEY_DER.items()
        for match in [pattern.search(data)]
        if match
    ]
    return found + [f"{name} holds the private key {key} as raw bytes" for key, secret in known if secret in data]


def secret_part(pem):
    """Bytes that only a key's holder knows, out of its PEM file: an EC scalar, or the middle of an RSA key."""
    body = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", pem, re.DOTALL)
    if not body:
        return None
    der = base64.b64decode(b"".join(body.group(1).split()))
    scalar = re.search(rb"\x02\x01\x01\x04[\x20\x30](.{32})", der, re.DOTALL)
    return scalar.group(1) if scalar else der[len(der) // 2 : len(der) // 2 + 32]


# Libraries that the distribution links without BIND_NOW; nobody but the distribution can relink them. Their jump tables stay
# writable in a process that uses them. Any other weakness of theirs, and this one in any other file, is a finding.
BOUND_LAZILY_BY_DISTRIBUTION = {
    "lib/libgcc_s.so.1",
    "lib/libgmp.so.10",
    "lib/libjansson.so.4",
    "lib/libpcre2-8.so.0",
    "lib/libtss2-mu.so.0",
    "lib/libtss2-tcti-device.so.0",
    "lib/libz.so.1",
}


def hardening(entries):
    """Missing protections of ELF files."""
    return [f"/{path}: {weakness}" for path, weakness in _weaknesses(entries) if not _is_accepted(path, weakness)]


def accepted(entries):
    """The weaknesses that `hardening` leaves out, to be shown all the same."""
    return [f"/{path}: {weakness}: the distribution's build" for path, weakness in _weaknesses(entries) if _is_accepted(path, weakness)]


def _is_accepted(path, weakness):
    return path in BOUND_LAZILY_BY_DISTRIBUTION and weakness == elf.LAZY_BINDING


def _weaknesses(entries):
    for entry in entries:
        if elf.is_elf(entry.data):
            try:
                weaknesses = elf.parse(entry.data, "it").weaknesses()
            except elf.ElfError as error:
                weaknesses = [str(error)]
            for weakness in weaknesses:
                yield entry.path, weakness


def contents(entries):
    """What is there beside /init, the libraries that it reaches, the data files and their folders."""
    files = {entry.path: entry for entry in entries}
    if "init" not in files:
        return ["there is no /init"]
    libraries = {_name(path): entry.data for path, entry in files.items() if path.startswith("lib/") and elf.is_elf(entry.data)}
    try:
        linked = {f"lib/{soname}" for soname in elf.reached(files["init"].data, libraries, "/init")}
    except elf.ElfError as error:
        return [str(error)]
    allowed = {"init", *ALLOWED_DATA, *ALLOWED_FOLDERS, *linked}
    found = [f"/{path} is there, and nothing in /init leads to it" for path in sorted(files) if path not in allowed]
    return found + [f"/{path} is missing" for path in sorted(ALLOWED_DATA - files.keys())]


def parts_lists(entries, cyclonedx, spdx):
    """ELF files that a parts list does not hold with their very hash, and parts without a version."""
    in_cyclonedx = {f["name"]: f["hashes"][0]["content"] for c in cyclonedx["components"] for f in c.get("components", [])}
    in_spdx = {f["fileName"].removeprefix("./"): {c["algorithm"]: c["checksumValue"] for c in f["checksums"]} for f in spdx["files"]}
    found = []
    for entry in entries:
        if elf.is_elf(entry.data):
            digest = hashlib.sha256(entry.data).hexdigest()
            if in_cyclonedx.get(entry.path) != digest:
                found.append(f"/{entry.path} is not in the CycloneDX list with its hash")
            if in_spdx.get(entry.path, {}).get("SHA256") != digest:
                found.append(f"/{entry.path} is not in the SPDX list with its hash")
    found += [f"CycloneDX: {c['name']} has no version" for c in cyclonedx["components"] if not c.get("version")]
    return found + [f"SPDX: {p['name']} has no version" for p in spdx["packages"] if not p.get("versionInfo")]


# What a release kernel must be, as its configuration says it; the wanted value 'n' is an option that is unset.
RELEASE_KERNEL = {
    "CONFIG_TTY": "n",
    "CONFIG_SERIAL_EARLYCON": "n",
    "CONFIG_MODULES": "n",
    "CONFIG_KEXEC": "n",
    "CONFIG_KEXEC_FILE": "n",
    "CONFIG_DEVMEM": "n",
    "CONFIG_MAGIC_SYSRQ": "n",
    "CONFIG_COREDUMP": "n",
    "CONFIG_IO_URING": "n",
    "CONFIG_BPF_SYSCALL": "n",
    "CONFIG_KPROBES": "n",
    "CONFIG_FTRACE": "n",
    "CONFIG_PACKET": "n",
    "CONFIG_DEBUG_FS": "n",
    "CONFIG_GPIO_SIM": "n",
    "CONFIG_BINFMT_SCRIPT": "n",
    "CONFIG_ACPI": "n",
    "CONFIG_DMI": "n",
    "CONFIG_CRYPTO_NULL": "n",
    "CONFIG_CMDLINE_FORCE": "y",
    "CONFIG_INITRAMFS_FORCE": "y",
    "CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY": "y",
    "CONFIG_SECCOMP_FILTER": "y",
    "CONFIG_SECURITY_LANDLOCK": "y",
    "CONFIG_RANDOMIZE_BASE": "y",
    "CONFIG_STACKPROTECTOR_STRONG": "y",
    "CONFIG_STRICT_KERNEL_RWX": "y",
    "CONFIG_INIT_ON_ALLOC_DEFAULT_ON": "y",
    "CONFIG_HARDENED_USERCOPY": "y",
    "CONFIG_FORTIFY_SOURCE": "y",
    "CONFIG_WATCHDOG_NOWAYOUT": "y",
    "CONFIG_STATIC_USERMODEHELPER": "y",
}
# Words that a kernel with the thing has, seen in the image itself: a configuration beside it could say anything.
TELLTALES_IN_KERNEL = {
    b"ttyAMA": "the PL011 serial driver",
    b"sysrq: ": "SysRq",
    b"gpio-sim": "the GPIO simulator",
    b"uart-pl011": "an early console",
}


def kernel(configuration, image, command_line):
    """Deviations of a kernel from a release kernel: in its saved configuration ({symbol: value}) and in its bytes."""
    found = [
        f"{symbol} is {configuration.get(symbol, 'n')}, not {wanted}"
        for symbol, wanted in RELEASE_KERNEL.items()
        if configuration.get(symbol, "n") != wanted
    ]
    found += [f"the kernel holds {what}" for mark, what in TELLTALES_IN_KERNEL.items() if mark in image]
    if command_line.encode() not in image:
        found.append(f"the forced command line '{command_line}' is not in the image")
    return found
