//! Tests of pinned items in releases in languages other than Python. The reader finds items of Rust and of
//! the JavaScript family by file and name, even if another file re-exports an item. The tests also cover
//! digests of trees and of whole files.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

use truing_core::sync::{ReleaseSources, SymbolDefinition, SymbolState};
use truing_reader::sources::{ArchiveFormat, ReleaseSourcesRequest, read_release};

use crate::support::wheel;

fn sources(files: &[(&str, &str)], symbols: &[&str], mirrored: &[&str]) -> ReleaseSources {
    let (_folder, archive) = wheel(files.iter().copied());
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let request = ReleaseSourcesRequest {
        archive,
        format: ArchiveFormat::Wheel,
        symbols: owned(symbols),
        mirrored_globs: owned(mirrored),
        base_classes: vec![],
    };
    read_release(&request).unwrap()
}

fn symbol_state(files: &[(&str, &str)], name: &str) -> SymbolState {
    sources(files, &[name], &[]).symbols.remove(name).unwrap()
}

fn symbol_definition(files: &[(&str, &str)], name: &str) -> SymbolDefinition {
    symbol_state(files, name).definition().unwrap_or_else(|| panic!("{name} is not found")).clone()
}

const LIB: &str = r#"//! A crate.
mod a;
pub mod deep { pub fn inner() {} pub mod more { pub const X: u8 = 1; } }
pub use a::{Thing, helper as assist};
pub use crate::deep::more::*;
pub use other_crate::External;
pub use missing;

/// What it is.
#[derive(Debug)]
pub struct Own<T> { value: T }

impl<T> Own<T> {
    /// Makes one.
    #[must_use]
    pub fn new(value: T) -> Self { Self { value } }
}

impl<T: Clone> Clone for Own<T> {
    fn clone(&self) -> Self { Self { value: self.value.clone() } }
}

pub trait Does { const N: u8; type Item; fn run(&self); }
macro_rules! made { () => {} }
"#;

const RUST: [(&str, &str); 4] = [
    ("src/lib.rs", LIB),
    ("src/a.rs", "pub use self::b::Thing;\nmod b;\npub fn helper() {}\npub use ring::Ring;\nmod ring;\n"),
    ("src/a/b.rs", "pub struct Thing;\nimpl Thing { pub fn go() {} }\npub use super::helper;\n"),
    ("src/a/ring.rs", "pub use super::Ring;\n"),
];

#[test]
fn rusts_items_are_found_by_file_and_path() {
    for (name, file, line) in [
        ("src/lib.rs:Own", "src/lib.rs", 10),
        ("src/lib.rs:Own.new", "src/lib.rs", 15),
        ("src/lib.rs:Own.clone", "src/lib.rs", 20),
        ("src/lib.rs:Does.run", "src/lib.rs", 23),
        ("src/lib.rs:Does.Item", "src/lib.rs", 23),
        ("src/lib.rs:made", "src/lib.rs", 24),
        ("src/lib.rs:deep.inner", "src/lib.rs", 3),
        ("src/lib.rs:X", "src/lib.rs", 3),
        // Each of these names is a re-export from another file; some names are aliases.
        ("src/lib.rs:Thing", "src/a/b.rs", 1),
        ("src/lib.rs:Thing.go", "src/a/b.rs", 2),
        ("src/lib.rs:assist", "src/a.rs", 3),
        ("src/a/b.rs:helper", "src/a.rs", 3),
    ] {
        let definition = symbol_definition(&RUST, name);
        assert_eq!((definition.file.as_str(), definition.line), (file, line), "{name}");
    }
    assert_eq!(symbol_state(&RUST, "src/lib.rs:External"), SymbolState::OtherPackage);
    for gone in ["src/lib.rs:Nothing", "src/lib.rs:Own.nothing", "src/gone.rs:Own", "src/a.rs:Ring"] {
        assert_eq!(symbol_state(&RUST, gone), SymbolState::Absent, "{gone}");
    }
}

const SCRIPTS: [(&str, &str); 5] = [
    (
        "index.ts",
        "export { Base, make as create } from './lib/base.js';\nexport * from './lib';\nexport * as all from \
         './lib/base';\nimport { Base } from './lib/base'; export default Base;\nexport { x } from \
         'elsewhere';\nexport const one = 1, two = () => 2;\n",
    ),
    (
        "lib/base.ts",
        "export abstract class Base \
         {\n  field = 1;\n  @wrapped()\n  get size() { return 1 }\n  #hidden() {}\n}\nexport function make() \
         {}\nexport interface Shape { area(): number; kind: string }\nnamespace N \
         { export function f() {} }\n",
    ),
    (
        "lib/index.js",
        "exports.a = function () {};\nclass C { m() {} }\nmodule.exports.C = C;\nC.prototype.late = function \
         () {};\n",
    ),
    ("old.js", "module.exports = require('./lib/index.js');\n"),
    (
        "types.d.ts",
        "declare module 'x' { export function f(a: string): void; }\ndeclare const version: string;\n",
    ),
];

#[test]
fn scripts_items_are_found_by_file_and_path() {
    for (name, file, line) in [
        ("lib/base.ts:Base", "lib/base.ts", 1),
        ("lib/base.ts:Base.field", "lib/base.ts", 2),
        ("lib/base.ts:Base.size", "lib/base.ts", 3),
        ("lib/base.ts:Base.#hidden", "lib/base.ts", 5),
        ("lib/base.ts:Shape.area", "lib/base.ts", 8),
        ("lib/base.ts:N.f", "lib/base.ts", 9),
        ("index.ts:two", "index.ts", 6),
        ("index.ts:Base.size", "lib/base.ts", 3),
        ("index.ts:create", "lib/base.ts", 7),
        ("index.ts:all.make", "lib/base.ts", 7),
        ("index.ts:default", "lib/base.ts", 1),
        ("index.ts:a", "lib/index.js", 1),
        ("index.ts:C.late", "lib/index.js", 4),
        ("old.js:C.m", "lib/index.js", 2),
        ("types.d.ts:f", "types.d.ts", 1),
        ("types.d.ts:version", "types.d.ts", 2),
    ] {
        let definition = symbol_definition(&SCRIPTS, name);
        assert_eq!((definition.file.as_str(), definition.line), (file, line), "{name}");
    }
    assert_eq!(symbol_state(&SCRIPTS, "index.ts:x"), SymbolState::OtherPackage);
    for gone in ["index.ts:nothing", "lib/base.ts:Base.nothing", "gone.ts:Base", "old.js:gone"] {
        assert_eq!(symbol_state(&SCRIPTS, gone), SymbolState::Absent, "{gone}");
    }
}

#[test]
fn a_tree_is_the_same_whatever_the_layout_and_another_whatever_is_done() {
    let tree = |file: &str, text: &str| symbol_definition(&[(file, text)], &format!("{file}:f")).digests;
    for (file, one, same, other) in [
        (
            "a.rs",
            "fn f(a: u8) -> u8 { g(a, 1) }",
            "/// Doc.\nfn f(\n    a: u8,\n) -> u8 {\n    // why\n    g(a, 1,)\n}",
            &[
                "fn f(a: u8) -> u8 { g(a, 2) }",
                "fn f(a: u8) -> u8 { g(a, 1); }",
                "#[inline] fn f(a: u8) -> u8 { g(a, 1) }",
            ][..],
        ),
        (
            "a.rs",
            "fn f() { g((1,), \"a b\") }",
            "fn f() { g( (1,), \"a b\" ) }",
            &["fn f() { g((1), \"a b\") }", "fn f() { g((1,), \"a  b\") }"],
        ),
        (
            "a.js",
            "function f(a) { return g(a, 'x'); }",
            "function f(a,) {\n  /* why */ return g(a, \"x\",)\n}",
            &[
                "function f(a) { return g(a, 'y'); }",
                "async function f(a) { return g(a, 'x'); }",
                "function f(a) { return; g(a, 'x'); }",
            ],
        ),
        (
            "a.ts",
            "const f = (a: A) => `x ${a} y`;",
            "const f = ( a : A ) =>\n  `x ${a} y`",
            &["const f = (a: A) => `x  ${a} y`;", "const f = (a: B) => `x ${a} y`;"],
        ),
        ("a.js", "const f = [1, 2]", "const f = [\n1, 2]", &["const f = [1, , 2]", "const f = [1, 2, ,]"]),
    ] {
        assert_eq!(tree(file, one).tree, tree(file, same).tree, "{same}");
        assert_ne!(tree(file, one).raw, tree(file, same).raw, "{same}");
        for other in other {
            assert_ne!(tree(file, one).tree, tree(file, other).tree, "{other}");
        }
    }
}

#[test]
fn a_file_is_pinned_whole_and_its_form_says_what_is_layout() {
    let whole = |file: &str, text: &str| symbol_definition(&[(file, text)], file).digests;
    for (file, one, same, other) in [
        ("a.rs", "fn f() {}\n", "// why\nfn f() { }", "fn g() {}\n"),
        ("src/a.js", "f();\n", "f() // why", "g()"),
        // In a file of an unknown language, only line endings may change without a change of the `tree`
        // digest.
        ("data/a.txt", "a b\nc\n", "a b\r\nc\r\n", "a  b\nc\n"),
        ("a.py", "def f():\n    return 1\n", "def f(): # why\n  return 1\n", "def f():\n    return 2\n"),
    ] {
        assert_eq!(whole(file, one).tree, whole(file, same).tree, "{file}");
        assert_ne!(whole(file, one).raw, whole(file, same).raw, "{file}");
        assert_ne!(whole(file, one).tree, whole(file, other).tree, "{file}");
    }
    assert_eq!(symbol_state(&[("a.rs", "")], "b.rs"), SymbolState::Absent);
}

#[test]
fn mirrored_files_tell_what_is_in_them() {
    let files = [&RUST[..], &SCRIPTS[..], &[("a.txt", "x"), ("b.txt", "x")]].concat();
    let sources = sources(&files, &[], &["src/a.rs", "lib/*.ts", "a.txt"]);
    let names: Vec<_> = sources
        .functions
        .iter()
        .flat_map(|(file, names)| names.keys().map(move |name| format!("{file} {name}")))
        .collect();
    assert_eq!(
        names,
        [
            "a.txt *",
            "lib/base.ts Base.#hidden",
            "lib/base.ts Base.field",
            "lib/base.ts Base.size",
            "lib/base.ts N.f",
            "lib/base.ts Shape.area",
            "lib/base.ts Shape.kind",
            "lib/base.ts make",
            "src/a.rs helper",
        ]
    );
}

#[test]
fn what_cannot_be_read_as_source_is_told() {
    let deep = format!("fn f() {{ {}1{} }}", "(".repeat(20_000), ")".repeat(20_000));
    let nested = "mod a {".repeat(5_000);
    for text in ["\u{0}\u{1}", deep.as_str(), nested.as_str(), "fn f( {", "use ;;; pub use {{{"] {
        for file in ["a.rs", "a.ts"] {
            // Any result is correct if the reader does not panic.
            let found = sources(&[(file, text)], &[&format!("{file}:f"), file], &["*"]);
            assert_eq!(found.symbols.len(), 2);
        }
    }
    let long = "// x\n".repeat(1 << 20);
    let found = sources(&[("a.rs", &long)], &["a.rs:f"], &[]);
    assert!(found.unreadable["a.rs"].contains("longer"), "{:?}", found.unreadable);
}
