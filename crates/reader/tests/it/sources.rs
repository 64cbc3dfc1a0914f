//! Tests that the reader finds the definitions in an upstream release, computes the digests of their lines
//! and trees, and refuses hostile archives. Python's own tools extracted the expected texts below. The
//! digests of lines must equal the digests of these texts.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;
use truing_core::sync::{ReleaseSources, SymbolDefinition, SymbolState};
use truing_reader::sources::{
    ArchiveError, ArchiveFormat, HashPins, ReleaseSourcesRequest, SourcesError, read_pins, read_release,
};
use zip::write::SimpleFileOptions;

use crate::support::{add_info, archive_place, wheel};

struct Release {
    _folder: TempDir,
    archive: PathBuf,
    format: ArchiveFormat,
}

impl Release {
    fn wheel(files: &[(&str, &str)]) -> Self {
        let (folder, archive) = wheel(files.iter().copied());
        Self { _folder: folder, archive, format: ArchiveFormat::Wheel }
    }

    /// Creates a source archive whose entries have exactly these names, types and contents.
    fn tar(entries: &[(&str, tar::EntryType, &str)]) -> Self {
        let (folder, archive) = archive_place();
        let mut tar = tar::Builder::new(GzEncoder::new(File::create(&archive).unwrap(), Compression::fast()));
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        Self { _folder: folder, archive, format: ArchiveFormat::TarGz }
    }

    fn read(&self, symbols: &[&str], mirrored: &[&str]) -> Result<ReleaseSources, SourcesError> {
        read_release(&ReleaseSourcesRequest {
            archive: self.archive.clone(),
            format: self.format,
            symbols: symbols.iter().map(|name| (*name).to_owned()).collect(),
            mirrored_globs: mirrored.iter().map(|glob| (*glob).to_owned()).collect(),
            base_classes: vec![],
        })
    }

    fn symbol_state(&self, name: &str) -> SymbolState {
        self.read(&[name], &[]).unwrap().symbols.remove(name).unwrap()
    }

    fn symbol_definition(&self, name: &str) -> SymbolDefinition {
        self.symbol_state(name).definition().unwrap_or_else(|| panic!("{name} is not found")).clone()
    }
}

fn sha1(text: &str) -> String {
    hex::encode(Sha1::digest(text.as_bytes()))
}

const MODULE: &str = r#"import os
from .other import helper as assist
from p.base import Base
from other_package import thing

@decorate(
    1)
def decorated(a):
    # inside
    return a
    # after, as deep as the body

  # less deep
    # deep again

def plain(): return 1
    # not its own

@registered
class C(Base):
    """What it is."""

    kind = Base

    @property
    def size(self):
        return 1

    @size.setter
    def size(self, value):
        self.value = value

    def method(self):
        return 'a'

    alias = method

if os.name == "nt":
    def either(): return 1
else:
    def either(): return 2

try:
    from fast import quick
except ImportError:
    def quick(): pass

def again(): return 1
def again(): return 2
def last():
    return 3
"#;

fn package() -> Release {
    Release::wheel(&[
        ("p/__init__.py", "from .m import plain as shown\n"),
        ("p/m.py", MODULE),
        ("p/other.py", "from p.far import *\n"),
        ("p/far.py", "def helper():\n    pass\n"),
        ("p/base.py", "class Base:\n    def inherited(self):\n        return 0\n"),
        ("p/data.json", "{}"),
    ])
}

#[test]
fn a_definitions_lines_are_those_that_python_prints() {
    let release = package();
    for (name, text) in [
        (
            "p.m:decorated",
            "@decorate(\n    1)\ndef decorated(a):\n    # inside\n    return a\n    # after, as deep as the \
             body\n\n  # less deep\n    # deep again\n",
        ),
        ("p.m:plain", "def plain(): return 1\n"),
        ("p.m:C.method", "    def method(self):\n        return 'a'\n"),
        ("p.m:C.alias", "    def method(self):\n        return 'a'\n"),
        ("p.m:C.size", "    @property\n    def size(self):\n        return 1\n"),
        ("p.m:C.size.fget", "    @property\n    def size(self):\n        return 1\n"),
        ("p.m:C.size.fset", "    @size.setter\n    def size(self, value):\n        self.value = value\n"),
        ("p.m:C.inherited", "    def inherited(self):\n        return 0\n"),
        ("p.m:C.kind", "class Base:\n    def inherited(self):\n        return 0\n"),
        ("p.m:assist", "def helper():\n    pass\n"),
        ("p:shown", "def plain(): return 1\n"),
        ("p:m.plain", "def plain(): return 1\n"),
        ("p.m:either", "    def either(): return 1\n"),
        ("p.m:again", "def again(): return 2\n"),
        ("p.m:last", "def last():\n    return 3\n"),
    ] {
        assert_eq!(release.symbol_definition(name).digests.raw, sha1(text), "{name}");
    }
    // The lines of a class start at the line with `class`, after the decorators.
    let class = release.symbol_definition("p.m:C");
    let from = MODULE.find("class C").unwrap();
    let to = MODULE.find("\nif os.name").unwrap();
    assert_eq!(class.digests.raw, sha1(&MODULE[from..to]));
    assert_eq!((class.file.as_str(), class.line, class.decorated), ("p/m.py", 20, true));
    assert_eq!(release.symbol_definition("p.m:C.alias").name, "C.method");
}

#[test]
fn a_definition_stays_where_a_condition_may_put_another_name_in_its_place() {
    let text = "class C:\n    def m(self): ...\n\ndef f(): ...\n\nif not ssl:\n    C = Dummy\n    f = \
         None\n\nif new:\n    def g(): return 1\nelse:\n    g = f\n\nif new:\n    def f(): return 2\n";
    let release = Release::wheel(&[("p/m.py", text)]);
    for (name, line) in [("p.m:C.m", 2), ("p.m:g", 11), ("p.m:f", 16)] {
        assert_eq!(release.symbol_definition(name).line, line, "{name}");
    }
}

#[test]
fn what_is_not_there_is_told_from_what_is_elsewhere() {
    let release = package();
    for (name, expected) in [
        ("p.m:nobody", SymbolState::Absent),
        ("p.m:C.nobody", SymbolState::Absent),
        ("p.nowhere:f", SymbolState::Absent),
        ("p.m:plain.inner", SymbolState::Absent),
        ("q:f", SymbolState::OtherPackage),
        ("p.m:thing", SymbolState::OtherPackage),
        ("p.m:quick", SymbolState::OtherPackage),
    ] {
        assert_eq!(release.symbol_state(name), expected, "{name}");
    }
}

#[test]
fn aliases_in_a_ring_come_to_an_end() {
    let release =
        Release::wheel(&[("p.py", "a = b\nb = a\nclass C(C): pass\nclass D(E): pass\nclass E(D): pass\n")]);
    for name in ["p:a", "p:C.x", "p:D.x"] {
        assert_eq!(release.symbol_state(name), SymbolState::Absent, "{name}");
    }
}

#[test]
fn a_tree_is_the_same_whatever_the_layout() {
    let tree = |text: &str| Release::wheel(&[("p.py", text)]).symbol_definition("p:f").digests.tree;
    let same = [
        ("def f(a):\n    return a + 1\n", "def f( a ):\n    # why\n    return (a + 1)\n"),
        ("def f():\n    \"\"\"One.\"\"\"\n    return 1\n", "def f():\n    'Another.'\n    return 1\n"),
        ("def f():\n    return \"it's\"\n", "def f():\n    return 'it\\'s'\n"),
        ("def f():\n    return 'ab'\n", "def f():\n    return ('a'\n            'b')\n"),
        ("def f():\n    g(a, b)\n", "def f():\n    g(\n        a,\n        b,\n    )\n"),
        ("def f():\n    return a, b\n", "def f():\n    return (a, b)\n"),
        ("def f():\n    return 1000\n", "def f():\n    return 1_000\n"),
        ("def f():\n    return a and \\\n        b\n", "def f():\n    return a and b\n"),
        (
            "def f():\n    if a: b()\n    elif c: d()\n",
            "def f():\n    if a: b()\n    else:\n        if c: d()\n",
        ),
        ("def f(): return f'{x!r:>{w}}'\n", "def f(): return f\"{ x !r:>{w}}\"\n"),
        ("def f(): return f'{x=}'\n", "def f(): return f'x={x!r}'\n"),
        ("def f(): return f'{{x}}{y}'\n", "def f(): return f'{{x}}' f'{y}'\n"),
        ("def f(): return a[1:]\n", "def f(): return a[1::]\n"),
        ("def f(): return a[(1, 2)]\n", "def f(): return a[1, 2]\n"),
        ("def f(): return g(*a, b=1)\n", "def f(): return g(b=1, *a)\n"),
        ("def f(): return 0xff + 1e3 + 1.0\n", "def f(): return 255 + 1000. + 1.\n"),
        ("def f(): return '\\x41'\n", "def f(): return 'A'\n"),
    ];
    for (one, two) in same {
        assert_eq!(tree(one), tree(two), "{one}{two}");
    }
    let different = [
        ("def f(a):\n    return a + 1\n", "def f(a):\n    return a - 1\n"),
        ("def f():\n    return 1\n", "async def f():\n    return 1\n"),
        ("def f():\n    return a[1:]\n", "def f():\n    return a[:1]\n"),
        ("def f():\n    return a[1]\n", "def f():\n    return a[1,]\n"),
        ("def f():\n    return 'a'\n", "def f():\n    return b'a'\n"),
        ("def f():\n    return 'a\\nb'\n", "def f():\n    return r'a\\nb'\n"),
        ("def f():\n    return f'{a}'\n", "def f():\n    return '{a}'\n"),
        ("def f():\n    return f'{a}b'\n", "def f():\n    return f'b{a}'\n"),
        ("def f():\n    return (a)\n", "def f():\n    return (a,)\n"),
        ("def f(): return g(h(a), b)\n", "def f(): return g(h(a, b))\n"),
        ("@one\ndef f(): pass\n", "def f(): pass\n"),
        ("def f():\n    x = 'doc'\n    return 1\n", "def f():\n    return 1\n"),
        ("def f():\n    return 1\n    'no docstring'\n", "def f():\n    return 1\n"),
        ("def f(): return f'{x:.2f}'\n", "def f(): return f'{x:.3f}'\n"),
        ("def f(): return f'{x:{a}}'\n", "def f(): return f'{x:{b}}'\n"),
        ("def f(): return f'{x:.2f}'\n", "def f(): return f'{x}'\n"),
        ("def f(): return f'{x!r}'\n", "def f(): return f'{x!s}'\n"),
        ("def f(): return f'{x!r}'\n", "def f(): return f'{x}'\n"),
        ("def f(): return f'{{x}}'\n", "def f(): return '{{x}}'\n"),
        ("def f():\n    from .a import b\n", "def f():\n    from ..a import b\n"),
        ("def f():\n    from . import b\n", "def f():\n    from .. import b\n"),
        ("def f():\n    from .a import b\n", "def f():\n    from a import b\n"),
        ("def f(): return ()\n", "def f(): return 'tuple'\n"),
        ("def f(): return []\n", "def f(): return 'list'\n"),
        ("def f(): return 'b:x'\n", "def f(): return b'x'\n"),
        ("def f():\n    f'{g()}'\n    return 1\n", "def f():\n    return 1\n"),
        ("def f():\n    x: tuple[int,] = a\n", "def f():\n    x: tuple[int] = a\n"),
        ("def f(): return 1\n", "def f(): return 1.0\n"),
        ("def f(): return a[1:2:]\n", "def f(): return a[1::2]\n"),
    ];
    for (one, two) in different {
        assert_ne!(tree(one), tree(two), "{one}{two}");
    }
}

#[test]
fn functions_of_mirrored_files_are_told_by_name() {
    let sources = package().read(&["p.base:Base"], &["p/m.py"]).unwrap();
    let names: Vec<_> = sources.functions["p/m.py"].keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["C.method", "C.size", "C.size.fset", "again", "decorated", "either", "last", "plain", "quick"]
    );
    // If the request has no pattern for mirrored files, the reader reports the functions in the files of the
    // requested definitions.
    let sources = package().read(&["p.base:Base"], &[]).unwrap();
    assert_eq!(sources.functions.keys().collect::<Vec<_>>(), ["p/base.py"]);
}

#[test]
fn a_file_that_is_no_source_is_told_of() {
    let (folder, archive) = archive_place();
    let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
    for (path, content) in [("p/latin.py", b"# \xe4\n".as_slice()), ("p/__init__.py", b"")] {
        zip.start_file(path, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.start_file("p/long.py", SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![b'\n'; 3 << 20]).unwrap();
    add_info(&mut zip, None);
    zip.finish().unwrap();
    let release = Release { _folder: folder, archive, format: ArchiveFormat::Wheel };
    let sources = release.read(&["p.latin:f", "p.long:f"], &[]).unwrap();
    assert_eq!(sources.unreadable.keys().collect::<Vec<_>>(), ["p/latin.py", "p/long.py"]);
    assert!(sources.symbols.values().all(|symbol| *symbol == SymbolState::Absent));
}

#[test]
fn a_source_archive_is_read_below_its_folder() {
    let file = tar::EntryType::Regular;
    let release = Release::tar(&[
        ("p-1.0/src/p/m.py", file, "def f():\n    return 1\r\n"),
        ("p-1.0/setup.py", file, "raise SystemExit\n"),
    ]);
    let f = release.symbol_definition("p.m:f");
    assert_eq!(
        (f.file.as_str(), f.digests.raw.as_str()),
        ("src/p/m.py", sha1("def f():\n    return 1\n").as_str())
    );
    assert_eq!(release.read(&[], &["src/p/*.py"]).unwrap().functions["src/p/m.py"]["f"], f.digests);
}

#[test]
fn archives_that_no_honest_release_has_are_refused() {
    let file = tar::EntryType::Regular;
    for (entries, why) in [
        (vec![("p/../../etc/x.py", file, "")], "leads out"),
        (vec![("/etc/x.py", file, "")], "leads out"),
        (vec![("p/x.py", tar::EntryType::Symlink, "")], "is a link"),
        (vec![("p/x.py", tar::EntryType::Link, "")], "is a link"),
        (vec![("p/x.py", file, "a"), ("p/x.py", file, "b")], "occurs twice"),
        (vec![("p/x\\y.py", file, "a")], "leads out"),
    ] {
        let error = Release::tar(&entries).read(&[], &["**"]).unwrap_err();
        assert!(matches!(error, SourcesError::Archive(ArchiveError::ForbiddenEntry { .. })), "{error}");
        assert!(error.to_string().contains(why), "{entries:?}: {error}");
    }
}

#[test]
fn what_is_no_archive_is_an_error_that_names_it() {
    let (_folder, archive) = archive_place();
    let ask = |format| {
        let archive = archive.clone();
        read_release(&ReleaseSourcesRequest {
            archive,
            format,
            symbols: vec![],
            mirrored_globs: vec![],
            base_classes: vec![],
        })
        .unwrap_err()
        .to_string()
    };
    assert!(ask(ArchiveFormat::Wheel).contains("cannot be opened"));
    for content in [b"".as_slice(), b"not an archive", b"PK\x03\x04", b"\x1f\x8b\x08\x00rubbish"] {
        std::fs::write(&archive, content).unwrap();
        for format in [ArchiveFormat::Wheel, ArchiveFormat::TarGz] {
            // An empty file counts as a tar archive without entries.
            let read = read_release(&ReleaseSourcesRequest {
                archive: archive.clone(),
                format,
                symbols: vec![],
                mirrored_globs: vec![],
                base_classes: vec![],
            });
            if let Err(error) = read {
                assert!(error.to_string().contains(&path_text(&archive)), "{error}");
            } else {
                assert_eq!((format, content), (ArchiveFormat::TarGz, b"".as_slice()));
            }
        }
    }
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_bomb_is_not_unpacked() {
    // Each file and the whole archive have a size limit. Each of these files is below the first limit, but
    // all files together exceed the second one.
    let long = "\n".repeat(3 << 20);
    let names: Vec<String> = (0..40).map(|number| format!("p/m{number}.py")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
    let error = Release::wheel(&files).read(&[], &["**"]).unwrap_err();
    assert!(matches!(error, SourcesError::Archive(ArchiveError::TooLarge { .. })), "{error}");
}

/// Writes a hash test with this text to a file, and returns the pins in the file.
fn read_pins_text(text: &str) -> Result<HashPins, SourcesError> {
    let (folder, path) = archive_place();
    std::fs::write(&path, text).unwrap();
    let pins = read_pins(&path);
    drop(folder);
    pins
}

const IMPORTS: &str = "import p, p.deep as deep, pytest\nfrom p import a, m as module\nfrom p.b import \
     (\n    B,\n    c as d,\n)\nfrom .ours import mine\n";

#[test]
fn a_hash_test_is_read_in_each_of_its_forms() {
    let [one, two] = ["1", "2"].map(|digit| digit.repeat(40));
    let sets = format!("{{'{one}'}}");
    for rows in [
        // The pins may be the values of a dictionary.
        format!(
            "_DIGESTS = {{\n    # why\n    B.m: {sets},\n    d: {{'{one}',  # and\n        '{two}'}},\n}}\n"
        ),
        // The pins may also be parameters of a test, with one row per pin.
        format!(
            "@pytest.mark.parametrize('o, d', [\n    # a file\n    (B.m, \
             {sets}),\n    (\n        d,\n        # both\n        {{\n            '{two}', \
             '{one}',\n        }},\n    ),\n], ids=lambda x: x)\ndef test(o, d): pass\n"
        ),
        format!("ROWS = [pytest.param(B.m, ['{one}'], id='x'), [d, ('{one}', '{two}')]]\n"),
        format!(
            "def test():\n    for o, d in [(B.m, '{one}'), (d, {{'{one}', '{two}'}})]:\n        assert o in \
             d\n"
        ),
    ] {
        let pins = read_pins_text(&format!("{IMPORTS}{rows}")).unwrap();
        let told: Vec<_> =
            pins.accepted_digests.iter().map(|(name, digests)| (name.as_str(), digests.len())).collect();
        assert_eq!(told, [("p.b:B.m", 1), ("p.b:c", 2)], "{rows}");
        assert!(pins.skipped_pins.is_empty() && pins.accepted_digests["p.b:B.m"].contains(&one), "{rows}");
    }
}

#[test]
fn what_a_row_names_is_told_by_the_imports() {
    let digest = "a".repeat(40);
    for (object, name) in [
        ("p.b.B", "p:b.B"),
        ("deep.X.y", "p.deep:X.y"),
        ("module.f.__wrapped__", "p:m.f.__wrapped__"),
        ("B.__dict__['size'].fset", "p.b:B.size.fset"),
    ] {
        let pins = read_pins_text(&format!("{IMPORTS}D = {{{object}: {{'{digest}'}}}}\n")).unwrap();
        assert_eq!(pins.accepted_digests.keys().collect::<Vec<_>>(), [name], "{object}");
    }
    for (object, why) in [
        ("local", "the file does not import this object"),
        ("mine", "the file does not import this object"),
        ("B.others['size']", "known only at run time"),
        ("getattr(B, 'size')", "known only at run time"),
        ("deep", "a module, not a definition"),
    ] {
        let pins = read_pins_text(&format!("{IMPORTS}\nD = {{{object}: {{'{digest}'}}}}\n")).unwrap();
        assert!(pins.accepted_digests.is_empty());
        let row = &pins.skipped_pins[0];
        assert!(row.line == 9 && row.text == object && row.reason.contains(why), "{row:?}");
    }
}

#[test]
fn what_is_no_row_of_a_hash_test_pins_nothing() {
    let digest = "a".repeat(40);
    let text = format!(
        "{IMPORTS}D = {{B: {{'{digest}', f()}}, 'name': '{digest}', a: {{'short'}}, d: set()}}\nx = (1, 2)\n"
    );
    assert_eq!(read_pins_text(&text).unwrap(), HashPins::default());
    for wrong in ["def (", "\u{0}\u{1}(", &"(".repeat(100_000), &"[".repeat(5_000)] {
        let error = read_pins_text(wrong).unwrap_err();
        assert!(matches!(error, SourcesError::File { .. }), "{error}");
    }
}
