"""Where a run finds what it measures, and puts what it writes."""

import platform
import shutil


class Bench:
    def __init__(self, root, build, quick):
        self.root = root
        self.here = root / "tests" / "bench"
        self.out = root / "build" / "bench"
        self.build = build
        self.bin = build / "bin"
        self.programs = build / "bench"
        self.modules = build / "test-modules"
        self.quick = quick
        self.machine = platform.machine()

    def scratch(self, name):
        folder = self.out / "functions" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def hello_module(self):
        return self.build / "examples" / "hello.so"
