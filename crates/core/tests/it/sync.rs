//! Tests the decision whether a project with the pins of a manifest can update from one release to another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use truing_core::sync::{
    DefinitionDigests, ManifestError, PinChangeKind, PinManifest, ReleaseSources, SymbolDefinition,
    SymbolState, SyncDecision, SyncDecisionInput, SyncVerdict, UnguardedReason, WHOLE_FILE, decide_sync,
};

fn digests(raw: u8, tree: u8) -> DefinitionDigests {
    DefinitionDigests { raw: format!("{raw:040x}"), tree: format!("{tree:064x}") }
}

fn defined_symbol(line: u32, name: &str, raw: u8, tree: u8) -> SymbolState {
    let (file, name) = ("p/m.py".to_owned(), name.to_owned());
    SymbolState::Defined(SymbolDefinition { file, line, name, digests: digests(raw, tree), decorated: false })
}

fn sources(symbols: &[(&str, SymbolState)], functions: &[(&str, u8)]) -> ReleaseSources {
    ReleaseSources {
        symbols: symbols.iter().map(|(name, symbol)| ((*name).to_owned(), symbol.clone())).collect(),
        functions: BTreeMap::from([(
            "p/m.py".to_owned(),
            functions.iter().map(|(name, tree)| ((*name).to_owned(), digests(*tree, *tree))).collect(),
        )]),
        files: BTreeMap::from([("p/m.py".to_owned(), String::new())]),
        ..ReleaseSources::default()
    }
}

fn parse_manifest(value: Value) -> Result<PinManifest, ManifestError> {
    PinManifest::new(serde_json::from_value(value).unwrap())
}

fn manifest(rows: &[(&str, u8)]) -> PinManifest {
    let rows = rows.iter().map(|(name, raw)| ((*name).to_owned(), json!([format!("{raw:040x}")])));
    parse_manifest(rows.collect()).unwrap()
}

fn decided(manifest: &PinManifest, from: &ReleaseSources, to: &ReleaseSources) -> SyncDecision {
    let (inherited, harmless) = (&BTreeSet::new(), &BTreeMap::new());
    decide_sync(&SyncDecisionInput {
        in_range: false,
        is_major: false,
        inherited_classes: inherited,
        harmless_requirements: harmless,
        manifest,
        old_release: from,
        new_release: to,
    })
}

#[test]
fn the_rule_is_asked_in_its_order() {
    let manifest = manifest(&[("p.m:f", 1)]);
    let from = sources(&[("p.m:f", defined_symbol(1, "f", 1, 1))], &[("f", 1), ("g", 1)]);
    let to = |raw, tree, beside| {
        sources(&[("p.m:f", defined_symbol(1, "f", raw, tree))], &[("f", tree), ("g", beside)])
    };
    for (to, verdict, needs_classification) in [
        (to(1, 1, 1), SyncVerdict::Relax, false),
        (to(1, 1, 2), SyncVerdict::Ask, true),
        (to(2, 1, 1), SyncVerdict::Relax, false),
        (to(2, 1, 2), SyncVerdict::Ask, true),
        (to(2, 2, 2), SyncVerdict::Bump, false),
        (sources(&[("p.m:f", SymbolState::Absent)], &[("g", 1)]), SyncVerdict::Bump, false),
    ] {
        let decision = decided(&manifest, &from, &to);
        assert_eq!(
            (decision.verdict, decision.needs_classification),
            (verdict, needs_classification),
            "{decision:?}"
        );
    }
    let changed = to(2, 2, 2);
    let nothing = BTreeSet::new();
    let step = SyncDecisionInput {
        in_range: true,
        is_major: true,
        inherited_classes: &nothing,
        harmless_requirements: &BTreeMap::new(),
        manifest: &manifest,
        old_release: &from,
        new_release: &changed,
    };
    assert_eq!(decide_sync(&step).verdict, SyncVerdict::Skip);
    assert_eq!(decide_sync(&SyncDecisionInput { in_range: false, ..step }).verdict, SyncVerdict::Ask);
}

#[test]
fn a_change_tells_both_digests() {
    let manifest = manifest(&[("p.m:f", 1), ("p.m:gone", 3)]);
    let from = sources(
        &[("p.m:f", defined_symbol(1, "f", 1, 1)), ("p.m:gone", defined_symbol(9, "gone", 3, 3))],
        &[],
    );
    let to = sources(&[("p.m:f", defined_symbol(1, "f", 2, 2)), ("p.m:gone", SymbolState::Absent)], &[]);
    let decision = decided(&manifest, &from, &to);
    assert_eq!(decision.reason, "1 pinned definition changed, 1 pinned definition vanished");
    let told: Vec<_> =
        decision.pin_changes.iter().map(|one| (one.kind, &one.old_hash, &one.new_hash)).collect();
    let hash = |digit: u8| Some(format!("{digit:040x}"));
    assert_eq!(told, [(PinChangeKind::Tree, &hash(1), &hash(2)), (PinChangeKind::Removed, &hash(3), &None)]);
}

#[test]
fn what_the_manifest_accepts_is_no_change() {
    let rows = json!({"p.m:f": [format!("{:040x}", 1), format!("{:040x}", 2)]});
    let manifest = parse_manifest(rows).unwrap();
    let from = sources(&[("p.m:f", defined_symbol(1, "f", 1, 1))], &[]);
    let to = sources(&[("p.m:f", defined_symbol(1, "f", 2, 2))], &[]);
    assert_eq!(decided(&manifest, &from, &to).verdict, SyncVerdict::Relax);
    assert_eq!(decided(&manifest, &from, &to).pin_changes, []);

    let rows = json!({"p.m:f": {"tree": [format!("{:064x}", 2)], "counterpart": "q.m:f"}});
    assert_eq!(decided(&parse_manifest(rows).unwrap(), &from, &to).pin_changes, []);
}

#[test]
fn names_of_one_definition_share_what_is_accepted() {
    // In a Python dictionary whose keys are functions, two names of one function are the same key, so the
    // dictionary contains only one digest. The row of the other name is never used.
    let manifest = manifest(&[("p.m:f", 1), ("p.m:alias", 7)]);
    let both = [("p.m:f", defined_symbol(1, "f", 1, 1)), ("p.m:alias", defined_symbol(1, "f", 1, 1))];
    let from = sources(&both, &[]);
    assert_eq!(decided(&manifest, &from, &from).unguarded_parts, []);
}

#[test]
fn a_manifest_that_guards_nothing_licenses_nothing() {
    let there = ("p.m:f", defined_symbol(1, "f", 1, 1));
    let missing = ("p.m:wrong", SymbolState::Absent);
    let from = sources(&[there.clone(), missing], &[]);
    let decision = decided(&manifest(&[("p.m:f", 1), ("p.m:wrong", 2)]), &from, &from);
    assert_eq!((decision.verdict, decision.needs_classification), (SyncVerdict::Ask, false), "{decision:?}");
    assert!(decision.reason.contains("1 pinned definition is in neither release"), "{}", decision.reason);
    assert_eq!(decision.unguarded_parts[0].reason, UnguardedReason::Missing);
    let elsewhere = sources(&[("q:other", SymbolState::OtherPackage)], &[]);
    let decision = decided(&manifest(&[("q:other", 1)]), &elsewhere, &elsewhere);
    assert_eq!((decision.verdict, decision.needs_classification), (SyncVerdict::Ask, false), "{decision:?}");
    // A changed symbol determines the verdict even if another pinned symbol is missing.
    let to = sources(&[("p.m:f", defined_symbol(1, "f", 2, 2)), ("p.m:wrong", SymbolState::Absent)], &[]);
    let both = manifest(&[("p.m:f", 1), ("p.m:wrong", 2)]);
    assert_eq!(decided(&both, &from, &to).verdict, SyncVerdict::Bump);
}

#[test]
fn what_is_in_a_file_that_cannot_be_read_has_not_vanished() {
    let manifest = manifest(&[("p.m:f", 1)]);
    let from = sources(&[("p.m:f", defined_symbol(1, "f", 1, 1))], &[]);
    let mut to = sources(&[("p.m:f", SymbolState::Absent)], &[]);
    to.unreadable.insert("p/m.py".into(), "line 1: no Python".into());
    let decision = decided(&manifest, &from, &to);
    assert_eq!((decision.verdict, decision.needs_classification), (SyncVerdict::Ask, false), "{decision:?}");
    assert_eq!(decision.pin_changes, []);
}

#[test]
fn a_digest_that_no_release_has_guards_nothing() {
    let manifest = manifest(&[("p.m:f", 9), ("q:other", 1)]);
    let from =
        sources(&[("p.m:f", defined_symbol(1, "f", 1, 1)), ("q:other", SymbolState::OtherPackage)], &[]);
    let same = decided(&manifest, &from, &from);
    assert_eq!(same.verdict, SyncVerdict::Relax);
    assert_eq!(
        same.unguarded_parts.iter().map(|one| one.reason).collect::<Vec<_>>(),
        [UnguardedReason::Stale, UnguardedReason::OtherPackage]
    );
    // The change of the symbol is detected, although neither release has the pinned digest.
    let to = sources(&[("p.m:f", defined_symbol(1, "f", 2, 2)), ("q:other", SymbolState::OtherPackage)], &[]);
    assert_eq!(decided(&manifest, &from, &to).verdict, SyncVerdict::Bump);
}

#[test]
fn a_pinned_class_pins_its_methods() {
    let manifest = manifest(&[("p.m:C", 1)]);
    let of =
        |raw, method| sources(&[("p.m:C", defined_symbol(1, "C", raw, 1))], &[("C.m", method), ("Cx.m", 1)]);
    let decision = decided(&manifest, &of(1, 1), &of(1, 2));
    assert_eq!((decision.verdict, decision.unguarded_parts), (SyncVerdict::Relax, vec![]));
}

#[test]
fn a_pinned_file_pins_all_that_is_in_it() {
    let manifest = manifest(&[("m.rs", 1)]);
    let of = |raw, inside| sources(&[("m.rs", defined_symbol(1, WHOLE_FILE, raw, 1))], &[("f", inside)]);
    let decision = decided(&manifest, &of(1, 1), &of(1, 2));
    assert_eq!((decision.verdict, decision.unguarded_parts), (SyncVerdict::Relax, vec![]));
}

#[test]
fn a_manifest_is_checked() {
    for (value, wrong) in [
        (json!({}), "pins nothing"),
        (json!({"f": []}), "is not a definition"),
        (json!({"../b.rs:f": []}), "is not a definition"),
        (json!({"a//b.rs": []}), "is not a definition"),
        (json!({"/a.rs": []}), "is not a definition"),
        (json!({"m:f": ["abc"]}), "not a digest of 40"),
        (json!({"m:f": {"tree": ["00"]}}), "not a digest of 64"),
    ] {
        let error = parse_manifest(value.clone()).unwrap_err().to_string();
        assert!(error.contains(wrong), "{value}: {error}");
    }
}

#[test]
fn a_pinned_definition_that_is_another_packages_now_is_gone() {
    let manifest = manifest(&[("p.m:f", 1)]);
    let from = sources(&[("p.m:f", defined_symbol(1, "f", 1, 1))], &[]);
    let to = sources(&[("p.m:f", SymbolState::OtherPackage)], &[]);
    let decision = decided(&manifest, &from, &to);
    assert_eq!(
        (decision.verdict, decision.pin_changes[0].kind),
        (SyncVerdict::Bump, PinChangeKind::Removed),
        "{decision:?}"
    );
    assert_eq!(decision.unguarded_parts, []);
}
