#!/usr/bin/env python3
"""Writes a JSON schema for each kind of object of Kubernetes, and of what extends it, as kubeconform reads them.

usage: schemas.py SWAGGER.json CRD.yaml… FOLDER

Objects may have no property that their schema lacks: the API server drops such properties, and nobody notices.
"""

import json
import sys
from pathlib import Path

import yaml


def references(schema) -> set[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].rsplit("/", 1)[1]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(references, schema.values()))


def closed(schema):
    """The schema, with no property allowed that it does not name, and without descriptions."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    copy = {key: closed(value) for key, value in schema.items() if not (key == "description" and isinstance(value, str))}
    names_all = "properties" in schema and "additionalProperties" not in schema
    if names_all and not schema.get("x-kubernetes-preserve-unknown-fields"):
        copy["additionalProperties"] = False
    return copy


def write(folder: Path, group: str, version: str, kind: str, schema: dict) -> None:
    schema["properties"]["apiVersion"] = {"const": f"{group}/{version}" if group else version}
    schema["properties"]["kind"] = {"const": kind}
    schema["required"] = sorted({"apiVersion", "kind", *schema.get("required", [])})
    short = f"-{group.split('.')[0]}" if group else ""
    (folder / f"{kind.lower()}{short}-{version}.json").write_text(json.dumps(schema))


def kubernetes(swagger: Path, folder: Path) -> None:
    definitions = json.loads(swagger.read_text())["definitions"]
    # What YAML has two ways to write.
    definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
    for definition in definitions.values():
        kinds = definition.get("x-kubernetes-group-version-kind", [])
        # Those of several groups are no objects, but parts of requests.
        if len(kinds) != 1:
            continue
        needed, new = set(), references(definition)
        while new:
            needed |= new
            new = set().union(*(references(definitions[name]) for name in new)) - needed
        schema = closed(definition) | {"definitions": {name: closed(definitions[name]) for name in sorted(needed)}}
        schema.setdefault("properties", {})
        write(folder, kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"], schema)


def extension(crd: Path, folder: Path) -> None:
    spec = yaml.safe_load(crd.read_text())["spec"]
    for version in spec["versions"]:
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        write(folder, spec["group"], version["name"], spec["names"]["kind"], schema)


def main() -> None:
    swagger, *crds, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    kubernetes(swagger, folder)
    for crd in crds:
        extension(crd, folder)


main()
