//! Generated bombs: small texts of which a parser makes much. Each is read as the service reads files, and costs no
//! more than its bounds.
//!
//! A few are read with the other tests; `cargo xtask fuzz bombs` goes on until its time is over, and tells the worst.

#![allow(clippy::print_stdout, reason = "the figures are its result")]

use std::collections::BTreeMap;

use truing::reader::{FILE_BYTES, FILE_MEMORY, FILE_TIME};

use super::files::Peak;
use super::*;

/// The variable that says how many seconds, from which seed on, and where to keep those that pass a bound:
/// `SECONDS,SEED,FOLDER`.
const HOW_LONG: &str = "TRUING_FUZZ_BOMBS";
/// The number that is read without it.
const FEW: u64 = 7;
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

/// Words of all.
const COMMON: &[&str] = &[
    "(", ")", "[", "]", "{", "}", "<", ">", ",", ";", ":", ".", "=", "==", "=>", "->", "+", "-", "*", "/",
    "%", "&", "&&", "|", "||", "!", "?", "??", "@", "#", "\\", "'", "\"", "`", "a", "b", "x1", "0", "1.5",
    "\n", " ", "\t", "é", "‹", "if", "for", "return", "else", "in", "...", "..", "::", "<<", ">>", ">>>",
    "/*", "*/", "//", "a<b", "f(", "a=",
];

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

/// Numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A text that repeats something of a grammar: in a row, nested, as one long word, or as many different ones.
fn bomb(grammar: &Grammar, random: &mut Random) -> String {
    let unit = |random: &mut Random| {
        let mut unit = String::new();
        for _ in 0..=random.below(4) {
            unit += match random.below(2) {
                0 => random.one(COMMON),
                _ => random.one(grammar.words),
            };
            unit += random.one(&["", "", " "]);
        }
        unit
    };
    let size = 1 << (10 + random.below(7));
    let mut text = random.one(grammar.begins).to_owned();
    let (first, second) = (unit(random), unit(random));
    let times = size / first.len().max(1);
    match random.below(6) {
        0..=2 => text += &first.repeat(times),
        3 => {
            text += &first.repeat(times / 2);
            text += &unit(random);
            text += &second.repeat(times / 2);
        }
        4 => {
            for at in 0..times / 2 {
                text += if at % (2 + random.below(3)) == 0 { &second } else { &first };
            }
        }
        _ => match random.below(3) {
            0 => text += &random.one(&["a", "1", "'", "_", "é", "(", "\\"]).repeat(size),
            1 => (0..size / 12).for_each(|key| text += &format!("k{key}: {key},\n")),
            _ => (0..size / 16).for_each(|name| text += &format!("{first} n{name} {second}\n")),
        },
    }
    text
}

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

/// The worst of one grammar, each with its seed.
#[derive(Default)]
struct Worst {
    count: usize,
    left_out: usize,
    /// Bytes of memory a byte of text; the most memory; seconds of work a MB; the most work.
    memory_ratio: (f64, u64),
    memory: (u64, u64),
    time_ratio: (f64, u64),
    time: (f64, u64),
}

#[tokio::test]
async fn generated_bombs_cost_no_more_than_their_bounds() {
    let stage = Stage::new();
    let asked = std::env::var(HOW_LONG).ok();
    let mut parts = asked.as_deref().unwrap_or_default().splitn(3, ',');
    let seconds = parts.next().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let first: u64 = parts.next().map_or(1, |text| text.parse().unwrap());
    let kept = parts.next().filter(|folder| !folder.is_empty()).map(PathBuf::from);

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

    let (begun, mut seed, mut broken) = (Instant::now(), first, Vec::new());
    let mut worst: BTreeMap<&str, Worst> = BTreeMap::new();
    while seconds.map_or(seed < first + FEW, |seconds| begun.elapsed() < seconds) {
        let mut random = Random(seed);
        let grammar = &GRAMMARS[(seed % 7) as usize];
        let text = bomb(grammar, &mut random);
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
            if let Some(folder) = &kept {
                std::fs::write(folder.join(format!("{seed}.{}", grammar.ending)), &text).unwrap();
            }
        }
        let of = worst.entry(grammar.name).or_default();
        of.count += 1;
        of.left_out += report.not_reviewed.len();
        let most = |kept: &mut (f64, u64), is: f64| {
            if is > kept.0 {
                *kept = (is, seed);
            }
        };
        most(&mut of.memory_ratio, memory as f64 / bytes as f64);
        most(&mut of.time_ratio, took.as_secs_f64() * 1e6 / bytes as f64);
        most(&mut of.time, took.as_secs_f64());
        of.memory = of.memory.max((memory, seed));
        seed += 1;
    }
    for (name, of) in &worst {
        println!(
            "bombs: {name}: {} read, {} left out; worst {:.0} bytes a byte (seed {}), {} MiB (seed {}), {:.1} s a MB \
             (seed {}), {:.1} s (seed {})",
            of.count,
            of.left_out,
            of.memory_ratio.0,
            of.memory_ratio.1,
            of.memory.0 >> 20,
            of.memory.1,
            of.time_ratio.0,
            of.time_ratio.1,
            of.time.0,
            of.time.1,
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
