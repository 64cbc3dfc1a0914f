//! What a new release of an upstream package asks of the project that follows it: nothing (`skip`), a wider bound
//! (`relax`), work (`bump`), or a person (`ask`). Pure; the rule is spec/sync.md A.2 and 6.3.
//!
//! The project has *pinned* some of the package's definitions: it holds copies or overrides of them, and a
//! [`Manifest`] of digests tells which forms of each it was made for. A definition whose bytes alone differ is the same
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
pub use beside::{METADATA, Namesake, Piece, What};
pub use manifest::{Manifest, ManifestError, RAW_DIGITS, Row, TREE_DIGITS, TREE_FORM, Written};

/// The name of a whole file among its definitions.
pub const WHOLE: &str = "*";

/// The reason to ask people where nothing is pinned and nothing is mirrored.
pub const NOTHING_PINNED: &str =
    "nothing is pinned or mirrored, so that only the project's own checks can tell";

/// The digests of a definition, in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Digests {
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
pub struct Sources {
    /// Each definition that was asked for, as `module:Class.method`, `FILE:Type.method` or `FILE`.
    pub symbols: BTreeMap<String, Symbol>,
    /// The functions and methods of mirrored files, by file and name; in other languages than Python all definitions
    /// that hold no others, or [`WHOLE`].
    pub functions: BTreeMap<String, BTreeMap<String, Digests>>,
    /// All definitions of each name that was found, by file and name, where there is more than one: the parts of a
    /// property, overloads, branches. In the order of the text.
    #[serde(default)]
    pub namesakes: BTreeMap<String, BTreeMap<String, Vec<Namesake>>>,
    /// Code of mirrored files outside of these, in the order of the text.
    #[serde(default)]
    pub outside: BTreeMap<String, Vec<Piece>>,
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
pub enum Symbol {
    /// It is there.
    Defined(Definition),
    /// It is not there.
    Gone,
    /// It belongs to another package, or leads to one.
    Elsewhere,
}

/// A definition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The file it is in.
    pub file: String,
    /// Its first line, 1-based.
    pub line: u32,
    /// Its name in that file.
    pub name: String,
    /// Its digests.
    #[serde(flatten)]
    pub digests: Digests,
    /// A decorator stands between its name and what a caller gets.
    pub decorated: bool,
}

impl Symbol {
    /// The definition, if it is there.
    pub fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Defined(definition) => Some(definition),
            Self::Gone | Self::Elsewhere => None,
        }
    }
}

/// What to do about a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing: the release is in the range already.
    Skip,
    /// Widen the range; the code serves both.
    Relax,
    /// The code has to follow.
    Bump,
    /// A person has to say.
    Ask,
}

impl Verdict {
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
pub enum Kind {
    /// In its syntax tree: in what it does.
    Tree,
    /// In its bytes alone: layout, comments, docstring.
    Bytes,
    /// It is not there any more.
    Gone,
}

/// A pinned definition that the release changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// As the manifest names it.
    pub symbol: String,
    /// The file it is in; none if it is in none of the two releases.
    pub file: Option<String>,
    /// How.
    pub kind: Kind,
    /// [`Digests::raw`] before.
    pub old_hash: Option<String>,
    /// And now.
    pub new_hash: Option<String>,
    /// The first release that has it changed, if somebody looked.
    pub first_in: Option<String>,
}

/// Something that the manifest does not guard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unguarded {
    /// Its name.
    pub symbol: String,
    /// The file it is in.
    pub file: Option<String>,
    /// Why.
    pub why: Why,
    /// The sort of thing that it is.
    #[serde(default, skip_serializing_if = "What::is_function")]
    pub what: What,
}

impl Unguarded {
    /// A function, or a definition.
    pub fn of(symbol: String, file: Option<String>, why: Why) -> Self {
        Self { symbol, file, why, what: What::Function }
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
pub enum Why {
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

impl Why {
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
pub struct Step<'a> {
    /// The project's range holds the release already.
    pub in_range: bool,
    /// The release may break what it likes, by its version.
    pub is_major: bool,
    /// The package's classes that the project's own inherit from, by name.
    pub inherited: &'a BTreeSet<String>,
    /// Requirements whose change does not reach the project, by name, and why.
    pub harmless: &'a BTreeMap<String, Why>,
    /// What is pinned.
    pub manifest: &'a Manifest,
    /// The release that the project was made for.
    pub from: &'a Sources,
    /// The release to follow.
    pub to: &'a Sources,
}

/// What to do, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What.
    pub verdict: Verdict,
    /// An agent's look at what is not guarded can make it relax or bump.
    pub needs_classification: bool,
    /// In one sentence.
    pub reason: String,
    /// Pinned definitions that differ.
    pub changed: Vec<Change>,
    /// What the manifest does not see.
    pub unguarded: Vec<Unguarded>,
}

/// Decides, in this order: in range, major, a pinned definition's tree changed or it vanished, something may run in
/// the place of what is compared, something changed beside what is pinned, its bytes changed, nothing.
pub fn decide(step: &Step<'_>) -> Decision {
    let (changed, mut unguarded) = compare(step);
    unguarded.extend(beside(step));
    let count = |kind: Kind| changed.iter().filter(|change| change.kind == kind).count();
    let (trees, gone, bytes) = (count(Kind::Tree), count(Kind::Gone), count(Kind::Bytes));
    let with = |why: Why| unguarded.iter().filter(|one| one.why == why).count();
    let (missing, elsewhere) = (with(Why::Missing), with(Why::Elsewhere));
    let is_unreadable = with(Why::Unreadable) > 0;
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
        (Verdict::Skip, false, reason)
    } else if step.is_major {
        (Verdict::Ask, false, "the release is a major one: it may break anything".to_owned())
    } else if !bases.is_empty() {
        let what = if bases.len() == 1 { "a class" } else { "classes" };
        let reason = format!("{what} that the project inherits from vanished: {}", bases.join(", "));
        (Verdict::Ask, false, reason)
    } else if trees + gone > 0 {
        (Verdict::Bump, false, differs())
    } else if missing > 0 {
        let what = if missing == 1 { "1 pinned definition is" } else { "pinned definitions are" };
        (
            Verdict::Ask,
            false,
            format!("{what} in neither release, so that nothing is guarded there: fix the manifest"),
        )
    } else if step.manifest.rows.is_empty() && step.from.files.is_empty() && step.to.files.is_empty() {
        (Verdict::Ask, false, NOTHING_PINNED.to_owned())
    } else if elsewhere > 0 && elsewhere == step.manifest.rows.len() {
        (
            Verdict::Ask,
            false,
            "everything that is pinned belongs to other packages: nothing is guarded".to_owned(),
        )
    } else if unguarded.iter().any(|one| one.what == What::Shadow) {
        let reason = "files of the release may run in the place of what is compared: somebody has to look";
        (Verdict::Ask, false, reason.to_owned())
    } else if unguarded.iter().any(|one| one.why.is_news()) {
        (Verdict::Ask, !is_unreadable, format!("{}: somebody has to look", news(&changed, &unguarded)))
    } else if step.from.files.is_empty() && step.to.files.is_empty() {
        let reason = "no mirrored file is in either release: fix `mirror` of the job";
        (Verdict::Ask, false, reason.to_owned())
    } else if bytes > 0 {
        let what = if bytes == 1 { "1 pinned definition" } else { "pinned definitions" };
        let reason = format!("the text of {what} changed, and what it does did not: add the digest");
        (Verdict::Relax, false, reason)
    } else {
        (Verdict::Relax, false, unchanged(step).to_owned())
    };
    Decision { verdict, needs_classification, reason, changed, unguarded }
}

/// Changes beside the pinned definitions, in one sentence.
pub(crate) fn news(changed: &[Change], unguarded: &[Unguarded]) -> String {
    let count = |counts: fn(What) -> bool| {
        unguarded.iter().filter(|one| one.why.is_news() && counts(one.what)).count()
    };
    // Of a file without definitions, and of one that cannot be read, nobody knows a function.
    let is_whole = |one: &&Unguarded| one.symbol == WHOLE || one.why == Why::Unreadable;
    let wholes = unguarded.iter().filter(|one| one.what == What::Function && one.why.is_news());
    let wholes = wholes.filter(is_whole).count();
    let functions = match count(|what| what == What::Function) - wholes {
        0 => None,
        1 => Some("1 function beside them"),
        _ => Some("functions beside them"),
    };
    let beside = match wholes {
        0 => None,
        1 => Some("1 file beside them"),
        _ => Some("files beside them"),
    };
    let again = match count(|what| what == What::Redefinition) {
        0 => None,
        1 => Some("another definition of a pinned name"),
        _ => Some("other definitions of pinned names"),
    };
    let is_code = |what| {
        !matches!(what, What::Function | What::Redefinition | What::File | What::Requirement | What::Shadow)
    };
    let code = (count(is_code) > 0).then_some("code outside of functions");
    let files = (count(|what| what == What::File) > 0).then_some("the files that theirs import");
    let required = (count(|what| what == What::Requirement) > 0).then_some("what the release requires");
    let parts: Vec<&str> = [functions, again, code, beside, files, required].into_iter().flatten().collect();
    let unchanged = if changed.is_empty() {
        "no pinned definition changed"
    } else {
        "no pinned definition changed in what it does"
    };
    format!("{unchanged}, but {} did", parts.join(" and "))
}

/// The reason why nothing has to be looked at, though the releases may differ.
fn unchanged(step: &Step<'_>) -> &'static str {
    let same = step.manifest.rows.keys().all(|symbol| {
        let digests = |sources: &'_ Sources| {
            sources.symbols.get(symbol).and_then(Symbol::definition).map(|found| found.digests.clone())
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
fn bases_gone<'a>(step: &Step<'a>) -> Vec<&'a str> {
    let is_gone = |class: &&String| {
        let old = step.from.symbols.get(*class).and_then(Symbol::definition);
        let is_read = old.is_some_and(|old| !step.to.unreadable.contains_key(&old.file));
        is_read && step.to.symbols.get(*class) == Some(&Symbol::Gone)
    };
    step.inherited.iter().filter(is_gone).map(String::as_str).collect()
}

/// The pinned definitions: what changed, and what the manifest does not really guard.
fn compare(step: &Step<'_>) -> (Vec<Change>, Vec<Unguarded>) {
    let (before, after) = (Accepted::new(step.manifest, step.from), Accepted::new(step.manifest, step.to));
    let (mut changed, mut unguarded) = (Vec::new(), Vec::new());
    for symbol in step.manifest.rows.keys() {
        let (from, to) = (step.from.symbols.get(symbol), step.to.symbols.get(symbol));
        let old = from.and_then(Symbol::definition);
        let Some(new) = to.and_then(Symbol::definition) else {
            let file = old.map(|old| old.file.clone());
            // What was here and is another package's now is gone, as far as this one goes.
            if to == Some(&Symbol::Elsewhere) && old.is_none() {
                unguarded.push(Unguarded::of(symbol.clone(), file, Why::Elsewhere));
            } else if file.as_ref().is_some_and(|file| step.to.unreadable.contains_key(file)) {
                // It may be there: nobody can tell.
                unguarded.push(Unguarded::of(symbol.clone(), file, Why::Unreadable));
            } else if old.is_some() || from.is_none() {
                changed.push(change(symbol, Kind::Gone, old, None));
            } else {
                unguarded.push(Unguarded::of(symbol.clone(), None, Why::Missing));
            }
            continue;
        };
        if after.accepts(symbol, new, old) {
            continue;
        }
        match old {
            Some(old) if old.digests == new.digests => {
                if !before.accepts(symbol, old, None) {
                    let why = if new.decorated { Why::Decorated } else { Why::Stale };
                    let file = Some(new.file.clone());
                    unguarded.push(Unguarded::of(symbol.clone(), file, why));
                }
            }
            Some(old) if old.digests.tree == new.digests.tree => {
                changed.push(change(symbol, Kind::Bytes, Some(old), Some(new)));
            }
            Some(_) | None => changed.push(change(symbol, Kind::Tree, old, Some(new))),
        }
    }
    (changed, unguarded)
}

fn change(symbol: &str, kind: Kind, old: Option<&Definition>, new: Option<&Definition>) -> Change {
    let raw = |definition: &Definition| definition.digests.raw.clone();
    Change {
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
struct Accepted<'a> {
    manifest: &'a Manifest,
    by_place: BTreeMap<(&'a str, u32), Vec<&'a Row>>,
}

impl<'a> Accepted<'a> {
    fn new(manifest: &'a Manifest, sources: &'a Sources) -> Self {
        let mut by_place: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (symbol, row) in &manifest.rows {
            if let Some(at) = sources.symbols.get(symbol).and_then(Symbol::definition) {
                by_place.entry((at.file.as_str(), at.line)).or_default().push(row);
            }
        }
        Self { manifest, by_place }
    }

    /// Is this form of a definition accepted? `before`: its form in the release before, if that is another one.
    fn accepts(&self, symbol: &str, definition: &Definition, before: Option<&Definition>) -> bool {
        let shared = self.by_place.get(&(definition.file.as_str(), definition.line));
        let rows = self.manifest.rows.get(symbol).into_iter().chain(shared.into_iter().flatten().copied());
        let before = before.map(|before| &before.digests);
        rows.into_iter().any(|row| row.accepts(&definition.digests, before))
    }
}
