#!/usr/bin/env python3
"""deploy/monitoring and the docs beside it name what there is: metrics that are exported, alerts that are explained and tested."""

import json
import re
import sys
import unittest

import yaml

sys.dont_write_bytecode = True  # nothing is left in the tree
import registered  # noqa: E402

MONITORING = registered.ROOT / "deploy" / "monitoring"
HOW_TO = (registered.ROOT / "docs" / "how-to" / "monitoring.md").read_text()
SERIES = set().union(*(metric.series() for metric in registered.read()))
NAME = re.compile(r"\bmayfly_\w+")


def alerts():
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


class Reference(unittest.TestCase):
    def test_lists_every_metric_with_its_meaning(self):
        path = registered.ROOT / "docs" / "reference" / "metrics.md"
        self.assertEqual(path.read_text(), registered.reference(), f"run {registered.__file__}")

    def test_no_metric_of_the_code_is_overlooked(self):
        listed = {metric.name for metric in registered.read()}
        for folder, _ in registered.PROGRAMS:
            for path in (registered.ROOT / folder).rglob("*.cc"):
                text = path.read_text()
                if "metrics" in text and not path.name.endswith("_test.cc"):
                    self.assertLessEqual(set(re.findall(r'"(mayfly_[a-z_]+)"', text)), listed, path)

    def test_a_metric_has_one_meaning_and_the_unit_and_ending_of_its_kind(self):
        for metric in registered.read():
            with self.subTest(metric.name):
                self.assertEqual(metric.kind == "counter", metric.name.endswith("_total"))
                self.assertTrue(metric.help.endswith("."))
        names = [metric.name for metric in registered.read()]
        self.assertEqual(len(names), len(set(names)))


class Alerts(unittest.TestCase):
    def test_ask_for_metrics_that_there_are(self):
        for rule in alerts():
            with self.subTest(rule["alert"]):
                self.assertTrue(NAME.findall(rule["expr"]))
                self.assertLessEqual(set(NAME.findall(rule["expr"])), SERIES)

    def test_have_a_severity_and_a_section_that_says_what_to_do(self):
        for rule in alerts():
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual(rule["annotations"]["runbook"], f"docs/how-to/monitoring.md#{rule['alert'].lower()}")
                self.assertIn(f"\n### {rule['alert']}\n", HOW_TO)

    def test_are_tested_both_ways(self):
        cases = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
        fires, rests = set(), set()
        for case in cases:
            for one in case["alert_rule_test"]:
                (fires if one["exp_alerts"] else rests).add(one["alertname"])
        names = {rule["alert"] for rule in alerts()}
        self.assertEqual(fires, names)
        self.assertEqual(rests, names)


class Dashboard(unittest.TestCase):
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]

    def test_asks_for_metrics_that_there_are(self):
        for panel in self.panels:
            for target in panel.get("targets", []):
                with self.subTest(panel["title"]):
                    self.assertTrue(NAME.findall(target["expr"]))
                    self.assertLessEqual(set(NAME.findall(target["expr"])), SERIES)

    def test_shows_every_panel_in_a_place_of_its_own(self):
        taken = set()
        for panel in self.panels:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells
        ids = [panel["id"] for panel in self.panels]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main()
