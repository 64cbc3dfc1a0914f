//! Changes beside the definitions that a project has pinned: functions of mirrored files, what these files hold
//! outside of functions, files that they import now, and what the release requires. Nothing of it is guarded by a
//! manifest, so that somebody has to look at each.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Definition, Sources, Step, Symbol, Unguarded, WHOLE, Why};

/// The file of a Python distribution that says what it requires; in archives its path begins with the release.
pub const METADATA: &str = "METADATA";

/// A piece of a file that is in none of its functions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// The class that it stands in; empty: none.
    pub scope: String,
    /// The name that it is known by there.
    pub name: String,
    /// Its sort.
    pub what: What,
    /// The digest of its tree, and of what has to hold for it to count.
    pub tree: String,
}

/// One of several definitions of a name in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Namesake {
    /// Its name among the functions of the file: with `.fset` or `.fdel` if it is that part of a property.
    pub name: String,
    /// Its first line, 1-based.
    pub line: u32,
    /// The digest of its tree.
    pub tree: String,
}

/// The sort of a part of a release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A function, a method, or in other languages than Python a definition.
    #[default]
    Function,
    /// Another definition of a pinned name than the pinned one: a branch, an overload, a class of the same name.
    Redefinition,
    /// A class: its name and its bases.
    Class,
    /// Decorators of a class.
    Decorators,
    /// Conditions under which a function is defined: an `if`, a `try`.
    Condition,
    /// A name that is imported.
    Import,
    /// A constant, a table, an attribute, or another name for something.
    Value,
    /// Something that is run on import.
    Statement,
    /// The order in which values and statements of a module or class stand.
    Order,
    /// All of a file that is in none of its definitions.
    Code,
    /// A file that a mirrored one imports.
    File,
    /// Another package, or a version of the language, that the release requires.
    Requirement,
    /// A file that may run in the place of what is compared: a native module beside a source, a `.pth` file.
    Shadow,
}

impl What {
    /// Is it a function? Answers leave that out.
    pub fn is_function(&self) -> bool {
        *self == Self::Function
    }

    /// The change of one, in words.
    pub(super) fn words(self, why: Why) -> String {
        let [added, removed, changed] = match self {
            Self::Function => return why.words().to_owned(),
            Self::Shadow => return "may run in the place of what is compared".to_owned(),
            Self::File => ["imported from this release on"; 3],
            Self::Requirement => {
                ["required from this release on", "required no more", "required in other versions"]
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
        let became = match why {
            Why::Added => added,
            Why::Removed => removed,
            Why::Changed => changed,
            Why::Stale
            | Why::Decorated
            | Why::Missing
            | Why::Elsewhere
            | Why::Unreadable
            | Why::Untold
            | Why::OfExtra
            | Why::OfOtherPython
            | Why::Wider
            | Why::Dropped => return why.words().to_owned(),
        };
        match self.thing() {
            "" => became.to_owned(),
            thing => format!("{thing}, {became}"),
        }
    }

    /// What it is, in words; empty: that goes without saying.
    fn thing(self) -> &'static str {
        match self {
            Self::Function | Self::File | Self::Requirement | Self::Shadow => "",
            Self::Redefinition => "another definition of this name",
            Self::Class => "class",
            Self::Decorators => "decorators of a class",
            Self::Condition => "condition of a definition",
            Self::Import => "import",
            Self::Value => "value outside of functions",
            Self::Statement => "statement outside of functions",
            Self::Order => "order of what is outside of functions",
            Self::Code => "code outside of definitions",
        }
    }
}

/// Everything beside the pinned definitions that differs in what it does; and files that cannot be read.
pub(super) fn beside(step: &Step<'_>) -> Vec<Unguarded> {
    let pinned = Pinned::new(step);
    let mut found = functions(step, &pinned);
    found.extend(namesakes(step, &pinned));
    found.extend(outside(step, &pinned));
    found.extend(imported(step, &pinned));
    found.extend(requirements(step));
    for file in step.to.unreadable.keys() {
        found.push(Unguarded::of(String::new(), Some(file.clone()), Why::Unreadable));
    }
    // Also where both releases have it: that its bytes stay says nothing about what it does.
    found.extend(step.from.shadows.union(&step.to.shadows).map(|file| Unguarded {
        symbol: String::new(),
        file: Some(file.clone()),
        why: Why::Unreadable,
        what: What::Shadow,
    }));
    found
}

/// The definitions that are pinned, by file and name.
struct Pinned<'a>(BTreeSet<(&'a str, &'a str)>);

impl<'a> Pinned<'a> {
    fn new(step: &Step<'a>) -> Self {
        let symbols = [step.from, step.to].into_iter().flat_map(|sources| sources.symbols.iter());
        let pinned = symbols.filter(|(symbol, _)| step.manifest.rows.contains_key(*symbol));
        let definitions = pinned.filter_map(|(_, symbol)| symbol.definition());
        Self(definitions.map(|Definition { file, name, .. }| (file.as_str(), name.as_str())).collect())
    }

    /// Is this, or what it is in?
    fn has(&self, file: &str, name: &str) -> bool {
        let outer = name.match_indices('.').filter_map(|(at, _)| name.get(..at));
        outer.chain([name, WHOLE]).any(|name| self.0.contains(&(file, name)))
    }

    /// Does the text of a pinned definition tell of this piece?
    fn tells(&self, file: &str, piece: Key<'_>) -> bool {
        // A class's text begins at its own line, with its bases, after its decorators.
        let own = if piece.what == What::Class { piece.symbol() } else { WHOLE.to_owned() };
        self.has(file, &own) || (!piece.scope.is_empty() && self.has(file, piece.scope))
    }
}

/// Everything that one of two maps has.
fn both<'a, V>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (&'a String, Option<&'a V>, Option<&'a V>)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().map(|name| (name, old.get(name), new.get(name)))
}

/// What became of something that has this form in one release and that in the other; none: it is the same.
fn became<T: PartialEq>(old: Option<T>, new: Option<T>) -> Option<Why> {
    match (old, new) {
        (None, Some(_)) => Some(Why::Added),
        (Some(_), None) => Some(Why::Removed),
        (Some(old), Some(new)) if old != new => Some(Why::Changed),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// The functions of mirrored files that nobody pinned, as far as they differ in what they do.
fn functions(step: &Step<'_>, pinned: &Pinned<'_>) -> Vec<Unguarded> {
    let (mut found, nothing) = (Vec::new(), BTreeMap::new());
    for (file, old, new) in both(&step.from.functions, &step.to.functions) {
        for (name, old, new) in both(old.unwrap_or(&nothing), new.unwrap_or(&nothing)) {
            let why = became(old.map(|old| &old.tree), new.map(|new| &new.tree));
            let why = why.filter(|_| !pinned.has(file, name));
            found.extend(why.map(|why| Unguarded::of(name.clone(), Some(file.clone()), why)));
        }
    }
    found
}

/// Other definitions of the names that are pinned: a pin guards the one that its digest is of, and hides none of the
/// others.
fn namesakes(step: &Step<'_>, pinned: &Pinned<'_>) -> Vec<Unguarded> {
    let mut found = BTreeMap::new();
    let lines = [step.from, step.to].map(|sources| pinned_lines(step, sources));
    for symbol in step.manifest.rows.keys() {
        let at = |sources: &'_ Sources| sources.symbols.get(symbol).and_then(Symbol::definition).cloned();
        let (old, new) = (at(step.from), at(step.to));
        let Some(place) = new.as_ref().or(old.as_ref()) else { continue };
        if pinned.has(&place.file, WHOLE) {
            continue;
        }
        let (before, after) =
            (others(step.from, old.as_ref(), &lines[0]), others(step.to, new.as_ref(), &lines[1]));
        for (name, before, after) in both(&before, &after) {
            let Some(why) = became(before, after) else { continue };
            // Of a property whose getter is pinned, the setter is a function that nobody pinned.
            let is_part = [(step.from, &old), (step.to, &new)].into_iter().any(|(sources, definition)| {
                definition.as_ref().is_some_and(|definition| {
                    all_of(sources, definition)
                        .iter()
                        .any(|one| one.line == definition.line && one.name == *name)
                })
            });
            let what = if is_part { What::Redefinition } else { What::Function };
            found.insert((place.file.clone(), name.clone()), (why, what));
        }
    }
    let told = |((file, symbol), (why, what))| Unguarded { symbol, file: Some(file), why, what };
    found.into_iter().map(told).collect()
}

/// The definitions of a definition's name, if there are several.
fn all_of<'a>(sources: &'a Sources, definition: &Definition) -> &'a [Namesake] {
    let of_file = sources.namesakes.get(&definition.file);
    of_file.and_then(|names| names.get(&definition.name)).map(Vec::as_slice).unwrap_or_default()
}

/// The lines that pinned definitions begin at, by file.
fn pinned_lines<'a>(step: &Step<'_>, sources: &'a Sources) -> BTreeSet<(&'a str, u32)> {
    let pinned = step.manifest.rows.keys().filter_map(|symbol| sources.symbols.get(symbol));
    pinned.filter_map(Symbol::definition).map(|one| (one.file.as_str(), one.line)).collect()
}

/// The trees of the definitions of a definition's name that nobody pinned, by name, in the order of the text.
fn others(
    sources: &Sources,
    definition: Option<&Definition>,
    pinned: &BTreeSet<(&str, u32)>,
) -> BTreeMap<String, Vec<String>> {
    let mut others: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (definition, one) in
        definition.into_iter().flat_map(|of| all_of(sources, of).iter().map(move |one| (of, one)))
    {
        if !pinned.contains(&(definition.file.as_str(), one.line)) {
            others.entry(one.name.clone()).or_default().push(one.tree.clone());
        }
    }
    others
}

/// A piece by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    scope: &'a str,
    name: &'a str,
    what: What,
}

impl<'a> Key<'a> {
    fn of(piece: &'a Piece) -> Self {
        Self { scope: &piece.scope, name: &piece.name, what: piece.what }
    }

    /// Its name in the file.
    fn symbol(self) -> String {
        match self.scope {
            "" => self.name.to_owned(),
            scope => format!("{scope}.{}", self.name),
        }
    }
}

/// Code of mirrored files outside of functions.
fn outside(step: &Step<'_>, pinned: &Pinned<'_>) -> Vec<Unguarded> {
    let (mut found, nothing) = (Vec::new(), Vec::new());
    for (file, old, new) in both(&step.from.outside, &step.to.outside) {
        let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
        let (before, after) = (trees(old), trees(new));
        let keys: BTreeSet<Key<'_>> = before.keys().chain(after.keys()).copied().collect();
        for key in keys {
            let why = became(before.get(&key), after.get(&key)).filter(|_| !pinned.tells(file, key));
            found.extend(why.map(|why| Unguarded {
                symbol: key.symbol(),
                file: Some(file.clone()),
                why,
                what: key.what,
            }));
        }
        // What is there in both stands in another order.
        let order = |pieces: &[Piece], scope: &str| -> Vec<String> {
            let stays = pieces.iter().map(Key::of).filter(|key| {
                let counts = matches!(key.what, What::Value | What::Statement) && key.scope == scope;
                counts && before.contains_key(key) && after.contains_key(key)
            });
            stays.map(|key| key.symbol()).collect()
        };
        let scopes: BTreeSet<&str> = old.iter().map(|piece| piece.scope.as_str()).collect();
        for scope in scopes {
            let name = if scope.is_empty() { WHOLE } else { scope };
            if order(old, scope) != order(new, scope) && !pinned.has(file, name) {
                let (symbol, file) = (name.to_owned(), Some(file.clone()));
                found.push(Unguarded { symbol, file, why: Why::Changed, what: What::Order });
            }
        }
    }
    found
}

/// The digests of pieces by their names, in the order of the text.
fn trees(pieces: &[Piece]) -> BTreeMap<Key<'_>, Vec<&str>> {
    let mut trees: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for piece in pieces {
        trees.entry(Key::of(piece)).or_default().push(&piece.tree);
    }
    trees
}

/// Files that mirrored ones import now, and did not before.
fn imported(step: &Step<'_>, pinned: &Pinned<'_>) -> Vec<Unguarded> {
    let new = step.to.imported.difference(&step.from.imported);
    let new = new.filter(|file| !step.to.functions.contains_key(*file) && !pinned.has(file, WHOLE));
    let told = |file: &String| Unguarded {
        symbol: WHOLE.to_owned(),
        file: Some(file.clone()),
        why: Why::Added,
        what: What::File,
    };
    new.map(told).collect()
}

/// What the release requires otherwise.
fn requirements(step: &Step<'_>) -> Vec<Unguarded> {
    let mut found = Vec::new();
    for (file, old, new) in both(&step.from.requirements, &step.to.requirements) {
        let mut push = |symbol: &str, why| {
            let (symbol, file) = (symbol.to_owned(), Some(file.clone()));
            found.push(Unguarded { symbol, file, why, what: What::Requirement });
        };
        let (Some(old), Some(new)) = (old, new) else {
            // One of the archives does not say it.
            push("", Why::Unreadable);
            continue;
        };
        for (name, old, new) in both(old, new) {
            if let Some(why) = became(old, new) {
                push(name, step.harmless.get(name).copied().unwrap_or(why));
            }
        }
    }
    found
}
