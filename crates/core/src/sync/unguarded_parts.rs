//! Changes outside the pinned definitions: unpinned functions of mirrored files, code outside of functions,
//! newly imported files, and requirements. The manifest does not guard these parts, so a person or an agent
//! must check each change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    ReleaseSources, SymbolDefinition, SymbolState, SyncDecisionInput, UnguardedPart, UnguardedReason,
    WHOLE_FILE,
};

/// File of a Python distribution that lists its requirements. In an archive, the path of this file begins
/// with the name and version of the release.
pub const METADATA: &str = "METADATA";

/// A piece of code in a file that is not part of a function.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NonFunctionCode {
    /// Enclosing class; empty at module level.
    pub scope: String,
    /// Name of the piece within its scope.
    pub name: String,
    /// Kind of the piece.
    #[serde(rename = "what")]
    pub kind: ReleasePartKind,
    /// Digest of the piece's syntax tree and of the conditions under which the piece takes effect.
    pub tree: String,
}

/// One of several definitions with the same name in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamesakeDefinition {
    /// Name in the list of the file's functions; the setter or deleter of a property has the suffix `.fset`
    /// or `.fdel`.
    pub name: String,
    /// First line, counted from 1.
    pub line: u32,
    /// Digest of the definition's syntax tree.
    pub tree: String,
}

/// The kind of a part of a release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePartKind {
    /// A function, a method, or any definition in a language other than Python.
    #[default]
    Function,
    /// Another definition of a pinned name, such as an overload, a definition in another branch, or a class
    /// with this name.
    Redefinition,
    /// A class: its name and bases.
    Class,
    /// Decorators of a class.
    Decorators,
    /// A condition, `if` or `try`, under which a function is defined.
    Condition,
    /// A name that is imported.
    Import,
    /// A constant, a table, an attribute, or an alias.
    Value,
    /// A statement that runs on import.
    Statement,
    /// Order of the values and statements of a module or class.
    Order,
    /// All of a file's code outside its definitions.
    Code,
    /// A file that a mirrored file imports.
    File,
    /// A package, or a version of the language, that the release requires.
    Requirement,
    /// A file that may run instead of the compared code: a native module next to a source file, or a `.pth`
    /// file.
    Shadow,
}

impl ReleasePartKind {
    /// Returns true for a function. Serialized parts omit this kind, because it is the default.
    pub fn is_function(&self) -> bool {
        *self == Self::Function
    }

    /// Returns the text that describes the change of a part of this kind.
    pub(super) fn change_text(self, reason: UnguardedReason) -> String {
        let [added, removed, changed] = match self {
            Self::Function => return reason.change_text().to_owned(),
            Self::Shadow => return "may run instead of the compared code".to_owned(),
            Self::File => ["first imported in this release"; 3],
            Self::Requirement => {
                ["first required in this release", "no longer required", "required in other versions"]
            }
            Self::Redefinition
            | Self::Class
            | Self::Decorators
            | Self::Condition
            | Self::Import
            | Self::Value
            | Self::Statement
            | Self::Order
            | Self::Code => ["added", "removed", "changed"],
        };
        let became = match reason {
            UnguardedReason::Added => added,
            UnguardedReason::Removed => removed,
            UnguardedReason::Changed => changed,
            UnguardedReason::Stale
            | UnguardedReason::Decorated
            | UnguardedReason::Missing
            | UnguardedReason::OtherPackage
            | UnguardedReason::Unreadable
            | UnguardedReason::Untold
            | UnguardedReason::OfExtra
            | UnguardedReason::OfOtherPython
            | UnguardedReason::Wider
            | UnguardedReason::RequirementRemoved => return reason.change_text().to_owned(),
        };
        match self.part_noun() {
            "" => became.to_owned(),
            thing => format!("{thing}, {became}"),
        }
    }

    /// Returns the noun for a part of this kind; empty if no noun is needed.
    fn part_noun(self) -> &'static str {
        match self {
            Self::Function | Self::File | Self::Requirement | Self::Shadow => "",
            Self::Redefinition => "another definition of this name",
            Self::Class => "class",
            Self::Decorators => "decorators of a class",
            Self::Condition => "condition of a definition",
            Self::Import => "import",
            Self::Value => "value outside of functions",
            Self::Statement => "statement outside of functions",
            Self::Order => "order of statements outside of functions",
            Self::Code => "code outside of definitions",
        }
    }
}

/// Returns all changed parts outside the pinned definitions. Also returns the files that cannot be read, and
/// the files that may run instead of the compared code.
pub(super) fn find_unguarded_parts(input: &SyncDecisionInput<'_>) -> Vec<UnguardedPart> {
    let pinned = PinnedNames::new(input);
    let mut found = changed_functions(input, &pinned);
    found.extend(unpinned_namesakes(input, &pinned));
    found.extend(changed_non_function_code(input, &pinned));
    found.extend(new_imports(input, &pinned));
    found.extend(changed_requirements(input));
    for file in input.new_release.unreadable.keys() {
        found.push(UnguardedPart::new(String::new(), Some(file.clone()), UnguardedReason::Unreadable));
    }
    // A file that may run instead of the compared code is reported even if both releases contain the file,
    // because its behaviour cannot be compared.
    found.extend(input.old_release.shadows.union(&input.new_release.shadows).map(|file| UnguardedPart {
        symbol: String::new(),
        file: Some(file.clone()),
        reason: UnguardedReason::Unreadable,
        kind: ReleasePartKind::Shadow,
    }));
    found
}

/// The pinned definitions, by file and name.
struct PinnedNames<'a>(BTreeSet<(&'a str, &'a str)>);

impl<'a> PinnedNames<'a> {
    fn new(step: &SyncDecisionInput<'a>) -> Self {
        let symbols =
            [step.old_release, step.new_release].into_iter().flat_map(|sources| sources.symbols.iter());
        let pinned = symbols.filter(|(symbol, _)| step.manifest.rows.contains_key(*symbol));
        let definitions = pinned.filter_map(|(_, symbol)| symbol.definition());
        Self(definitions.map(|SymbolDefinition { file, name, .. }| (file.as_str(), name.as_str())).collect())
    }

    /// Returns true if this name, or a scope that encloses the name, is pinned.
    fn has(&self, file: &str, name: &str) -> bool {
        let outer = name.match_indices('.').filter_map(|(at, _)| name.get(..at));
        outer.chain([name, WHOLE_FILE]).any(|name| self.0.contains(&(file, name)))
    }

    /// Returns true if the text of a pinned definition includes this piece.
    fn covers_piece(&self, file: &str, piece: NonFunctionKey<'_>) -> bool {
        // The text of a class includes the `class` line with the bases, but not the decorators above.
        let own =
            if piece.part_kind == ReleasePartKind::Class { piece.symbol() } else { WHOLE_FILE.to_owned() };
        self.has(file, &own) || (!piece.scope.is_empty() && self.has(file, piece.scope))
    }
}

/// Returns all keys of both maps, each with its value in the first map and in the second map.
fn join_maps<'a, V>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (&'a String, Option<&'a V>, Option<&'a V>)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().map(|name| (name, old.get(name), new.get(name)))
}

/// Returns `Added`, `Removed` or `Changed` if the old and the new value differ; `None` if they are equal.
fn change_reason<T: PartialEq>(old: Option<T>, new: Option<T>) -> Option<UnguardedReason> {
    match (old, new) {
        (None, Some(_)) => Some(UnguardedReason::Added),
        (Some(_), None) => Some(UnguardedReason::Removed),
        (Some(old), Some(new)) if old != new => Some(UnguardedReason::Changed),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Returns the unpinned functions of mirrored files whose syntax trees differ between the releases.
fn changed_functions(step: &SyncDecisionInput<'_>, pinned: &PinnedNames<'_>) -> Vec<UnguardedPart> {
    let (mut found, nothing) = (Vec::new(), BTreeMap::new());
    for (file, old, new) in join_maps(&step.old_release.functions, &step.new_release.functions) {
        for (name, old, new) in join_maps(old.unwrap_or(&nothing), new.unwrap_or(&nothing)) {
            let reason = change_reason(old.map(|old| &old.tree), new.map(|new| &new.tree));
            let reason = reason.filter(|_| !pinned.has(file, name));
            found.extend(reason.map(|reason| UnguardedPart::new(name.clone(), Some(file.clone()), reason)));
        }
    }
    found
}

/// Returns the changed unpinned definitions with the name of a pinned definition. They need a separate
/// comparison, because a pin guards only one definition of its name.
fn unpinned_namesakes(step: &SyncDecisionInput<'_>, pinned: &PinnedNames<'_>) -> Vec<UnguardedPart> {
    let mut found = BTreeMap::new();
    let lines = [step.old_release, step.new_release].map(|sources| pinned_lines(step, sources));
    for symbol in step.manifest.rows.keys() {
        let at = |sources: &'_ ReleaseSources| {
            sources.symbols.get(symbol).and_then(SymbolState::definition).cloned()
        };
        let (old, new) = (at(step.old_release), at(step.new_release));
        let Some(place) = new.as_ref().or(old.as_ref()) else { continue };
        if pinned.has(&place.file, WHOLE_FILE) {
            continue;
        }
        let (before, after) = (
            unpinned_definitions(step.old_release, old.as_ref(), &lines[0]),
            unpinned_definitions(step.new_release, new.as_ref(), &lines[1]),
        );
        for (name, before, after) in join_maps(&before, &after) {
            let Some(reason) = change_reason(before, after) else { continue };
            // A definition with a pinned name counts as a redefinition. If only the getter of a property is
            // pinned, its setter has another name and counts as a function.
            let is_part = [(step.old_release, &old), (step.new_release, &new)].into_iter().any(
                |(sources, definition)| {
                    definition.as_ref().is_some_and(|definition| {
                        definitions_sharing_name(sources, definition)
                            .iter()
                            .any(|one| one.line == definition.line && one.name == *name)
                    })
                },
            );
            let what = if is_part { ReleasePartKind::Redefinition } else { ReleasePartKind::Function };
            found.insert((place.file.clone(), name.clone()), (reason, what));
        }
    }
    let to_unguarded =
        |((file, symbol), (reason, what))| UnguardedPart { symbol, file: Some(file), reason, kind: what };
    found.into_iter().map(to_unguarded).collect()
}

/// Returns all definitions with the name of this definition, including this definition. The list is empty if
/// no other definition has this name.
fn definitions_sharing_name<'a>(
    sources: &'a ReleaseSources,
    definition: &SymbolDefinition,
) -> &'a [NamesakeDefinition] {
    let of_file = sources.namesakes.get(&definition.file);
    of_file.and_then(|names| names.get(&definition.name)).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the file and the first line of each pinned definition.
fn pinned_lines<'a>(step: &SyncDecisionInput<'_>, sources: &'a ReleaseSources) -> BTreeSet<(&'a str, u32)> {
    let pinned = step.manifest.rows.keys().filter_map(|symbol| sources.symbols.get(symbol));
    pinned.filter_map(SymbolState::definition).map(|one| (one.file.as_str(), one.line)).collect()
}

/// Returns the tree digests of the unpinned definitions that share a name with this definition. The digests
/// are grouped by name and sorted in text order.
fn unpinned_definitions(
    sources: &ReleaseSources,
    definition: Option<&SymbolDefinition>,
    pinned: &BTreeSet<(&str, u32)>,
) -> BTreeMap<String, Vec<String>> {
    let mut others: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (definition, one) in definition
        .into_iter()
        .flat_map(|of| definitions_sharing_name(sources, of).iter().map(move |one| (of, one)))
    {
        if !pinned.contains(&(definition.file.as_str(), one.line)) {
            others.entry(one.name.clone()).or_default().push(one.tree.clone());
        }
    }
    others
}

/// The key by which pieces of two releases are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NonFunctionKey<'a> {
    scope: &'a str,
    name: &'a str,
    part_kind: ReleasePartKind,
}

impl<'a> NonFunctionKey<'a> {
    fn new(piece: &'a NonFunctionCode) -> Self {
        Self { scope: &piece.scope, name: &piece.name, part_kind: piece.kind }
    }

    /// Returns the name of the piece within the file.
    fn symbol(self) -> String {
        match self.scope {
            "" => self.name.to_owned(),
            scope => format!("{scope}.{}", self.name),
        }
    }
}

/// Returns the changed pieces of code in mirrored files that are not part of functions.
fn changed_non_function_code(step: &SyncDecisionInput<'_>, pinned: &PinnedNames<'_>) -> Vec<UnguardedPart> {
    let (mut found, nothing) = (Vec::new(), Vec::new());
    for (file, old, new) in
        join_maps(&step.old_release.non_function_code, &step.new_release.non_function_code)
    {
        let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
        let (before, after) = (digests_by_key(old), digests_by_key(new));
        let keys: BTreeSet<NonFunctionKey<'_>> = before.keys().chain(after.keys()).copied().collect();
        for key in keys {
            let reason =
                change_reason(before.get(&key), after.get(&key)).filter(|_| !pinned.covers_piece(file, key));
            found.extend(reason.map(|reason| UnguardedPart {
                symbol: key.symbol(),
                file: Some(file.clone()),
                reason,
                kind: key.part_kind,
            }));
        }
        // Pieces that both releases contain may have a different order in the new release. A different order
        // is reported as a change.
        let order = |pieces: &[NonFunctionCode], scope: &str| -> Vec<String> {
            let stays = pieces.iter().map(NonFunctionKey::new).filter(|key| {
                let counts = matches!(key.part_kind, ReleasePartKind::Value | ReleasePartKind::Statement)
                    && key.scope == scope;
                counts && before.contains_key(key) && after.contains_key(key)
            });
            stays.map(|key| key.symbol()).collect()
        };
        let scopes: BTreeSet<&str> = old.iter().map(|piece| piece.scope.as_str()).collect();
        for scope in scopes {
            let name = if scope.is_empty() { WHOLE_FILE } else { scope };
            if order(old, scope) != order(new, scope) && !pinned.has(file, name) {
                let (symbol, file) = (name.to_owned(), Some(file.clone()));
                found.push(UnguardedPart {
                    symbol,
                    file,
                    reason: UnguardedReason::Changed,
                    kind: ReleasePartKind::Order,
                });
            }
        }
    }
    found
}

/// Groups the digests of pieces by their keys, in text order.
fn digests_by_key(pieces: &[NonFunctionCode]) -> BTreeMap<NonFunctionKey<'_>, Vec<&str>> {
    let mut trees: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for piece in pieces {
        trees.entry(NonFunctionKey::new(piece)).or_default().push(&piece.tree);
    }
    trees
}

/// Returns the files that mirrored files import in the new release, but not in the old release.
fn new_imports(step: &SyncDecisionInput<'_>, pinned: &PinnedNames<'_>) -> Vec<UnguardedPart> {
    let new = step.new_release.imported.difference(&step.old_release.imported);
    let new =
        new.filter(|file| !step.new_release.functions.contains_key(*file) && !pinned.has(file, WHOLE_FILE));
    let to_unguarded = |file: &String| UnguardedPart {
        symbol: WHOLE_FILE.to_owned(),
        file: Some(file.clone()),
        reason: UnguardedReason::Added,
        kind: ReleasePartKind::File,
    };
    new.map(to_unguarded).collect()
}

/// Returns the requirements that differ between the releases.
fn changed_requirements(step: &SyncDecisionInput<'_>) -> Vec<UnguardedPart> {
    let mut found = Vec::new();
    for (file, old, new) in join_maps(&step.old_release.requirements, &step.new_release.requirements) {
        let mut push = |symbol: &str, reason| {
            let (symbol, file) = (symbol.to_owned(), Some(file.clone()));
            found.push(UnguardedPart { symbol, file, reason, kind: ReleasePartKind::Requirement });
        };
        let (Some(old), Some(new)) = (old, new) else {
            // Only one of the releases lists its requirements in this file, so they cannot be compared.
            push("", UnguardedReason::Unreadable);
            continue;
        };
        for (name, old, new) in join_maps(old, new) {
            if let Some(reason) = change_reason(old, new) {
                push(name, step.harmless_requirements.get(name).copied().unwrap_or(reason));
            }
        }
    }
    found
}
