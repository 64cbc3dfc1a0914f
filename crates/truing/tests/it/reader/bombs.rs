//! Generated bombs: small texts of which a parser makes much. Each is read as the service reads files, and costs no
//! more than its bounds.
//!
//! A few are read with the other tests; `cargo xtask fuzz bombs` goes on until its time is over, and tells the worst.

use truing::reader::{FILE_BYTES, FILE_MEMORY, FILE_TIME};

use super::bomb::{self, Asked, Random, Worst};
use super::files::Peak;
use super::*;

/// The number that is read with the other tests.
const FEW: u64 = 7;
/// The largest has about two to this power of bytes.
const LARGEST: usize = 16;
/// The memory of a reader above the limit of its data: its stack, and pages of files.
const SLACK: u64 = 16 << 20;
/// Until a reader that works for too long is seen to, on a machine that is busy with others.
const LATE: Duration = Duration::from_millis(500);

/// A language: the ending of its files, what code may begin with, and words that mean something in it.
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

/// A rule for each grammar that looks at every name: without one that might match, a file is not parsed.
fn rules(stage: &Stage) -> PathBuf {
    let folder = stage.path("rules/all/rules");
    std::fs::create_dir_all(&folder).unwrap();
    for Grammar { name, .. } in GRAMMARS {
        let rule = format!("language: {name}\nrule:\n  kind: identifier\n  regex: ^neverfound$\n");
        std::fs::write(folder.join(format!("{name}.yml")), rule).unwrap();
    }
    stage.path("rules")
}

#[tokio::test]
async fn generated_bombs_cost_no_more_than_their_bounds() {
    let stage = Stage::new();
    let asked = Asked::of_environment();
    let program = stage.impostor(&format!("echo $$ >> $0.pids; exec {TRUING} \"$@\""));
    let reader = ChildReader::new(program).with_rules(Some(rules(&stage)));
    stage.write("nothing.py", b"a = 1\n");
    let read = async |name: &str| {
        let request = ReadRequest { packs: vec!["all".to_owned()], ..stage.request(&[name]) };
        let peak = Peak::of(stage.path("impostor.pids"));
        let report = reader.read(&request).await.unwrap();
        let (bytes, work) = peak.ended();
        let _ = std::fs::remove_file(stage.path("impostor.pids"));
        (report, bytes, work)
    };
    read("nothing.py").await;
    let (_, idle, start) = read("nothing.py").await;

    let (mut worst, mut left_out, mut broken) = (Worst::default(), 0, Vec::new());
    for seed in asked.seeds(FEW) {
        let grammar = &GRAMMARS[(seed % 7) as usize];
        let text = bomb::text(grammar.begins, grammar.words, LARGEST, &mut Random(seed));
        let name = format!("bomb.{}", grammar.ending);
        stage.write(&name, text.as_bytes());
        let (report, peak, work) = read(&name).await;
        let (bytes, memory) = (text.len() as u64, peak.saturating_sub(idle));
        let took = work.saturating_sub(start);
        if memory > FILE_MEMORY + FILE_BYTES * bytes + SLACK || took > FILE_TIME + LATE {
            let told =
                format!("seed {seed}: {} of {bytes} bytes: {} MiB, {took:?}", grammar.name, memory >> 20);
            println!("{told}");
            broken.push(told);
            asked.keep(&format!("{seed}.{}", grammar.ending), &text);
        }
        left_out += report.not_reviewed.len();
        worst.add(grammar.name, seed, bytes, memory, took);
    }
    worst.print();
    println!("bombs: {left_out} were left out, each by its name");
    assert!(broken.is_empty(), "{broken:#?}");
}
