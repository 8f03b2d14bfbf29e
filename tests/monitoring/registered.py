"""Every metric that the programs can export, read from where they are made: base::Metrics' Counter, Gauge and Histogram."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Whose metrics are they? By the folder that makes them; the first that fits.
PROGRAMS = (("tls/", "three of them"), ("runtime/", "runtime"), ("gateway/", "gateway"), ("operator/", "operator"))
MADE = re.compile(r'\b(Counter|Gauge|Histogram|count)\(\s*"(mayfly_\w+)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+|help)')
HELP = re.compile(r'\bhelp = ((?:"(?:[^"\\]|\\.)*"\s*)+)')
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass(frozen=True, order=True)
class Metric:
    program: str
    name: str
    kind: str
    help: str

    def series(self):
        """The names under which Prometheus has it."""
        return {self.name + end for end in ("_bucket", "_count", "_sum")} if self.kind == "histogram" else {self.name}


def read():
    """All of them, by program and name."""
    found = set()
    for folder, program in PROGRAMS:
        for path in sorted((ROOT / folder).rglob("*.cc")):
            if path.name.endswith("_test.cc") or "testing" in path.parts:
                continue
            text = path.read_text()
            for kind, name, said in MADE.findall(text):
                if said == "help":
                    said = HELP.search(text).group(1)
                found.add(Metric(program, name, "counter" if kind == "count" else kind.lower(), "".join(LITERAL.findall(said))))
    return sorted(found)


def reference():
    """The text of docs/reference/metrics.md."""
    lines = ["# Metrics", "",
             "What each program serves at `/metrics`, port 9090 in a cluster. `mayfly up` serves those of the operator and the gateway with `--admin`, not those of its runtimes.",
             "Labels are bounded: functions, triggers, outcomes and the like, never an id or a path. A series is there from the first time that it has something to say:",
             "a function at rest has none. Made by `tests/monitoring/registered.py` of the code; [what to watch for](../how-to/monitoring.md).", ""]
    for _, program in PROGRAMS[::-1]:
        lines += [f"## The {program}", "", "| metric | type | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{metric.name}` | {metric.kind} | {metric.help} |" for metric in read() if metric.program == program]
        lines += [""]
    return "\n".join(lines)


if __name__ == "__main__":
    (ROOT / "docs" / "reference" / "metrics.md").write_text(reference())
