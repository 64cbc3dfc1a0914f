//! Tests the guard on realistic files in each language, with changes that weaken a test and changes that do
//! not.

mod hostile;
mod public;

use proptest::prelude::*;

use super::WeakeningKind::*;
use super::*;

/// Returns the findings for some changed files. A file is given by its path, old text and new text; an empty
/// text means that the file does not exist.
fn find_in_changes(files: &[(&str, &str, &str)]) -> Vec<Weakening> {
    let paths: Vec<RepoPath> = files.iter().map(|(path, _, _)| RepoPath::from_text(path)).collect();
    let rewrites: Vec<FileChange> = files
        .iter()
        .zip(&paths)
        .map(|((_, before, after), path)| {
            let version = |text: &'static str| {
                (!text.is_empty()).then_some(FileVersion { path, bytes: text.as_bytes() })
            };
            // The texts live as long as the test process.
            let [before, after] = [before, after].map(|text| version(String::leak((*text).to_owned())));
            FileChange { before, after }
        })
        .collect();
    find_weakenings(&rewrites, &BTreeSet::new())
}

fn weakening_kinds(path: &str, before: &str, after: &str) -> Vec<WeakeningKind> {
    find_in_changes(&[(path, before, after)]).into_iter().map(|weakening| weakening.kind).collect()
}

/// Checks the guard's findings for each change of a test file. Each change replaces the first occurrence of
/// one text by another text.
fn check_changes(path: &str, text: &str, changes: &[(&str, &str, &[WeakeningKind])]) {
    assert_eq!(weakening_kinds(path, text, text), [], "{path}: as it was");
    for (from, to, expected) in changes {
        assert!(text.contains(from), "{path} holds {from:?}");
        assert_eq!(
            weakening_kinds(path, text, &text.replacen(from, to, 1)),
            *expected,
            "{path}: {from:?} to {to:?}"
        );
    }
}

const PYTHON: &str = r#"
import pytest
from shop import total, Cart

def check(cart):
    """Every cart is sound."""
    assert cart.lines is not None

@pytest.mark.parametrize("count, price", [(0, 0), (3, 60)])
def test_total(count, price):
    # Prices are in cents.
    assert total(count, 20) == price

class TestCart:
    def test_adds(self):
        cart = Cart("EUR")
        cart.add("apple", 3)
        assert cart.sum(
            "apple",
        ) == 60
        with pytest.raises(KeyError):
            cart.sum("pear")

    def test_empty(self):
        Cart("EUR").close()
"#;

#[test]
fn python() {
    check_changes(
        "tests/test_cart.py",
        PYTHON,
        &[
            // Changes that a fix may make.
            ("# Prices are in cents.", "# In cents.", &[]),
            ("def test_total", "def test_total_of_lines", &[]),
            ("cart = Cart(\"EUR\")", "cart = Cart(\"EUR\", strict=True)", &[]),
            (
                "    def test_empty",
                "    def test_more(self):\n        assert Cart(\"\").sum(\"\") == 0\n\n    def test_empty",
                &[],
            ),
            ("== price", "==  price  # exactly", &[]),
            ("assert total", "assert total(1, 1) == 1\n    assert total", &[]),
            // Changes that a fix must not make.
            ("    assert total(count, 20) == price", "    pass", &[ChangedAssertion]),
            ("    assert total(count, 20) == price", "    assert True", &[AlwaysTrueAssertion]),
            (
                "    assert total(count, 20) == price",
                "    # assert total(count, 20) == price",
                &[ChangedAssertion],
            ),
            (
                "    assert total(count, 20) == price",
                "    \"assert total(count, 20) == price\"",
                &[ChangedAssertion],
            ),
            (") == 60", ") == 59", &[ChangedAssertion]),
            (", (3, 60)]", "]", &[RemovedTestValue]),
            ("\"apple\", 3", "\"apple\", 2", &[RemovedTestValue]),
            ("raises(KeyError)", "raises(Exception)", &[ChangedAssertion]),
            ("is not None", "is not 1", &[ChangedAssertion]),
            ("def test_total", "def _total", &[DeletedTest]),
            ("def test_total", "@pytest.mark.skip\ndef test_total", &[SkippedTest]),
            ("class TestCart", "@unittest.skip(\"later\")\nclass TestCart", &[SkippedTest]),
            ("    assert total", "    return\n    assert total", &[UnreportedFailure]),
            ("    assert total", "    if False: assert total(1, 1)\n    assert total", &[UnreportedFailure]),
            ("import pytest\n", "import pytest\nimport sys\nsys.exit(0)\n", &[ProgramExitInTest]),
            ("import pytest\n", "import pytest  # noqa\n", &[SilencedChecker]),
            (
                "import pytest\n",
                "import pytest\ndef load_tests(loader, tests, pattern):\n    return []\n",
                &[SkippedTest],
            ),
            (
                "    def test_empty",
                "    def test_adds(self):\n        pass\n\n    def test_empty",
                &[ShadowedTest],
            ),
            ("        Cart(\"EUR\").close()\n", "        assert \"EUR\"\n", &[]),
        ],
    );
    assert_eq!(weakening_kinds("tests/test_cart.py", PYTHON, ""), [DeletedTestFile]);
    assert_eq!(
        weakening_kinds(
            "shop/cart.py",
            "def f(a):\n    return a\n",
            "def f(a):  # type: ignore[no-untyped-def]\n    return a\n"
        ),
        [SilencedChecker]
    );
    let unittest = "import unittest\n\nclass T(unittest.TestCase):\n    def \
         test_it(self):\n        self.assertEqual(f(1), 2)\n";
    check_changes(
        "test_it.py",
        unittest,
        &[
            ("self.assertEqual(f(1), 2)", "self.assertEqual(f(1), 3)", &[ChangedAssertion]),
            ("self.assertEqual(f(1), 2)", "self.assertTrue(True)", &[AlwaysTrueAssertion]),
            ("    def test_it", "    @unittest.expectedFailure\n    def test_it", &[SkippedTest]),
            ("        self", "        self.skipTest(\"slow\")\n        self", &[SkippedTest]),
        ],
    );
}

const SCRIPT: &str = r#"
import { slug } from "./slug";

describe("slug", () => {
  it("joins words", () => {
    const made = slug("A b");
    expect(made)
      .toBe("a-b");
  });

  it.each([["", ""], ["x", "x"]])("keeps %s", (from, to) => {
    expect(slug(from)).toBe(to); // each
  });

  test("refuses", async () => {
    await expect(() => slug(null)).rejects.toThrow(TypeError);
  });
});
"#;

#[test]
fn scripts() {
    for path in ["src/slug.test.ts", "src/__tests__/slug.js", "slug.spec.tsx"] {
        check_changes(
            path,
            SCRIPT,
            &[
                ("joins words", "joins two words", &[]),
                ("slug(\"A b\")", "slug(\"A b\", {})", &[]),
                (
                    "\n  test(",
                    "\n  it(\"is new\", () => { expect(slug(\"-\")).toBe(\"-\"); });\n\n  test(",
                    &[],
                ),
                (".toBe(\"a-b\")", ".toBe(\"a b\")", &[ChangedAssertion]),
                (".toBe(\"a-b\")", ".toBeDefined()", &[ChangedAssertion]),
                ("expect(slug(from)).toBe(to)", "expect(true).toBe(true)", &[AlwaysTrueAssertion]),
                (", [\"x\", \"x\"]]", "]", &[RemovedTestValue]),
                ("test(\"refuses\"", "test.skip(\"refuses\"", &[SkippedTest]),
                ("describe(", "describe.skip(", &[SkippedTest]),
                ("test(\"refuses\"", "test.todo(\"refuses\"", &[SkippedTest]),
                ("it(\"joins words\"", "it.only(\"joins words\"", &[SkippedTest]),
                ("it(\"joins words\"", "xit(\"joins words\"", &[DeletedTest, SkippedTest]),
                ("    const made", "    return;\n    const made", &[UnreportedFailure]),
                ("describe(", "process.exit(0);\ndescribe(", &[ProgramExitInTest]),
                ("import", "// @ts-ignore\nimport", &[SilencedChecker]),
                ("import", "/* eslint-disable */\nimport", &[SilencedChecker]),
            ],
        );
    }
    assert_eq!(weakening_kinds("src/slug.test.ts", SCRIPT, ""), [DeletedTestFile]);
    assert_eq!(
        weakening_kinds("src/slug.ts", "a(\"@ts-ignore\")", "a(\"@ts-ignore\", \"eslint-disable\")"),
        []
    );
}

const RUST: &str = r##"
//! Slugs.
/// Makes a slug; it's `'a` long.
pub fn slug<'a>(text: &'a str) -> String { text.replace(' ', "-") }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_words() {
        let made = slug("a b");
        assert_eq!(made, r#"a-b"#, "joined: {made}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn waits() -> Result<(), Error> {
        assert!(wait(3).await?.is_empty());
        Ok(())
    }

    #[test]
    #[should_panic(expected = "empty")]
    fn refuses() {
        slug("");
    }
}
"##;

#[test]
fn rust() {
    check_changes(
        "src/slug.rs",
        RUST,
        &[
            ("text.replace(' ', \"-\")", "text.trim().replace(' ', \"-\")", &[]),
            ("fn joins_words", "fn words_are_joined", &[]),
            (
                "    #[test]\n    #[should",
                "    #[test]\n    fn new() { assert!(slug(\"\").is_empty()); }\n\n    #[test]\n    #[should",
                &[],
            ),
            ("r#\"a-b\"#", "r#\"a_b\"#", &[ChangedAssertion]),
            ("assert!(wait(3).await?.is_empty());", "assert!(true);", &[AlwaysTrueAssertion]),
            ("let made = slug(\"a b\")", "let made = slug(\"a-b\")", &[RemovedTestValue]),
            (
                "    #[test]\n    fn joins",
                "    #[test]\n    #[ignore = \"slow\"]\n    fn joins",
                &[SkippedTest],
            ),
            ("    #[test]\n    fn joins", "    fn joins", &[DeletedTest]),
            ("#[should_panic(expected = \"empty\")]", "#[should_panic]", &[ChangedAssertion]),
            ("        let made", "        return;\n        let made", &[UnreportedFailure]),
            ("        let made", "        std::process::exit(0);\n        let made", &[ProgramExitInTest]),
            ("pub fn", "#[allow(dead_code)]\npub fn", &[SilencedChecker]),
        ],
    );
    // Exiting the process is a weakening only in a test.
    assert_eq!(weakening_kinds("src/main.rs", "fn main() {}", "fn main() { std::process::exit(0) }"), []);
}

const GO: &str = "package slug\n\nfunc TestSlug(t *testing.T) {\n\tfor _, c := range []struct{ in, out \
    string }{\n\t\t{\"a b\", \"a-b\"},\n\t\t{`x`, `x`},\n\t} {\n\t\tgot := Slug(c.in)\n\t\tif got != c.out \
    {\n\t\t\tt.Errorf(\"%q\", got)\n\t\t}\n\t}\n}\n";

#[test]
fn go() {
    check_changes(
        "slug/slug_test.go",
        GO,
        &[
            ("Slug(c.in)", "Slug(ctx, c.in)", &[]),
            (
                "package slug\n",
                "package slug\n\nfunc TestNew(t *testing.T) { if Slug(\"\") != \"\" { t.Fatal() } }\n",
                &[],
            ),
            ("got != c.out", "false", &[ChangedAssertion, UnreportedFailure]),
            ("t.Errorf(\"%q\", got)", "t.Logf(\"%q\", got)", &[ChangedAssertion]),
            ("\t\t{`x`, `x`},\n", "", &[RemovedTestValue]),
            ("\tfor _", "\tt.Skip(\"flaky\")\n\tfor _", &[SkippedTest]),
            ("package slug", "//go:build never\n\npackage slug", &[SkippedTest]),
            ("\tfor _", "\tos.Exit(0)\n\tfor _", &[ProgramExitInTest]),
            ("Slug(c.in)", "Slug(c.in) // nolint:errcheck", &[SilencedChecker]),
            ("func TestSlug", "func testSlug", &[DeletedTest]),
        ],
    );
}

const JAVA: &str = "class SlugTest {\n    @Test\n    void joins() {\n        String made = Slug.of(\"a \
    b\");\n        assertEquals(\"a-b\", made);\n    }\n\n    @Test(expected = \
    IllegalArgumentException.class)\n    public void refuses() throws Exception {\n        Slug.of('x', \
    \"\");\n    }\n}\n";
const KOTLIN: &str = "class SlugTest {\n    @Test\n    fun `joins words`() = runTest {\n        val made = \
    slug(\"a b\")\n        made shouldBe \"a-b\"\n    }\n}\n";

#[test]
fn jvm() {
    check_changes(
        "src/test/java/SlugTest.java",
        JAVA,
        &[
            ("void joins", "void joinsWords", &[]),
            ("Slug.of(\"a b\")", "Slug.of(\"a b\", '-')", &[]),
            ("\"a-b\"", "\"a_b\"", &[ChangedAssertion]),
            ("assertEquals(\"a-b\", made)", "assertTrue(true)", &[AlwaysTrueAssertion]),
            ("(expected = IllegalArgumentException.class)", "", &[ChangedAssertion]),
            ("    @Test\n    void", "    @Disabled(\"later\")\n    @Test\n    void", &[SkippedTest]),
            ("    @Test\n    void", "    void", &[DeletedTest]),
            ("class Slug", "@SuppressWarnings(\"all\")\nclass Slug", &[SilencedChecker]),
            ("String made", "System.exit(0); String made", &[ProgramExitInTest]),
        ],
    );
    check_changes(
        "src/test/kotlin/SlugTest.kt",
        KOTLIN,
        &[
            ("joins words", "joins", &[]),
            ("shouldBe \"a-b\"", "shouldBe \"a\"", &[ChangedAssertion]),
            ("    @Test", "    @Ignore\n    @Test", &[SkippedTest]),
        ],
    );
}

const RUBY: &str = "RSpec.describe Slug do\n  it \"joins words\" do\n    made = slug(\"a \
     b\")\n    expect(made).to eq(\"a-b\")\n  end\n\n  it { is_expected.to be_frozen }\nend\n";
const MINITEST: &str = "class SlugTest < Minitest::Test\n  def test_joins\n    assert_equal \"a-b\", \
     slug(\"a b\")\n  end\nend\n";

#[test]
fn ruby() {
    check_changes(
        "spec/slug_spec.rb",
        RUBY,
        &[
            ("joins words", "joins two words", &[]),
            ("eq(\"a-b\")", "eq(\"a b\")", &[ChangedAssertion]),
            ("expect(made).to eq(\"a-b\")", "expect(true).to be true", &[AlwaysTrueAssertion]),
            ("  it \"joins words\" do\n", "  it \"joins words\" do\n    skip\n", &[SkippedTest]),
            ("  it \"joins", "  xit \"joins", &[DeletedTest, SkippedTest]),
            ("made = slug(\"a b\")", "made = slug(\"a b\") # rubocop:disable all", &[SilencedChecker]),
        ],
    );
    check_changes(
        "test/slug_test.rb",
        MINITEST,
        &[
            ("slug(\"a b\")\n", "slug(\"a b\")\n    refute slug(\"\")\n", &[]),
            ("assert_equal \"a-b\"", "assert_equal \"a b\"", &[ChangedAssertion]),
            ("    assert", "    exit!\n    assert", &[ProgramExitInTest]),
            ("def test_joins", "def joins", &[DeletedTest]),
        ],
    );
}

#[test]
fn tests_may_move_but_not_get_lost_on_the_way() {
    let one = "def test_a():\n    assert f(1) == 2\n";
    let other = "def test_b():\n    assert f(2) == 3\n";
    let both = format!("{one}\n{other}");
    assert_eq!(find_in_changes(&[("tests/test_a.py", one, ""), ("tests/test_b.py", other, &both)]), []);
    let weaker = both.replace("f(1) == 2", "f(1)");
    let told = find_in_changes(&[("tests/test_a.py", one, ""), ("tests/test_b.py", other, &weaker)]);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].to_string(),
        "tests/test_a.py: an assertion of an existing test was removed or changed: test_a: \
         assertf(1)==2"
    );
    // It is not a weakening if the assertions of a test helper move to another file.
    let helper = "def check(x):\n    assert x\n";
    assert_eq!(find_in_changes(&[("tests/one.py", helper, "X = 1\n"), ("tests/two.py", "", helper)]), []);
    assert_eq!(find_in_changes(&[("tests/one.py", helper, "X = 1\n")]).len(), 1);
    // It is not a weakening if a comment that silences a checker moves to another file.
    assert_eq!(
        find_in_changes(&[("a.py", "f() # noqa\n", "g()\n"), ("b.py", "h()\n", "h()\nf() # noqa\n")]),
        []
    );
}

#[test]
fn a_file_that_is_renamed_out_of_the_tests_is_gone() {
    let (old, new) = (RepoPath::from_text("tests/test_a.py"), RepoPath::from_text("attic/a.py"));
    let text = b"def test_a():\n    assert f(1) == 2\n";
    let rename = |after: &RepoPath| {
        let after = Some(FileVersion { path: after, bytes: text });
        find_weakenings(
            &[FileChange { before: Some(FileVersion { path: &old, bytes: text }), after }],
            &BTreeSet::new(),
        )
    };
    assert_eq!(rename(&new).iter().map(|one| one.kind).collect::<Vec<_>>(), [DeletedTest]);
    assert_eq!(rename(&RepoPath::from_text("tests/test_b.py")), []);
}

#[test]
fn tests_files_are_known_by_folder_and_form_of_their_names() {
    for path in [
        "tests/a.py",
        "test_a.py",
        "pkg/a_test.py",
        "conftest.py",
        "a.test.ts",
        "src/__tests__/a.js",
        "a_test.go",
        "src/test/java/A.java",
        "ATest.java",
        "a_spec.rb",
        "src/a/tests.rs",
        "tests/data/a.json",
        "a.test.php",
        "FooTests.cs",
        "cypress/a.cy.ts",
    ] {
        assert!(is_test_file(&RepoPath::from_text(path)), "{path}");
    }
    for path in [
        "latest_report.py",
        "src/contest.py",
        "attest/a.py",
        "testing.py",
        "greatest.go",
        "a.go",
        "latest.rs",
        "Contest.java",
        "protest.php",
        "src/testament.ts",
        "tests.d",
        "inspector.rb",
    ] {
        assert_eq!(is_test_file(&RepoPath::from_text(path)), path == "tests.d", "{path}");
    }
}

#[test]
fn what_runs_tests_and_checks_leaves_nothing_out() {
    for (path, before, after, expected) in [
        ("pytest.ini", "[pytest]\ntestpaths = tests\n", "[pytest]\n", vec![NarrowedRun]),
        ("pytest.ini", "[pytest]\n", "[pytest]\naddopts = --ignore=tests/test_a.py\n", vec![NarrowedRun]),
        ("pytest.ini", "[pytest]\n# words\n", "[pytest]\naddopts = -ra\n", vec![]),
        ("pytest.ini", "[pytest]\n", "", vec![NarrowedRun]),
        ("jest.config.js", "x = {}\n", "x = {}\ntestPathIgnorePatterns: [\"slug\"]\n", vec![NarrowedRun]),
        (
            "package.json",
            "\"test\": \"jest\",\n\"name\": \"a\"\n",
            "\"test\": \"true\",\n\"name\": \"b\"\n",
            vec![NarrowedRun],
        ),
        ("package.json", "\"name\": \"a\"\n", "\"name\": \"b\",\n\"ignore\": \"5\"\n", vec![]),
        (
            "pyproject.toml",
            "fail_under = 90\nname = \"a\"\n",
            "fail_under = 10\nname = \"a\"\n",
            vec![NarrowedRun],
        ),
        (
            ".eslintrc.json",
            "\"eqeqeq\": \"error\"\n",
            "\"eqeqeq\": \"off\"\n",
            vec![NarrowedRun, NarrowedRun],
        ),
        ("tests/conftest.py", "x = 1\n", "x = 1\ncollect_ignore = [\"test_a.py\"]\n", vec![SkippedTest]),
        ("docs/pytest.md", "testpaths = tests\n", "no\n", vec![]),
    ] {
        assert_eq!(weakening_kinds(path, before, after), expected, "{path}: {after:?}");
    }
}

#[test]
fn other_languages_files_of_tests_are_not_deleted() {
    assert_eq!(weakening_kinds("tests/data/order.json", "{}", ""), [DeletedTestFile]);
    assert_eq!(weakening_kinds("tests/data/order.json", "{}", "[]"), []);
    assert_eq!(weakening_kinds("lib/order_test.exs", "x", ""), [DeletedTestFile]);
    assert_eq!(weakening_kinds("lib/order.exs", "x", ""), []);
}

#[test]
fn what_is_told_is_bounded_and_on_one_line() {
    let tests: String =
        (0..100).map(|n| format!("def test_{n}_{}():\n    assert f()\n\n", "x".repeat(500))).collect();
    let told = find_in_changes(&[("tests/test_a.py", &tests, "x = 1\n")]);
    assert_eq!(told.len(), MAX_WEAKENINGS);
    assert!(told.iter().all(|one| one.to_string().chars().count() < 300 && !one.to_string().contains('\n')));
}

#[test]
fn a_file_that_is_too_large_to_be_looked_at_is_refused_or_told() {
    let large = "x = 1\n".repeat(200_000);
    for (path, is_told) in
        [("tests/test_a.py", false), ("a.py", false), ("conftest.py", false), ("a.lock", true)]
    {
        let told = find_in_changes(&[(path, "x = 1\n", &large)]);
        let told: Vec<_> = told.iter().map(|one| (one.kind, one.is_report_only)).collect();
        assert_eq!(told, [(TooLarge, is_told)], "{path}");
        // The guard also reports a file that is too large only before the fix.
        assert_eq!(find_in_changes(&[(path, &large, "x = 1\n")]).len(), 1, "{path}");
    }
}

fn python_test() -> impl Strategy<Value = String> {
    let claim = prop_oneof![
        Just("assert f(1) == 2"),
        Just("assert g('a') == [\n        1,\n    ]"),
        Just("x = f(3)")
    ];
    (0_u32..10_000, proptest::collection::vec(claim, 1..5)).prop_map(|(name, claims)| {
        let body: String = claims.iter().map(|claim| format!("    {claim}\n")).collect();
        format!("def test_{name}():\n{body}    assert done()\n")
    })
}

fn render_tests(seeds: &BTreeMap<String, ()>) -> String {
    let all: Vec<&str> = seeds.keys().map(String::as_str).collect();
    all.join("\n")
}

proptest! {
    #[test]
    fn what_stays_as_it_is_is_not_weakened(path in "[a-z_/]{0,12}(test_a\\.py|a\\.test\\.ts|\\.rs|_test\\.go|Test\\.java|_spec\\.rb|\\.x)", bytes: Vec<u8>) {
        let path = RepoPath::from_text(&path);
        let version = Some(FileVersion { path: &path, bytes: &bytes });
        prop_assert_eq!(find_weakenings(&[FileChange { before: version, after: version }], &BTreeSet::new()), []);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(name in "(tests/)?(a\\.py|a\\.ts|a\\.rs|a_test\\.go|A\\.java|a\\.rb|pytest\\.ini)", before in "[a-z'\"`#/*\\\\\\n(){}\\[\\]@ é:=.]{0,200}", after in "[a-z'\"`#/*\\\\\\n(){}\\[\\]@ é:=.]{0,200}", noise: Vec<u8>) {
        let path = RepoPath::from_text(&name);
        let (before, after) = ([before.as_bytes(), &noise].concat(), [&noise, after.as_bytes()].concat());
        let version = |bytes| Some(FileVersion { path: &path, bytes });
        let rewrites = [FileChange { before: version(&before), after: version(&after) }];
        find_weakenings(&rewrites, &BTreeSet::new());
        texts_to_search(&rewrites);
        let other = FileVersion { path: &RepoPath::from_text("tests/test_b.py"), bytes: &noise };
        let paths = [path.clone()];
        find_hard_coded_answers(&rewrites, &BTreeSet::new(), &RepositoryFiles { paths: &paths, matching_files: &[other] });
    }

    #[test]
    fn new_tests_weaken_nothing_and_a_deleted_one_does(tests in proptest::collection::btree_map(python_test(), Just(()), 2..6), pick: proptest::sample::Index) {
        let whole = render_tests(&tests);
        let mut fewer = tests.clone();
        let gone = tests.keys().nth(pick.index(tests.len())).cloned().unwrap_or_default();
        fewer.remove(&gone);
        // If two tests in a Python file have the same name, Python keeps only the last one.
        let name = |test: &str| test.split('(').next().unwrap_or_default().to_owned();
        let names: BTreeSet<String> = tests.keys().map(|test| name(test)).collect();
        prop_assume!(names.len() == tests.len());
        let fewer = render_tests(&fewer);
        prop_assert_eq!(find_in_changes(&[("tests/test_a.py", &fewer, &whole)]), []);
        prop_assert_ne!(find_in_changes(&[("tests/test_a.py", &whole, &fewer)]), []);
    }
}
