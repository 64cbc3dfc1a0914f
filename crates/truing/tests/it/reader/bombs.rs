//! Tests of generated bombs, which are small texts that are expensive to parse. A reader parses each bomb as
//! in the service, and must stay within its limits.
//!
//! With the other tests, only a few bombs are parsed; `cargo xtask fuzz bombs` parses bombs until its time is
//! over, and prints the most expensive ones.

use truing_loops::reader::{FILE_BASE_MEMORY_BYTES, FILE_CPU_TIME_LIMIT, MEMORY_PER_FILE_BYTE};

use super::bomb::{self, BombRequest, CostliestTexts, Random};
use super::files::{LATE, PeakMeter};
use super::*;

/// Number of bombs to parse with the other tests.
const FEW: u64 = 7;
/// Base-2 logarithm of the approximate size of the largest text in bytes.
const LARGEST: usize = 16;
/// Memory in bytes that a reader may use in addition to its limit for data: its stack, and mapped pages of
/// files.
const SLACK: u64 = 16 << 20;

/// A language: the extension of its files, possible beginnings of a file, and words that its grammar
/// contains.
struct Grammar {
    name: &'static str,
    ending: &'static str,
    begins: &'static [&'static str],
    words: &'static [&'static str],
}

const GRAMMARS: [Grammar; 7] = [
    Grammar {
        name: "python",
        ending: "py",
        begins: &["", "def f():\n ", "class A:\n def f(self):\n  ", "match a:\n case ", "x = f'{", "print "],
        words: &[
            "lambda",
            "lambda a:",
            "def",
            "class",
            "async",
            "await",
            "yield",
            "not",
            "is",
            "and",
            "or",
            "with",
            "as",
            "match",
            "case",
            "print",
            "exec",
            "f'{",
            "'''",
            "**",
            "import",
            "from",
            "global",
            "try:",
            "except",
            "\n ",
            "\n  ",
        ],
    },
    Grammar {
        name: "typescript",
        ending: "ts",
        begins: &[
            "",
            "class A { f(){ ",
            "type T = ",
            "let a: ",
            "function f<",
            "const a = <T,>(",
            "namespace N { ",
        ],
        words: &[
            "class",
            "type",
            "interface",
            "extends",
            "keyof",
            "typeof",
            "infer",
            "as",
            "is",
            "async",
            "function",
            "=>",
            "`${",
            "let",
            "enum",
            "abstract",
            "new",
            "<T>",
            "a?:",
            "satisfies",
            "asserts",
            "unique symbol",
        ],
    },
    Grammar {
        name: "tsx",
        ending: "tsx",
        begins: &["", "class A { void f(){ ", "const a = <div>", "function f() { return <", "type T = "],
        words: &[
            "<div", "</", "/>", "<>", "</>", "{...", "a= >", "class", "async", "=>", "as", "typeof", "`${",
            "void",
        ],
    },
    Grammar {
        name: "javascript",
        ending: "js",
        begins: &["", "class A { f(){ ", "async function* f() { ", "const {", "x = /", "return <div>", "`${"],
        words: &[
            "function",
            "async",
            "await",
            "yield",
            "=>",
            "`${",
            "}`",
            "/",
            "/g",
            "let",
            "var",
            "class",
            "static",
            "get",
            "new",
            "import(",
            "?.",
            "lambda a:",
            "<div",
            "/>",
            "case",
            "do",
            "while(",
            "label:",
            "**",
        ],
    },
    Grammar {
        name: "rust",
        ending: "rs",
        begins: &[
            "",
            "fn f() { ",
            "impl<T> A for B { ",
            "macro_rules! m { ",
            "type T = ",
            "let x = |",
            "fn f<",
        ],
        words: &[
            "fn", "impl", "dyn", "where", "let", "match", "=>", "|", "||", "&mut", "'a", "r#\"", "\"#", "#[",
            "#![", "$(", "$a:expr", "vec![", "m!{", "as", "unsafe", "move", "for<'a>", "..=", "::<", "async",
            "const", "ref",
        ],
    },
    Grammar {
        name: "go",
        ending: "go",
        begins: &[
            "",
            "package a\nfunc f() { ",
            "package a\ntype T ",
            "package a\nvar a = ",
            "package a\nfunc f[T ",
        ],
        words: &[
            "func",
            "func(",
            "type",
            "struct{",
            "interface{",
            "map[",
            "chan",
            "<-",
            ":=",
            "go",
            "defer",
            "select",
            "switch",
            "case",
            "[]",
            "[...]",
            "a[T]",
            "range",
            "goto",
            "fallthrough",
            "package",
            "~int",
            "var",
            "const",
        ],
    },
    Grammar {
        name: "java",
        ending: "java",
        begins: &[
            "",
            "class A { void f(){ ",
            "class A<",
            "enum A { ",
            "record A(",
            "@A(",
            "class A { int a = ",
        ],
        words: &[
            "List<",
            "a<b<",
            "new",
            "class",
            "instanceof",
            "->",
            "::",
            "switch",
            "case",
            "yield",
            "synchronized",
            "int",
            "@A",
            "? extends",
            "throws",
            "(a)",
            "int[]",
            "default",
            "\"\"\"",
            "var",
            "static",
            "record",
            "sealed",
        ],
    },
];

/// Writes a rule for each grammar that checks every identifier. A file is parsed only if a rule might match
/// in it, so without these rules no file would be parsed.
fn create_grammar_rules(stage: &Stage) -> PathBuf {
    let folder = stage.path("rules/all/rules");
    std::fs::create_dir_all(&folder).unwrap();
    for Grammar { name, .. } in GRAMMARS {
        let rule = format!("language: {name}\nrule:\n  kind: identifier\n  regex: ^neverfound$\n");
        std::fs::write(folder.join(format!("{name}.yml")), rule).unwrap();
    }
    stage.path("rules")
}

/// Returns a reader whose children write their process ids to a file, so that their resources can be
/// measured.
fn watched_reader(stage: &Stage) -> ChildProcessReader {
    let program = stage.write_impostor(&format!("echo $$ >> $0.pids; exec {TRUING} \"$@\""));
    ChildProcessReader::new(program).with_rules(Some(create_grammar_rules(stage)))
}

/// Returns the result of a request, the peak memory of the child processes, and their CPU time.
async fn measure_children<T>(stage: &Stage, request: impl Future<Output = T>) -> (T, u64, Duration) {
    let peak = PeakMeter::observe(stage.path("impostor.pids"));
    let answer = request.await;
    let (bytes, work) = peak.finish();
    let _ = std::fs::remove_file(stage.path("impostor.pids"));
    (answer, bytes, work)
}

/// The measured cost of bombs. `idle` (bytes) and `start` (CPU time) are the cost of an empty file, which is
/// subtracted.
struct BombCost {
    idle: u64,
    start: Duration,
    worst: CostliestTexts,
    broken: Vec<String>,
}

impl BombCost {
    fn new(idle: u64, start: Duration) -> Self {
        Self { idle, start, worst: CostliestTexts::default(), broken: Vec::new() }
    }

    fn record(
        &mut self,
        asked: &BombRequest,
        grammar: &Grammar,
        seed: u64,
        text: &str,
        (peak, work): (u64, Duration),
    ) {
        let (bytes, memory) = (text.len() as u64, peak.saturating_sub(self.idle));
        let took = work.saturating_sub(self.start);
        if memory > FILE_BASE_MEMORY_BYTES + MEMORY_PER_FILE_BYTE * bytes + SLACK
            || took > FILE_CPU_TIME_LIMIT + LATE
        {
            let told =
                format!("seed {seed}: {} of {bytes} bytes: {} MiB, {took:?}", grammar.name, memory >> 20);
            println!("{told}");
            self.broken.push(told);
            asked.save_text(&format!("{seed}.{}", grammar.ending), text);
        }
        self.worst.add(grammar.name, seed, bytes, memory, took);
    }

    fn finish(self) {
        self.worst.print();
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
    }
}

#[tokio::test]
async fn generated_bombs_cost_no_more_than_their_bounds() {
    let stage = Stage::new();
    let asked = BombRequest::from_environment();
    let reader = watched_reader(&stage);
    stage.write("nothing.py", b"a = 1\n");
    let read = async |name: &str| {
        let request = ReadRequest { packs: vec!["all".to_owned()], ..stage.request(&[name]) };
        measure_children(&stage, async { reader.read(&request).await.unwrap() }).await
    };
    read("nothing.py").await;
    let (_, idle, start) = read("nothing.py").await;

    let (mut watch, mut left_out) = (BombCost::new(idle, start), 0);
    for seed in asked.seeds(FEW) {
        let grammar = &GRAMMARS[(seed % 7) as usize];
        let text = bomb::generate_text(grammar.begins, grammar.words, LARGEST, &mut Random(seed));
        let name = format!("bomb.{}", grammar.ending);
        stage.write(&name, text.as_bytes());
        let (report, peak, work) = read(&name).await;
        left_out += report.not_reviewed.len();
        watch.record(&asked, grammar, seed, &text, (peak, work));
    }
    println!("bombs: {left_out} were left out, each by its name");
    watch.finish();
}

/// The grammar of a hash test. The reader parses such a file completely.
const HASH_TEST: Grammar = Grammar {
    name: "hash test",
    ending: "py",
    begins: &["", "def test_a():\n    ", "HASHES = {", "HASHES = [\n    ("],
    words: &[
        "import a",
        "from a import b\n",
        "a.b.c",
        "'0000000000000000000000000000000000000000'",
        "\"a\": {",
        "},\n",
        "({'",
        "mock.patch('a')\n",
        "lambda:",
        "f'{",
        "assert a == 1\n",
        "    ",
    ],
};

#[tokio::test]
async fn generated_bombs_in_a_hash_test_cost_no_more_than_a_file_may() {
    let stage = Stage::new();
    let asked = BombRequest::from_environment();
    let reader = watched_reader(&stage);
    let test = stage.path("tree/test_hashes.py");
    let read = async |text: &str| {
        std::fs::write(&test, text).unwrap();
        measure_children(&stage, reader.read_pinned_test_hashes(&test)).await
    };
    read("a = 1\n").await.0.unwrap();
    let (_, idle, start) = read("a = 1\n").await;

    let mut watch = BombCost::new(idle, start);
    for seed in asked.seeds(FEW) {
        let text = bomb::generate_text(HASH_TEST.begins, HASH_TEST.words, LARGEST, &mut Random(seed));
        let (_, peak, work) = read(&text).await;
        watch.record(&asked, &HASH_TEST, seed, &text, (peak, work));
    }
    // A bomb that the generator has found; its 16 KB took 259 MiB of memory.
    let bomb = format!("def test_a():\n    {}", "<mock.patch('a')\n//*/".repeat(780));
    let (read, peak, work) = read(&bomb).await;
    let reason = read.unwrap_err().to_string();
    assert!(reason.contains("reading the file exceeds the memory limit for files of this size"), "{reason}");
    watch.record(&asked, &HASH_TEST, 0, &bomb, (peak, work));
    watch.finish();
}
