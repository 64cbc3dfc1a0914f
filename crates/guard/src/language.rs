//! Table of the test syntax of each language: names of test files, starts and ends of tests, assertions,
//! words that skip tests, and words that silence checkers. The table matches words and contains no grammar. A
//! misread word does little harm: the texts before and after a fix are compared, and the word is misread in
//! both.

// long: one table, a section for each language.

/// Syntax of text that is not code and is enclosed between two marks.
#[derive(Debug)]
pub(super) struct NonCodeSyntax {
    /// Mark that begins the span.
    pub open: &'static str,
    /// Mark that ends the span. If the span must not contain line ends, a line end also ends the span.
    pub close: &'static str,
    pub kind: NonCodeKind,
    /// True if the span may contain line ends.
    pub is_multiline: bool,
}

/// Kinds of text that is not code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NonCodeKind {
    Comment,
    /// A string in which a backslash escapes the next character.
    EscapedString,
    /// A string without escapes.
    RawString,
    /// A literal of one character. If there is no closing quote after this character, the quote does not
    /// begin a literal. In Rust, such a quote begins a lifetime.
    CharLiteral,
}

/// Rule for the end of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TestEndRule {
    /// The test ends at the bracket that closes the first `{` after the test's name.
    Braces,
    /// The test ends at the bracket that closes the first `(` after the opening word. The string in these
    /// brackets is the name of the test.
    Call,
    /// The test ends before the next line outside brackets that is not indented deeper than the test's first
    /// line.
    Indent,
}

/// Syntax of the start of a test.
#[derive(Debug)]
pub(super) struct TestStartSyntax {
    /// Words that precede the name at the start of a line.
    pub preceding_words: &'static str,
    /// Prefix that the name must have.
    pub name_prefix: &'static str,
    /// Attributes. At least one of these attributes must precede the test. Empty if no attribute is required.
    pub attributes: &'static [&'static str],
    /// Rule for the end of the test.
    pub extent: TestEndRule,
}

/// The parts of a changed file that are searched for a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WordSearchScope {
    /// Code of any file.
    Code,
    /// Comments of any file, case-insensitively.
    Comment,
    /// Code of tests, and all code of test files.
    Tests,
    /// Code of tests that existed before the fix.
    ExistingTests,
    /// A whole statement in tests that existed before the fix.
    ExistingTestStatement,
    /// Code and strings outside tests and test files.
    OutsideTests,
    /// Start of an unindented line in test files. An empty word matches each unindented line that assigns to
    /// a dotted name, such as `shop.total = fake`.
    TopLevel,
}

/// A word that a fix must not add, with the reason.
#[derive(Debug)]
pub(super) struct ForbiddenWord {
    pub kind: super::WeakeningKind,
    /// The parts of a changed file that are searched for the words.
    pub scope: WordSearchScope,
    /// Texts to search for. A match must begin at the start of a word.
    pub preceding_words: &'static [&'static str],
}

/// Syntax of tests in one language.
#[derive(Debug)]
pub(super) struct LanguageRules {
    /// Suffixes of the language's file names.
    pub file_suffixes: &'static [&'static str],
    /// Prefixes of the language's test file names, in any folder.
    pub test_file_prefixes: &'static [&'static str],
    /// Suffixes of the language's test file names.
    pub test_file_suffixes: &'static [&'static str],
    /// Syntax of the spans that are not code. If one mark is the prefix of another, the longer mark comes
    /// first.
    pub spans: &'static [NonCodeSyntax],
    /// Syntax of the starts of tests.
    pub openings: &'static [TestStartSyntax],
    /// True if a second test of the same name in a file replaces the first.
    pub has_shadowing: bool,
    /// Words that begin assertions.
    pub asserts: &'static [&'static str],
    /// Assertions that are always true, without spaces.
    pub always_true_assertions: &'static [&'static str],
    /// Words that a fix must not add.
    pub forbidden_words: &'static [ForbiddenWord],
}

/// Folders in which every file belongs to tests.
pub(super) const TEST_FOLDERS: &[&str] = &[
    "test",
    "tests",
    "__tests__",
    "__snapshots__",
    "__fixtures__",
    "testdata",
    "testutil",
    "testutils",
    "test_utils",
    "test-utils",
    "testhelper",
    "testhelpers",
    "test_helpers",
    "test-helpers",
    "testsupport",
    "test_support",
    "test-support",
    "e2e",
];

/// Prefixes of test helper files, in any language.
pub(super) const HELPER_FILE_PREFIXES: &[&str] = &[
    "testutil",
    "testUtil",
    "test-util",
    "test_util",
    "testhelper",
    "testHelper",
    "test-helper",
    "test_helper",
    "testsupport",
    "testSupport",
    "test-support",
];

/// Words between dots, dashes or underscores of a file name. In languages outside the table, such a word
/// marks the file as a test.
pub(super) const TEST_NAME_PARTS: &[&str] = &["test", "tests", "spec"];

/// Suffixes of a file name without its extension. In languages outside the table, such a suffix marks the
/// file as a test. An example is `CartTest`.
pub(super) const TEST_STEM_SUFFIXES: &[&str] = &["Test", "Tests", "Spec"];

use super::weakening::WeakeningKind::{
    ModifiedTestProcess, ProgramExitInTest, ReplacedTestedCode, SilencedChecker, SkippedTest, TestDetection,
    UnreportedFailure,
};
use TestEndRule::{Braces, Call, Indent};
use WordSearchScope::{Code, Comment, ExistingTestStatement, ExistingTests, OutsideTests, Tests, TopLevel};

const fn line_comment(open: &'static str) -> NonCodeSyntax {
    NonCodeSyntax { open, close: "\n", kind: NonCodeKind::Comment, is_multiline: false }
}

const fn block_comment(open: &'static str, close: &'static str) -> NonCodeSyntax {
    NonCodeSyntax { open, close, kind: NonCodeKind::Comment, is_multiline: true }
}

const fn string_literal(quote: &'static str) -> NonCodeSyntax {
    NonCodeSyntax { open: quote, close: quote, kind: NonCodeKind::EscapedString, is_multiline: false }
}

const fn multiline_string(quote: &'static str) -> NonCodeSyntax {
    NonCodeSyntax { open: quote, close: quote, kind: NonCodeKind::EscapedString, is_multiline: true }
}

const fn raw_string(open: &'static str, close: &'static str) -> NonCodeSyntax {
    NonCodeSyntax { open, close, kind: NonCodeKind::RawString, is_multiline: true }
}

const CHAR_LITERAL: NonCodeSyntax =
    NonCodeSyntax { open: "'", close: "'", kind: NonCodeKind::CharLiteral, is_multiline: false };

const fn test_opening(words: &'static str, name: &'static str, extent: TestEndRule) -> TestStartSyntax {
    TestStartSyntax { preceding_words: words, name_prefix: name, attributes: &[], extent }
}

const fn forbidden_word(
    kind: super::WeakeningKind,
    scope: WordSearchScope,
    words: &'static [&'static str],
) -> ForbiddenWord {
    ForbiddenWord { kind, scope, preceding_words: words }
}

/// All languages whose tests are examined. In other languages, only whole test files are compared. The table
/// is a `static` and not a `const`, because the address of an entry identifies its language.
pub(super) static LANGUAGES: &[LanguageRules] = &[
    LanguageRules {
        file_suffixes: &[".py", ".pyi"],
        test_file_prefixes: &["test_"],
        test_file_suffixes: &["_test.py", "conftest.py", "tests.py", "test.py"],
        spans: &[
            line_comment("#"),
            multiline_string("\"\"\""),
            multiline_string("'''"),
            string_literal("\""),
            string_literal("'"),
        ],
        openings: &[test_opening("def ", "test", Indent), test_opening("async def ", "test", Indent)],
        has_shadowing: true,
        asserts: &["assert", "raises", "warns", "fail", "deprecated_call"],
        always_true_assertions: &[
            "assertTrue",
            "assert(True)",
            "assert1",
            "assertnotFalse",
            "assert1==1",
            "self.assertTrue(True)",
            "self.assertFalse(False)",
            "self.assertEqual(1,1)",
            "self.assertEqual(True,True)",
        ],
        forbidden_words: &[
            forbidden_word(
                SkippedTest,
                Tests,
                &[
                    "mark.skip",
                    "mark.xfail",
                    "pytest.skip",
                    "pytest.xfail",
                    "unittest.skip",
                    "self.skipTest",
                    "SkipTest",
                    "importorskip",
                    "expectedFailure",
                    "@skip",
                    "@xfail",
                    "__test__",
                    "collect_ignore",
                    "pytest_ignore_collect",
                    "load_tests",
                    "__unittest_skip__",
                    "__unittest_expecting_failure__",
                    "def run(self",
                ],
            ),
            forbidden_word(ModifiedTestProcess, Code, &["def pytest_"]),
            forbidden_word(ModifiedTestProcess, Tests, &["pytest_plugins", "hookimpl"]),
            forbidden_word(ReplacedTestedCode, Tests, &["sys.modules"]),
            forbidden_word(
                ReplacedTestedCode,
                TopLevel,
                &["", "setattr(", "patch(", "mock.patch(", "unittest.mock.patch("],
            ),
            forbidden_word(
                TestDetection,
                OutsideTests,
                &[
                    "\"pytest\" in sys",
                    "'pytest' in sys",
                    "\"unittest\" in sys",
                    "'unittest' in sys",
                    "sys.modules.get(\"pytest",
                    "sys.modules.get('pytest",
                    "sys.modules.get(\"unittest",
                    "sys.modules.get('unittest",
                    "PYTEST_",
                    "pytest11",
                    "sys._getframe",
                    "inspect.stack",
                    "inspect.currentframe",
                    "inspect.getouterframes",
                    "traceback.extract_stack",
                    "traceback.format_stack",
                    "traceback.walk_stack",
                ],
            ),
            forbidden_word(ProgramExitInTest, OutsideTests, &["os._exit"]),
            forbidden_word(
                ProgramExitInTest,
                Tests,
                &["sys.exit", "os._exit", "os.kill", "os.exec", "exit(", "quit(", "os.abort", "SystemExit(0"],
            ),
            forbidden_word(
                UnreportedFailure,
                ExistingTests,
                &[
                    "if False",
                    "if 0",
                    "while False",
                    "yield",
                    "[:0]",
                    "except AssertionError",
                    "except Exception",
                    "except BaseException",
                    "except:",
                    "suppress(AssertionError",
                    "suppress(Exception",
                ],
            ),
            forbidden_word(UnreportedFailure, ExistingTestStatement, &["return"]),
            forbidden_word(
                SilencedChecker,
                Comment,
                &[
                    "noqa",
                    "type: ignore",
                    "type:ignore",
                    "pylint: disable",
                    "pylint:disable",
                    "pyright: ignore",
                    "mypy: ignore",
                    "ruff: noqa",
                    "flake8: noqa",
                    "pragma: no cover",
                    "nosec",
                    "noinspection",
                ],
            ),
            forbidden_word(SilencedChecker, Code, &["@no_type_check", "@typing.no_type_check"]),
        ],
    },
    LanguageRules {
        file_suffixes: &[".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"],
        test_file_prefixes: &[],
        test_file_suffixes: &[
            ".test.js",
            ".test.jsx",
            ".test.mjs",
            ".test.cjs",
            ".test.ts",
            ".test.tsx",
            ".test.mts",
            ".test.cts",
            ".cy.js",
            ".cy.ts",
            ".spec.js",
            ".spec.jsx",
            ".spec.mjs",
            ".spec.cjs",
            ".spec.ts",
            ".spec.tsx",
            ".spec.mts",
            ".spec.cts",
        ],
        spans: &[
            line_comment("//"),
            block_comment("/*", "*/"),
            string_literal("\""),
            string_literal("'"),
            multiline_string("`"),
        ],
        openings: &[
            test_opening("it", "", Call),
            test_opening("test", "", Call),
            test_opening("Deno.test", "", Call),
        ],
        has_shadowing: false,
        asserts: &["expect", "assert", "should", "fail", "t.is", "t.deepEqual", "t.true", "t.throws"],
        always_true_assertions: &[
            "expect(true).toBe(true)",
            "expect(true).toEqual(true)",
            "expect(true).toBeTruthy()",
            "expect(1).toBe(1)",
            "expect(1).toEqual(1)",
            "expect(false).toBe(false)",
            "assert(true)",
            "assert.ok(true)",
            "assert.equal(1,1)",
            "assert.strictEqual(1,1)",
            "assert.strictEqual(true,true)",
        ],
        forbidden_words: &[
            forbidden_word(
                SkippedTest,
                Tests,
                &[
                    "it.skip",
                    "it.todo",
                    "it.only",
                    "it.fails",
                    "it.failing",
                    "test.skip",
                    "test.todo",
                    "test.only",
                    "test.fails",
                    "test.failing",
                    "test.fixme",
                    "describe.skip",
                    "describe.only",
                    "describe.todo",
                    "suite.skip",
                    "xit(",
                    "xtest(",
                    "xdescribe(",
                    "fit(",
                    "fdescribe(",
                    "this.skip",
                    "t.skip",
                    "t.todo",
                    "skipIf",
                    "runIf",
                ],
            ),
            forbidden_word(
                ProgramExitInTest,
                Tests,
                &["process.exit", "process.abort", "process.reallyExit", "process.exitCode", "Deno.exit"],
            ),
            forbidden_word(
                ModifiedTestProcess,
                Tests,
                &[
                    "const expect ",
                    "const expect=",
                    "const expect:",
                    "let expect ",
                    "let expect=",
                    "let expect:",
                    "let expect;",
                    "var expect ",
                    "var expect=",
                    "var expect:",
                    "var expect;",
                    "function expect(",
                    "function expect<",
                    "function expect ",
                    "globalThis.expect",
                    "global.expect",
                ],
            ),
            forbidden_word(
                TestDetection,
                OutsideTests,
                &[
                    "JEST_WORKER_ID",
                    "VITEST",
                    "__vitest",
                    "__jest",
                    "import.meta.vitest",
                    "Error().stack",
                    "prepareStackTrace",
                    "NODE_TEST_CONTEXT",
                    "NODE_ENV === \"test",
                    "NODE_ENV === 'test",
                    "NODE_ENV == \"test",
                    "NODE_ENV == 'test",
                    "NODE_ENV !== \"test",
                    "NODE_ENV !== 'test",
                    "NODE_ENV != \"test",
                    "NODE_ENV != 'test",
                    "MODE === \"test",
                    "MODE === 'test",
                    "typeof jest",
                    "typeof describe",
                    "typeof it ",
                    "typeof expect",
                    "globalThis.jest",
                    "globalThis.expect",
                    "global.expect",
                ],
            ),
            forbidden_word(
                ProgramExitInTest,
                OutsideTests,
                &["process.exitCode = 0", "process.exitCode=0", "process.reallyExit"],
            ),
            forbidden_word(
                UnreportedFailure,
                ExistingTests,
                &["if (false", "if(false", "if (0", "if(0", "catch", ".slice(0, 0)", ".slice(0,0)"],
            ),
            forbidden_word(UnreportedFailure, ExistingTestStatement, &["return", "return;"]),
            forbidden_word(ModifiedTestProcess, Comment, &["@jest-environment", "@vitest-environment"]),
            forbidden_word(
                SilencedChecker,
                Comment,
                &[
                    "eslint-disable",
                    "@ts-ignore",
                    "@ts-expect-error",
                    "@ts-nocheck",
                    "tslint:disable",
                    "biome-ignore",
                    "istanbul ignore",
                    "c8 ignore",
                    "v8 ignore",
                    "oxlint-disable",
                    "noinspection",
                    "nosonar",
                ],
            ),
        ],
    },
    LanguageRules {
        file_suffixes: &[".rs"],
        test_file_prefixes: &["test_"],
        test_file_suffixes: &["_test.rs", "_tests.rs", "tests.rs", "test.rs"],
        spans: &[
            line_comment("//"),
            block_comment("/*", "*/"),
            raw_string("r##\"", "\"##"),
            raw_string("r#\"", "\"#"),
            raw_string("r\"", "\""),
            multiline_string("\""),
            CHAR_LITERAL,
        ],
        openings: &[
            TestStartSyntax {
                preceding_words: "fn ",
                name_prefix: "",
                attributes: RUST_TEST_ATTRIBUTES,
                extent: Braces,
            },
            TestStartSyntax {
                preceding_words: "async fn ",
                name_prefix: "",
                attributes: RUST_TEST_ATTRIBUTES,
                extent: Braces,
            },
            TestStartSyntax {
                preceding_words: "pub fn ",
                name_prefix: "",
                attributes: RUST_TEST_ATTRIBUTES,
                extent: Braces,
            },
            TestStartSyntax {
                preceding_words: "pub async fn ",
                name_prefix: "",
                attributes: RUST_TEST_ATTRIBUTES,
                extent: Braces,
            },
        ],
        has_shadowing: false,
        asserts: &[
            "assert",
            "debug_assert",
            "prop_assert",
            "panic!",
            "unreachable!",
            "matches!",
            "unwrap_err",
            "expect_err",
            "should_panic",
        ],
        always_true_assertions: &[
            "assert!(true)",
            "assert_eq!(1,1)",
            "assert_eq!(true,true)",
            "assert!(!false)",
        ],
        forbidden_words: &[
            forbidden_word(SkippedTest, Code, &["#[ignore", "#[cfg(any())", "#[cfg(all(test,any()))"]),
            forbidden_word(SkippedTest, Tests, &["#[should_panic", "#![cfg("]),
            forbidden_word(ProgramExitInTest, Tests, &["process::exit", "process::abort"]),
            forbidden_word(SkippedTest, ExistingTests, &["#[cfg("]),
            forbidden_word(
                ModifiedTestProcess,
                Code,
                &[
                    "macro_rules! assert ",
                    "macro_rules! assert{",
                    "macro_rules! assert_eq",
                    "macro_rules! assert_ne",
                    "macro_rules! debug_assert",
                    "macro_rules! prop_assert",
                    "macro_rules! panic",
                ],
            ),
            forbidden_word(
                TestDetection,
                OutsideTests,
                &[
                    "cfg!(test",
                    "cfg!(all(test",
                    "cfg!(not(test",
                    "cfg(not(test",
                    "cfg_attr(test, path",
                    "cfg_attr(not(test",
                    "NEXTEST",
                    "RUST_TEST_",
                    "cfg!(debug_assertions",
                    "cfg(debug_assertions",
                    "cfg(not(debug_assertions",
                    "cfg!(not(debug_assertions",
                    "cfg_attr(debug_assertions",
                    "cfg_attr(not(debug_assertions",
                    "thread::current().name",
                    "current_exe",
                    "var(\"CARGO_",
                    "var_os(\"CARGO_",
                    "Backtrace::",
                ],
            ),
            forbidden_word(ModifiedTestProcess, OutsideTests, &["panic::set_hook", "set_hook(Box"]),
            forbidden_word(
                UnreportedFailure,
                ExistingTests,
                &["if false", "while false", "catch_unwind", "[..0]"],
            ),
            forbidden_word(
                UnreportedFailure,
                ExistingTestStatement,
                &["return;", "return Ok(());", "return Ok(())"],
            ),
            forbidden_word(SilencedChecker, Code, &["#[allow(", "#![allow(", "#[expect(", "#![expect("]),
        ],
    },
    LanguageRules {
        file_suffixes: &[".go"],
        test_file_prefixes: &[],
        test_file_suffixes: &["_test.go"],
        spans: &[
            line_comment("//"),
            block_comment("/*", "*/"),
            string_literal("\""),
            raw_string("`", "`"),
            CHAR_LITERAL,
        ],
        openings: &[
            test_opening("func ", "Test", Braces),
            test_opening("func ", "Fuzz", Braces),
            test_opening("func ", "Example", Braces),
        ],
        has_shadowing: false,
        asserts: &[
            "t.Error",
            "t.Fatal",
            "t.Fail",
            "assert",
            "require",
            "Expect",
            "Eventually",
            "cmp.Diff",
            "if ",
        ],
        always_true_assertions: &["assert.True(t,true)", "require.True(t,true)", "assert.Equal(t,1,1)"],
        forbidden_words: &[
            forbidden_word(SkippedTest, Tests, &["t.Skip", "b.Skip", "f.Skip", "testing.Short"]),
            forbidden_word(SkippedTest, Comment, &["go:build", "+build"]),
            forbidden_word(ProgramExitInTest, Tests, &["os.Exit(0", "syscall.Exit", "runtime.Goexit"]),
            forbidden_word(ModifiedTestProcess, Tests, &["func TestMain(", "func init()", "var _ = func"]),
            forbidden_word(UnreportedFailure, Tests, &["new(testing.T)", "&testing.T{"]),
            forbidden_word(
                TestDetection,
                OutsideTests,
                &[
                    "testing.Testing",
                    "\"testing\"",
                    "flag.Lookup(\"test.",
                    "\"-test.",
                    "\"test.v\"",
                    "HasSuffix(os.Args[0]",
                    "runtime.Caller",
                    "runtime.Stack",
                    "debug.Stack",
                    "debug.PrintStack",
                ],
            ),
            forbidden_word(UnreportedFailure, ExistingTests, &["if false", "recover(", "[:0]"]),
            forbidden_word(UnreportedFailure, ExistingTestStatement, &["return"]),
            forbidden_word(SilencedChecker, Comment, &["nolint", "#nosec", "lint:ignore"]),
            forbidden_word(ModifiedTestProcess, Comment, &["go:linkname"]),
        ],
    },
    LanguageRules {
        file_suffixes: &[".java", ".kt", ".kts"],
        test_file_prefixes: &[],
        test_file_suffixes: &[
            "Test.java",
            "Tests.java",
            "TestCase.java",
            "IT.java",
            "Test.kt",
            "Tests.kt",
            "IT.kt",
            "Spec.kt",
        ],
        spans: &[
            line_comment("//"),
            block_comment("/*", "*/"),
            multiline_string("\"\"\""),
            string_literal("\""),
            CHAR_LITERAL,
        ],
        openings: &[TestStartSyntax {
            preceding_words: "",
            name_prefix: "",
            attributes: JVM_TEST_ANNOTATIONS,
            extent: Braces,
        }],
        has_shadowing: false,
        asserts: &["assert", "expect", "verify", "fail", "should", "Assertions.", "check", "expected"],
        always_true_assertions: &["assertTrue(true)", "assertEquals(1,1)", "asserttrue"],
        forbidden_words: &[
            forbidden_word(
                SkippedTest,
                Tests,
                &[
                    "@Disabled",
                    "@Ignore",
                    "@EnabledIf",
                    "@DisabledIf",
                    "@DisabledOn",
                    "@EnabledOn",
                    "@Tag",
                    "assumeTrue",
                    "assumeFalse",
                    "assumeThat",
                    "Assumptions.",
                    "enabled = false",
                ],
            ),
            forbidden_word(ProgramExitInTest, Tests, &["System.exit", "exitProcess", "Runtime.getRuntime"]),
            forbidden_word(UnreportedFailure, ExistingTests, &["if (false", "if(false", "catch"]),
            forbidden_word(UnreportedFailure, ExistingTestStatement, &["return;", "return"]),
            forbidden_word(
                SilencedChecker,
                Code,
                &["@SuppressWarnings", "@Suppress(", "@SuppressFBWarnings", "@file:Suppress"],
            ),
            forbidden_word(
                SilencedChecker,
                Comment,
                &["nosonar", "noinspection", "checkstyle:off", "nopmd", "ktlint-disable"],
            ),
        ],
    },
    LanguageRules {
        file_suffixes: &[".rb"],
        test_file_prefixes: &["test_"],
        test_file_suffixes: &["_spec.rb", "_test.rb", "spec_helper.rb", "test_helper.rb"],
        spans: &[
            line_comment("#"),
            block_comment("=begin", "=end"),
            string_literal("\""),
            string_literal("'"),
        ],
        openings: &[
            test_opening("def ", "test_", Indent),
            test_opening("it ", "", Indent),
            test_opening("specify ", "", Indent),
            test_opening("test ", "", Indent),
        ],
        has_shadowing: false,
        asserts: &["assert", "refute", "expect", "should", "must_", "wont_", "flunk", "is_expected"],
        always_true_assertions: &[
            "asserttrue",
            "assert(true)",
            "expect(true).tobetrue",
            "expect(true).tobe(true)",
            "expect(true).toeq(true)",
        ],
        forbidden_words: &[
            forbidden_word(
                SkippedTest,
                Tests,
                &[
                    "skip",
                    "pending",
                    "xit ",
                    "xspecify ",
                    "xdescribe ",
                    "xcontext ",
                    "fit ",
                    "fdescribe ",
                    "fcontext ",
                    "focus:",
                    ":focus",
                ],
            ),
            forbidden_word(
                ProgramExitInTest,
                Tests,
                &["exit!", "exit(", "exit ", "Kernel.exit", "Process.exit", "abort"],
            ),
            forbidden_word(UnreportedFailure, ExistingTests, &["if false", "unless true", "rescue"]),
            forbidden_word(UnreportedFailure, ExistingTestStatement, &["return"]),
            forbidden_word(
                SilencedChecker,
                Comment,
                &["rubocop:disable", "rubocop:todo", ":nocov:", "steep:ignore"],
            ),
        ],
    },
];

const RUST_TEST_ATTRIBUTES: &[&str] =
    &["test]", "::test(", "rstest", "test_case", "proptest", "quickcheck", "wasm_bindgen_test"];
const JVM_TEST_ANNOTATIONS: &[&str] =
    &["@Test", "@ParameterizedTest", "@RepeatedTest", "@Property", "@TestFactory"];
