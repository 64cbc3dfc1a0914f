//! Tests of changes outside of functions in a mirrored file. Every such change is reported, and a release
//! with such a change always requires a decision by a person.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use truing_core::sync::{
    ManifestEntry, PinManifest, ReleasePartKind, ReleaseSources, SyncDecision, SyncDecisionInput,
    SyncVerdict, UnguardedReason, decide_sync,
};
use truing_reader::sources::{ArchiveFormat, ReleaseSourcesRequest, read_release};

use crate::support::wheel;

const PINNED: &str = "def pinned(a):\n    return a\n";
/// The code of the mirrored file that is outside of its functions.
const REST: &str = r#"
"""Documentation."""
import os
from .other import helper, more as much
from p import *

LIMIT = 10
TABLE = {'a': 1, 'b': [2, 3]}
TABLE['c'] = 4
first, second = 1, 2
short = lambda a: a + 1

class Error(Exception):
    fmt = 'wrong'

@registered
class Base(dict, metaclass=Meta):
    """What it is."""
    size: int = 3
    kind = Error

    def method(self):
        return 1

    def other(self):
        return 2

    alias = method

    class Inner:
        deep = 1

class Empty(Base): pass

Base.method = replaced
register(Base)

if os.name == 'nt':
    SEPARATOR = '\\'
    def path(): return 1
else:
    SEPARATOR = '/'
    def path(): return 2

try:
    import fast
except ImportError:
    fast = None

with quiet():
    import loud

for name in ('a', 'b'):
    print(name)

def free(a=LIMIT):
    from .late import thing
    return thing(a)
"#;

type Files<'a> = &'a [(&'a str, &'a str)];

fn sources(files: Files<'_>) -> ReleaseSources {
    let (_folder, archive) = wheel(files.iter().copied());
    let mirrored = ["p/m.py", "src/a.rs", "lib/a.js"].map(str::to_owned).to_vec();
    let symbols = manifest(&[]).rows.into_keys().collect();
    read_release(&ReleaseSourcesRequest {
        archive,
        format: ArchiveFormat::Wheel,
        symbols,
        mirrored_globs: mirrored,
        base_classes: vec![],
    })
    .unwrap()
}

fn manifest(more: &[(&str, &str)]) -> PinManifest {
    use sha1::Digest as _;
    let digest = hex::encode(sha1::Sha1::digest(PINNED.as_bytes()));
    let rows = [("p.x:pinned", digest.as_str())];
    let rows = rows.iter().chain(more);
    let row = |(name, digest): &(&str, &str)| {
        ((*name).to_owned(), ManifestEntry::Digests(BTreeSet::from([(*digest).to_owned()])))
    };
    PinManifest::new(rows.map(row).collect()).unwrap()
}

fn decide_change(from: Files<'_>, to: Files<'_>) -> SyncDecision {
    let pinned = ("p/x.py", PINNED);
    let with = |files: Files<'_>| sources(&[files, &[pinned]].concat());
    let (from, to, manifest) = (with(from), with(to), manifest(&[]));
    let inherited = BTreeSet::new();
    decide_sync(&SyncDecisionInput {
        in_range: false,
        is_major: false,
        inherited_classes: &inherited,
        harmless_requirements: &BTreeMap::new(),
        manifest: &manifest,
        old_release: &from,
        new_release: &to,
    })
}

/// Returns the decision on a change of [`REST`], and the reported changes.
fn decide_rest_change(
    old: &str,
    new: &str,
) -> (SyncVerdict, Vec<(String, ReleasePartKind, UnguardedReason)>) {
    assert!(REST.contains(old), "{old}");
    let after = REST.replacen(old, new, 1);
    let others = [("p/other.py", ""), ("p/__init__.py", "")];
    let before = [&[("p/m.py", REST)], &others[..]].concat();
    let after = [&[("p/m.py", after.as_str())], &others[..]].concat();
    let decision = decide_change(&before, &after);
    let told = decision.unguarded_parts.into_iter().map(|one| (one.symbol, one.kind, one.reason)).collect();
    (decision.verdict, told)
}

#[test]
fn each_change_outside_of_functions_is_told_by_its_name_and_asks() {
    use ReleasePartKind::{Class, Condition, Decorators, Import, Order, Statement, Value};
    use UnguardedReason::{Added, Changed, Removed};
    for (old, new, name, what, why) in [
        ("LIMIT = 10", "LIMIT = 11", "LIMIT", Value, Changed),
        ("LIMIT = 10\n", "LIMIT = 10\nMORE = 1\n", "MORE", Value, Added),
        ("LIMIT = 10\n", "", "LIMIT", Value, Removed),
        ("'b': [2, 3]", "'b': [2, 4]", "TABLE", Value, Changed),
        ("TABLE['c'] = 4", "TABLE['d'] = 4", "TABLE", Value, Changed),
        ("first, second = 1, 2", "first, second = 2, 1", "first, second", Value, Changed),
        ("a + 1", "a + 2", "short", Value, Changed),
        ("import os", "import os.path", "os", Import, Removed),
        ("helper, more as much", "helper", "much", Import, Removed),
        ("more as much", "less as much", "much", Import, Changed),
        ("from .other import", "from ..other import", "helper", Import, Changed),
        ("from p import *", "from p.q import *", "p.*", Import, Removed),
        ("class Error(Exception)", "class Error(ValueError)", "Error", Class, Changed),
        ("class Empty(Base): pass\n", "", "Empty", Class, Removed),
        ("metaclass=Meta", "metaclass=Other", "Base", Class, Changed),
        ("@registered", "@registered(1)", "Base", Decorators, Changed),
        ("@registered\n", "", "Base", Decorators, Removed),
        ("class Error", "@final\nclass Error", "Error", Decorators, Added),
        ("fmt = 'wrong'", "fmt = 'bad'", "Error.fmt", Value, Changed),
        ("size: int = 3", "size: str = 3", "Base.size", Value, Changed),
        ("kind = Error", "kind = None", "Base.kind", Value, Changed),
        ("deep = 1", "deep = 2", "Base.Inner.deep", Value, Changed),
        ("alias = method", "alias = other", "Base.alias", Value, Changed),
        ("Base.method = replaced", "Base.method = another", "Base.method", Value, Changed),
        ("Base.method = replaced\n", "", "Base.method", Value, Removed),
        ("register(Base)", "register(Error)", "register(Error)", Statement, Added),
        ("os.name == 'nt'", "os.name == 'posix'", "path", Condition, Changed),
        ("except ImportError", "except Exception", "fast", Value, Changed),
        ("with quiet()", "with silence()", "loud", Import, Changed),
        ("('a', 'b')", "('a', 'c')", "print(name)", Statement, Changed),
        (
            "    size: int = 3\n    kind = Error\n",
            "    kind = Error\n    size: int = 3\n",
            "Base",
            Order,
            Changed,
        ),
        (
            "Base.method = replaced\nregister(Base)",
            "register(Base)\nBase.method = replaced",
            "*",
            Order,
            Changed,
        ),
    ] {
        let (verdict, told) = decide_rest_change(old, new);
        assert_eq!(verdict, SyncVerdict::Ask, "{old} -> {new}: {told:?}");
        assert!(told.contains(&(name.to_owned(), what, why)), "{old} -> {new}: {told:?}");
    }
}

#[test]
fn the_releases_own_version_is_no_change_of_it() {
    let of = |version: &str| format!("__version__ = {version}\n{REST}");
    let verdict = |new: &str| {
        let (old, new) = (of("'1.0'"), of(new));
        decide_change(&[("p/m.py", &old)], &[("p/m.py", &new)]).verdict
    };
    assert_eq!(verdict("'1.1'"), SyncVerdict::Relax);
    assert_eq!(verdict("read('VERSION')"), SyncVerdict::Ask);
}

#[test]
fn what_changes_nothing_is_not_told() {
    for (old, new) in [
        ("\"\"\"Documentation.\"\"\"", "\"\"\"Another.\"\"\""),
        ("    \"\"\"What it is.\"\"\"\n", ""),
        ("import os\n", "import os  # why\n"),
        ("helper, more as much", "(\n    more as much,\n    helper,\n)"),
        ("from .other import", "from p.other import"),
        ("{'a': 1, 'b': [2, 3]}", "{\n    \"a\": 0x1,\n    \"b\": [2, 3],\n}"),
        ("class Error(Exception):\n", "class Error(Exception):\n    ...\n"),
        ("class Empty(Base): pass", "class Empty(\n    Base,\n):\n    pass"),
    ] {
        let (verdict, told) = decide_rest_change(old, new);
        assert_eq!((verdict, told), (SyncVerdict::Relax, vec![]), "{old} -> {new}");
    }
}

#[test]
fn the_reason_says_how_much_is_the_same() {
    let of = |text: &str| decide_change(&[("p/m.py", REST)], &[("p/m.py", text)]).reason;
    assert_eq!(of(REST), "no pinned or mirrored code changed");
    let comment = REST.replace("LIMIT = 10", "LIMIT = 10  # why");
    assert_eq!(of(&comment), "only comments, docstrings or layout changed");
    let constant = REST.replace("LIMIT = 10", "LIMIT = 11");
    assert_eq!(
        of(&constant),
        "no pinned definition changed, but code outside of functions did: a person must check this"
    );
}

#[test]
fn a_file_that_a_mirrored_one_imports_is_told_when_it_is_new() {
    let (m, late) = (("p/m.py", REST), ("p/late.py", "thing = 1\n"));
    let told = |from: Files<'_>, to: Files<'_>| {
        let decision = decide_change(from, to);
        let told = decision.unguarded_parts.into_iter().map(|one| (one.file, one.kind)).collect::<Vec<_>>();
        (decision.verdict, told)
    };
    let new = (Some("p/late.py".to_owned()), ReleasePartKind::File);
    assert_eq!(told(&[m], &[m, late]), (SyncVerdict::Ask, vec![new]));
    assert_eq!(told(&[m, late], &[m, late]).0, SyncVerdict::Relax);
    // A person need not decide about a new file that no module imports.
    assert_eq!(told(&[m], &[m, ("p/lost.py", "x = 1\n")]).0, SyncVerdict::Relax);
}

#[test]
fn what_a_release_requires_is_told_when_it_changes() {
    let told = |from: &str, to: &str| {
        let of = |version: &str, requirement: &str| {
            let path = format!("p-{version}.dist-info/METADATA");
            (path, format!("Metadata-Version: 2.1\nName: p\nRequires-Dist: {requirement}\n\nText\n"))
        };
        let (old, new) = (of("1", from), of("2", to));
        let m = ("p/m.py", REST);
        let decision = decide_change(&[m, (&old.0, &old.1)], &[m, (&new.0, &new.1)]);
        (
            decision.verdict,
            decision.unguarded_parts.into_iter().map(|one| (one.symbol, one.kind, one.reason)).collect(),
        )
    };
    let is = |reason| vec![("a".to_owned(), ReleasePartKind::Requirement, reason)];
    assert_eq!(told("a (<2,>=1)", "a>=1,<2"), (SyncVerdict::Relax, vec![]));
    assert_eq!(told("a>=1,<2", "a>=1,<3"), (SyncVerdict::Ask, is(UnguardedReason::Changed)));
}

#[test]
fn code_outside_of_definitions_of_other_languages_is_told_too() {
    let script = "import { a } from './b';\nclass C extends B { m() { return 1; } }\nclass Empty \
         {}\nfunction f() {}\nrun(f);\n";
    let rust = "use a::b;\npub mod c;\nimpl X for Y { fn m(&self) {} }\nfn f() {}\nmade!(1);\n";
    for (file, text, changes) in [
        ("lib/a.js", script, &["'./b'|'./c'", "extends B|extends D", "class Empty {}|", "run(f)|run(g)"][..]),
        (
            "src/a.rs",
            rust,
            &["use a::b|use a::d", "pub mod c|mod c", "impl X for Y|impl Z for Y", "made!(1)|made!(2)"],
        ),
    ] {
        for change in changes {
            let (old, new) = change.split_once('|').unwrap();
            let after = text.replacen(old, new, 1);
            assert_ne!(after, text);
            let decision = decide_change(&[(file, text)], &[(file, &after)]);
            let told: Vec<_> = decision.unguarded_parts.iter().map(|one| one.kind).collect();
            assert_eq!(
                (decision.verdict, told),
                (SyncVerdict::Ask, vec![ReleasePartKind::Code]),
                "{file}: {change}"
            );
        }
        let function = text.replace("f() {}", "f() { /* why */ }");
        assert_eq!(
            decide_change(&[(file, text)], &[(file, &function)]).verdict,
            SyncVerdict::Relax,
            "{file}"
        );
    }
}

/// Generator of pseudo-random numbers that are the same in each run.
struct PseudoRandom(u64);

impl PseudoRandom {
    fn random_below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Generates a module with constants, tables, classes and imports.
fn random_module(chance: &mut PseudoRandom) -> Vec<String> {
    let mut lines = Vec::new();
    for at in 0..4 + chance.random_below(12) {
        let number = chance.random_below(1_000);
        lines.push(match chance.random_below(9) {
            0 => format!("import a{number}"),
            1 => format!("from b{number} import c{at} as d{at}"),
            2 => format!("CONSTANT_{at} = {number}"),
            3 => format!("TABLE_{at} = {{'a': {number}, 'b': ({number},)}}"),
            4 => format!("class K{at}(Base{number}):\n    attribute = {number}"),
            5 => format!("@decorator({number})\nclass D{at}(Base):\n    def m(self):\n        return 1"),
            6 => format!("if flag({number}):\n    VALUE_{at} = 1\nelse:\n    VALUE_{at} = 2"),
            7 => format!("call({number})"),
            _ => format!("short_{at} = lambda a: a + {number}"),
        });
    }
    lines
}

#[test]
fn of_200_generated_pairs_of_releases_none_is_relaxed_unasked() {
    let mut chance = PseudoRandom(20_260_101);
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for pair in 0..200 {
        let before = random_module(&mut chance);
        let mut after = before.clone();
        let at = chance.random_below(after.len());
        let kind = match chance.random_below(4) {
            0 => {
                after.remove(at);
                "removed"
            }
            1 => {
                after.insert(at, format!("NEW = {}", chance.random_below(9)));
                "added"
            }
            2 => {
                after.insert(at, format!("class New{}: pass", chance.random_below(9)));
                "class"
            }
            _ => {
                // Replaces a digit of the line by another one.
                let number = after[at].rfind(|letter: char| letter.is_ascii_digit()).unwrap();
                let digit = after[at].as_bytes()[number];
                let other = if digit == b'7' { "8" } else { "7" };
                after[at].replace_range(number..=number, other);
                "changed"
            }
        };
        *kinds.entry(kind).or_default() += 1;
        let text = |lines: &[String]| format!("{}\n", lines.join("\n"));
        let (before, after) = (text(&before), text(&after));
        let decision = decide_change(&[("p/m.py", &before)], &[("p/m.py", &after)]);
        assert_eq!(decision.verdict, SyncVerdict::Ask, "{pair}: {kind}\n{before}\n--\n{after}");
        assert!(!decision.unguarded_parts.is_empty());
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}
