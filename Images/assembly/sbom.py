"""Parts lists: CycloneDX 1.6 and SPDX 2.3, from one list of parts.

A part is a package (a distribution package, the kernel's source, a Swift package) with the files of the image that come
from it. Identifiers and times follow from the inputs, so that two builds give the same lists.
"""

import hashlib
import re
import time
import uuid
from dataclasses import dataclass, field

NAMESPACE = uuid.UUID("0c2ad7a8-3a3f-4a0e-8f0e-5c5f0c1e8d11")


@dataclass(frozen=True)
class File:
    """A file of the image, by its path there."""

    path: str
    sha1: str
    sha256: str

    @staticmethod
    def of(path, data):
        # SPDX 2.3 demands SHA-1 for each file (8.4); nothing here relies on it.
        return File(path, hashlib.sha1(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest())


@dataclass
class Part:
    """`ecosystem` is a package URL type with its namespace: deb/debian, github/apple, generic."""

    name: str
    version: str
    ecosystem: str
    files: list = field(default_factory=list)
    architecture: str = ""

    @property
    def purl(self):
        qualifier = f"?arch={self.architecture}" if self.architecture else ""
        return f"pkg:{self.ecosystem}/{self.name}@{self.version.replace('+', '%2B').replace(':', '%3A')}{qualifier}"


def _order(part):
    return part.purl, sorted(file.path for file in part.files)


def _timestamp(epoch_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))


def _identity(name, version, parts):
    text = "\n".join([name, version, *sorted(f"{p.purl} {f.path} {f.sha256}" for p in parts for f in p.files or [File("", "", "")])])
    return uuid.uuid5(NAMESPACE, hashlib.sha256(text.encode()).hexdigest())


def cyclonedx(name, version, parts, epoch_s):
    """A CycloneDX 1.6 document: each part a library, its files as components inside it."""
    components = []
    for part in sorted(parts, key=_order):
        component = {"type": "library", "bom-ref": part.purl, "name": part.name, "version": part.version, "purl": part.purl}
        if part.files:
            component["components"] = [
                {"type": "file", "bom-ref": f"file:{f.path}", "name": f.path, "hashes": [{"alg": "SHA-256", "content": f.sha256}]}
                for f in sorted(part.files, key=lambda f: f.path)
            ]
        components.append(component)
    root = f"pkg:generic/{name}@{version}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{_identity(name, version, parts)}",
        "version": 1,
        "metadata": {
            "timestamp": _timestamp(epoch_s),
            "component": {"type": "firmware", "bom-ref": root, "name": name, "version": version},
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [c["bom-ref"] for c in components]}],
    }


def spdx(name, version, parts, epoch_s):
    """An SPDX 2.3 document: the firmware contains the packages, the packages contain their files."""

    def identifier(kind, text):
        return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)

    root = identifier("Firmware", name)
    packages = [
        {
            "SPDXID": root,
            "name": name,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "primaryPackagePurpose": "FIRMWARE",
        }
    ]
    files = []
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": root}]
    for part in sorted(parts, key=_order):
        package = identifier("Package", part.ecosystem + "-" + part.name)
        packages.append(
            {
                "SPDXID": package,
                "name": part.name,
                "versionInfo": part.version,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": part.purl}],
            }
        )
        relations.append({"spdxElementId": root, "relationshipType": "CONTAINS", "relatedSpdxElement": package})
        for file in sorted(part.files, key=lambda f: f.path):
            reference = identifier("File", file.path)
            files.append(
                {
                    "SPDXID": reference,
                    "fileName": f"./{file.path}",
                    "checksums": [{"algorithm": "SHA1", "checksumValue": file.sha1}, {"algorithm": "SHA256", "checksumValue": file.sha256}],
                }
            )
            relations.append({"spdxElementId": package, "relationshipType": "CONTAINS", "relatedSpdxElement": reference})
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"urn:uuid:{_identity(name, version, parts)}",
        "creationInfo": {"created": _timestamp(epoch_s), "creators": ["Tool: haechi-make-image"]},
        "packages": packages,
        "files": files,
        "relationships": relations,
    }
