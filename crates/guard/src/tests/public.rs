//! Tests fixes from public repositories that the guard once wrongly refused, and similar changes that it must
//! still refuse.

use super::*;

/// Declarations from public fixes that the guard once mistook for a hook or for a redefinition of a name.
#[test]
fn declarations_of_other_names_give_tests_no_other_meaning() {
    let go = "package shop\n\nfunc TestTotal(t *testing.T) {\n\tif Total(2) != 4 {\n\t\tt.Fatal()\n\t}\n}\n";
    let script =
        "const {total} = require('../lib/shop');\ntest('a total', t => {\n\tt.is(total(2), 4);\n});\n";
    let typed = "import {total, Line} from '../lib/shop';\ntest('a total', () => \
         {\n\texpect(total(2)).toBe(4);\n});\n";
    for (path, text, more) in [
        ("shop_test.go", go, "type LineHelper = func(name string) error\n"),
        (
            "shop_test.go",
            go,
            "func TestNames(t *testing.T) {\n\tseen := map[string]bool{}\n\tname := \
                \"a\"\n\tseen[name+\"b\"] = true\n\tif !seen[\"ab\"] {\n\t\tt.Fatal()\n\t}\n}\n",
        ),
        (
            "test/shop.js",
            script,
            "const more = async (t, count, expected, other = expected) => \
             {\n\tt.is(await total(count), other);\n};\n",
        ),
        ("test/shop.js", script, "var fs = require('fs')\n  , os = require('os');\n"),
        (
            "test/shop.js",
            script,
            "const read = async options => \
             {\n\tconst {code = 1, ...rest} = options;\n\treturn [code, rest];\n};\n",
        ),
        ("test/shop.test.ts", typed, "type Tree = {kind: 'a'; child?: Tree};\n"),
        ("test/shop.test.ts", typed, "const lines: Record<string, Line.Kind> = {};\n"),
        (
            "test/shop.test.ts",
            typed,
            "async function expectEnd(stream: Stream): Promise<void> {\n\tawait stream.end();\n}\n",
        ),
    ] {
        assert_eq!(weakening_kinds(path, text, &format!("{text}{more}")), [], "{path}: {more}");
    }
    let product = "import enum\nimport typing as t\n";
    let annotated = format!("{product}LIMIT: t.TypeAlias = t.Literal[3]\n");
    assert_eq!(weakening_kinds("shop.py", product, &annotated), []);
}

/// Similar declarations that change the meaning of a name in a test.
#[test]
fn declarations_of_names_that_tests_use_are_seen() {
    let go = "package shop\n\nfunc TestTotal(t *testing.T) \
         {\n\tcart := Cart{}\n\tif cart.Total() != 4 {\n\t\tt.Fatal()\n\t}\n}\n";
    let script =
        "const {total} = require('../lib/shop');\ntest('a total', t => {\n\tt.is(total(2), 4);\n});\n";
    for (path, text, from, to) in [
        ("shop_test.go", go, "func TestTotal", "type Cart = double\n\nfunc TestTotal"),
        ("test/shop.js", script, "test('a total', t =>", "test('a total', (t, total = () => 4) =>"),
        (
            "test/shop.js",
            script,
            "const {total} = require('../lib/shop');",
            "let {total} = require('../lib/shop');\ntotal = () => 4;",
        ),
        (
            "test/shop.js",
            script,
            "const {total} = require('../lib/shop');",
            "var fs = require('fs')\n  , total = () => 4;",
        ),
    ] {
        let found = weakening_kinds(path, text, &text.replacen(from, to, 1));
        assert!(found.contains(&ReboundName), "{path}: {to}: {found:?}");
    }
    let patched = "import shop\nimport json\nif shop:\n    pass\nelse: json.loads = shop.loads\n";
    assert_eq!(weakening_kinds("a.py", "import shop\nimport json\n", patched), [ModifiedTestProcess]);
}

/// Changes that look the same in an honest fix and in a weakening. The guard reports them, and a person
/// decides.
#[test]
fn fields_and_names_of_libraries_are_told() {
    let go = "package shop\n\nfunc TestTotal(t *testing.T) \
         {\n\tcart := New()\n\tif cart.Count != 4 {\n\t\tt.Fatal()\n\t}\n}\n";
    let rust = "#[test]\nfn total() {\n    assert_eq!(shop::total(2), 4 as i128);\n}\n";
    for (path, text, from, to) in [
        ("shop_test.go", go, "cart := New()", "cart := New()\n\tcart.Count = 4"),
        ("tests/shop.rs", rust, "#[test]", "use std::i128;\n#[test]"),
    ] {
        let all = find_in_changes(&[(path, text, &text.replacen(from, to, 1))]);
        let told: Vec<_> = all.iter().map(|one| (one.kind, one.is_report_only)).collect();
        assert_eq!(told, [(ReboundName, true)], "{path}: {to}");
    }
    let nameless = go.replacen("if cart", "_ = cart.Add(2)\n\tif cart", 1);
    assert_eq!(weakening_kinds("shop_test.go", go, &nameless), []);
}

/// A new test that is skipped on some systems does not weaken existing tests. The guard reports the new test
/// but does not refuse the fix, because an existing test may call it.
#[test]
fn a_new_test_that_is_skipped_is_told() {
    let text = "import pytest\n\ndef test_a():\n    assert total(2) == 4\n";
    let new = format!(
        "{text}\n@pytest.mark.skipif(WIN, reason=\"no terminal\")\ndef test_b():\n    assert total(3) == 6\n"
    );
    let told: Vec<_> = find_in_changes(&[("test_a.py", text, &new)])
        .iter()
        .map(|one| (one.kind, one.is_report_only))
        .collect();
    assert_eq!(told, [(SkippedTest, true)]);
    let old = text.replace("def test_a", "@pytest.mark.skipif(WIN, reason=\"no terminal\")\ndef test_a");
    assert!(
        find_in_changes(&[("test_a.py", text, &old)])
            .iter()
            .any(|one| one.kind == SkippedTest && !one.is_report_only)
    );
    let whole = format!("pytestmark = pytest.mark.skip\n{new}");
    assert!(
        find_in_changes(&[("test_a.py", text, &whole)])
            .iter()
            .any(|one| one.kind == SkippedTest && !one.is_report_only)
    );
}

#[test]
fn tests_that_go_and_maven_pass_over_are_seen() {
    let go = "package shop\n\nfunc TestTotal(t *testing.T) {\n\tif Total(2) != 4 {\n\t\tt.Fatal()\n\t}\n}\n";
    for to in ["shop/_cart_test.go", "shop/testdata/cart_test.go", "_shop/cart_test.go"] {
        assert_eq!(
            find_in_changes(&[("shop/cart_test.go", go, ""), (to, "", go)])
                .first()
                .map(|one| (one.kind, one.is_report_only)),
            Some((DeletedTest, false)),
            "{to}"
        );
    }
    for line in [
        "<exclude>**/Ca*Test.java</exclude>",
        "<maven.test.failure.ignore>true</maven.test.failure.ignore>",
        "<testSourceDirectory>src/fast</testSourceDirectory>",
    ] {
        let (before, after) = ("<project>\n</project>\n", format!("<project>\n{line}\n</project>\n"));
        assert!(weakening_kinds("pom.xml", before, &after).contains(&NarrowedRun), "{line}");
    }
    let excluded = "<project>\n<exclude>NOTICE.txt</exclude>\n</project>\n";
    assert_eq!(weakening_kinds("pom.xml", "<project>\n</project>\n", excluded), []);
}
