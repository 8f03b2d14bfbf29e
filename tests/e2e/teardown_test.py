"""The harness: a cluster that ends, or was killed while it came up, leaves nothing on the machine."""

import subprocess
import unittest

from cluster import layout, leftovers, lifecycle, owner

PROGRAM = layout.ROOT / "tests" / "cluster" / "cluster"


class Teardown(unittest.TestCase):
    """Needs that no cluster is up: run before there is one."""

    def setUp(self):
        if owner.read() is not None:
            self.skipTest("a cluster is up, and this would take it down")
        self.before = leftovers.snapshot()

    def test_leaves_nothing_of_an_up_that_was_killed_at_any_moment(self):
        for moment in (0.3, 0.8, 1.5, 2.5):
            with self.subTest(killed_after=moment):
                up = subprocess.Popen([PROGRAM, "up", "--nodes", "2"], stdout=subprocess.DEVNULL)
                try:
                    up.wait(moment)  # the machine is as fast as it is: each moment is another state
                except subprocess.TimeoutExpired:
                    up.kill()
                up.wait(10)
                lifecycle.down(wipe=True)
                self.assertEqual([], leftovers.added(self.before, leftovers.snapshot()))

    def test_goes_on_where_a_killed_up_ended(self):
        up = subprocess.Popen([PROGRAM, "up"], stdout=subprocess.DEVNULL)
        try:
            up.wait(1)
        except subprocess.TimeoutExpired:
            up.kill()
        up.wait(10)
        try:
            lifecycle.up(1)
            self.assertTrue(lifecycle.up(1))
        finally:
            lifecycle.down(wipe=True)
        self.assertEqual([], leftovers.added(self.before, leftovers.snapshot()))


if __name__ == "__main__":
    unittest.main()
