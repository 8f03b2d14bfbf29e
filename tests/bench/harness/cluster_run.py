"""A run of parts on a real Kubernetes with Mayfly installed: brings it up unless one is, measures, prints, writes."""

import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from cluster import owner  # noqa: E402

BRINGS_UP = owner.read() is None
if BRINGS_UP:
    os.environ["MAYFLY_CLUSTER_FOLDER"] = str(ROOT / "build" / "e2e" / "cluster")

from cluster import lifecycle, tools  # noqa: E402
from harness.figures import Figures  # noqa: E402
from harness.installed import Installed  # noqa: E402


def main(about, document, parts, names, before=None):
    """The exit code. `parts`: {name: part(installed, figures)}; `names`: figures that a whole run has; `before`: the same as a part without
    the release, and it is told while no cluster is up: (name, part(root, figures))."""
    all_parts = [*([before[0]] if before else []), *parts]
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(all_parts))
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(all_parts))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(all_parts)}")
    wanted = options.parts or all_parts
    figures = Figures()
    if before and before[0] in wanted:
        before[1](ROOT, figures)
    failed = []
    wanted = [name for name in parts if name in wanted]
    if wanted:
        failed = on_cluster(wanted, parts, figures)
    for name in names:
        if not options.parts:
            figures.missing(name, "its part did not get to it")
    path = ROOT / "build" / "bench" / (f"{document}-partial.json" if options.parts else f"{document}.json")
    figures.write(path, ROOT)
    print()
    print(figures.table())
    print(f"\n{path.relative_to(ROOT)} has them as JSON.")
    if failed:
        print(f"bench: not measured in full: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or any(row["value"] is None for row in figures.rows()) else 0


def on_cluster(wanted, parts, figures):
    """The parts that failed."""
    tools.build()
    lifecycle.check()
    lifecycle.up(int(os.environ.get("NODES") or 2))
    try:
        return measure(wanted, parts, figures)
    finally:
        if BRINGS_UP:
            lifecycle.down(wipe=True)


def measure(wanted, parts, figures):
    failed = []
    with Installed() as installed:
        for name in wanted:
            part, begin = parts[name], time.monotonic()
            print(part.__doc__.splitlines()[0], flush=True)
            try:
                part(installed, figures)
            except Exception as error:  # the other parts' figures are wanted all the same
                figures.note(f"failed: {type(error).__name__}: {error}")
                failed.append(name)
            print(f"  {time.monotonic() - begin:.0f} s", flush=True)
    return failed
