"""What the chart renders, and what it refuses."""

import json
import os
import re
import tempfile
import unittest
from pathlib import Path

import yaml

from chart import CHART, KUBERNETES, ROOT, TESTS, VALUES, objects, pods, rendered, run, template

CENTRAL = TESTS / "values/central.yaml"
SENSORS = TESTS / "values/sensors.yaml"
UPDATE = bool(os.environ.get("UPDATE"))


class Rendering(unittest.TestCase):
    maxDiff = None

    def test_lint_has_nothing_to_say(self):
        for values in VALUES:
            with self.subTest(values=values.name):
                result = run("helm", "lint", "--strict", "--quiet", CHART, "--values", values)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_what_is_rendered_is_what_was_reviewed(self):
        for values in VALUES:
            with self.subTest(values=values.name):
                # Dashboards and rules have tests of their own.
                text = re.sub(r"(?m)^(  weir-\w+\.json: \|\n)(?:    .*\n)+", r"\1    …\n", rendered(values))
                text = re.sub(r"(?s)(kind: PrometheusRule\n.*?\nspec:\n).*?(?=\n---|\Z)", r"\1  …", text)
                golden = TESTS / "golden" / values.name
                if UPDATE:
                    golden.write_text(text)
                self.assertEqual(text, golden.read_text())

    def test_every_object_fits_its_schema(self):
        for values in VALUES:
            with self.subTest(values=values.name):
                self.assertEqual("", self.kubeconform(rendered(values)))

    def test_an_object_that_does_not_fit_its_schema_is_found(self):
        spoilt = [
            (CENTRAL, "serviceName:", "servicename:"),
            (CENTRAL, "maxUnavailable: 1", "maxUnavailable: [1]"),
            (TESTS / "values/secured.yaml", "maxReplicaCount:", "maxReplicas:"),
            (TESTS / "values/everything.yaml", "interval: 15s", "interval: 15x"),
        ]
        for values, right, wrong in spoilt:
            with self.subTest(wrong=wrong):
                self.assertIn(right, rendered(values))
                self.assertIn("is invalid", self.kubeconform(rendered(values).replace(right, wrong, 1)))

    def kubeconform(self, text: str) -> str:
        schemas = f"{KUBERNETES}/schemas/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        return run("kubeconform", "-strict", "-schema-location", schemas, input=text).stdout

    def test_the_readme_is_what_the_comments_say(self):
        documented = run("helm-docs", "--dry-run", "--chart-search-root", CHART, "--sort-values-order=file")
        self.assertEqual(documented.returncode, 0, documented.stderr)
        self.assertEqual(documented.stdout.strip(), (CHART / "README.md").read_text().strip())

    def test_every_value_has_a_comment(self):
        rows = re.findall(r"^\| (\S+) \| \S+ \|.*\| (.*) \|$", (CHART / "README.md").read_text(), re.M)
        self.assertGreater(len(rows), 100)
        self.assertEqual([], [name for name, comment in rows if not comment.strip()])


class Pods(unittest.TestCase):
    def test_none_is_given_a_token_of_the_api(self):
        for values, owner, pod in all_pods():
            with self.subTest(values=values.name, owner=owner["metadata"]["name"]):
                self.assertIs(pod["automountServiceAccountToken"], False)

    def test_no_service_of_the_namespace_is_in_their_environment(self):
        for values, owner, pod in all_pods():
            with self.subTest(values=values.name, owner=owner["metadata"]["name"]):
                self.assertIs(pod["enableServiceLinks"], False)

    def test_nothing_but_the_agent_has_a_capability(self):
        for values, owner, pod in all_pods():
            with self.subTest(values=values.name, owner=owner["metadata"]["name"]):
                of_agent = "agent" in owner["metadata"]["name"]
                for container in pod["containers"]:
                    context = container["securityContext"]
                    self.assertEqual(context["capabilities"]["drop"], ["ALL"])
                    self.assertEqual(context["capabilities"].get("add", []), ["NET_RAW"] if of_agent else [])
                    self.assertTrue(context["readOnlyRootFilesystem"])
                    self.assertTrue(of_agent or pod["securityContext"]["runAsNonRoot"])

    def test_secrets_come_from_secrets_only(self):
        for values in VALUES:
            for each in objects(values):
                self.assertNotEqual(each["kind"], "Secret")
                if each["kind"] == "ConfigMap":
                    self.assertNotRegex(json.dumps(each["data"]), r"(password|secret|token) = ")

    def test_the_number_is_left_to_the_autoscaler_where_there_is_one(self):
        for values in VALUES:
            made = objects(values)
            scaled = {
                each["spec"]["scaleTargetRef"]["name"]
                for each in made
                if each["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
            }
            for each in made:
                if each["kind"] in ("Deployment", "StatefulSet"):
                    self.assertEqual("replicas" in each["spec"], each["metadata"]["name"] not in scaled)

    def test_each_profile_has_a_spool_of_its_own(self):
        folders = [
            volume["hostPath"]["path"]
            for owner, pod in pods(SENSORS)
            if owner["kind"] == "DaemonSet"
            for volume in pod["volumes"]
            if "hostPath" in volume
        ]
        self.assertEqual(len(folders), 3)
        self.assertEqual(len(set(folders)), 3)


class Refusals(unittest.TestCase):
    def refusal(self, values: Path, *settings: str) -> str:
        result = template(values, *(argument for setting in settings for argument in ("--set-json", setting)))
        self.assertNotEqual(result.returncode, 0, f"{settings} were taken")
        return result.stderr

    def test_a_value_that_does_not_exist_is_refused_with_its_name_wherever_it_is(self):
        # Those are maps from any name to something.
        free = {"commonLabels", "annotations", "podAnnotations", "podLabels", "labels", "nodeSelector", "affinity"}
        free |= {"requests", "limits", "profiles"}
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        expected = []

        def misspell(value, path):
            if not isinstance(value, dict) or path and path[-1] in free:
                return value
            name = f"typo{len(expected)}"
            expected.append((name, "/" + "/".join(path)))
            return {key: misspell(inner, (*path, key)) for key, inner in value.items()} | {name: 1}

        with tempfile.NamedTemporaryFile("w", suffix=".json") as values:
            json.dump(misspell(defaults, ()), values)
            values.flush()
            said = self.refusal(Path(values.name))
        self.assertGreater(len(expected), 40)
        for name, path in expected:
            where = re.escape(path) if path != "/" else ""
            self.assertRegex(said, rf"at '{where}':[^\n]*additional properties '{name}' not allowed")

    def test_a_value_that_can_not_be_is_refused_with_its_name(self):
        for setting, name in [
            ("processor.replicas=0", "/processor/replicas"),
            ('processor.replicas="two"', "/processor/replicas"),
            ('processor.autoscaling.by="both"', "/processor/autoscaling/by"),
            ('sink.autoscaling.by="keda"', "/sink/autoscaling/by"),
            ('images.weir.digest="latest"', "/images/weir/digest"),
            ("images.weir.tag=1", "/images/weir/tag"),
            ('images.pullPolicy="always"', "/images/pullPolicy"),
            ("sink.terminationGracePeriodSeconds=25", "/sink/terminationGracePeriodSeconds"),
            ("agent.terminationGracePeriodSeconds=15", "/agent/terminationGracePeriodSeconds"),
            ('monitoring.podMonitor.interval="15"', "/monitoring/podMonitor/interval"),
            ("config.topics.partitions=5000", "/config/topics/partitions"),
            ("config.sink.file-mib=1.5", "/config/sink/file-mib"),
            ('config.kafka.sasl-mechanism="kerberos"', "/config/kafka/sasl-mechanism"),
            ('config.kafka.sasl-password="x"', "'sasl-password' not allowed"),
            ('agent.profiles={"Edge": {}}', "Edge"),
            ('agent.profiles={"edge": {"config": {"capture": {"interfaces": ["eth1"]}}}}', "'interfaces' not allowed"),
            ('agent.profiles={"edge": {"metricsPort": 0}}', "/agent/profiles/edge/metricsPort"),
        ]:
            with self.subTest(setting=setting):
                self.assertIn(name, self.refusal(CENTRAL, setting))

    def test_values_that_contradict_each_other_are_refused_with_words(self):
        for values, settings, words in [
            (CENTRAL, ["processor.enabled=false", "sink.enabled=false"], "nothing is enabled"),
            (CENTRAL, ['config.kafka.brokers=""'], "config.kafka.brokers is empty"),
            (CENTRAL, ['config.lake.lake=""'], "config.lake.lake is empty"),
            (CENTRAL, ['config.lake.lake="/lake"'], "sinks have no disk"),
            (CENTRAL, ["agent.enabled=true"], "agent.profiles has none"),
            (CENTRAL, ["agent.enabled=true", 'agent.profiles={"edge": {}}'], "agent.profiles.edge has no interface"),
            (SENSORS, ['agent.profileDefaults.spoolHostPath="/spool"'], "have the same spoolHostPath, /spool"),
            (CENTRAL, ["processor.replicas=17"], "processor.replicas is 17, but config.topics.partitions"),
            (
                CENTRAL,
                ['processor.autoscaling={"by": "hpa", "maxReplicas": 9}', "config.processor.workers=2"],
                "processor.autoscaling.maxReplicas is 9, but config.topics.partitions and config.processor.workers "
                "leave work for 8",
            ),
            (CENTRAL, ['processor.autoscaling={"by": "keda", "minReplicas": 17}'], "minReplicas is 17, more than"),
            (TESTS / "values/secured.yaml", ['secrets.sasl.usernameKey=""'], "set secrets.sasl.usernameKey"),
            (
                TESTS / "values/secured.yaml",
                ['config.kafka.sasl-mechanism="oauthbearer"'],
                "keda, which can't log in by the token of a file",
            ),
            (CENTRAL, ["sink.autoscaling.minReplicas=9"], "sink.autoscaling.minReplicas is 9, more than"),
            (CENTRAL, ["config.processor.transaction-timeout-ms=60000"], "must be more than the 60000 ms"),
            (CENTRAL, ['secrets.tls.keyKey="tls.key"'], "belong together"),
            (CENTRAL, ['sink.secrets.sasl="kafka"'], "config.kafka.sasl-mechanism is not set"),
            (CENTRAL, ['config.privacy.addresses="drop"'], "config.privacy.addresses is drop, which takes a key"),
            (CENTRAL, ['secrets.privacy.existingSecret="key"'], "but addresses are kept"),
            (CENTRAL, ['config.kafka.sasl-mechanism="plain"'], "processor has no Secret to log in with"),
        ]:
            with self.subTest(settings=settings):
                self.assertIn(words, self.refusal(values, *settings))

    def test_keda_is_refused_where_there_is_none(self):
        arguments = ["helm", "template", CHART, "--values", CENTRAL, "--set", "processor.autoscaling.by=keda"]
        self.assertIn("install KEDA first", run(*arguments).stderr)


class Settings(unittest.TestCase):
    # What the chart knows itself, or an operator of the chart has no use for.
    OWN = {
        "kafka": {"tls-ca", "tls-certificate", "tls-key", "tls-key-password-file"}
        | {"sasl-password-file", "sasl-token-file"},
        "processor": {"instance"},
        "privacy": {"address-key-file"},
        "capture": {"sensor"},
        "spool": {"spool-folder"},
    }

    def test_the_schema_has_the_keys_that_the_programs_document(self):
        pages = (ROOT / "docs" / page for page in ("configuration.md", "agent.md"))
        documented = set(re.findall(r"\| `([a-z]+)\.([a-z0-9-]+)` \|", "".join(page.read_text() for page in pages)))
        schema = json.loads((CHART / "values.schema.json").read_text())
        # What is no part of a cluster, and where metrics are told, which the chart says.
        without = {"decode", "replay", "metrics"}
        self.assertEqual(set(schema["properties"]["config"]["properties"]), {table for table, _ in documented} - without)
        for table, reference in schema["properties"]["config"]["properties"].items():
            known = schema["$defs"][reference["$ref"].rsplit("/", 1)[1]]["properties"]
            own = self.OWN.get(table, set())
            self.assertEqual(set(known), {key for of, key in documented if of == table} - own, table)

    def test_the_programs_accept_what_they_are_given(self):
        checked = set()
        for values in VALUES:
            maps = {each["metadata"]["name"]: each["data"] for each in objects(values) if each["kind"] == "ConfigMap"}
            for owner, pod in pods(values):
                with self.subTest(values=values.name, owner=owner["metadata"]["name"]):
                    said = self.check(pod, maps)
                    self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
                    checked.add(pod["containers"][0]["args"][0])
        self.assertEqual(checked, {"capture", "processor", "sink", "topics"})

    def test_the_programs_refuse_what_is_wrong(self):
        processor = next(pod for owner, pod in pods(CENTRAL) if owner["kind"] == "StatefulSet")
        maps = {each["metadata"]["name"]: each["data"] for each in objects(CENTRAL) if each["kind"] == "ConfigMap"}
        settings = maps["weir-processor"]["processor.toml"].replace("[processor]", "[processor]\nwrokers = 2")
        maps["weir-processor"] = {"processor.toml": settings}
        said = self.check(processor, maps)
        self.assertEqual(said.returncode, 2)
        self.assertIn("did you mean `workers`?", said.stderr)

    def check(self, pod: dict, maps: dict):
        """Runs a container's own command, with its own environment and `--check`, in a folder that stands for its root."""
        container = pod["containers"][0]
        program = "weir-agent" if container["args"][0] == "capture" else "weir"
        with tempfile.TemporaryDirectory() as root:
            for volume, mount in self.mounts(pod, container):
                folder = Path(root + mount)
                folder.mkdir(parents=True)
                for name, text in maps[volume["configMap"]["name"]].items() if "configMap" in volume else ():
                    (folder / name).write_text(text.replace("/etc/weir", f"{root}/etc/weir"))
                for name in ("ca.crt", "tls.crt", "tls.key", "password") if "secret" in volume else ():
                    (folder / name).write_text("a secret")
                if volume["name"] == "privacy":
                    (folder / "address.key").write_text("0123456789abcdef" * 2 + "fedcba9876543210" * 2)
                if volume["name"] == "sasl":
                    # An unsigned token: of a subject, and valid until 2100.
                    (folder / "jwt").write_text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3IiwiZXhwIjo0MTAyNDQ0ODAwfQ.")
            facts = {"POD_IP": "::1" if "[" in rendered_listen(container) else "127.0.0.1", "NODE_NAME": "node-1"}
            environment = {"PATH": os.environ["PATH"]}
            for variable in container.get("env", []):
                value = variable.get("value", facts.get(variable["name"], "name"))
                environment[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda of: environment[of[1]], value)
            arguments = [argument.replace("/etc/weir", f"{root}/etc/weir") for argument in container["args"]]
            check = [] if "--check" in arguments else ["--check"]
            return run(ROOT / os.environ["WEIR_BINARIES"] / program, *arguments, *check, env=environment)

    def mounts(self, pod: dict, container: dict):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in container["volumeMounts"]:
            yield volumes[mount["name"]], mount["mountPath"]


def all_pods():
    return [(values, owner, pod) for values in VALUES for owner, pod in pods(values)]


def rendered_listen(container: dict) -> str:
    return next((variable["value"] for variable in container.get("env", []) if variable["name"] == "WEIR_LISTEN"), "")


if __name__ == "__main__":
    unittest.main()
