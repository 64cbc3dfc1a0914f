//! What a new release of an upstream package asks of the project that follows it: nothing (`skip`), a wider bound
//! (`relax`), work (`bump`), or a person (`ask`). Pure; the rule is spec/sync.md A.2 and 6.3.
//!
//! The project has *pinned* some of the package's definitions: it holds copies or overrides of them, and a
//! [`Manifest`] of digests tells which forms of each it was made for. A definition whose bytes alone differ is the same
//! definition. New code beside pinned code is what a manifest cannot see, so changed functions in *mirrored* files,
//! whose counterparts the project has, are for somebody to look at.

pub mod breaker;
pub mod changelog;
pub mod classify;
pub mod job;
mod manifest;
pub mod record;
pub mod release;
pub mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use manifest::{Manifest, ManifestError, RAW_DIGITS, Row, TREE_DIGITS, Written};

/// The name of a whole file among its definitions.
pub const WHOLE: &str = "*";

/// The digests of a definition, in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Digests {
    /// SHA-1 of its lines as they are in the file, with the last one's end.
    pub raw: String,
    /// SHA-256 of its syntax tree, without comments and docstrings.
    pub tree: String,
}

/// What a release of the package holds, as far as somebody asked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Each definition that was asked for, as `module:Class.method`, `FILE:Type.method` or `FILE`.
    pub symbols: BTreeMap<String, Symbol>,
    /// The functions and methods of mirrored files, by file and name; in other languages than Python all definitions
    /// that hold no others, or [`WHOLE`].
    pub functions: BTreeMap<String, BTreeMap<String, Digests>>,
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
}

/// Why something is not guarded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A function that the release added to a mirrored file.
    Added,
    /// A function of a mirrored file that nobody pinned, changed.
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
}

impl Why {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Added => "added to a mirrored file",
            Self::Changed => "changed in a mirrored file, not pinned",
            Self::Removed => "removed from a mirrored file, not pinned",
            Self::Stale => "pinned by a digest that neither release has",
            Self::Decorated => "decorated, and pinned by a digest that neither release has",
            Self::Missing => "pinned, and in neither release",
            Self::Elsewhere => "in another package",
            Self::Unreadable => "in a file that cannot be read",
            Self::Untold => "pinned in a form that is not understood",
        }
    }

    /// Did the release change it, so that somebody has to look?
    pub fn is_news(self) -> bool {
        match self {
            Self::Added | Self::Changed | Self::Removed | Self::Unreadable => true,
            Self::Stale | Self::Decorated | Self::Missing | Self::Elsewhere | Self::Untold => false,
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

/// Decides, in this order: in range, major, a pinned definition's tree changed or it vanished, its bytes changed,
/// something changed that nobody pinned, nothing.
pub fn decide(step: &Step<'_>) -> Decision {
    let (changed, mut unguarded) = compare(step);
    unguarded.extend(beside(step));
    let count = |kind: Kind| changed.iter().filter(|change| change.kind == kind).count();
    let (trees, gone, bytes) = (count(Kind::Tree), count(Kind::Gone), count(Kind::Bytes));
    let news = unguarded.iter().filter(|one| one.why.is_news()).count();
    let with = |why: Why| unguarded.iter().filter(|one| one.why == why).count();
    let (missing, elsewhere) = (with(Why::Missing), with(Why::Elsewhere));
    let is_unreadable = with(Why::Unreadable) > 0;
    let (verdict, needs_classification, reason) = if step.in_range {
        (Verdict::Skip, false, "the release is in the range already".to_owned())
    } else if step.is_major {
        (Verdict::Ask, false, "the release is a major one: it may break anything".to_owned())
    } else if trees + gone > 0 {
        let parts = [(trees, "changed"), (gone, "vanished")].map(|(count, what)| match count {
            0 => None,
            1 => Some(format!("1 pinned definition {what}")),
            _ => Some(format!("{count} pinned definitions {what}")),
        });
        (Verdict::Bump, false, parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    } else if missing > 0 {
        let what = if missing == 1 { "1 pinned definition is" } else { "pinned definitions are" };
        (
            Verdict::Ask,
            false,
            format!("{what} in neither release, so that nothing is guarded there: fix the manifest"),
        )
    } else if elsewhere == step.manifest.rows.len() {
        (
            Verdict::Ask,
            false,
            "everything that is pinned belongs to other packages: nothing is guarded".to_owned(),
        )
    } else if bytes > 0 {
        let what = if bytes == 1 { "1 pinned definition" } else { "pinned definitions" };
        let reason = format!("the text of {what} changed, and what it does did not: add the digest");
        (Verdict::Relax, false, reason)
    } else if news > 0 {
        let what = if news == 1 { "1 function beside them" } else { "functions beside them" };
        let reason = format!("no pinned definition changed, but {what} did: somebody has to look");
        (Verdict::Ask, !is_unreadable, reason)
    } else {
        (Verdict::Relax, false, "nothing that is pinned or mirrored changed".to_owned())
    };
    Decision { verdict, needs_classification, reason, changed, unguarded }
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
            if to == Some(&Symbol::Elsewhere) {
                unguarded.push(Unguarded { symbol: symbol.clone(), file, why: Why::Elsewhere });
            } else if file.as_ref().is_some_and(|file| step.to.unreadable.contains_key(file)) {
                // It may be there: nobody can tell.
                unguarded.push(Unguarded { symbol: symbol.clone(), file, why: Why::Unreadable });
            } else if old.is_some() || from.is_none() {
                changed.push(change(symbol, Kind::Gone, old, None));
            } else {
                unguarded.push(Unguarded { symbol: symbol.clone(), file: None, why: Why::Missing });
            }
            continue;
        };
        if after.accepts(symbol, new) {
            continue;
        }
        match old {
            Some(old) if old.digests == new.digests => {
                if !before.accepts(symbol, old) {
                    let why = if new.decorated { Why::Decorated } else { Why::Stale };
                    let file = Some(new.file.clone());
                    unguarded.push(Unguarded { symbol: symbol.clone(), file, why });
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

/// The functions of mirrored files that nobody pinned, as far as they differ in what they do; and files that cannot be
/// read.
fn beside(step: &Step<'_>) -> Vec<Unguarded> {
    let pinned: BTreeSet<(&str, &str)> = [step.from, step.to]
        .into_iter()
        .flat_map(|sources| sources.symbols.iter())
        .filter(|(symbol, _)| step.manifest.rows.contains_key(*symbol))
        .filter_map(|(_, symbol)| symbol.definition())
        .map(|definition| (definition.file.as_str(), definition.name.as_str()))
        .collect();
    let is_pinned = |file: &str, name: &str| {
        let outer = name.match_indices('.').filter_map(|(at, _)| name.get(..at));
        outer.chain([name, WHOLE]).any(|name| pinned.contains(&(file, name)))
    };
    let nothing = BTreeMap::new();
    let files: BTreeSet<&String> = step.from.functions.keys().chain(step.to.functions.keys()).collect();
    let mut found = Vec::new();
    for file in files {
        let old = step.from.functions.get(file).unwrap_or(&nothing);
        let new = step.to.functions.get(file).unwrap_or(&nothing);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let why = match (old.get(name), new.get(name)) {
                (None, Some(_)) => Why::Added,
                (Some(_), None) => Why::Removed,
                (Some(old), Some(new)) if old.tree != new.tree => Why::Changed,
                _ => continue,
            };
            if !is_pinned(file, name) {
                found.push(Unguarded { symbol: name.clone(), file: Some(file.clone()), why });
            }
        }
    }
    for file in step.to.unreadable.keys() {
        let (symbol, file) = (String::new(), Some(file.clone()));
        found.push(Unguarded { symbol, file, why: Why::Unreadable });
    }
    found
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

    fn accepts(&self, symbol: &str, definition: &Definition) -> bool {
        let shared = self.by_place.get(&(definition.file.as_str(), definition.line));
        let rows = self.manifest.rows.get(symbol).into_iter().chain(shared.into_iter().flatten().copied());
        rows.into_iter().any(|row| row.accepts(&definition.digests))
    }
}
