//! Things that code outside of tests may not newly do, as a table of patterns over [`tokens`](super::tokens).

// long: one table, a section for each language.

use super::weakening::WeakeningKind::{
    self, Asks, Compares, Ends, Hooked, Incomparable, Looks, Remembers, Starts,
};

/// One thing that code does.
#[derive(Debug)]
pub(super) struct ForbiddenPattern {
    /// How names of its files end.
    pub endings: &'static [&'static str],
    /// Why it is one.
    pub kind: WeakeningKind,
    /// May the part of a program do it that only runs where it is the program?
    pub is_of_main: bool,
    /// Words of findings that are about it.
    pub about: &'static [&'static str],
    /// The words that do it: `"*` is any text, `"a*` one that begins so, `_` any word but at the beginning; one that ends
    /// with `!` is not followed by a number that says that something failed.
    pub patterns: &'static [&'static str],
}

pub(super) const PYTHON: &[&str] = &[".py", ".pyi"];
pub(super) const SCRIPT: &[&str] = &[".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"];
pub(super) const GO: &[&str] = &[".go"];
pub(super) const RUST: &[&str] = &[".rs"];

/// Words of findings about how a program ends.
pub(super) const ENDING: &[&str] =
    &["exit", "terminat", "shutdown", "shut down", "graceful", "sigterm", "sigint", "abort", "quit"];
/// Words of findings about how a program is called.
pub(super) const CALLED: &[&str] = &[
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
/// Words of findings about what is kept from call to call.
pub(super) const KEPT: &[&str] = &[
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
/// Words of findings about files that are looked for.
pub(super) const SEARCHED: &[&str] = &["director", "folder", "file", "path", "docstring", "glob", "scan"];
/// Words of findings about values that are no number.
pub(super) const NOT_A_NUMBER: &[&str] = &["nan", "not a number", "missing"];
/// Words of findings about the program's environment.
pub(super) const AROUND: &[&str] = &["environ", "env", "process.env"];
/// Words of findings about comparisons.
pub(super) const COMPARED: &[&str] = &[
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
/// Words of findings about what happens at the beginning or the end of a program.
pub(super) const WHEN: &[&str] =
    &["exit", "shutdown", "shut down", "start", "init", "flush", "clean", "register", "leak", "crash"];

const fn rule(
    endings: &'static [&'static str],
    kind: WeakeningKind,
    about: &'static [&'static str],
    patterns: &'static [&'static str],
) -> ForbiddenPattern {
    ForbiddenPattern { endings, kind, is_of_main: false, about, patterns }
}

const fn of_main(rule: ForbiddenPattern) -> ForbiddenPattern {
    ForbiddenPattern { is_of_main: true, ..rule }
}

pub(super) const RULES: &[ForbiddenPattern] = &[
    rule(PYTHON, Remembers, KEPT, &["itertools . count", "itertools . cycle", "global _", "nonlocal _"]),
    rule(SCRIPT, Remembers, KEPT, &["function * (", "yield *", "new Proxy"]),
    rule(GO, Remembers, KEPT, &["\"sync/atomic", "import sync / atomic"]),
    rule(
        RUST,
        Remembers,
        KEPT,
        &["AtomicUsize", "AtomicU64", "AtomicU32", "AtomicBool", "static mut", "thread_local"],
    ),
    rule(PYTHON, Looks, SEARCHED, &[". __doc__", "os . listdir", "os . scandir", "os . walk", ". iterdir"]),
    rule(SCRIPT, Looks, SEARCHED, &["fs . readdirSync", "fs . readdir", ". readdirSync"]),
    rule(GO, Looks, SEARCHED, &["os . ReadDir", "filepath . Walk", "filepath . WalkDir", "filepath . Glob"]),
    rule(RUST, Looks, SEARCHED, &["fs :: read_dir"]),
    rule(RUST, Asks, &["location", "caller", "panic"], &["Location :: caller"]),
    rule(SCRIPT, Asks, &["stack", "trace", "error"], &["Error . captureStackTrace", "stackTraceLimit"]),
    rule(
        PYTHON,
        Incomparable,
        NOT_A_NUMBER,
        &["math . nan", "float ( \"nan", "float ( \"NaN", "numpy . nan"],
    ),
    rule(SCRIPT, Incomparable, NOT_A_NUMBER, &["NaN"]),
    rule(GO, Incomparable, NOT_A_NUMBER, &["math . NaN"]),
    rule(RUST, Incomparable, NOT_A_NUMBER, &["f64 :: NAN", "f32 :: NAN"]),
    rule(
        PYTHON,
        Ends,
        ENDING,
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
    of_main(rule(
        PYTHON,
        Ends,
        ENDING,
        &[
            "sys . exit ( )",
            "sys . exit ( 0 )",
            "sys . exit ( None )",
            "SystemExit ( 0",
            "SystemExit ( )",
            "SystemExit ( None",
        ],
    )),
    rule(
        PYTHON,
        Starts,
        WHEN,
        &["atexit . register", "atexit . _", "threading . _register_atexit", "sys . excepthook ="],
    ),
    rule(
        PYTHON,
        Hooked,
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
    rule(
        PYTHON,
        Asks,
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
    rule(
        PYTHON,
        Asks,
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
    of_main(rule(
        PYTHON,
        Asks,
        CALLED,
        &["sys . argv", "sys . orig_argv", "os . getppid", "psutil . Process", "\"/proc/self*", "\"/proc/*"],
    )),
    of_main(rule(
        PYTHON,
        Asks,
        AROUND,
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
    rule(
        PYTHON,
        Asks,
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
    of_main(rule(
        SCRIPT,
        Ends,
        ENDING,
        &["process . exit !", "process . exitCode = !", "process . abort", "Deno . exit !", "Bun . exit !"],
    )),
    rule(
        SCRIPT,
        Ends,
        ENDING,
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
    rule(
        SCRIPT,
        Starts,
        WHEN,
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
    of_main(rule(
        SCRIPT,
        Asks,
        CALLED,
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
    rule(
        SCRIPT,
        Asks,
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
    rule(
        SCRIPT,
        Asks,
        AROUND,
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
    rule(
        SCRIPT,
        Asks,
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
    of_main(rule(GO, Ends, ENDING, &["os . Exit !"])),
    rule(
        GO,
        Ends,
        ENDING,
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
    rule(GO, Starts, WHEN, &["func init ( )"]),
    of_main(rule(
        GO,
        Asks,
        CALLED,
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
    rule(
        GO,
        Asks,
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
    of_main(rule(
        RUST,
        Ends,
        ENDING,
        &["std . process . exit !", "std . process . abort", "core . intrinsics . abort"],
    )),
    rule(
        RUST,
        Ends,
        ENDING,
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
    rule(RUST, Starts, WHEN, &["# [ ctor", "# [ dtor", "ctor . ctor", "ctor . dtor"]),
    of_main(rule(
        RUST,
        Asks,
        CALLED,
        &[
            "std . env . args",
            "std . env . args_os",
            "std . env . vars",
            "std . env . vars_os",
            "std . os . unix . process . parent_id",
            "\"/proc/*",
        ],
    )),
    rule(
        RUST,
        Asks,
        &["thread", "name"],
        &[
            "std . thread . current ( ) . name",
            "Thread . name",
            ". name ( ) == Some ( \"main",
            "std . backtrace",
        ],
    ),
    rule(
        PYTHON,
        Compares,
        COMPARED,
        &["\"__eq__", "\"__ne__", "\"__instancecheck__", "\"__class__", "__class__ ="],
    ),
];

/// Comparisons of a type, and what stands for its value in them. Where it is taken for a value of the language they are
/// refused; else people are told.
pub(super) const COMPARISONS: &[ForbiddenPattern] = &[
    rule(
        PYTHON,
        Compares,
        COMPARED,
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
    rule(
        SCRIPT,
        Compares,
        COMPARED,
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
    rule(GO, Compares, COMPARED, &[") Equal (", ") Cmp (", ") Compare ("]),
    rule(
        RUST,
        Compares,
        COMPARED,
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

/// Values of languages for which a type of its own may be taken.
pub(super) const VALUES: &[&str] = &[
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

/// Libraries of tests that have no other use, by language, and those of the language itself that others use, too.
pub(super) const LIBRARIES: &[(&[&str], &[&str])] = &[
    (
        PYTHON,
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
        SCRIPT,
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
        GO,
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
        RUST,
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

/// Libraries that assert in programs, too.
pub(super) const ASSERTING: &[&str] = &["assert", "assert/strict", "github.com/google/go-cmp"];

/// Modules of Node, whose functions other code relies on.
pub(super) const OF_NODE: &[&str] = &[
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

/// What a script has without an import.
pub(super) const GLOBALS: &[&str] = &[
    "Object", "Array", "Number", "String", "Boolean", "JSON", "Math", "Function", "Symbol", "Map", "Set",
    "Date", "Promise", "Reflect", "RegExp", "Error", "BigInt", "Proxy", "process",
];

/// Calls that give a field of their first argument another value.
pub(super) const SETTERS: &[&str] = &[
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

/// What programs set of the libraries of their language, by the beginning of its path.
pub(super) const SETTINGS: &[&str] = &[
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

/// Names of the C library that other code and the runner of tests call.
pub(super) const SYMBOLS: &[&str] = &[
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

/// Words of findings about libraries of tests.
pub(super) const OF_TESTS: &[&str] = &[
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

/// Words of findings about changes of what others define.
pub(super) const PATCHED: &[&str] =
    &["patch", "prototype", "polyfill", "override", "setattr", "defineproperty"];
