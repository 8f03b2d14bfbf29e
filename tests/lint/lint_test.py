#!/usr/bin/env python3
"""Each check of lint.py finds what it is for, and leaves what is right alone."""

import pathlib
import subprocess
import tempfile
import unittest

import lint  # noqa: E402


class Lint(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def problems(self, check, **files):
        """What `check` says of a tree with these files; in names, `__` stands for a slash and `_DOT_` for a dot."""
        for name, text in files.items():
            path = pathlib.Path(self.folder.name, name.replace("__", "/").replace("_DOT_", "."))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [problem for _, _, problem in lint.CHECKS[check](lint.Tree(self.folder.name))]

    def test_the_operator_may_not_include_the_gateway(self):
        (problem,) = self.problems("includes", operator__api__x_DOT_cc='#include "gateway/http/server.h"\n')
        self.assertIn("must not include gateway/http/server.h", problem)

    def test_http_may_not_include_activation(self):
        (problem,) = self.problems("includes", gateway__http__x_DOT_cc='#include "gateway/activation/hold_queue.h"\n')
        self.assertIn("gateway/http/ must not include", problem)

    def test_base_may_not_include_generated_code(self):
        self.assertEqual(len(self.problems("includes", base__x_DOT_cc='#include "mayfly/v1/runtime.pb.h"\n')), 1)

    def test_what_a_row_lists_may_be_included(self):
        text = '#include "base/log.h"\n#include "gateway/delivery/dispatcher.h"\n#include "mayfly/v1/control.pb.h"\n#include <vector>\n'
        self.assertEqual(self.problems("includes", gateway__http__x_DOT_cc=text), [])

    def test_an_include_starts_at_the_top_of_the_tree(self):
        self.assertEqual(len(self.problems("includes", base__x_DOT_cc='#include "../base/log.h"\n#include "log.h"\n')), 2)

    def test_a_folder_without_a_row_is_found(self):
        self.assertEqual(len(self.problems("includes", misc__x_DOT_cc="int x;\n")), 1)

    def test_a_library_is_included_by_its_owner_only(self):
        text = "#include <yaml-cpp/yaml.h>\n"
        self.assertEqual(self.problems("includes", operator__api__x_DOT_cc=text), [])
        self.assertEqual(len(self.problems("includes", gateway__routing__x_DOT_cc=text)), 1)

    def test_a_slow_header_stays_out_of_headers(self):
        self.assertEqual(self.problems("includes", cli__x_DOT_cc="#include <httplib.h>\n"), [])
        self.assertEqual(len(self.problems("includes", cli__x_DOT_h="#include <httplib.h>\n")), 1)

    def test_a_header_without_comment_or_guard_is_found(self):
        self.assertEqual(len(self.problems("headers", base__x_DOT_h="int x;\n")), 2)
        self.assertEqual(self.problems("headers", base__x_DOT_h="// What it is for.\n#pragma once\n"), [])

    def test_a_source_includes_its_own_header_first(self):
        header = "// What it is for.\n#pragma once\n"
        late = '#include <vector>\n#include "base/x.h"\n'
        self.assertEqual(len(self.problems("headers", base__x_DOT_h=header, base__x_DOT_cc=late)), 1)
        self.assertEqual(self.problems("headers", base__x_DOT_h=header, base__x_DOT_cc='#include "base/x.h"\n'), [])

    def test_a_file_of_601_lines_is_found(self):
        self.assertEqual(len(self.problems("length", base__x_DOT_cc="\n" * 601)), 1)
        self.assertEqual(self.problems("length", base__x_DOT_cc="\n" * 600), [])

    def test_a_todo_needs_a_number_and_a_reason(self):
        self.assertEqual(len(self.problems("todo", base__x_DOT_cc="// TODO: later\n// TODO(#7)\n// FIXME\n")), 3)
        self.assertEqual(self.problems("todo", base__x_DOT_cc="// TODO(#7): needs a kernel with scoped signals\n"), [])

    def test_paths_of_one_machine_and_registry_hosts_are_found(self):
        text = "see /" + "work/brief\nfrom https://py" + "pi.org/simple\n"
        self.assertEqual(len(self.problems("words", docs__x_DOT_md=text)), 2)
        self.assertEqual(self.problems("words", docs__x_DOT_md="see ./work/x and tests/work/x\n"), [])

    def test_blanks_at_the_end_and_a_cut_last_line_are_found(self):
        self.assertEqual(len(self.problems("whitespace", base__x_DOT_cc="int x; \nint y;")), 2)

    def test_unsorted_sources_are_found(self):
        text = "mayfly_library(x\n  SOURCES b.cc a.cc\n  DEPS mayfly::base)\n"
        self.assertEqual(len(self.problems("sorted", base__CMakeLists_DOT_txt=text)), 1)
        self.assertEqual(self.problems("sorted", base__CMakeLists_DOT_txt=text.replace("b.cc a.cc", "a.cc b.cc")), [])

    def test_an_unsorted_package_list_is_found(self):
        text = "[build]\ncmake\nccache # why\n\n[test]\na\n"
        self.assertEqual(len(self.problems("sorted", **{"scripts__apt-packages_DOT_txt": text})), 1)

    def test_a_link_that_leads_nowhere_is_found(self):
        self.assertEqual(len(self.problems("links", docs__x_DOT_md="[a](y.md) [b](x.md#part) [c](https://example.com)\n")), 1)

    def test_a_test_that_the_reliability_page_names_must_exist(self):
        page = "| a crash | `Pool.Survives` |\n| a hang | `Pool.Kills` |\n"
        (problem,) = self.problems("promises", docs__reliability_DOT_md=page, base__x_test_DOT_cc="TEST_F(Pool, Survives) {}\n")
        self.assertIn("Pool.Kills", problem)

    def test_a_function_that_somebody_made_in_the_clone_is_not_ours_but_a_new_file_of_ours_is(self):
        subprocess.run(["git", "init", "-q", self.folder.name], check=True)
        self.problems("todo", base__x_DOT_cc="", examples__y_DOT_cc="")
        subprocess.run(["git", "-C", self.folder.name, "add", "."], check=True)
        manifest = "apiVersion: mayfly.dev/v1alpha1\n"
        theirs = {"greeter__greeter_DOT_cc": "// FIXME\n", "greeter__function_DOT_yaml": manifest,
                  "examples__mine__mine_DOT_cc": "// FIXME\n", "examples__mine__function_DOT_yaml": manifest, "scratch_DOT_cc": "// FIXME\n"}
        self.assertEqual(self.problems("todo", **theirs), [])
        self.assertEqual(len(self.problems("todo", base__new_DOT_cc="// FIXME\n")), 1)

    def test_unformatted_code_is_found(self):
        style = "BasedOnStyle: Google\n"
        self.assertEqual(len(self.problems("format", base__x_DOT_cc="int   x ;\n", **{"_DOT_clang-format": style})), 1)
        self.assertEqual(self.problems("format", base__x_DOT_cc="int x;\n"), [])


if __name__ == "__main__":
    unittest.main()
