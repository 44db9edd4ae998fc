#!/usr/bin/env python3
"""Prints what a static program is made of, as CycloneDX 1.5: scripts/sbom.py PACKAGE TARGET ["NAME VERSION LICENCE" …]

The crates that it is built of and with, their licences, and the libraries that are named. The C libraries of crates are
named as those crates are: OpenSSL by openssl-src, librdkafka by rdkafka-sys, zstd by zstd-sys, zlib by libz-sys.
"""

import json
import subprocess
import sys

package, target, *libraries = sys.argv[1:]
command = ["cargo", "tree", "--locked", "--package", package, "--features", "weir-service/static", "--target", target]
command += ["--edges", "normal,build", "--prefix", "none", "--format", "{p}|{l}|{r}"]
lines = sorted(set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()))


def component(line):
    crate, licence, repository = line.removesuffix(" (*)").split("|")
    name, version = crate.split(" ")[:2]
    version = version.removeprefix("v")
    # A slash is the old way to write OR.
    entry = {"type": "library", "name": name, "version": version, "bom-ref": f"pkg:cargo/{name}@{version}"}
    entry["purl"] = entry["bom-ref"]
    if licence:
        entry["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    if repository:
        entry["externalReferences"] = [{"type": "vcs", "url": repository}]
    return entry


components = {entry["bom-ref"]: entry for entry in map(component, lines)}
subject = next(entry for entry in components.values() if entry["name"] == package)
del components[subject["bom-ref"]]
for library in libraries:
    name, version, licence = library.split(" ", 2)
    purl = f"pkg:generic/{name}@{version}"
    entry = {"type": "library", "name": name, "version": version, "bom-ref": purl, "purl": purl}
    components[name] = entry | {"licenses": [{"expression": licence}]}

document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
document["metadata"] = {"component": subject | {"type": "application"}}
document["components"] = list(components.values())
print(json.dumps(document, indent=1))
