//! Decides what a project does about a new release of an upstream package that it follows. The actions are:
//! nothing (`skip`), widen the bound (`relax`), change the code (`bump`), or ask a person (`ask`). Pure.
//!
//! The project has *pinned* those definitions of the package that it copies or overrides. For each pinned
//! definition, a [`PinManifest`] contains digests of one version of the definition's source code: the version
//! for which the copy or override was written. A definition whose bytes differ, but whose syntax tree is
//! equal, counts as unchanged.
//!
//! A manifest does not cover unpinned code. Files of the package that have a counterpart in the project are
//! *mirrored*. A person or an agent must check changes of unpinned code in mirrored files
//! (`unguarded_parts`).

pub mod branch_plan;
pub mod breaker;
pub mod changelog;
pub mod classify;
pub mod job;
mod manifest;
pub mod record;
pub mod release;
mod unguarded_parts;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use manifest::{
    LINE_DIGEST_HEX_DIGITS, ManifestEntry, ManifestError, ManifestRow, PinManifest, TREE_DIGEST_HEX_DIGITS,
    TREE_DIGEST_PREFIX,
};
use unguarded_parts::find_unguarded_parts;
pub use unguarded_parts::{METADATA, NamesakeDefinition, NonFunctionCode, ReleasePartKind};

/// Name that stands for the whole file in a list of the file's definitions.
pub const WHOLE_FILE: &str = "*";

/// Reason for the verdict `ask` if nothing is pinned or mirrored.
pub const NOTHING_PINNED_REASON: &str =
    "nothing is pinned or mirrored, so only the project's own checks can decide";

/// Digests of a definition, in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DefinitionDigests {
    /// SHA-1 of the definition's lines as they are in the file, including the last line end.
    pub raw: String,
    /// SHA-256 of the definition's syntax tree, without comments and docstrings. For Python, the prefix
    /// [`TREE_DIGEST_PREFIX`] precedes the digest.
    pub tree: String,
}

/// The data of a release that a decision needs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReleaseSources {
    /// State of each requested definition, by its name: `module:Class.method`, `FILE:Type.method` or `FILE`.
    pub symbols: BTreeMap<String, SymbolState>,
    /// Functions and methods of mirrored files, by file and name. For languages other than Python, the map
    /// contains all definitions that contain no other definition. A file without definitions has one entry,
    /// named [`WHOLE_FILE`].
    pub functions: BTreeMap<String, BTreeMap<String, DefinitionDigests>>,
    /// Definitions that share their name with another definition in the same file, by file and name, in text
    /// order. Examples are overloads, the methods of a property, and definitions in branches.
    #[serde(default)]
    pub namesakes: BTreeMap<String, BTreeMap<String, Vec<NamesakeDefinition>>>,
    /// Code of mirrored files that is not in `functions`, by file, in text order.
    #[serde(default)]
    #[serde(rename = "outside")]
    pub non_function_code: BTreeMap<String, Vec<NonFunctionCode>>,
    /// Mirrored files, each with the SHA-1 of its bytes.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Files of the release that mirrored files import.
    #[serde(default)]
    pub imported: BTreeSet<String>,
    /// Files of the release that may run instead of the compared files.
    #[serde(default)]
    pub shadows: BTreeSet<String>,
    /// Texts of the release's requirements, by the file that declares them and by the required package's
    /// name.
    #[serde(default)]
    pub requirements: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Files that could not be parsed as source code, each with the reason.
    pub unreadable: BTreeMap<String, String>,
}

/// State of a definition in a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum SymbolState {
    /// The definition is present.
    Defined(SymbolDefinition),
    /// The definition is absent.
    #[serde(rename = "gone")]
    Absent,
    /// The name refers to a definition in another package.
    #[serde(rename = "elsewhere")]
    OtherPackage,
}

/// A definition in a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SymbolDefinition {
    /// File that contains the part or definition.
    pub file: String,
    /// First line of the definition in that file, 1-based.
    pub line: u32,
    /// Name of the definition in that file.
    pub name: String,
    #[serde(flatten)]
    pub digests: DefinitionDigests,
    /// True if a decorator may change the object that callers receive.
    pub decorated: bool,
}

impl SymbolState {
    /// Returns the definition; `None` if the release does not contain it.
    pub fn definition(&self) -> Option<&SymbolDefinition> {
        match self {
            Self::Defined(definition) => Some(definition),
            Self::Absent | Self::OtherPackage => None,
        }
    }
}

/// The action that Truing takes for a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncVerdict {
    /// Do nothing: the range already includes the release.
    Skip,
    /// Widen the range of versions, because the project's code works with both releases.
    Relax,
    /// Change the project's code for the release.
    Bump,
    /// Ask a person to decide.
    Ask,
}

impl SyncVerdict {
    /// Returns the word that users write in their answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Relax => "relax",
            Self::Bump => "bump",
            Self::Ask => "ask",
        }
    }
}

/// Kind of difference in a pinned definition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinChangeKind {
    /// The syntax tree differs, so the behaviour may differ.
    Tree,
    /// Only the bytes differ: layout, comments or docstring.
    Bytes,
    /// The release no longer has the definition.
    #[serde(rename = "gone")]
    Removed,
}

/// A pinned definition that the release changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PinChange {
    /// Name of the definition in the manifest.
    pub symbol: String,
    /// File that contains the definition; `None` if both releases lack the definition.
    pub file: Option<String>,
    pub kind: PinChangeKind,
    /// [`DefinitionDigests::raw`] in the old release; `None` if that release lacks the definition.
    pub old_hash: Option<String>,
    /// [`DefinitionDigests::raw`] in the new release; `None` if that release lacks the definition.
    pub new_hash: Option<String>,
    /// First release with the change; `None` if this release was not determined.
    pub first_in: Option<String>,
}

/// A part of a release that the manifest does not guard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnguardedPart {
    pub symbol: String,
    /// File that contains the part or definition.
    pub file: Option<String>,
    #[serde(rename = "why")]
    pub reason: UnguardedReason,
    #[serde(default, skip_serializing_if = "ReleasePartKind::is_function")]
    #[serde(rename = "what")]
    pub kind: ReleasePartKind,
}

impl UnguardedPart {
    /// Creates the entry for a function or another definition.
    pub fn new(symbol: String, file: Option<String>, reason: UnguardedReason) -> Self {
        Self { symbol, file, reason, kind: ReleasePartKind::Function }
    }

    /// Returns the name for display. The file is added if the name does not contain it already.
    pub fn name(&self) -> String {
        let symbol = if self.symbol == WHOLE_FILE { "" } else { self.symbol.as_str() };
        match &self.file {
            Some(file) if !symbol.contains(':') || !self.kind.is_function() => {
                format!("{file} {symbol}").trim().to_owned()
            }
            Some(_) | None => symbol.to_owned(),
        }
    }

    /// Describes the change for display.
    pub fn change_text(&self) -> String {
        self.kind.change_text(self.reason)
    }
}

/// The reason why a part is not guarded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnguardedReason {
    /// The release added this code to a mirrored file.
    Added,
    /// The release changed unpinned code in a mirrored file.
    Changed,
    /// The release removed unpinned code from a mirrored file.
    Removed,
    /// The definition is equal in both releases, but does not match the manifest's digests.
    Stale,
    /// Like [`Self::Stale`], for a decorated function. Possible cause: the tool that wrote the digest hashed
    /// the wrong function.
    Decorated,
    /// Both releases lack the definition: its name is wrong, or the definition was removed long ago.
    Missing,
    /// The definition belongs to another package.
    #[serde(rename = "elsewhere")]
    OtherPackage,
    /// The definition's file cannot be parsed as source.
    Unreadable,
    /// The project pins the definition in a format that Truing does not support.
    Untold,
    /// A requirement changed, but only for an extra that the project does not use.
    OfExtra,
    /// A requirement changed, but only for Python versions that the project does not support.
    OfOtherPython,
    /// A requirement changed, but still admits all versions that it admitted before. The project does not use
    /// the required package directly.
    Wider,
    /// A removed requirement on a package that the project does not use directly.
    #[serde(rename = "dropped")]
    RequirementRemoved,
}

impl UnguardedReason {
    /// Returns the reason as a description of the definition.
    fn change_text(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Stale => "pinned by a digest that neither release has",
            Self::Decorated => "decorated, and pinned by a digest that neither release has",
            Self::Missing => "pinned, but in neither release",
            Self::OtherPackage => "in another package",
            Self::Unreadable => "in a file that cannot be read",
            Self::Untold => "pinned in a format that Truing does not support",
            Self::OfExtra => "required differently, but only for an extra that the project does not use",
            Self::OfOtherPython => {
                "required differently, but only for Python versions that the project does not support"
            }
            Self::Wider => "required in more versions than before",
            Self::RequirementRemoved => "no longer required",
        }
    }

    /// Returns true if the release changed the part. Returns false if the pin or an unreadable file is the
    /// reason.
    pub fn is_change(self) -> bool {
        match self {
            Self::Added | Self::Changed | Self::Removed => true,
            Self::OfExtra | Self::OfOtherPython | Self::Wider | Self::RequirementRemoved => true,
            Self::Stale | Self::Decorated | Self::Missing | Self::OtherPackage => false,
            Self::Unreadable | Self::Untold => false,
        }
    }

    /// Returns true if a person or an agent must check the part: the release changed it, or its file cannot
    /// be read.
    pub fn needs_check(self) -> bool {
        match self {
            Self::Added | Self::Changed | Self::Removed | Self::Unreadable => true,
            Self::Stale | Self::Decorated | Self::Missing | Self::OtherPackage | Self::Untold => false,
            Self::OfExtra | Self::OfOtherPython | Self::Wider | Self::RequirementRemoved => false,
        }
    }
}

/// Facts on which a decision is based.
#[derive(Clone, Copy, Debug)]
pub struct SyncDecisionInput<'a> {
    /// True if the project's range already includes the release.
    pub in_range: bool,
    /// True if the version number of the release permits breaking changes.
    pub is_major: bool,
    /// Names of the package's classes that are base classes of the project's classes.
    pub inherited_classes: &'a BTreeSet<String>,
    /// Changed requirements that do not affect the project, by the required package's name, each with the
    /// reason.
    pub harmless_requirements: &'a BTreeMap<String, UnguardedReason>,
    pub manifest: &'a PinManifest,
    /// Release for which the project's code was written.
    pub old_release: &'a ReleaseSources,
    pub new_release: &'a ReleaseSources,
}

/// Decision with its reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncDecision {
    pub verdict: SyncVerdict,
    /// True if the verdict is `ask`, but an agent's classification of the unguarded parts can change the
    /// verdict to `relax` or `bump`.
    pub needs_classification: bool,
    /// Reason in one sentence.
    pub reason: String,
    /// Pinned definitions that differ.
    pub pin_changes: Vec<PinChange>,
    /// Parts that the manifest does not cover.
    pub unguarded_parts: Vec<UnguardedPart>,
}

/// Decides on a release; the first condition that holds determines the verdict. The conditions, in order: the
/// release is in range (`skip`). The version is major, or an inherited class is gone (`ask`). A pinned
/// definition changed or is gone (`bump`). The pins or the mirrored files guard nothing, or an unguarded part
/// needs a check (`ask`). If no condition holds, the verdict is `relax`.
pub fn decide_sync(input: &SyncDecisionInput<'_>) -> SyncDecision {
    let (changed, mut unguarded) = compare_pinned_definitions(input);
    unguarded.extend(find_unguarded_parts(input));
    let count = |kind: PinChangeKind| changed.iter().filter(|change| change.kind == kind).count();
    let (trees, gone, bytes) =
        (count(PinChangeKind::Tree), count(PinChangeKind::Removed), count(PinChangeKind::Bytes));
    let with = |why: UnguardedReason| unguarded.iter().filter(|one| one.reason == why).count();
    let (missing, elsewhere) = (with(UnguardedReason::Missing), with(UnguardedReason::OtherPackage));
    let is_unreadable = with(UnguardedReason::Unreadable) > 0;
    let differs = || {
        let parts = [(trees, "changed"), (gone, "vanished")].map(|(count, what)| match count {
            0 => None,
            1 => Some(format!("1 pinned definition {what}")),
            _ => Some(format!("{count} pinned definitions {what}")),
        });
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let bases = removed_base_classes(input);
    let (verdict, needs_classification, reason) = if input.in_range {
        let reason = "the project's version range already includes the release";
        let reason = match differs() {
            nothing if nothing.is_empty() => reason.to_owned(),
            differs => {
                format!("{reason}, though {differs}: an installation of the project may include the release")
            }
        };
        (SyncVerdict::Skip, false, reason)
    } else if input.is_major {
        (SyncVerdict::Ask, false, "the release is a new major version, which may break anything".to_owned())
    } else if !bases.is_empty() {
        let what = if bases.len() == 1 { "a class" } else { "classes" };
        let reason =
            format!("the release no longer has {what} that the project inherits from: {}", bases.join(", "));
        (SyncVerdict::Ask, false, reason)
    } else if trees + gone > 0 {
        (SyncVerdict::Bump, false, differs())
    } else if missing > 0 {
        let what = if missing == 1 { "1 pinned definition is" } else { "pinned definitions are" };
        (
            SyncVerdict::Ask,
            false,
            format!("{what} in neither release, and therefore without effect: fix the manifest"),
        )
    } else if input.manifest.rows.is_empty()
        && input.old_release.files.is_empty()
        && input.new_release.files.is_empty()
    {
        (SyncVerdict::Ask, false, NOTHING_PINNED_REASON.to_owned())
    } else if elsewhere > 0 && elsewhere == input.manifest.rows.len() {
        (
            SyncVerdict::Ask,
            false,
            "all pinned definitions belong to other packages, so the manifest guards nothing".to_owned(),
        )
    } else if unguarded.iter().any(|one| one.kind == ReleasePartKind::Shadow) {
        let reason = "files of the release may run instead of the compared code: a person must check this";
        (SyncVerdict::Ask, false, reason.to_owned())
    } else if unguarded.iter().any(|one| one.reason.needs_check()) {
        (
            SyncVerdict::Ask,
            !is_unreadable,
            format!("{}: a person must check this", summarize_changes(&changed, &unguarded)),
        )
    } else if input.old_release.files.is_empty() && input.new_release.files.is_empty() {
        let reason = "neither release has a mirrored file: fix `mirror` of the job";
        (SyncVerdict::Ask, false, reason.to_owned())
    } else if bytes > 0 {
        let what = if bytes == 1 { "1 pinned definition" } else { "pinned definitions" };
        let reason = format!(
            "the text of {what} changed, but not the behaviour: add the digest of each \
            new text to the manifest"
        );
        (SyncVerdict::Relax, false, reason)
    } else {
        (SyncVerdict::Relax, false, unchanged_reason(input).to_owned())
    };
    SyncDecision { verdict, needs_classification, reason, pin_changes: changed, unguarded_parts: unguarded }
}

/// Summarises the changes outside the pinned definitions in one sentence.
pub(crate) fn summarize_changes(pin_changes: &[PinChange], unguarded: &[UnguardedPart]) -> String {
    let count = |counts: fn(ReleasePartKind) -> bool| {
        unguarded.iter().filter(|one| one.reason.needs_check() && counts(one.kind)).count()
    };
    // A whole file without definitions and a file that cannot be read are counted as files, not as functions.
    let is_whole =
        |one: &&UnguardedPart| one.symbol == WHOLE_FILE || one.reason == UnguardedReason::Unreadable;
    let wholes =
        unguarded.iter().filter(|one| one.kind == ReleasePartKind::Function && one.reason.needs_check());
    let wholes = wholes.filter(is_whole).count();
    let functions = match count(|what| what == ReleasePartKind::Function) - wholes {
        0 => None,
        1 => Some("1 unpinned function"),
        _ => Some("unpinned functions"),
    };
    let beside = match wholes {
        0 => None,
        1 => Some("1 unpinned file"),
        _ => Some("unpinned files"),
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
    let files = (count(|what| what == ReleasePartKind::File) > 0)
        .then_some("the files that the compared files import");
    let required =
        (count(|what| what == ReleasePartKind::Requirement) > 0).then_some("the requirements of the release");
    let parts: Vec<&str> = [functions, again, code, beside, files, required].into_iter().flatten().collect();
    let unchanged = if pin_changes.is_empty() {
        "no pinned definition changed"
    } else {
        "no pinned definition changed its behaviour"
    };
    format!("{unchanged}, but {} did", parts.join(" and "))
}

/// Returns the reason why no check is needed, even if the releases differ.
fn unchanged_reason(input: &SyncDecisionInput<'_>) -> &'static str {
    let same = input.manifest.rows.keys().all(|symbol| {
        let digests = |sources: &'_ ReleaseSources| {
            sources.symbols.get(symbol).and_then(SymbolState::definition).map(|found| found.digests.clone())
        };
        digests(input.old_release) == digests(input.new_release)
    });
    match (same, input.old_release.files == input.new_release.files) {
        (true, true) => "no pinned or mirrored code changed",
        (true, false) => "only comments, docstrings or layout changed",
        (false, _) => "the changed definitions are already pinned with their new digests",
    }
}

/// Returns the base classes of the project's classes that the new release no longer has.
fn removed_base_classes<'a>(input: &SyncDecisionInput<'a>) -> Vec<&'a str> {
    let is_gone = |class: &&String| {
        let old = input.old_release.symbols.get(*class).and_then(SymbolState::definition);
        let is_read = old.is_some_and(|old| !input.new_release.unreadable.contains_key(&old.file));
        is_read && input.new_release.symbols.get(*class) == Some(&SymbolState::Absent)
    };
    input.inherited_classes.iter().filter(is_gone).map(String::as_str).collect()
}

/// Compares the pinned definitions of both releases. Returns their changes, and the definitions whose pins
/// guard nothing.
fn compare_pinned_definitions(input: &SyncDecisionInput<'_>) -> (Vec<PinChange>, Vec<UnguardedPart>) {
    let (before, after) = (
        AcceptedDigests::new(input.manifest, input.old_release),
        AcceptedDigests::new(input.manifest, input.new_release),
    );
    let (mut changed, mut unguarded) = (Vec::new(), Vec::new());
    for symbol in input.manifest.rows.keys() {
        let (from, to) = (input.old_release.symbols.get(symbol), input.new_release.symbols.get(symbol));
        let old = from.and_then(SymbolState::definition);
        let Some(new) = to.and_then(SymbolState::definition) else {
            let file = old.map(|old| old.file.clone());
            // A definition that has moved to another package counts as removed. It is listed as unguarded
            // only if the old release also lacks its definition.
            if to == Some(&SymbolState::OtherPackage) && old.is_none() {
                unguarded.push(UnguardedPart::new(symbol.clone(), file, UnguardedReason::OtherPackage));
            } else if file.as_ref().is_some_and(|file| input.new_release.unreadable.contains_key(file)) {
                // The definition may exist, but its file cannot be read.
                unguarded.push(UnguardedPart::new(symbol.clone(), file, UnguardedReason::Unreadable));
            } else if old.is_some() || from.is_none() {
                changed.push(pin_change(symbol, PinChangeKind::Removed, old, None));
            } else {
                unguarded.push(UnguardedPart::new(symbol.clone(), None, UnguardedReason::Missing));
            }
            continue;
        };
        if after.accepts(symbol, new) {
            continue;
        }
        match old {
            Some(old) if old.digests == new.digests => {
                if !before.accepts(symbol, old) {
                    let reason =
                        if new.decorated { UnguardedReason::Decorated } else { UnguardedReason::Stale };
                    let file = Some(new.file.clone());
                    unguarded.push(UnguardedPart::new(symbol.clone(), file, reason));
                }
            }
            Some(old) if old.digests.tree == new.digests.tree => {
                changed.push(pin_change(symbol, PinChangeKind::Bytes, Some(old), Some(new)));
            }
            Some(_) | None => changed.push(pin_change(symbol, PinChangeKind::Tree, old, Some(new))),
        }
    }
    (changed, unguarded)
}

fn pin_change(
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

/// The digests that a manifest accepts for each definition of a release. If several names refer to one
/// definition, the digests under all these names are accepted. The reason is that the project may list only
/// one of the names, for example in a Python table with functions as keys.
struct AcceptedDigests<'a> {
    manifest: &'a PinManifest,
    rows_by_location: BTreeMap<(&'a str, u32), Vec<&'a ManifestRow>>,
}

impl<'a> AcceptedDigests<'a> {
    fn new(manifest: &'a PinManifest, sources: &'a ReleaseSources) -> Self {
        let mut by_place: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (symbol, row) in &manifest.rows {
            if let Some(at) = sources.symbols.get(symbol).and_then(SymbolState::definition) {
                by_place.entry((at.file.as_str(), at.line)).or_default().push(row);
            }
        }
        Self { manifest, rows_by_location: by_place }
    }

    /// Returns true if the manifest accepts the digests of this definition.
    fn accepts(&self, symbol: &str, definition: &SymbolDefinition) -> bool {
        let shared = self.rows_by_location.get(&(definition.file.as_str(), definition.line));
        let rows = self.manifest.rows.get(symbol).into_iter().chain(shared.into_iter().flatten().copied());
        rows.into_iter().any(|row| row.accepts(&definition.digests))
    }
}
