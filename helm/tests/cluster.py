"""A control plane of Kubernetes on this machine, with nodes that only say they run what they are given."""

import json
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from chart import CHART, KUBERNETES, TESTS, run

# Longer than anything takes on a busy machine.
PATIENCE_SECONDS = 120

# Each node, its labels, and its taint. Zones are what topology spread goes by.
NODES = {
    "sensor-1": ({"weir/sensor": "true", "topology.kubernetes.io/zone": "a"}, None),
    "sensor-2": ({"weir/sensor": "true", "topology.kubernetes.io/zone": "b"}, None),
    "core-1": ({"weir/core": "true", "topology.kubernetes.io/zone": "a"}, "dedicated=taps:NoSchedule"),
    "plain-1": ({"topology.kubernetes.io/zone": "a"}, None),
    "plain-2": ({"topology.kubernetes.io/zone": "b"}, None),
}


class Cluster:
    """etcd, API server, controller manager, scheduler, and kwok in the place of kubelets."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="weir-kubernetes-")
        self.folder = Path(self.scratch.name)
        self.processes: list[subprocess.Popen] = []
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        store, peers, api, manager, scheduler, nodes = free_ports(6)
        folder, token = self.folder, secrets.token_hex()
        for command in (["genrsa", "-out", "sa.key", "2048"], ["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"]):
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
        (folder / "tokens.csv").write_text(f'{token},admin,1,"system:masters"\n')
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(kubeconfig(api, token))
        self.kubeconfig.chmod(0o600)

        at_store = f"http://127.0.0.1:{store}"
        self.run(
            "etcd",
            *("--data-dir", "etcd", "--unsafe-no-fsync"),
            *("--listen-client-urls", at_store, "--advertise-client-urls", at_store),
            *("--listen-peer-urls", f"http://127.0.0.1:{peers}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peers}"),
            *("--initial-cluster", f"default=http://127.0.0.1:{peers}"),
        )
        self.run(
            "kube-apiserver",
            *("--etcd-servers", at_store),
            *("--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", str(api)),
            *("--cert-dir", "certificates", "--token-auth-file", "tokens.csv", "--authorization-mode", "Node,RBAC"),
            *("--service-account-issuer", "https://kubernetes.default.svc"),
            *("--service-account-key-file", "sa.pub", "--service-account-signing-key-file", "sa.key"),
            *("--service-cluster-ip-range", "10.99.0.0/24", "--endpoint-reconciler-type", "none"),
            "--allow-privileged=true",
        )
        self.wait(lambda: self.kubectl("get", "--raw", "/readyz").stdout == "ok", "the API server is ready")
        common = ("--kubeconfig", "kubeconfig", "--bind-address", "127.0.0.1", "--leader-elect=false")
        self.run(
            "kube-controller-manager",
            *(*common, "--secure-port", str(manager), "--authentication-skip-lookup"),
            *("--service-account-private-key-file", "sa.key", "--root-ca-file", "certificates/apiserver.crt"),
            "--use-service-account-credentials=false",
        )
        self.run("kube-scheduler", *common, "--secure-port", str(scheduler), "--authentication-skip-lookup")
        self.run(
            "kwok",
            *("--kubeconfig", "kubeconfig", "--manage-all-nodes=true", "--config", str(KUBERNETES / "stages.yaml")),
            *("--server-address", f"127.0.0.1:{nodes}"),
        )
        self.apply(*(node(name, labels, taint) for name, (labels, taint) in NODES.items()))
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={PATIENCE_SECONDS}s", check=True)
        self.wait(
            lambda: self.kubectl("get", "serviceaccount", "default").returncode == 0, "namespaces have service accounts"
        )

    def run(self, program: str, *arguments: str) -> None:
        """Starts a program that ends when this one does."""
        command = ["setpriv", "--pdeathsig", "KILL", KUBERNETES / "bin" / program, *arguments]
        with (self.folder / f"{program}.log").open("w") as log:
            self.processes.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log))

    def stop(self) -> None:
        """Ends all in the order in which nobody waits for another: the API server before its store."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.scratch.cleanup()

    def wait(self, condition, what: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            for process in self.processes:
                if process.poll() is not None:
                    program = Path(process.args[3]).name
                    log = (self.folder / f"{program}.log").read_text()[-2000:]
                    raise AssertionError(f"{program} has ended:\n{log}")
            if time.monotonic() > end:
                raise AssertionError(f"after {PATIENCE_SECONDS} s it is not so that {what}")
            time.sleep(0.1)

    def kubectl(self, *arguments: str, check: bool = False, **options) -> subprocess.CompletedProcess:
        result = run("kubectl", "--kubeconfig", self.kubeconfig, *arguments, **options)
        assert not check or result.returncode == 0, f"kubectl {' '.join(arguments)}: {result.stderr}"
        return result

    def apply(self, *objects: dict) -> None:
        everything = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "-f", "-", check=True, input=json.dumps(everything))

    def get(self, kind: str, namespace: str) -> list[dict]:
        result = self.kubectl("get", kind, "--namespace", namespace, "--output", "json", check=True)
        return json.loads(result.stdout)["items"]

    def namespace(self, name: str, level: str) -> None:
        """Makes a namespace in which Pod Security has a level."""
        labels = {"pod-security.kubernetes.io/enforce": level}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        accounts = ("get", "serviceaccount", "default", "--namespace", name)
        self.wait(lambda: self.kubectl(*accounts).returncode == 0, f"{name} has a service account")

    def helm(self, *arguments: str) -> subprocess.CompletedProcess:
        return run("helm", "--kubeconfig", self.kubeconfig, *arguments)

    def release(self, verb: str, namespace: str, values: str, *arguments: str) -> subprocess.CompletedProcess:
        """Installs or upgrades the release `weir` with a set of values, and waits until all is there."""
        chosen = ("--namespace", namespace, "--values", str(TESTS / "values" / f"{values}.yaml"))
        return self.helm(verb, "weir", str(CHART), *chosen, "--wait", "--timeout", "60s", *arguments)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def kubeconfig(port: int, token: str) -> str:
    """JSON is YAML. The certificate is the API server's own, made at its start: there is nobody to vouch for it."""
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
    )


def node(name: str, labels: dict, taint: str | None) -> dict:
    spec = {}
    if taint:
        key, rest = taint.split("=")
        value, effect = rest.split(":")
        spec = {"taints": [{"key": key, "value": value, "effect": effect}]}
    labels = labels | {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    annotations = {"kwok.x-k8s.io/node": "fake"}
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
