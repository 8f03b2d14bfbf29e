"""What Mayfly tells of itself in a cluster: Prometheus scrapes it, and the dashboard and the monitors are made of that."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import yaml

from cluster import golang, layout, process, shell, tools, wait
from e2e.release import CHART, Release, get

MONITORING = layout.ROOT / "deploy" / "monitoring"
# The Prometheus operator's own module has its CRDs as files.
PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
MONITORS = "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true"
KINDS = ("podmonitors", "prometheusrules", "servicemonitors")


class Prometheus:
    """One on this machine, which looks for pods by the API server and goes by their annotations."""

    def __init__(self, namespace, folder):
        folder = pathlib.Path(folder)
        config = folder / "prometheus.yaml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(MONITORING / "alerts.yaml")],
            "scrape_configs": [{
                "job_name": "pods",
                "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(layout.KUBECONFIG), "namespaces": {"names": [namespace]}}],
                "relabel_configs": [
                    {"source_labels": ["__meta_kubernetes_pod_annotation_prometheus_io_scrape"], "action": "keep", "regex": "true"},
                    {"source_labels": ["__meta_kubernetes_pod_ip", "__meta_kubernetes_pod_annotation_prometheus_io_port"],
                     "separator": ":", "target_label": "__address__"},
                    {"source_labels": ["__address__"], "target_label": "instance"},
                    {"source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_component"], "target_label": "component"},
                    {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                    # A pod has a target for each of its ports, which are all the same one here.
                    {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "action": "keep", "regex": "metrics"},
                ],
            }],
        }))
        self.daemon = process.Daemon("prometheus", tools.executable("prometheus"), [
            f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0",
            "--log.level=info"], folder / "prometheus.log")
        self.daemon.start()
        said = wait.until(lambda: re.search(r'msg="Listening on" .*?address=(127\.0\.0\.1:\d+)', (folder / "prometheus.log").read_text()),
                          30, "Prometheus listens")
        self.address = said.group(1)
        wait.until(lambda: self.daemon.check() or self._ready(), 30, "Prometheus is ready")

    def _ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error

    def values(self, query):
        """The numbers that a query gives now."""
        found = self.ask("query", query=query)["result"]
        return [value for value in (float(sample["value"][1]) for sample in found) if value == value]


class Metrics(Release):
    @classmethod
    def setUpClass(cls):
        tools.build(["promtool", "prometheus"])
        super().setUpClass()
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.prometheus = Prometheus(cls.namespace, cls.folder)
        cls.addClassCleanup(cls.prometheus.daemon.stop)

    def text(self, address):
        with urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=10) as answer:
            return answer.read().decode()

    def check(self, text):
        """What `promtool check metrics` has to say."""
        run = subprocess.run([tools.executable("promtool"), "check", "metrics"], input=text, capture_output=True, text=True,
                             check=False, timeout=60)
        return (run.stdout + run.stderr).strip() or ("" if run.returncode == 0 else f"exit code {run.returncode}")

    def test_every_query_of_the_dashboard_has_data(self):
        self.serve("shown", scaling="{scaleToZeroAfter: 3s}")
        # One that cannot serve: its answers are the errors.
        broken = (layout.ROOT / "examples" / "hello" / "function.yaml").read_text()
        self.cluster.apply(broken.replace("name: hello", "name: broken").replace("/hello,", "/broken,").replace("hello.so", "absent.so"),
                           self.namespace)
        self.addCleanup(self.cluster.delete, "fn", "broken", self.namespace)
        # From zero, twice: of what is there at a series' first sample, Prometheus sees no growth.
        for _ in range(2):
            self.assertEqual(get(self.gateway, "/shown")[0], 200)
            get(self.gateway, "/broken")
            time_of_samples = self.prometheus.values('timestamp(mayfly_usage_invocations_total{function=~".*/shown"})')
            wait.until(lambda: self.prometheus.values('timestamp(mayfly_usage_invocations_total{function=~".*/shown"})') > time_of_samples,
                       30, "the invocation is scraped")
            self.await_no_pods("shown")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            get(self.gateway, "/shown")
            get(self.gateway, "/broken")
        for component in ("operator", "gateway", "runtime"):
            self.assertTrue(self.prometheus.values(f'up{{component="{component}"}} == 1'), component)

        panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
        queries = [(panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$function", ".+"))
                   for panel in panels for target in panel.get("targets", [])]
        self.assertGreater(len(queries), 30)
        without = list(queries)

        def all_have_data():
            without[:] = [(title, query) for title, query in without if not self.prometheus.values(query)]
            if without:
                get(self.gateway, "/shown")
            return not without

        try:
            wait.until(all_have_data, 60, "every query has data", every=0.5)
        except TimeoutError:
            self.fail(f"no data for {without}")
        print(f"  {len(queries)} queries of the dashboard have data", flush=True)
        rules = self.prometheus.ask("rules")["groups"]
        self.assertTrue(rules)
        for rule in (rule for group in rules for rule in group["rules"]):
            self.assertEqual(rule["health"], "ok", rule)

    def test_promtool_finds_no_fault_with_what_each_program_exports(self):
        self.serve("checked", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/checked")[0], 200)
        for component in ("operator", "gateway", "runtime"):
            selector = f"app.kubernetes.io/component={component}"
            for pod in self.pods(selector):
                with self.subTest(pod["metadata"]["name"]):
                    text = self.text(pod["status"]["podIP"])
                    self.assertIn("# TYPE mayfly_", text)
                    self.assertEqual(self.check(text), "")

    def test_alerts_fire_when_they_should_and_only_then(self):
        said = shell.run(tools.executable("promtool"), "test", "rules", MONITORING / "alerts_test.yaml", seconds=120)
        self.assertIn("SUCCESS", said)

    def test_usage_is_told_by_kubectl(self):
        self.serve("counted", scaling="{minReplicas: 1}")
        for _ in range(7):
            self.assertEqual(get(self.gateway, "/counted")[0], 200)
        wait.until(lambda: re.search(r"\ncounted .* 7 ", self.kubectl("get", "fn", "counted")), 60, "kubectl get shows 7 invocations",
                   every=0.5)
        usage = self.cluster.get("fn", "counted", self.namespace)["status"]["usage"]
        # Another operator counts on.
        leader = self.leader()
        self.kubectl("delete", "pod", leader)
        wait.until(lambda: self.leader() not in ("", leader), 60, "another operator leads", every=0.2)
        for _ in range(5):
            self.assertEqual(get(self.gateway, "/counted")[0], 200)
        wait.until(lambda: self.cluster.get("fn", "counted", self.namespace)["status"]["usage"]["invocations"] == 12, 90,
                   "kubectl get shows 12", every=0.5)
        after = self.cluster.get("fn", "counted", self.namespace)["status"]["usage"]
        self.assertGreaterEqual(after["wallMilliseconds"], usage["wallMilliseconds"])
        self.await_ready("operator")

    def test_monitors_are_what_the_prometheus_operator_takes(self):
        go = golang.command(tools.cache())
        said = subprocess.run([go, "mod", "download", "-json", PROMETHEUS_OPERATOR], cwd=self.folder, capture_output=True, text=True,
                              check=True, timeout=300, env={**os.environ, "GO111MODULE": "on", "GOFLAGS": "-mod=mod"})
        crds = pathlib.Path(json.loads(said.stdout)["Dir"]) / "example" / "prometheus-operator-crd"
        for kind in KINDS:
            self.cluster.kubectl("create", "-f", crds / f"monitoring.coreos.com_{kind}.yaml")
            self.addCleanup(self.cluster.delete, "crd", f"{kind}.monitoring.coreos.com")
        for kind in KINDS:
            self.cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind}.monitoring.coreos.com", "--timeout=30s", seconds=35)
        rendered = shell.run(tools.executable("helm"), "template", "mayfly", CHART, "--namespace", self.namespace, "--show-only",
                             "templates/monitors.yaml", "--set", MONITORS, seconds=60)
        made = self.kubectl_text("apply", "--dry-run=server", "--validate=strict", "-f", "-", text_in=rendered)
        for kind in ("servicemonitor", "podmonitor", "prometheusrule"):
            self.assertIn(f"{kind}.monitoring.coreos.com/mayfly", made)
        self.follow_the_monitors([each for each in yaml.safe_load_all(rendered) if each])

    def follow_the_monitors(self, objects):
        """What they select is there, with the ports they name: each target answers."""
        by_kind = {each["kind"]: each for each in objects}
        monitor = by_kind["ServiceMonitor"]["spec"]
        labels = ",".join(f"{key}={value}" for key, value in monitor["selector"]["matchLabels"].items())
        services = self.cluster.list("services", self.namespace, labels)
        self.assertEqual(len(services), 1)
        self.assertEqual([port["name"] for port in services[0]["spec"]["ports"]], [end["port"] for end in monitor["endpoints"]])
        slices = self.cluster.list("endpointslices", self.namespace, f"kubernetes.io/service-name={services[0]['metadata']['name']}")
        addresses = [address for each in slices for end in each["endpoints"] for address in end["addresses"]]
        self.assertGreaterEqual(len(addresses), 4)  # two operators, two gateways
        self.serve("monitored", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/monitored")[0], 200)  # its pod runs
        monitor = by_kind["PodMonitor"]["spec"]
        labels = ",".join(f"{key}={value}" for key, value in monitor["selector"]["matchLabels"].items())
        pods = [pod for pod in self.pods(labels) if "podIP" in pod["status"]]
        self.assertTrue(pods)
        for pod in pods:
            ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
            self.assertEqual([ports[end["port"]] for end in monitor["podMetricsEndpoints"]], [9090])
        for address in addresses + [pod["status"]["podIP"] for pod in pods]:
            self.assertIn("# TYPE mayfly_", self.text(address))

    def kubectl_text(self, *arguments, text_in):
        return self.cluster.kubectl(*arguments, "--namespace", self.namespace, text_in=text_in)


if __name__ == "__main__":
    unittest.main()
