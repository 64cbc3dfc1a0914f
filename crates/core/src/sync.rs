//! What a new release of an upstream package asks of the project that follows it: nothing (`skip`), a wider bound
//! (`relax`), work (`bump`), or a person (`ask`). Pure; the rule is spec/sync.md A.2 and 6.3.
//!
//! The project has *pinned* some of the package's definitions: it holds copies or overrides of them, and a
//! [`PinManifest`] of digests tells which forms of each it was made for. A definition whose bytes alone differ is the same
//! definition. New code beside pinned code is what a manifest cannot see, so what changed in *mirrored* files, whose
//! counterparts the project has, is for somebody to look at (`beside`).

mod beside;
pub mod breaker;
pub mod changelog;
pub mod classify;
pub mod course;
pub mod job;
mod manifest;
pub mod record;
pub mod release;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use beside::beside;
pub use beside::{METADATA, NamesakeDefinition, OutsideCode, ReleasePartKind};
pub use manifest::{
    ManifestEntry, ManifestError, ManifestRow, PinManifest, RAW_DIGITS, TREE_DIGITS, TREE_FORM,
};

/// The name of a whole file among its definitions.
pub const WHOLE: &str = "*";

/// The reason to ask people where nothing is pinned and nothing is mirrored.
pub const NOTHING_PINNED: &str =
    "nothing is pinned or mirrored, so that only the project's own checks can tell";

/// The digests of a definition, in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DefinitionDigests {
    /// SHA-1 of its lines as they are in the file, with the last one's end.
    pub raw: String,
    /// SHA-256 of its syntax tree, without comments and docstrings; in Python after [`TREE_FORM`].
    pub tree: String,
    /// The same in Python's former form, which takes some trees for the same that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<String>,
}

/// What a release of the package holds, as far as somebody asked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReleaseSources {
    /// Each definition that was asked for, as `module:Class.method`, `FILE:Type.method` or `FILE`.
    pub symbols: BTreeMap<String, SymbolState>,
    /// The functions and methods of mirrored files, by file and name; in other languages than Python all definitions
    /// that hold no others, or [`WHOLE`].
    pub functions: BTreeMap<String, BTreeMap<String, DefinitionDigests>>,
    /// All definitions of each name that was found, by file and name, where there is more than one: the parts of a
    /// property, overloads, branches. In the order of the text.
    #[serde(default)]
    pub namesakes: BTreeMap<String, BTreeMap<String, Vec<NamesakeDefinition>>>,
    /// Code of mirrored files outside of these, in the order of the text.
    #[serde(default)]
    pub outside: BTreeMap<String, Vec<OutsideCode>>,
    /// The mirrored files, each with SHA-1 of its bytes.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Files of the release that mirrored ones import.
    #[serde(default)]
    pub imported: BTreeSet<String>,
    /// Files of the release that may run in the place of those that are compared.
    #[serde(default)]
    pub shadows: BTreeSet<String>,
    /// Packages that the release requires, by the file that says so and by name: each requirement as a text.
    #[serde(default)]
    pub requirements: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Files that could not be read as source, and why.
    pub unreadable: BTreeMap<String, String>,
}

/// What became of a definition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum SymbolState {
    /// It is there.
    Defined(SymbolDefinition),
    /// It is not there.
    Gone,
    /// It belongs to another package, or leads to one.
    Elsewhere,
}

/// A definition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SymbolDefinition {
    /// The file it is in.
    pub file: String,
    /// Its first line, 1-based.
    pub line: u32,
    /// Its name in that file.
    pub name: String,
    /// Its digests.
    #[serde(flatten)]
    pub digests: DefinitionDigests,
    /// A decorator stands between its name and what a caller gets.
    pub decorated: bool,
}

impl SymbolState {
    /// The definition, if it is there.
    pub fn definition(&self) -> Option<&SymbolDefinition> {
        match self {
            Self::Defined(definition) => Some(definition),
            Self::Gone | Self::Elsewhere => None,
        }
    }
}

/// What to do about a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncVerdict {
    /// Nothing: the release is in the range already.
    Skip,
    /// Widen the range; the code serves both.
    Relax,
    /// The code has to follow.
    Bump,
    /// A person has to say.
    Ask,
}

impl SyncVerdict {
    /// Its name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Relax => "relax",
            Self::Bump => "bump",
            Self::Ask => "ask",
        }
    }
}

/// How a pinned definition differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinChangeKind {
    /// In its syntax tree: in what it does.
    Tree,
    /// In its bytes alone: layout, comments, docstring.
    Bytes,
    /// It is not there any more.
    Gone,
}

/// A pinned definition that the release changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PinChange {
    /// As the manifest names it.
    pub symbol: String,
    /// The file it is in; none if it is in none of the two releases.
    pub file: Option<String>,
    /// How.
    pub kind: PinChangeKind,
    /// [`DefinitionDigests::raw`] before.
    pub old_hash: Option<String>,
    /// And now.
    pub new_hash: Option<String>,
    /// The first release that has it changed, if somebody looked.
    pub first_in: Option<String>,
}

/// Something that the manifest does not guard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnguardedPart {
    /// Its name.
    pub symbol: String,
    /// The file it is in.
    pub file: Option<String>,
    /// Why.
    pub why: UnguardedReason,
    /// The sort of thing that it is.
    #[serde(default, skip_serializing_if = "ReleasePartKind::is_function")]
    pub what: ReleasePartKind,
}

impl UnguardedPart {
    /// A function, or a definition.
    pub fn of(symbol: String, file: Option<String>, why: UnguardedReason) -> Self {
        Self { symbol, file, why, what: ReleasePartKind::Function }
    }

    /// Its name for people, with the file where that is not in it.
    pub fn name(&self) -> String {
        let symbol = if self.symbol == WHOLE { "" } else { self.symbol.as_str() };
        match &self.file {
            Some(file) if !symbol.contains(':') || !self.what.is_function() => {
                format!("{file} {symbol}").trim().to_owned()
            }
            Some(_) | None => symbol.to_owned(),
        }
    }

    /// Its change, in words.
    pub fn words(&self) -> String {
        self.what.words(self.why)
    }
}

/// Why something is not guarded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnguardedReason {
    /// Something that the release added to a mirrored file.
    Added,
    /// Something in a mirrored file that nobody pinned, changed.
    Changed,
    /// And removed.
    Removed,
    /// The manifest accepts no form that it has had in these releases, though it did not change. Of a decorated
    /// function, Python's tools may have hashed another one in its place.
    Stale,
    /// The same, for a decorated function.
    Decorated,
    /// It is in neither release: its name is wrong, or was given up long ago.
    Missing,
    /// It is another package's.
    Elsewhere,
    /// Its file cannot be read as source.
    Unreadable,
    /// The project pins it in a form that is not understood.
    Untold,
    /// A requirement that changed for an extra that the project does not ask for.
    OfExtra,
    /// A requirement that changed for Python versions that the project does not support.
    OfOtherPython,
    /// A requirement that admits all that it did, of a package that the project does not use by itself.
    Wider,
    /// A requirement that is gone, of such a package.
    Dropped,
}

impl UnguardedReason {
    /// In words, of a definition.
    fn words(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Stale => "pinned by a digest that neither release has",
            Self::Decorated => "decorated, and pinned by a digest that neither release has",
            Self::Missing => "pinned, and in neither release",
            Self::Elsewhere => "in another package",
            Self::Unreadable => "in a file that cannot be read",
            Self::Untold => "pinned in a form that is not understood",
            Self::OfExtra => "required otherwise for an extra that the project does not ask for",
            Self::OfOtherPython => "required otherwise for Python versions that the project does not support",
            Self::Wider => "required in more versions than before",
            Self::Dropped => "required no more",
        }
    }

    /// Is it about a change, and not about what is pinned?
    pub fn is_change(self) -> bool {
        match self {
            Self::Added | Self::Changed | Self::Removed => true,
            Self::OfExtra | Self::OfOtherPython | Self::Wider | Self::Dropped => true,
            Self::Stale | Self::Decorated | Self::Missing | Self::Elsewhere => false,
            Self::Unreadable | Self::Untold => false,
        }
    }

    /// Did the release change it, so that somebody has to look?
    pub fn is_news(self) -> bool {
        match self {
            Self::Added | Self::Changed | Self::Removed | Self::Unreadable => true,
            Self::Stale | Self::Decorated | Self::Missing | Self::Elsewhere | Self::Untold => false,
            Self::OfExtra | Self::OfOtherPython | Self::Wider | Self::Dropped => false,
        }
    }
}

/// What is known when a decision is made.
#[derive(Clone, Copy, Debug)]
pub struct SyncDecisionInput<'a> {
    /// The project's range holds the release already.
    pub in_range: bool,
    /// The release may break what it likes, by its version.
    pub is_major: bool,
    /// The package's classes that the project's own inherit from, by name.
    pub inherited: &'a BTreeSet<String>,
    /// Requirements whose change does not reach the project, by name, and why.
    pub harmless: &'a BTreeMap<String, UnguardedReason>,
    /// What is pinned.
    pub manifest: &'a PinManifest,
    /// The release that the project was made for.
    pub from: &'a ReleaseSources,
    /// The release to follow.
    pub to: &'a ReleaseSources,
}

/// What to do, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncDecision {
    /// What.
    pub verdict: SyncVerdict,
    /// An agent's look at what is not guarded can make it relax or bump.
    pub needs_classification: bool,
    /// In one sentence.
    pub reason: String,
    /// Pinned definitions that differ.
    pub changed: Vec<PinChange>,
    /// What the manifest does not see.
    pub unguarded: Vec<UnguardedPart>,
}

/// Decides, in this order: in range, major, a pinned definition's tree changed or it vanished, something may run in
/// the place of what is compared, something changed beside what is pinned, its bytes changed, nothing.
pub fn decide(step: &SyncDecisionInput<'_>) -> SyncDecision {
    let (changed, mut unguarded) = compare(step);
    unguarded.extend(beside(step));
    let count = |kind: PinChangeKind| changed.iter().filter(|change| change.kind == kind).count();
    let (trees, gone, bytes) =
        (count(PinChangeKind::Tree), count(PinChangeKind::Gone), count(PinChangeKind::Bytes));
    let with = |why: UnguardedReason| unguarded.iter().filter(|one| one.why == why).count();
    let (missing, elsewhere) = (with(UnguardedReason::Missing), with(UnguardedReason::Elsewhere));
    let is_unreadable = with(UnguardedReason::Unreadable) > 0;
    let differs = || {
        let parts = [(trees, "changed"), (gone, "vanished")].map(|(count, what)| match count {
            0 => None,
            1 => Some(format!("1 pinned definition {what}")),
            _ => Some(format!("{count} pinned definitions {what}")),
        });
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let bases = bases_gone(step);
    let (verdict, needs_classification, reason) = if step.in_range {
        let reason = "the release is in the range already";
        let reason = match differs() {
            nothing if nothing.is_empty() => reason.to_owned(),
            differs => format!("{reason}, though {differs}: whoever installs the project may have it"),
        };
        (SyncVerdict::Skip, false, reason)
    } else if step.is_major {
        (SyncVerdict::Ask, false, "the release is a major one: it may break anything".to_owned())
    } else if !bases.is_empty() {
        let what = if bases.len() == 1 { "a class" } else { "classes" };
        let reason = format!("{what} that the project inherits from vanished: {}", bases.join(", "));
        (SyncVerdict::Ask, false, reason)
    } else if trees + gone > 0 {
        (SyncVerdict::Bump, false, differs())
    } else if missing > 0 {
        let what = if missing == 1 { "1 pinned definition is" } else { "pinned definitions are" };
        (
            SyncVerdict::Ask,
            false,
            format!("{what} in neither release, so that nothing is guarded there: fix the manifest"),
        )
    } else if step.manifest.rows.is_empty() && step.from.files.is_empty() && step.to.files.is_empty() {
        (SyncVerdict::Ask, false, NOTHING_PINNED.to_owned())
    } else if elsewhere > 0 && elsewhere == step.manifest.rows.len() {
        (
            SyncVerdict::Ask,
            false,
            "everything that is pinned belongs to other packages: nothing is guarded".to_owned(),
        )
    } else if unguarded.iter().any(|one| one.what == ReleasePartKind::Shadow) {
        let reason = "files of the release may run in the place of what is compared: somebody has to look";
        (SyncVerdict::Ask, false, reason.to_owned())
    } else if unguarded.iter().any(|one| one.why.is_news()) {
        (SyncVerdict::Ask, !is_unreadable, format!("{}: somebody has to look", news(&changed, &unguarded)))
    } else if step.from.files.is_empty() && step.to.files.is_empty() {
        let reason = "no mirrored file is in either release: fix `mirror` of the job";
        (SyncVerdict::Ask, false, reason.to_owned())
    } else if bytes > 0 {
        let what = if bytes == 1 { "1 pinned definition" } else { "pinned definitions" };
        let reason = format!("the text of {what} changed, and what it does did not: add the digest");
        (SyncVerdict::Relax, false, reason)
    } else {
        (SyncVerdict::Relax, false, unchanged(step).to_owned())
    };
    SyncDecision { verdict, needs_classification, reason, changed, unguarded }
}

/// Changes beside the pinned definitions, in one sentence.
pub(crate) fn news(changed: &[PinChange], unguarded: &[UnguardedPart]) -> String {
    let count = |counts: fn(ReleasePartKind) -> bool| {
        unguarded.iter().filter(|one| one.why.is_news() && counts(one.what)).count()
    };
    // Of a file without definitions, and of one that cannot be read, nobody knows a function.
    let is_whole = |one: &&UnguardedPart| one.symbol == WHOLE || one.why == UnguardedReason::Unreadable;
    let wholes = unguarded.iter().filter(|one| one.what == ReleasePartKind::Function && one.why.is_news());
    let wholes = wholes.filter(is_whole).count();
    let functions = match count(|what| what == ReleasePartKind::Function) - wholes {
        0 => None,
        1 => Some("1 function beside them"),
        _ => Some("functions beside them"),
    };
    let beside = match wholes {
        0 => None,
        1 => Some("1 file beside them"),
        _ => Some("files beside them"),
    };
    let again = match count(|what| what == ReleasePartKind::Redefinition) {
        0 => None,
        1 => Some("another definition of a pinned name"),
        _ => Some("other definitions of pinned names"),
    };
    let is_code = |what| {
        !matches!(
            what,
            ReleasePartKind::Function
                | ReleasePartKind::Redefinition
                | ReleasePartKind::File
                | ReleasePartKind::Requirement
                | ReleasePartKind::Shadow
        )
    };
    let code = (count(is_code) > 0).then_some("code outside of functions");
    let files = (count(|what| what == ReleasePartKind::File) > 0).then_some("the files that theirs import");
    let required =
        (count(|what| what == ReleasePartKind::Requirement) > 0).then_some("what the release requires");
    let parts: Vec<&str> = [functions, again, code, beside, files, required].into_iter().flatten().collect();
    let unchanged = if changed.is_empty() {
        "no pinned definition changed"
    } else {
        "no pinned definition changed in what it does"
    };
    format!("{unchanged}, but {} did", parts.join(" and "))
}

/// The reason why nothing has to be looked at, though the releases may differ.
fn unchanged(step: &SyncDecisionInput<'_>) -> &'static str {
    let same = step.manifest.rows.keys().all(|symbol| {
        let digests = |sources: &'_ ReleaseSources| {
            sources.symbols.get(symbol).and_then(SymbolState::definition).map(|found| found.digests.clone())
        };
        digests(step.from) == digests(step.to)
    });
    match (same, step.from.files == step.to.files) {
        (true, true) => "nothing that is pinned or mirrored changed",
        (true, false) => "only comments, docstrings or layout changed",
        (false, _) => "what changed of it is pinned in this form already",
    }
}

/// The classes that the project inherits from and that the release does not have any more.
fn bases_gone<'a>(step: &SyncDecisionInput<'a>) -> Vec<&'a str> {
    let is_gone = |class: &&String| {
        let old = step.from.symbols.get(*class).and_then(SymbolState::definition);
        let is_read = old.is_some_and(|old| !step.to.unreadable.contains_key(&old.file));
        is_read && step.to.symbols.get(*class) == Some(&SymbolState::Gone)
    };
    step.inherited.iter().filter(is_gone).map(String::as_str).collect()
}

/// The pinned definitions: what changed, and what the manifest does not really guard.
fn compare(step: &SyncDecisionInput<'_>) -> (Vec<PinChange>, Vec<UnguardedPart>) {
    let (before, after) =
        (AcceptedForms::new(step.manifest, step.from), AcceptedForms::new(step.manifest, step.to));
    let (mut changed, mut unguarded) = (Vec::new(), Vec::new());
    for symbol in step.manifest.rows.keys() {
        let (from, to) = (step.from.symbols.get(symbol), step.to.symbols.get(symbol));
        let old = from.and_then(SymbolState::definition);
        let Some(new) = to.and_then(SymbolState::definition) else {
            let file = old.map(|old| old.file.clone());
            // What was here and is another package's now is gone, as far as this one goes.
            if to == Some(&SymbolState::Elsewhere) && old.is_none() {
                unguarded.push(UnguardedPart::of(symbol.clone(), file, UnguardedReason::Elsewhere));
            } else if file.as_ref().is_some_and(|file| step.to.unreadable.contains_key(file)) {
                // It may be there: nobody can tell.
                unguarded.push(UnguardedPart::of(symbol.clone(), file, UnguardedReason::Unreadable));
            } else if old.is_some() || from.is_none() {
                changed.push(change(symbol, PinChangeKind::Gone, old, None));
            } else {
                unguarded.push(UnguardedPart::of(symbol.clone(), None, UnguardedReason::Missing));
            }
            continue;
        };
        if after.accepts(symbol, new, old) {
            continue;
        }
        match old {
            Some(old) if old.digests == new.digests => {
                if !before.accepts(symbol, old, None) {
                    let why = if new.decorated { UnguardedReason::Decorated } else { UnguardedReason::Stale };
                    let file = Some(new.file.clone());
                    unguarded.push(UnguardedPart::of(symbol.clone(), file, why));
                }
            }
            Some(old) if old.digests.tree == new.digests.tree => {
                changed.push(change(symbol, PinChangeKind::Bytes, Some(old), Some(new)));
            }
            Some(_) | None => changed.push(change(symbol, PinChangeKind::Tree, old, Some(new))),
        }
    }
    (changed, unguarded)
}

fn change(
    symbol: &str,
    kind: PinChangeKind,
    old: Option<&SymbolDefinition>,
    new: Option<&SymbolDefinition>,
) -> PinChange {
    let raw = |definition: &SymbolDefinition| definition.digests.raw.clone();
    PinChange {
        symbol: symbol.to_owned(),
        file: new.or(old).map(|definition| definition.file.clone()),
        kind,
        old_hash: old.map(raw),
        new_hash: new.map(raw),
        first_in: None,
    }
}

/// What a manifest accepts in a release. Names of one definition share what they accept: a Python table by function
/// knows only one of them.
struct AcceptedForms<'a> {
    manifest: &'a PinManifest,
    by_place: BTreeMap<(&'a str, u32), Vec<&'a ManifestRow>>,
}

impl<'a> AcceptedForms<'a> {
    fn new(manifest: &'a PinManifest, sources: &'a ReleaseSources) -> Self {
        let mut by_place: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (symbol, row) in &manifest.rows {
            if let Some(at) = sources.symbols.get(symbol).and_then(SymbolState::definition) {
                by_place.entry((at.file.as_str(), at.line)).or_default().push(row);
            }
        }
        Self { manifest, by_place }
    }

    /// Is this form of a definition accepted? `before`: its form in the release before, if that is another one.
    fn accepts(
        &self,
        symbol: &str,
        definition: &SymbolDefinition,
        before: Option<&SymbolDefinition>,
    ) -> bool {
        let shared = self.by_place.get(&(definition.file.as_str(), definition.line));
        let rows = self.manifest.rows.get(symbol).into_iter().chain(shared.into_iter().flatten().copied());
        let before = before.map(|before| &before.digests);
        rows.into_iter().any(|row| row.accepts(&definition.digests, before))
    }
}
