"""The empty file system that a device writes into its encrypted partition on its first boot, and grows there: it has no program that makes one.

The device's side is `VolumeTemplate` (Sources/Board/LinuxBoard/Storage), which says what the bytes are.
"""

import struct
import subprocess
import tempfile
from pathlib import Path

MAGIC = b"HAECHIFS"
BLOCK_BYTES = 4096
# The smallest that holds the smallest journal of ext4 (1,024 blocks); growing it costs a first boot less than writing it.
SIZE = "9M"
# Percent of the blocks that only root may take: the runtime is not root, so one that fills the volume leaves room for the audit log and for what
# the supervisor believes. Of this small volume half, as the kernel adds nothing where it fills the first group of 32,768 blocks, and from there on
# the share that this is of that group, in whole percent: 3 (fs/ext4/resize.c, ext4_group_extend and ext4_update_super).
RESERVED = 50
# A file system's identifiers only matter where several are mounted: each device's lies inside its own encryption. Fixed, so that images are too.
FILE_SYSTEM = "3d0d3c52-0b7e-4f0c-9a53-5b6e1b1f7a11"
HASH_SEED = "3d0d3c52-0b7e-4f0c-9a53-5b6e1b1f7a12"
PATH = "etc/haechi/volume"
# All of ext4 that is wanted, said here: what mke2fs takes by itself differs between its versions and machines.
FEATURES = (
    "has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
)
CONFIGURATION = f"""\
[defaults]
    base_features = {FEATURES}
    blocksize = {BLOCK_BYTES}
    inode_size = 256
[fs_types]
    ext4 = {{
        features = has_journal
    }}
    small = {{
        inode_ratio = 4096
    }}
"""


class VolumeError(Exception):
    """One sentence that says what stopped it."""


def sparse(image):
    """The bytes of a template: which blocks of a file system are not zero, and what they hold."""
    if not image or len(image) % BLOCK_BYTES:
        raise VolumeError(f"a file system of {len(image)} bytes is not a whole number of blocks")
    zero = bytes(BLOCK_BYTES)
    blocks = [image[at : at + BLOCK_BYTES] for at in range(0, len(image), BLOCK_BYTES)]
    kept = [(number, block) for number, block in enumerate(blocks) if block != zero]
    header = struct.pack(">8sIII", MAGIC, BLOCK_BYTES, len(blocks), len(kept))
    return header + b"".join(struct.pack(">I", number) + block for number, block in kept)


def make(epoch_s, program="mke2fs"):
    """A template, made by mke2fs. The same time gives the same bytes."""
    with tempfile.TemporaryDirectory(prefix="haechi-volume-") as folder:
        file = Path(folder) / "volume"
        configuration = Path(folder) / "mke2fs.conf"
        configuration.write_text(CONFIGURATION)
        options = f"hash_seed={HASH_SEED},lazy_itable_init=0,nodiscard"
        command = [program, "-q", "-t", "ext4", "-b", str(BLOCK_BYTES), "-m", str(RESERVED), "-J", "size=4", "-N", "512", "-U", FILE_SYSTEM]
        command += ["-E", options, str(file), SIZE]
        # /sbin is not on everyone's path.
        environment = {
            "PATH": "/usr/sbin:/sbin:/usr/bin:/bin",
            "E2FSPROGS_FAKE_TIME": str(epoch_s),
            "MKE2FS_CONFIG": str(configuration),
            "LC_ALL": "C",
        }
        try:
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        except FileNotFoundError as error:
            raise VolumeError(f"{program} is missing: install the package e2fsprogs") from error
        except subprocess.CalledProcessError as error:
            raise VolumeError(f"{program} failed (status {error.returncode}): see the lines above") from error
        return sparse(file.read_bytes())
