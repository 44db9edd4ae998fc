"""What the tests of the chart share: Helm, the sets of values, and what is rendered from them."""

import functools
import os
import subprocess
from pathlib import Path

import yaml

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parents[1]
CHART = ROOT / "helm/weir"
VALUES = sorted((TESTS / "values").glob("*.yaml"))

# Where scripts/kubernetes.sh has put programs, schemas and what extends Kubernetes.
KUBERNETES = Path(os.environ["KUBERNETES"])

# What a cluster knows that has everything.
EXTENSIONS = [
    "keda.sh/v1alpha1/ScaledObject",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
]


def run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    """Runs a command to its end; never fails by itself."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def template(values: Path, *arguments: str) -> subprocess.CompletedProcess:
    extensions = [argument for extension in EXTENSIONS for argument in ("--api-versions", extension)]
    command = ["helm", "template", "weir", CHART, "--namespace", "weir", "--values", values]
    return run(*command, *extensions, *arguments)


@functools.cache
def rendered(values: Path) -> str:
    result = template(values)
    assert result.returncode == 0, f"{values.name}: {result.stderr}"
    return result.stdout


def objects(values: Path) -> list[dict]:
    return [each for each in yaml.safe_load_all(rendered(values)) if each]


def pods(values: Path):
    """The pods that a set of values makes, each with the object that makes it."""
    for each in objects(values):
        if each["kind"] in ("DaemonSet", "Deployment", "Job", "StatefulSet"):
            yield each, each["spec"]["template"]["spec"]
