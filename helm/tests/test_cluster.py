"""What a real control plane makes of the chart: no container runs here, but all that decides is Kubernetes itself."""

import json
import os
import re
import tempfile
import time
import unittest
from pathlib import Path

from chart import CHART, KUBERNETES, ROOT, VALUES, run, template
from cluster import NODES, Cluster


class OnACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.stop)

    def home(self, name: str, level: str):
        """Makes a namespace with a level of Pod Security; what is installed there goes with the test."""
        self.cluster.namespace(name, level)
        self.addCleanup(self.cluster.helm, "uninstall", "weir", "--namespace", name, "--ignore-not-found")

    def ok(self, result):
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def pods(self, namespace: str, part: str) -> list[dict]:
        """The running pods of a part."""
        label = "app.kubernetes.io/component"
        pods = self.cluster.get("pods", namespace)
        return [
            pod
            for pod in pods
            if pod["metadata"]["labels"].get(label) == part and "deletionTimestamp" not in pod["metadata"]
        ]

    def images(self, namespace: str, part: str) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in self.pods(namespace, part)}

    def nodes(self, namespace: str, daemon_set: str) -> set[str]:
        return {
            pod["spec"]["nodeName"]
            for pod in self.pods(namespace, "agent")
            if pod["metadata"]["ownerReferences"][0]["name"] == daemon_set
        }

    def test_life_of_a_release_where_pod_security_is_restricted(self):
        cluster, name = self.cluster, "central"
        self.home(name, "restricted")

        result = self.ok(cluster.release("install", name, "central"))
        self.assertNotIn("would violate PodSecurity", result.stderr)
        self.assertEqual(len(self.pods(name, "processor")), 2)
        self.assertEqual(len(self.pods(name, "sink")), 2)
        names = {pod["metadata"]["name"] for pod in self.pods(name, "processor")}
        self.assertEqual(names, {"weir-processor-0", "weir-processor-1"})
        self.assertNotIn("Job", self.kinds(name), "the hook that has made the topics is gone")

        # Topics first, by the hook; then sinks, while processors are left as they are; then these.
        upgrade = ("upgrade", name, "central", "--set", "images.weir.tag=0.2.0")
        self.ok(cluster.release(*upgrade, "--set", "processor.tag=0.1.0"))
        self.assertEqual(self.images(name, "sink"), {"weir:0.2.0"})
        self.assertEqual(self.images(name, "processor"), {"weir:0.1.0"})
        self.ok(cluster.release(*upgrade))
        self.assertEqual(self.images(name, "processor"), {"weir:0.2.0"})

        self.ok(cluster.helm("rollback", "weir", "1", "--namespace", name, "--wait", "--timeout", "60s"))
        self.assertEqual(self.images(name, "sink"), {"weir:0.1.0"})
        self.assertEqual(self.images(name, "processor"), {"weir:0.1.0"})

        self.ok(cluster.helm("test", "weir", "--namespace", name))

        result = cluster.release("upgrade", name, "central", "--set", "processor.replcas=3")
        self.assertIn("additional properties 'replcas' not allowed", result.stderr)
        self.assertEqual(len(self.pods(name, "processor")), 2)

        self.drain(name)

        self.ok(cluster.helm("uninstall", "weir", "--namespace", name, "--wait"))
        cluster.wait(lambda: not self.kinds(name), "nothing is left")

    def drain(self, namespace: str):
        cluster = self.cluster
        node = next(
            pod["spec"]["nodeName"]
            for pod in self.pods(namespace, "processor")
            if pod["metadata"]["name"] == "weir-processor-0"
        )
        # Budgets go by names: where a pod of the same name comes at once, as here, they may wait two minutes for the
        # old one to go.
        self.ok(cluster.kubectl("drain", node, "--ignore-daemonsets", "--timeout=180s"))
        self.settle(namespace)
        left = self.pods(namespace, "processor") + self.pods(namespace, "sink")
        self.assertNotIn(node, {pod["spec"]["nodeName"] for pod in left})

        # With no node left, the first sink may go, and the other one stays.
        self.ok(cluster.kubectl("cordon", *NODES))
        budget = ("get", "poddisruptionbudget", "weir-sink", "--namespace", namespace)
        allowed = (*budget, "--output", "jsonpath={.status.disruptionsAllowed}")
        cluster.wait(lambda: cluster.kubectl(*allowed).stdout == "1", "the budget has counted the sinks")
        first, second = (pod["metadata"]["name"] for pod in self.pods(namespace, "sink"))
        self.ok(self.evict(namespace, first))
        self.assertIn("disruption budget", self.evict(namespace, second).stderr)
        self.ok(cluster.kubectl("uncordon", *NODES))
        self.settle(namespace)

    def evict(self, namespace: str, pod: str):
        """Asks for what a drain asks for."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        return self.cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))

    def settle(self, namespace: str):
        """Waits until processors and sinks are all there."""
        for name in ("statefulset/weir-processor", "deployment/weir-sink"):
            self.ok(self.cluster.kubectl("rollout", "status", name, "--namespace", namespace, "--timeout=60s"))

    def kinds(self, namespace: str) -> set[str]:
        """The kinds of the chart's objects in a namespace."""
        kinds = "all,configmap,networkpolicy,poddisruptionbudget,serviceaccount"
        return {
            each["kind"]
            for each in self.cluster.get(kinds, namespace)
            if each["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == "weir"
        }

    def test_agents_run_on_the_nodes_of_their_profile_and_nowhere_else(self):
        cluster, name = self.cluster, "sensors"
        self.home(name, "privileged")
        self.ok(cluster.release("install", name, "sensors"))
        self.assertEqual(self.nodes(name, "weir-agent-edge"), {"sensor-1", "sensor-2"})
        self.assertEqual(self.nodes(name, "weir-agent-edge-tunnels"), {"sensor-1", "sensor-2"})
        self.assertEqual(self.nodes(name, "weir-agent-core"), {"core-1"})

        # A node becomes a sensor, and is none any more.
        self.ok(cluster.kubectl("label", "node", "plain-1", "weir/sensor=true"))
        cluster.wait(lambda: "plain-1" in self.nodes(name, "weir-agent-edge"), "a new sensor has its agent")
        self.ok(cluster.kubectl("label", "node", "plain-1", "weir/sensor-"))
        cluster.wait(lambda: "plain-1" not in self.nodes(name, "weir-agent-edge"), "its agent has gone")

        self.ok(cluster.helm("test", "weir", "--namespace", name))

    def test_profiles_that_share_a_port_do_not_share_a_node(self):
        cluster, name = self.cluster, "shared"
        self.home(name, "privileged")
        port = ("--set", "agent.profiles.edge-tunnels.metricsPort=9477")
        chosen = ("--namespace", name, "--values", str(CHART.parent / "tests/values/sensors.yaml"))
        self.ok(cluster.helm("install", "weir", str(CHART), *chosen, *port))
        cluster.wait(lambda: len(self.pods(name, "agent")) == 5, "all agents' pods are made")
        cluster.wait(lambda: self.without_a_port(name) == 2, "one of two agents waits on each node")

    def test_the_commands_of_the_documentation_work(self):
        page = (ROOT / "docs/kubernetes.md").read_text()
        for release, namespace in (("sensors", "weir-sensors"), ("weir", "weir")):
            self.addCleanup(self.cluster.helm, "uninstall", release, "--namespace", namespace, "--ignore-not-found")
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "helm").symlink_to(ROOT / "helm")
            for secret in ("ca.crt", "access-key", "secret-key", "password"):
                (folder / secret).write_text("a secret")
            for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.S):
                (folder / name).write_text(text)
            environment = os.environ | {"KUBECONFIG": str(self.cluster.kubeconfig)}
            commands = re.findall(r"```sh\n(.*?)```", page, re.S)
            self.assertEqual(len(commands), 6)
            for command in commands:
                with self.subTest(command=command):
                    self.ok(run("bash", "-euxc", command, cwd=folder, env=environment))

    def without_a_port(self, namespace: str) -> int:
        """How many agents wait for a node since the port of their metrics is taken."""
        pods = (pod["status"].get("conditions", []) for pod in self.pods(namespace, "agent"))
        return sum(any("free ports" in each.get("message", "") for each in conditions) for conditions in pods)

    def test_agents_are_refused_where_pod_security_is_restricted_or_baseline(self):
        cluster = self.cluster
        for level in ("restricted", "baseline"):
            name = f"agents-{level}"
            self.home(name, level)
            chosen = ("--namespace", name, "--values", str(CHART.parent / "tests/values/sensors.yaml"))
            result = self.ok(cluster.helm("install", "weir", str(CHART), *chosen))
            self.assertIn("enforce=privileged", result.stdout, "the notes say what to do")
            cluster.wait(lambda name=name: "hostNetwork" in self.events(name, "FailedCreate"), "the pods are refused")
            self.assertEqual(self.pods(name, "agent"), [])

    def events(self, namespace: str, reason: str) -> str:
        return " ".join(each["message"] for each in self.cluster.get("events", namespace) if each["reason"] == reason)

    def test_what_an_autoscaler_decided_outlives_upgrades_and_rollbacks(self):
        cluster, name = self.cluster, "scaled"
        self.home(name, "restricted")
        self.ok(cluster.release("install", name, "web-identity"))
        scaler = {each["metadata"]["name"]: each for each in cluster.get("horizontalpodautoscaler", name)}
        self.assertEqual(scaler["weir-processor"]["spec"]["behavior"]["scaleDown"]["policies"][0]["value"], 1)
        cluster.wait(lambda: len(self.pods(name, "processor")) == 4, "the autoscaler has made the least number")
        self.ok(cluster.kubectl("scale", "statefulset/weir-processor", "--replicas=7", "--namespace", name))
        self.ok(cluster.release("upgrade", name, "web-identity", "--set", "images.weir.tag=0.2.0"))
        self.assertEqual(len(self.pods(name, "processor")), 7)
        self.ok(cluster.helm("rollback", "weir", "1", "--namespace", name, "--wait", "--timeout", "60s"))
        self.assertEqual(len(self.pods(name, "processor")), 7)

    def test_what_extends_kubernetes_is_used_once_it_is_there(self):
        cluster, name = self.cluster, "watched"
        self.home(name, "privileged")
        self.ok(cluster.release("install", name, "everything"))
        refused = cluster.release("upgrade", name, "secured")
        self.assertIn("install KEDA first", refused.stderr)

        self.ok(cluster.kubectl("apply", "--server-side", "-f", str(KUBERNETES / "crds")))
        kinds = ["podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"]
        kinds += ["scaledobjects.keda.sh", "triggerauthentications.keda.sh"]
        for kind in kinds:
            self.ok(cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind}", "--timeout=60s"))
        self.ok(cluster.release("upgrade", name, "everything"))
        dashboards = ("get", "configmap", "--selector=grafana_dashboard", "--namespace", name, "--output", "json")
        self.assertEqual(len(cluster.get(kinds[0], name)), 1)
        self.assertEqual(len(cluster.get(kinds[1], name)), 1)
        maps = json.loads(self.ok(cluster.kubectl(*dashboards)).stdout)["items"]
        self.assertEqual(len(maps), len(list((CHART / "files/dashboards").glob("*.json"))))
        for values in VALUES:
            with self.subTest(values=values.name):
                made = self.ok(template(values, "--namespace", name)).stdout
                self.ok(cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=made))
        self.ok(cluster.release("upgrade", name, "secured"))
        self.assertEqual(len(cluster.get(kinds[2], name)), 1)
        self.assertEqual(len(cluster.get(kinds[3], name)), 1)

    def test_topics_that_can_not_be_made_end_the_installation_in_time(self):
        cluster, name = self.cluster, "no-topics"
        self.home(name, "restricted")
        none = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": name}}
        cluster.apply(none | {"spec": {"hard": {"pods": "0"}}})
        quota = ("get", "resourcequota", "none", "--namespace", name, "--output", "jsonpath={.status.hard}")
        cluster.wait(lambda: cluster.kubectl(*quota).stdout, "the quota is in force")
        begin = time.monotonic()
        result = cluster.release("install", name, "central", "--set", "topics.deadlineSeconds=3")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("weir-topics", result.stderr)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(cluster.get("statefulset", name), [], "nothing comes before topics")

        self.ok(cluster.kubectl("delete", "resourcequota", "none", "--namespace", name))
        self.ok(cluster.release("upgrade", name, "central"))


if __name__ == "__main__":
    unittest.main()
