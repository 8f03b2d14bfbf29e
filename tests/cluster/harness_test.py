"""The parts of the harness that need no Kubernetes; CTest runs this with the checks of the tree."""

import io
import json
import pathlib
import re
import sys
import tarfile
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True  # nothing is left in the tree
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from cluster import leftovers, oci, ports, tools, wait  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


class Tools(unittest.TestCase):
    def test_are_listed_in_order_with_a_version_each(self):
        known = tools.read_list()
        plain = [name for name, tool in known.items() if not tool.extra]
        extra = [name for name, tool in known.items() if tool.extra]
        self.assertEqual(sorted(plain), plain)
        self.assertEqual(sorted(extra), extra)
        for tool in known.values():
            self.assertRegex(tool.version, r"^\d[\w.]+$")
            self.assertIn(tool.cgo, ("0", "1"))

    def test_name_the_kubernetes_that_its_module_pins(self):
        module = (HERE / "kube" / "go.mod").read_text()
        self.assertEqual(re.search(r"k8s\.io/kubernetes v(\S+)", module).group(1), tools.read_list()["kube"].version)

    def test_say_how_to_build_what_is_missing(self):
        with tempfile.TemporaryDirectory() as empty, unittest.mock.patch.dict("os.environ", {"XDG_CACHE_HOME": empty}):
            with self.assertRaisesRegex(tools.Missing, "make cluster-tools"):
                tools.executable("kubectl")
            with self.assertRaisesRegex(tools.Missing, "no such tool: kubelett"):
                tools.build(["kubelett"])


class Archives(unittest.TestCase):
    def write(self, folder):
        return oci.write_archive(pathlib.Path(folder) / "image.tar", "localhost/x:1", {"/x": b"program"}, ["/x"])

    def test_of_the_same_files_are_the_same(self):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            self.assertEqual(self.write(one).read_bytes(), self.write(two).read_bytes())

    def test_lead_from_the_index_to_each_file(self):
        with tempfile.TemporaryDirectory() as folder, tarfile.open(self.write(folder)) as tar:
            def blob(descriptor):
                data = tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()
                self.assertEqual(descriptor["size"], len(data))
                return data

            manifest = json.loads(blob(json.load(tar.extractfile("index.json"))["manifests"][0]))
            self.assertEqual(["/x"], json.loads(blob(manifest["config"]))["config"]["Entrypoint"])
            with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][0]))) as layer:
                self.assertEqual(b"program", layer.extractfile("x").read())
                self.assertEqual(0o755, layer.getmember("x").mode)


class Waiting(unittest.TestCase):
    def test_says_what_for_and_what_was_wrong_last(self):
        def never():
            raise OSError("nobody there")

        with self.assertRaisesRegex(TimeoutError, r"not within 0 s: the moon \(nobody there\)"):
            wait.until(never, 0, "the moon")

    def test_returns_the_first_true_value(self):
        values = iter([0, None, "here"])
        self.assertEqual("here", wait.until(lambda: next(values), 5, "a value"))


class Ports(unittest.TestCase):
    def test_differ(self):
        self.assertEqual(20, len(set(ports.free(20))))


class Leftovers(unittest.TestCase):
    def test_are_what_came_and_not_what_went(self):
        before = {"mounts": {"/a", "/b"}, "routes": set()}
        after = {"mounts": {"/b", "/c"}, "routes": {"default"}}
        self.assertEqual(["mounts: /c", "routes: default"], leftovers.added(before, after))


if __name__ == "__main__":
    unittest.main()
