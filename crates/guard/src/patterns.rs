//! Table of forbidden patterns: a fix must not add code outside tests whose [`tokens`](super::tokens) match a
//! pattern.

// long: one table, a section for each language.

use super::weakening::WeakeningKind::{
    self, AutomaticExecution, CustomComparison, IncomparableValue, ModifiedTestProcess, ProgramExit,
    SelfInspection, StateBetweenCalls, TestDetection,
};

/// A behaviour that a fix must not add to code.
#[derive(Debug)]
pub(super) struct ForbiddenBehaviour {
    /// Suffixes of the names of the files that are searched.
    pub file_suffixes: &'static [&'static str],
    pub kind: WeakeningKind,
    /// True if the main part of a program may have this behaviour. The main part runs only when the file is
    /// executed directly.
    pub is_allowed_in_main: bool,
    /// Words that occur in findings about this behaviour. Such a finding permits the behaviour in the file of
    /// the finding.
    pub exempting_words: &'static [&'static str],
    /// Patterns of words. `"*` matches any string, `"a*` matches a string with the prefix `a`, and `_`
    /// matches any word except at the start. A pattern that ends with `!` does not match if a non-zero number
    /// follows, because the number is an exit code that reports a failure.
    pub patterns: &'static [&'static str],
}

pub(super) const PYTHON_SUFFIXES: &[&str] = &[".py", ".pyi"];
pub(super) const JAVASCRIPT_SUFFIXES: &[&str] =
    &[".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"];
pub(super) const GO_SUFFIXES: &[&str] = &[".go"];
pub(super) const RUST_SUFFIXES: &[&str] = &[".rs"];

/// Words that occur in findings about the end of a program.
pub(super) const PROGRAM_END_WORDS: &[&str] =
    &["exit", "terminat", "shutdown", "shut down", "graceful", "sigterm", "sigint", "abort", "quit"];
/// Words that occur in findings about a program's arguments.
pub(super) const ARGUMENT_WORDS: &[&str] = &[
    "argv",
    "argument",
    "command line",
    "command-line",
    "option",
    "flag",
    "cli",
    "usage",
    "orig_argv",
    "args",
];
/// Words that occur in findings about state that is kept between calls.
pub(super) const STATE_WORDS: &[&str] = &[
    "cache",
    "memo",
    "count",
    "state",
    "race",
    "concurren",
    "atomic",
    "thread",
    "generator",
    "iterat",
    "proxy",
];
/// Words that occur in findings about file searches.
pub(super) const FILE_SEARCH_WORDS: &[&str] =
    &["director", "folder", "file", "path", "docstring", "glob", "scan"];
/// Words that occur in findings about values that are not numbers.
pub(super) const NAN_WORDS: &[&str] = &["nan", "not a number", "missing"];
/// Words that occur in findings about environment variables.
pub(super) const ENVIRONMENT_WORDS: &[&str] = &["environ", "env", "process.env"];
/// Words that occur in findings about comparisons.
pub(super) const COMPARISON_WORDS: &[&str] = &[
    "equal",
    "unequal",
    "inequal",
    "compar",
    "__eq__",
    "__lt__",
    "__ne__",
    "==",
    "hash",
    "sort",
    "order",
    "partialeq",
    "partialord",
    "deref",
    "valueof",
    "tostring",
    "toprimitive",
];
/// Words that identify a finding about the start or the end of a program.
pub(super) const LIFECYCLE_WORDS: &[&str] =
    &["exit", "shutdown", "shut down", "start", "init", "flush", "clean", "register", "leak", "crash"];

const fn forbidden_pattern(
    endings: &'static [&'static str],
    kind: WeakeningKind,
    exempting_words: &'static [&'static str],
    patterns: &'static [&'static str],
) -> ForbiddenBehaviour {
    ForbiddenBehaviour { file_suffixes: endings, kind, is_allowed_in_main: false, exempting_words, patterns }
}

const fn allowed_in_main(rule: ForbiddenBehaviour) -> ForbiddenBehaviour {
    ForbiddenBehaviour { is_allowed_in_main: true, ..rule }
}

pub(super) const FORBIDDEN_BEHAVIOURS: &[ForbiddenBehaviour] = &[
    forbidden_pattern(
        PYTHON_SUFFIXES,
        StateBetweenCalls,
        STATE_WORDS,
        &["itertools . count", "itertools . cycle", "global _", "nonlocal _"],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        StateBetweenCalls,
        STATE_WORDS,
        &["function * (", "yield *", "new Proxy"],
    ),
    forbidden_pattern(
        GO_SUFFIXES,
        StateBetweenCalls,
        STATE_WORDS,
        &["\"sync/atomic", "import sync / atomic"],
    ),
    forbidden_pattern(
        RUST_SUFFIXES,
        StateBetweenCalls,
        STATE_WORDS,
        &["AtomicUsize", "AtomicU64", "AtomicU32", "AtomicBool", "static mut", "thread_local"],
    ),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        SelfInspection,
        FILE_SEARCH_WORDS,
        &[". __doc__", "os . listdir", "os . scandir", "os . walk", ". iterdir"],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        SelfInspection,
        FILE_SEARCH_WORDS,
        &["fs . readdirSync", "fs . readdir", ". readdirSync"],
    ),
    forbidden_pattern(
        GO_SUFFIXES,
        SelfInspection,
        FILE_SEARCH_WORDS,
        &["os . ReadDir", "filepath . Walk", "filepath . WalkDir", "filepath . Glob"],
    ),
    forbidden_pattern(RUST_SUFFIXES, SelfInspection, FILE_SEARCH_WORDS, &["fs :: read_dir"]),
    forbidden_pattern(
        RUST_SUFFIXES,
        TestDetection,
        &["location", "caller", "panic"],
        &["Location :: caller"],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        TestDetection,
        &["stack", "trace", "error"],
        &["Error . captureStackTrace", "stackTraceLimit"],
    ),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        IncomparableValue,
        NAN_WORDS,
        &["math . nan", "float ( \"nan", "float ( \"NaN", "numpy . nan"],
    ),
    forbidden_pattern(JAVASCRIPT_SUFFIXES, IncomparableValue, NAN_WORDS, &["NaN"]),
    forbidden_pattern(GO_SUFFIXES, IncomparableValue, NAN_WORDS, &["math . NaN"]),
    forbidden_pattern(RUST_SUFFIXES, IncomparableValue, NAN_WORDS, &["f64 :: NAN", "f32 :: NAN"]),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &[
            ". _exit",
            "os . kill ( os . getpid",
            "os . killpg",
            "os . abort",
            "os . execv",
            "os . execl",
            "os . execve",
            "os . execvp",
            "signal . raise_signal",
            "signal . pthread_kill",
            "_thread . interrupt_main",
            "sys . exit =",
            "builtins . exit =",
            "builtins . quit =",
            "builtins . SystemExit =",
        ],
    ),
    allowed_in_main(forbidden_pattern(
        PYTHON_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &[
            "sys . exit ( )",
            "sys . exit ( 0 )",
            "sys . exit ( None )",
            "SystemExit ( 0",
            "SystemExit ( )",
            "SystemExit ( None",
        ],
    )),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        AutomaticExecution,
        LIFECYCLE_WORDS,
        &["atexit . register", "atexit . _", "threading . _register_atexit", "sys . excepthook ="],
    ),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        ModifiedTestProcess,
        &["trace", "profil", "import hook", "coverage", "debug"],
        &[
            "sys . settrace",
            "sys . setprofile",
            "threading . settrace",
            "threading . setprofile",
            "sys . meta_path",
            "sys . path_hooks",
            "sys . monitoring",
            "sys . addaudithook",
            "sys . unraisablehook =",
        ],
    ),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        TestDetection,
        &["frame", "stack", "traceback", "subclass", "garbage", "leak", "thread"],
        &[
            "gc . get_objects",
            "gc . get_referrers",
            "gc . get_referents",
            "object . __subclasses__",
            "BaseException . __subclasses__",
            "Exception . __subclasses__",
            "type . __subclasses__",
            ". tb_frame",
            ". f_back",
            ". gi_frame",
            "sys . _current_frames",
            "sys . _getframe",
            "inspect . stack",
            "inspect . currentframe",
            "inspect . trace",
            "traceback . extract_stack",
            "traceback . format_stack",
            "traceback . print_stack",
            "traceback . walk_stack",
            "sys . gettrace",
            "sys . getprofile",
            "threading . enumerate",
            ". findCaller",
        ],
    ),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        TestDetection,
        &["__main__", "module", "plugin", "import"],
        &[
            "import __main__",
            "\"__main__",
            "for _ in sys . modules",
            "sys . modules . keys",
            "sys . modules . items",
            "sys . modules . values",
            "sys . modules . copy",
            "( sys . modules )",
        ],
    ),
    allowed_in_main(forbidden_pattern(
        PYTHON_SUFFIXES,
        TestDetection,
        ARGUMENT_WORDS,
        &["sys . argv", "sys . orig_argv", "os . getppid", "psutil . Process", "\"/proc/self*", "\"/proc/*"],
    )),
    allowed_in_main(forbidden_pattern(
        PYTHON_SUFFIXES,
        TestDetection,
        ENVIRONMENT_WORDS,
        &[
            "for _ in os . environ",
            "os . environ . items",
            "os . environ . keys",
            "os . environ . values",
            "list ( os . environ",
            "str ( os . environ",
            "sorted ( os . environ",
            "repr ( os . environ",
            "len ( os . environ",
            "set ( os . environ",
            ". join ( os . environ",
        ],
    )),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        TestDetection,
        &["cwd", "working directory", "current directory", "folder"],
        &[
            "os . getcwd ( ) ==",
            "os . getcwd ( ) !=",
            "os . getcwd ( ) in",
            "os . getcwd ( ) . startswith",
            "os . getcwd ( ) . endswith",
            "== os . getcwd",
            "!= os . getcwd",
            "\"* in os . getcwd",
            "Path . cwd ( ) ==",
            "Path . cwd ( ) !=",
            "Path . cwd ( ) . name ==",
            "Path . cwd ( ) . parts",
            "== Path . cwd",
            "str ( Path . cwd ( ) ) ==",
            "basename ( os . getcwd ( ) ) ==",
        ],
    ),
    allowed_in_main(forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &["process . exit !", "process . exitCode = !", "process . abort", "Deno . exit !", "Bun . exit !"],
    )),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &[
            "process . reallyExit",
            "process . _exiting",
            "process . kill ( process . pid",
            "process . exit =",
            "process . _kill",
            "process . _rawDebug",
            "process . removeAllListeners",
            "process . emit =",
            "process . binding",
            "process . [",
            "process [",
        ],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        AutomaticExecution,
        LIFECYCLE_WORDS,
        &[
            "process . on ( \"exit",
            "process . once ( \"exit",
            "process . on ( \"beforeExit",
            "process . once ( \"beforeExit",
            "process . addListener ( \"exit",
            "process . prependListener ( \"exit",
            "process . on ( \"uncaughtException",
            "process . on ( \"unhandledRejection",
            "process . once ( \"uncaughtException",
            "process . setUncaughtExceptionCaptureCallback",
        ],
    ),
    allowed_in_main(forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        TestDetection,
        ARGUMENT_WORDS,
        &[
            "process . argv",
            "process . argv0",
            "process . execArgv",
            "process . title",
            "process . ppid",
            "Deno . args",
            "Bun . argv",
        ],
    )),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        TestDetection,
        &["main", "entry", "module"],
        &[
            "require . main",
            "module . parent",
            "module . children",
            "process . mainModule",
            "import . meta . main",
            "require . cache",
            "\"/proc/*",
        ],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        TestDetection,
        ENVIRONMENT_WORDS,
        &[
            "Object . keys ( process . env )",
            "Object . entries ( process . env )",
            "Object . values ( process . env )",
            "Object . getOwnPropertyNames ( process . env )",
            "Reflect . ownKeys ( process . env )",
            "const _ in process . env",
            "let _ in process . env",
            "var _ in process . env",
            "JSON . stringify ( process . env )",
        ],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        TestDetection,
        &["cwd", "working directory", "current directory", "folder"],
        &[
            "process . cwd ( ) ===",
            "process . cwd ( ) !==",
            "process . cwd ( ) ==",
            "process . cwd ( ) !=",
            "=== process . cwd",
            "!== process . cwd",
            "== process . cwd",
            "process . cwd ( ) . endsWith",
            "process . cwd ( ) . startsWith",
            "process . cwd ( ) . includes",
            "process . cwd ( ) . match",
            "process . cwd ( ) . split",
            "test ( process . cwd",
            "basename ( process . cwd ( ) ) =",
        ],
    ),
    allowed_in_main(forbidden_pattern(GO_SUFFIXES, ProgramExit, PROGRAM_END_WORDS, &["os . Exit !"])),
    forbidden_pattern(
        GO_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &[
            "syscall . Exit",
            "golang.org/x/sys/unix . Exit",
            ". SYS_EXIT",
            ". SYS_EXIT_GROUP",
            "syscall . RawSyscall",
            "syscall . Syscall",
            "syscall . RawSyscall6",
            "syscall . Kill",
            "golang.org/x/sys/unix . Kill",
            "syscall . Exec",
            "runtime . Goexit",
            "os . FindProcess ( os . Getpid",
            "C . exit",
            "C . _exit",
        ],
    ),
    forbidden_pattern(GO_SUFFIXES, AutomaticExecution, LIFECYCLE_WORDS, &["func init ( )"]),
    allowed_in_main(forbidden_pattern(
        GO_SUFFIXES,
        TestDetection,
        ARGUMENT_WORDS,
        &[
            "os . Args",
            "flag . VisitAll",
            "flag . Visit",
            "flag . Lookup",
            "flag . NFlag",
            "flag . Parsed",
            "flag . CommandLine",
            "os . Getppid",
            "\"/proc/*",
        ],
    )),
    forbidden_pattern(
        GO_SUFFIXES,
        TestDetection,
        &["environ", "stack", "caller", "build info", "version"],
        &[
            "range os . Environ",
            "( os . Environ ( ) )",
            "runtime . Callers",
            "runtime . CallersFrames",
            "runtime . FuncForPC",
            "runtime/debug . ReadBuildInfo",
            "runtime/pprof . Lookup",
            "debug . ReadBuildInfo",
        ],
    ),
    allowed_in_main(forbidden_pattern(
        RUST_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &["std . process . exit !", "std . process . abort", "core . intrinsics . abort"],
    )),
    forbidden_pattern(
        RUST_SUFFIXES,
        ProgramExit,
        PROGRAM_END_WORDS,
        &[
            "libc . exit",
            "libc . _exit",
            "libc . abort",
            "libc . kill",
            "libc . raise",
            "libc . atexit",
            "libc . syscall",
            "nix . unistd . _exit",
            "link_section",
            "rustix . runtime",
            "global_asm !",
            "asm !",
        ],
    ),
    forbidden_pattern(
        RUST_SUFFIXES,
        AutomaticExecution,
        LIFECYCLE_WORDS,
        &["# [ ctor", "# [ dtor", "ctor . ctor", "ctor . dtor"],
    ),
    allowed_in_main(forbidden_pattern(
        RUST_SUFFIXES,
        TestDetection,
        ARGUMENT_WORDS,
        &[
            "std . env . args",
            "std . env . args_os",
            "std . env . vars",
            "std . env . vars_os",
            "std . os . unix . process . parent_id",
            "\"/proc/*",
        ],
    )),
    forbidden_pattern(
        RUST_SUFFIXES,
        TestDetection,
        &["thread", "name"],
        &[
            "std . thread . current ( ) . name",
            "Thread . name",
            ". name ( ) == Some ( \"main",
            "std . backtrace",
        ],
    ),
    forbidden_pattern(
        PYTHON_SUFFIXES,
        CustomComparison,
        COMPARISON_WORDS,
        &["\"__eq__", "\"__ne__", "\"__instancecheck__", "\"__class__", "__class__ ="],
    ),
];

/// Patterns of custom comparisons, and of methods that return a replacement for the object in comparisons. If
/// the type imitates a built-in type of the language, the match is refused; otherwise, it is only reported.
pub(super) const CUSTOM_COMPARISONS: &[ForbiddenBehaviour] = &[
    forbidden_pattern(
        PYTHON_SUFFIXES,
        CustomComparison,
        COMPARISON_WORDS,
        &[
            "def __eq__ (",
            "def __ne__ (",
            "def __lt__ (",
            "def __le__ (",
            "def __gt__ (",
            "def __ge__ (",
            "__eq__ =",
            "__ne__ =",
            "def __instancecheck__ (",
            "def __class__ (",
            "__lt__ =",
            "def __round__ (",
            "def __abs__ (",
        ],
    ),
    forbidden_pattern(
        JAVASCRIPT_SUFFIXES,
        CustomComparison,
        COMPARISON_WORDS,
        &[
            "valueOf ( ) {",
            "Symbol . toPrimitive",
            "equals ( _ ) {",
            "toString ( ) {",
            "toJSON ( ) {",
            "Symbol . hasInstance",
            "valueOf =",
            "valueOf :",
        ],
    ),
    forbidden_pattern(
        GO_SUFFIXES,
        CustomComparison,
        COMPARISON_WORDS,
        &[") Equal (", ") Cmp (", ") Compare ("],
    ),
    forbidden_pattern(
        RUST_SUFFIXES,
        CustomComparison,
        COMPARISON_WORDS,
        &[
            "PartialEq for",
            "PartialEq < _ > for",
            "PartialEq < & _ > for",
            "PartialOrd for",
            "PartialOrd < _ > for",
            "Ord for",
            "Deref for",
            "Borrow < _ > for",
        ],
    ),
];

/// Built-in types that a custom type may imitate.
pub(super) const BUILTIN_VALUE_TYPES: &[&str] = &[
    "int",
    "float",
    "str",
    "bytes",
    "list",
    "dict",
    "tuple",
    "set",
    "frozenset",
    "complex",
    "Decimal",
    "Fraction",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "f32",
    "f64",
    "bool",
    "String",
    "Number",
    "Array",
    "Boolean",
];

/// Test libraries, by language. The list includes the test libraries that are part of a language.
pub(super) const TEST_LIBRARIES: &[(&[&str], &[&str])] = &[
    (
        PYTHON_SUFFIXES,
        &[
            "unittest",
            "pytest",
            "_pytest",
            "doctest",
            "nose",
            "nose2",
            "hypothesis",
            "mock",
            "testtools",
            "trial",
            "ward",
            "behave",
            "pytest_mock",
            "asynctest",
            "twisted.trial",
        ],
    ),
    (
        JAVASCRIPT_SUFFIXES,
        &[
            "test",
            "test/reporters",
            "chai",
            "jest",
            "vitest",
            "mocha",
            "sinon",
            "expect",
            "@jest/globals",
            "@jest/expect",
            "jest-mock",
            "jest-circus",
            "@vitest/expect",
            "@vitest/runner",
            "@vitest/spy",
            "jasmine",
            "ava",
            "tap",
            "tape",
            "should",
            "uvu",
            "uvu/assert",
            "@playwright/test",
            "cypress",
            "bun:test",
            "power-assert",
            "expect.js",
            "unexpected",
            "proxyquire",
            "rewire",
            "mock-require",
        ],
    ),
    (
        GO_SUFFIXES,
        &[
            "testing",
            "github.com/stretchr/testify",
            "github.com/onsi",
            "gotest.tools",
            "gopkg.in/check.v1",
            "github.com/golang/mock",
            "go.uber.org/mock",
            "github.com/google/go-cmp",
            "net/http/httptest",
            "testing/quick",
            "testing/iotest",
            "internal/testlog",
        ],
    ),
    (
        RUST_SUFFIXES,
        &[
            "libtest",
            "test",
            "proptest",
            "quickcheck",
            "rstest",
            "mockall",
            "libtest_mimic",
            "insta",
            "trybuild",
        ],
    ),
];

/// Assertion libraries that programs may also use outside tests.
pub(super) const ASSERTION_LIBRARIES: &[&str] = &["assert", "assert/strict", "github.com/google/go-cmp"];

/// Modules of Node. A fix must not replace functions of these modules, because other code calls them.
pub(super) const NODE_MODULE_NAMES: &[&str] = &[
    "assert",
    "assert/strict",
    "fs",
    "fs/promises",
    "path",
    "process",
    "util",
    "vm",
    "module",
    "child_process",
    "timers",
    "events",
    "os",
    "stream",
    "worker_threads",
    "perf_hooks",
    "inspector",
    "v8",
    "buffer",
    "crypto",
    "url",
    "async_hooks",
    "console",
];

/// Names that a script can use without an import.
pub(super) const JAVASCRIPT_GLOBALS: &[&str] = &[
    "Object", "Array", "Number", "String", "Boolean", "JSON", "Math", "Function", "Symbol", "Map", "Set",
    "Date", "Promise", "Reflect", "RegExp", "Error", "BigInt", "Proxy", "process",
];

/// Calls that set a field of their first argument.
pub(super) const FIELD_SETTER_CALLS: &[&str] = &[
    "setattr (",
    "delattr (",
    "object . __setattr__ (",
    "operator . setitem (",
    "operator . delitem (",
    "dict . __setitem__ (",
    "dict . update (",
    "type . __setattr__ (",
    "Object . defineProperty (",
    "Object . defineProperties (",
    "Object . assign (",
    "Object . setPrototypeOf (",
    "Reflect . set (",
    "Reflect . defineProperty (",
    "Reflect . deleteProperty (",
];

/// Prefixes of dotted names of library settings that programs may change.
pub(super) const LIBRARY_SETTING_PREFIXES: &[&str] = &[
    "sys . stdout",
    "sys . stderr",
    "sys . stdin",
    "sys . argv",
    "sys . path",
    "sys . excepthook",
    "sys . dont_write_bytecode",
    "sys . tracebacklimit",
    "sys . ps",
    "logging .",
    "warnings .",
    "os . environ",
    "ssl . _create_default_https_context",
    "csv .",
    "Error . stackTraceLimit",
    "process . env",
    "process . title",
    "process . exitCode",
    "events . ",
    "http . ",
    "crypto . ",
    "process . exit",
    "sys . exit",
    "decimal .",
];

/// Functions and variables of the C library that other code and the test runner use.
pub(super) const C_LIBRARY_SYMBOLS: &[&str] = &[
    "exit",
    "_exit",
    "_Exit",
    "quick_exit",
    "abort",
    "atexit",
    "on_exit",
    "kill",
    "raise",
    "syscall",
    "memcmp",
    "bcmp",
    "strcmp",
    "write",
    "main",
    "getenv",
    "environ",
    "waitpid",
    "signal",
    "sigaction",
];

/// Words that occur in findings about test libraries.
pub(super) const TEST_LIBRARY_WORDS: &[&str] = &[
    "unittest",
    "pytest",
    "doctest",
    "mock",
    "assert",
    "test librar",
    "testing",
    "test depend",
    "chai",
    "jest",
];

/// Words that occur in findings about code that changes definitions in other modules.
pub(super) const PATCHING_WORDS: &[&str] =
    &["patch", "prototype", "polyfill", "override", "setattr", "defineproperty"];
