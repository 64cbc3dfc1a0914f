//! Tests of names that a Python file defines more than once. A pin guards one of the definitions. A change of
//! any other definition is reported, and a person must decide about the release.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use truing_core::sync::{
    ManifestRow, PinManifest, ReleasePartKind, ReleaseSources, SymbolState, SyncDecisionInput, SyncVerdict,
    UnguardedReason, decide_sync,
};
use truing_reader::sources::{ArchiveFormat, ReleaseSourcesRequest, read_release};

use crate::support::wheel;

const TEXT: &str = "\
class P:
    @property
    def pr(self):
        return 'get'
    @pr.setter
    def pr(self, v):
        self.v = 'set'
    @pr.deleter
    def pr(self):
        del self.v
    if os.name == 'nt':
        def only(self):
            return 'nt'
    else:
        def only(self):
            return 'posix'
    def twice(self):
        return 'first'
    def twice(self):
        return 'last'

if os.name == 'nt':
    def plat(x):
        return 1
elif os.name == 'posix':
    def plat(x):
        return 2
else:
    def plat(x):
        return 3

@typing.overload
def ov(x: int) -> int: ...
@typing.overload
def ov(x: str) -> str: ...
def ov(x):
    return x

if os.name == 'nt':
    class W(Base):
        kind = 1
        def m(self):
            return 'W1'
else:
    class W(Base):
        kind = 2
        def m(self):
            return 'W2'

@singledispatch
def disp(x):
    return 0
@disp.register
def disp_int(x: int):
    return 'int'
@disp.register
def _(x: str):
    return 'str'
@disp.register
def _(x: bytes):
    return 'bytes'

try:
    from fast import quick
except ImportError:
    def quick(x):
        return 'slow'

while wait():
    pass
else:
    def late():
        return 'late'

def single():
    return 'single'
";

fn sources(text: &str, symbols: &[&str], mirrored: &str) -> ReleaseSources {
    let (_folder, archive) = wheel([
        ("p/m.py", text),
        (
            "p/x.py", "x = 1
",
        ),
    ]);
    let symbols = symbols.iter().map(|name| format!("p.m:{name}")).collect();
    let mirrored = vec![mirrored.to_owned()];
    read_release(&ReleaseSourcesRequest {
        archive,
        format: ArchiveFormat::Wheel,
        symbols,
        mirrored_globs: mirrored,
        base_classes: vec![],
    })
    .unwrap()
}

/// Returns the decision on a change, and the reported parts of the release. Each name in `pins` is pinned,
/// before the change, to the digest of its tree if `by_tree` is true, and otherwise to the digest of its
/// lines.
fn decide_pinned_change(
    pins: &[&str],
    old: &str,
    new: &str,
    mirrored: &str,
    by_tree: bool,
) -> (SyncVerdict, Vec<(String, ReleasePartKind, UnguardedReason)>) {
    assert!(TEXT.contains(old), "{old}");
    let from = sources(TEXT, pins, mirrored);
    let to = sources(&TEXT.replacen(old, new, 1), pins, mirrored);
    let row = |symbol: &SymbolState| {
        let digests = &symbol.definition().unwrap().digests;
        let (raw, tree) = (digests.raw.clone(), digests.tree.clone());
        if by_tree {
            ManifestRow { tree_digests: BTreeSet::from([tree]), ..ManifestRow::default() }
        } else {
            ManifestRow { line_digests: BTreeSet::from([raw]), ..ManifestRow::default() }
        }
    };
    let rows = from.symbols.iter().map(|(name, symbol)| (name.clone(), row(symbol))).collect();
    let decision = decide_sync(&SyncDecisionInput {
        in_range: false,
        is_major: false,
        inherited_classes: &BTreeSet::new(),
        harmless_requirements: &BTreeMap::new(),
        manifest: &PinManifest { rows },
        old_release: &from,
        new_release: &to,
    });
    let told = decision.unguarded_parts.into_iter().map(|one| (one.symbol, one.kind, one.reason)).collect();
    (decision.verdict, told)
}

#[test]
fn a_change_in_any_definition_of_a_pinned_name_asks() {
    use ReleasePartKind::{Function, Redefinition};
    use UnguardedReason::{Added, Changed, Removed};
    for (pin, old, new, name, what, why) in [
        ("P.pr", "'set'", "'other'", "P.pr.fset", Function, Changed),
        ("P.pr", "del self.v", "del self.w", "P.pr.fdel", Function, Changed),
        (
            "P.pr",
            "    @pr.setter\n    def pr(self, v):\n        self.v = 'set'\n",
            "",
            "P.pr.fset",
            Function,
            Removed,
        ),
        ("P.pr.fget", "'set'", "'other'", "P.pr.fset", Function, Changed),
        ("P.pr.fset", "'get'", "'other'", "P.pr", Function, Changed),
        ("P.only", "'posix'", "'other'", "P.only", Redefinition, Changed),
        ("P.twice", "'first'", "'other'", "P.twice", Redefinition, Changed),
        ("plat", "return 2", "return 22", "plat", Redefinition, Changed),
        ("plat", "return 3", "return 33", "plat", Redefinition, Changed),
        ("ov", "def ov(x: int) -> int", "def ov(x: bool) -> int", "ov", Redefinition, Changed),
        ("W", "'W2'", "'W3'", "W", Redefinition, Changed),
        ("W", "kind = 2", "kind = 3", "W", Redefinition, Changed),
        (
            "W",
            "class W(Base):\n        kind = 2",
            "class W(Other):\n        kind = 2",
            "W",
            Redefinition,
            Changed,
        ),
        ("W.m", "'W2'", "'W3'", "W.m", Redefinition, Changed),
        ("_", "'str'", "'other'", "_", Redefinition, Changed),
        (
            "single",
            "def single",
            "if a:\n    pass\nelse:\n    def single(): pass\ndef single",
            "single",
            Redefinition,
            Added,
        ),
    ] {
        for mirrored in ["p/*.py", "p/x.py"] {
            for by_tree in [false, true] {
                let (verdict, told) = decide_pinned_change(&[pin], old, new, mirrored, by_tree);
                assert_eq!(verdict, SyncVerdict::Ask, "{pin}: {old} -> {new}: {told:?}");
                assert!(told.contains(&(name.to_owned(), what, why)), "{pin}: {old} -> {new}: {told:?}");
            }
        }
    }
}

#[test]
fn what_is_pinned_of_several_definitions_is_not_told_twice() {
    for (pins, old, new, verdict) in [
        (&["P.pr", "P.pr.fset"][..], "'set'", "'other'", SyncVerdict::Bump),
        (&["P.pr"], "'get'", "'other'", SyncVerdict::Bump),
        (&["plat"], "return 1", "return 11", SyncVerdict::Bump),
        (&["P"], "'posix'", "'other'", SyncVerdict::Bump),
        (
            &["P.pr", "P.only", "P.twice", "plat", "ov", "W", "_"],
            "return 3",
            "return 3  # why",
            SyncVerdict::Relax,
        ),
    ] {
        assert_eq!(
            decide_pinned_change(pins, old, new, "p/*.py", false),
            (verdict, vec![]),
            "{pins:?}: {old} -> {new}"
        );
    }
}

#[test]
fn what_nobody_pinned_is_told_whichever_definition_changed() {
    for (old, new, name) in [
        ("'set'", "'other'", "P.pr.fset"),
        ("return 3", "return 33", "plat"),
        ("'W2'", "'W3'", "W.m"),
        ("'int'", "'other'", "disp_int"),
        ("'bytes'", "'other'", "_"),
        ("'slow'", "'other'", "quick"),
        ("'late'", "'other'", "late"),
    ] {
        let (verdict, told) = decide_pinned_change(&["single", "disp"], old, new, "p/*.py", false);
        assert_eq!(
            (verdict, told),
            (SyncVerdict::Ask, vec![(name.to_owned(), ReleasePartKind::Function, UnguardedReason::Changed)]),
            "{old}"
        );
    }
}

/// The digests of a definition do not change if the file contains other definitions of the same name. The
/// pins of a hash test or a manifest therefore stay valid when another definition is added.
#[test]
fn digests_are_those_of_one_definition() {
    let pins = ["P.pr", "plat", "W.m", "single"];
    let all = sources(TEXT, &pins, "p/*.py");
    let alone = "class P:\n    @property\n    def pr(self):\n        return 'get'\n\
                 if os.name == 'nt':\n    def plat(x):\n        return 1\n\
                 if os.name == 'nt':\n    class W(Base):\n        kind = 1\n        def m(self):\n\
                 \x20           return 'W1'\n\
                 def single():\n    return 'single'\n";
    let alone = sources(alone, &pins, "p/*.py");
    for name in pins {
        let digests =
            |of: &ReleaseSources| of.symbols[&format!("p.m:{name}")].definition().unwrap().digests.clone();
        assert_eq!(digests(&all), digests(&alone), "{name}");
    }
    assert!(alone.namesakes.is_empty(), "{:?}", alone.namesakes);
    assert_eq!(all.namesakes["p/m.py"].keys().collect::<Vec<_>>(), ["P.pr", "W.m", "plat"]);
}
