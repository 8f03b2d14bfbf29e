"""Functions under kubectl's own verbs, and `kubectl mayfly`."""

import os
import re
import subprocess
import threading
import unittest

from cluster import layout, wait
from e2e.release import Load, Release, get

PROGRAMS = layout.ROOT / "build" / "release" / "bin"


class Kubectl(Release):
    def mayfly(self, *arguments, code=0, text_in=None, env=None):
        """What `kubectl mayfly` prints, to standard output and to standard error."""
        path = f"{layout.BIN}:{PROGRAMS}:{os.environ['PATH']}"
        run = subprocess.run(["kubectl", "mayfly", *arguments, "--kubeconfig", layout.KUBECONFIG, "--namespace", self.namespace],
                             env={**os.environ, "PATH": path, **(env or {})}, input=text_in, capture_output=True, text=True,
                             check=False, timeout=120)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout, run.stderr

    def test_scale_wait_and_watch(self):
        self.serve("scales")
        watch = subprocess.Popen([layout.BIN / "kubectl", "--kubeconfig", layout.KUBECONFIG, "get", "fn", "scales", "--watch",
                                  "--namespace", self.namespace], stdout=subprocess.PIPE, text=True)
        limit = threading.Timer(90, watch.terminate)
        limit.start()
        try:
            self.await_line(watch, r"scales +True +0 ")
            self.kubectl("scale", "fn/scales", "--replicas=2")
            self.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "fn/scales", "--timeout=60s", seconds=65)
            self.assertEqual(len(self.pods("mayfly.dev/function=scales")), 2)
            self.await_line(watch, r"scales +True +2 +2 ")
            self.kubectl("scale", "fn/scales", "--replicas=0")
        finally:
            limit.cancel()
            watch.terminate()
            watch.communicate(timeout=10)
        events = self.cluster.events(self.namespace, "scales")
        self.assertTrue(any(event.startswith("Scaled: scaled up from 0 to 2 replicas") for event in events), events)
        self.assertTrue(any(re.match(r"RevisionLoaded: revision \w+ serves", event) for event in events), events)
        refused = self.refuses("scale", "fn/scales", "--replicas=1000")
        self.assertIn("maxReplicas", refused)

    def await_line(self, process, pattern):
        """Reads what it says until a line has `pattern`; the process's own end bounds the wait."""
        said = []
        for line in process.stdout:
            said.append(line)
            if re.search(pattern, line):
                return
        self.fail(f"no line with {pattern} in: {''.join(said)}")

    def refuses(self, *arguments):
        run = subprocess.run([layout.BIN / "kubectl", "--kubeconfig", layout.KUBECONFIG, *arguments, "--namespace", self.namespace],
                             capture_output=True, text=True, check=False, timeout=60)
        self.assertNotEqual(run.returncode, 0)
        return run.stderr

    def test_logs_by_the_functions_label(self):
        self.serve("says", scaling="{minReplicas: 1}")
        self.assertEqual(get(self.gateway, "/says")[0], 200)
        self.assertIn("serving", self.kubectl("logs", "-l", "mayfly.dev/function=says"))
        self.assertIn("serving", self.mayfly("logs", "says")[0])
        pod = self.pods("mayfly.dev/function=says")[0]["metadata"]["name"]
        self.assertIn(f"[{pod}] ", self.mayfly("logs", "says", "--prefix", "--tail", "3")[0])

    def test_the_plugin_lists_invokes_and_explains(self):
        self.serve("asked", scaling="{minReplicas: 1}")
        self.assertRegex(self.mayfly("get")[0], r"NAME +READY .*INVOCATIONS +BILLED +URL\n(.*\n)*asked +True ")
        self.assertIn(f"{self.namespace}/asked", self.mayfly("get", "-A")[0])
        self.assertIn("observedGeneration", self.mayfly("get", "asked", "-o", "yaml")[0])
        body, cost = self.mayfly("invoke", "asked", "--path", "?name=Ada")
        self.assertEqual(body, "Hello, Ada!\n")
        self.assertRegex(cost, r"OK 200, [\d.]+ ms wall, [\d.]+ ms CPU")
        why = self.mayfly("why", "asked")[0]
        for words in ("Ready: True", "Scaling: ", "Events:", "RevisionLoaded"):
            self.assertIn(words, why)

    def test_top_and_usage_and_the_status_tell_the_same(self):
        self.serve("used", scaling="{minReplicas: 1}")
        for _ in range(20):
            self.assertEqual(get(self.gateway, "/used")[0], 200)
        wait.until(lambda: self.used("used") == 20, 60, "the status tells of 20 invocations", every=1)
        table = self.mayfly("usage", "--by", "function")[0]
        self.assertRegex(table, rf"NAMESPACE +FUNCTION +INVOCATIONS +BILLED MS +CPU MS +GB-S\n(.*\n)*{self.namespace} +used +20 +[\d.]+")
        self.assertRegex(self.mayfly("usage", "used", "-o", "json")[0], r'"invocations": 20')
        self.assertRegex(self.mayfly("usage", "--by", "namespace", "-A")[0], rf"{self.namespace} +\d+")
        with Load(self.gateway, "/used") as load:
            load.await_more(20)
            top = self.mayfly("top", "--interval", "2", "--count", "1")[0]
        self.assertRegex(top, r"NAME +READY +DESIRED +RUNNING +WAITING +PER SECOND")
        self.assertRegex(top, r"\nused +1 +1 +\d+ +\d+ +[1-9][\d.]*")

    def used(self, name):
        return self.cluster.get("function", name, self.namespace).get("status", {}).get("usage", {}).get("invocations", 0)

    def test_the_plugin_says_what_is_wrong(self):
        self.assertIn(f"there is no function nobody in the namespace {self.namespace}", self.mayfly("invoke", "nobody", code=4)[1])
        run = subprocess.run([PROGRAMS / "kubectl-mayfly", "get"], env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
                             capture_output=True, text=True, check=False, timeout=30)
        self.assertEqual(run.returncode, 3)
        self.assertIn("no cluster is known", run.stderr)
        run = subprocess.run([PROGRAMS / "kubectl-mayfly", "get", "--context", "nowhere", "--kubeconfig", layout.KUBECONFIG],
                             capture_output=True, text=True, check=False, timeout=30)
        self.assertEqual(run.returncode, 3)
        self.assertIn("nowhere", run.stderr)


if __name__ == "__main__":
    unittest.main()
