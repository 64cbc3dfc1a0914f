//! Reads the modules, imports and paths of one source file from the file's tokens. Code that is compiled only
//! for tests is left out.

use std::collections::BTreeSet;

use crate::check::code;

/// First words of items. An item ends after its first block or semicolon. Code that begins with another word
/// is a field or variant, which may also end with a comma.
const ITEM_KEYWORDS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];

/// Keywords that precede the name of an item.
const NAMED_ITEM_KEYWORDS: &[&str] = &["const", "enum", "fn", "static", "struct", "trait", "type", "union"];

/// One source file after parsing.
#[derive(Debug, Default)]
pub(super) struct ParsedSource {
    /// Modules whose code is in other files (`mod a;`).
    pub(super) file_modules: Vec<Vec<String>>,
    /// Modules whose code is in this file; the module of the file itself has the empty path.
    pub(super) inline_modules: BTreeSet<Vec<String>>,
    /// Items, each with the module of this file that contains it.
    pub(super) items: BTreeSet<(Vec<String>, String)>,
    pub(super) imports: Vec<ImportedPath>,
    /// Paths of at least two names, each with the module of this file that contains it.
    pub(super) paths: BTreeSet<(Vec<String>, Vec<String>)>,
    /// All names in the file outside of imports.
    pub(super) names: BTreeSet<String>,
}

/// One name that a `use` imports.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ImportedPath {
    /// The module of this file that contains the import.
    pub(super) enclosing_module: Vec<String>,
    pub(super) path: Vec<String>,
    /// The imported name; none for a glob (`*`).
    pub(super) alias: Option<String>,
    /// True if the name is re-exported (`pub use`).
    pub(super) is_reexported: bool,
}

/// Parses one source file.
pub(super) fn parse_source(text: &str) -> ParsedSource {
    let code = code::code_only(text);
    let words = split_tokens(&code);
    let mut source = ParsedSource::default();
    source.inline_modules.insert(Vec::new());
    // For each open brace, the module that the brace opens, if any.
    let mut open: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at).copied() {
        let next = |more: usize| words.get(at + more).copied().unwrap_or_default();
        let within = || open.iter().flatten().cloned().collect::<Vec<String>>();
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
        match word {
            "#" if next(1) == "[" => {
                let end = closing_bracket(&words, at + 1);
                let attribute = words.get(at + 2..end).unwrap_or_default();
                at = if is_test_attribute(attribute) { end_of_item(&words, end + 1) } else { end + 1 };
                continue;
            }
            "{" => open.push(None),
            "}" => drop(open.pop()),
            "mod" if next(2) == ";" => {
                source.file_modules.push([within(), vec![strip_raw_prefix(next(1))]].concat());
                at += 2;
            }
            "mod" if next(2) == "{" => {
                let name = strip_raw_prefix(next(1));
                source.inline_modules.insert([within(), vec![name.clone()]].concat());
                open.push(Some(name));
                at += 2;
            }
            "use" if next(1) != "<" => {
                let end = (at..words.len()).find(|&at| words.get(at) == Some(&";")).unwrap_or(words.len());
                let tree = words.get(at + 1..end).unwrap_or_default();
                let is_shown = matches!(before, "pub" | ")");
                collect_imports(tree, &mut Vec::new(), &mut |path, alias| {
                    source.imports.push(ImportedPath {
                        enclosing_module: within(),
                        path,
                        alias,
                        is_reexported: is_shown,
                    });
                });
                at = end;
            }
            _ if NAMED_ITEM_KEYWORDS.contains(&word)
                && is_name(next(1))
                && open.iter().all(Option::is_some) =>
            {
                source.items.insert((within(), strip_raw_prefix(next(1))));
            }
            "macro_rules" if next(1) == "!" => {
                source.items.insert((within(), strip_raw_prefix(next(2))));
            }
            _ if is_name(word) && before != "::" && next(1) == "::" => {
                let mut path = vec![strip_raw_prefix(word)];
                while words.get(at + 1) == Some(&"::") {
                    let Some(name) = words.get(at + 2).filter(|name| is_name(name)) else { break };
                    path.push(strip_raw_prefix(name));
                    at += 2;
                }
                source.names.extend(path.iter().cloned());
                if path.len() > 1 {
                    source.paths.insert((within(), path));
                }
            }
            _ if is_name(word) => {
                source.names.insert(strip_raw_prefix(word));
            }
            _ => {}
        }
        at += 1;
    }
    source
}

/// Splits code into names, `::` and single characters.
fn split_tokens(code: &str) -> Vec<&str> {
    let of_name = |char: char| char.is_alphanumeric() || char == '_';
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let rest_of_name = rest.strip_prefix("r#").filter(|rest| rest.starts_with(of_name));
        let length = match (rest_of_name, rest.starts_with("::")) {
            (Some(name), _) => 2 + name.find(|char| !of_name(char)).unwrap_or(name.len()),
            (None, true) => 2,
            (None, false) if of_name(first) => rest.find(|char| !of_name(char)).unwrap_or(rest.len()),
            (None, false) => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn is_name(word: &str) -> bool {
    word.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

fn strip_raw_prefix(word: &str) -> String {
    word.trim_start_matches("r#").to_owned()
}

/// True if the attribute restricts its item to tests.
fn is_test_attribute(attribute: &[&str]) -> bool {
    matches!(attribute, ["cfg", "(", "test", ")"] | ["cfg", "(", "all", "(", "test", ..])
}

/// Returns the position of the bracket that closes the bracket at `opening_position`.
fn closing_bracket(tokens: &[&str], opening_position: usize) -> usize {
    let mut depth = 0_usize;
    for (place, word) in tokens.iter().enumerate().skip(opening_position) {
        match *word {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    tokens.len()
}

/// Returns the position after the item, field or variant that begins at `position`. The item may begin with
/// further attributes.
fn end_of_item(tokens: &[&str], mut position: usize) -> usize {
    while tokens.get(position) == Some(&"#") {
        position = closing_bracket(tokens, position + 1) + 1;
    }
    let is_item = tokens.get(position).is_some_and(|word| ITEM_KEYWORDS.contains(word));
    while let Some(word) = tokens.get(position) {
        match *word {
            ";" => return position + 1,
            "," if !is_item => return position + 1,
            "}" => return position,
            "{" => return closing_bracket(tokens, position) + 1,
            "(" | "[" => position = closing_bracket(tokens, position),
            _ => {}
        }
        position += 1;
    }
    position
}

/// Collects every name that an import tree imports. `path` is the path that precedes the tree.
fn collect_imports(
    tree: &[&str],
    path: &mut Vec<String>,
    add_import: &mut impl FnMut(Vec<String>, Option<String>),
) {
    let depth_before = path.len();
    match tree {
        [] => {}
        ["{", inner @ .., "}"] => {
            let (mut depth, mut begin) = (0_usize, 0);
            for (at, word) in inner.iter().enumerate() {
                match *word {
                    "{" => depth += 1,
                    "}" => depth = depth.saturating_sub(1),
                    "," if depth == 0 => {
                        collect_imports(inner.get(begin..at).unwrap_or_default(), path, add_import);
                        begin = at + 1;
                    }
                    _ => {}
                }
            }
            collect_imports(inner.get(begin..).unwrap_or_default(), path, add_import);
        }
        ["*"] => add_import(path.clone(), None),
        ["self"] if depth_before > 0 => add_import(path.clone(), path.last().cloned()),
        ["self", "as", alias] if depth_before > 0 => add_import(path.clone(), Some(strip_raw_prefix(alias))),
        [name, "as", alias] => {
            add_import([path.as_slice(), &[strip_raw_prefix(name)]].concat(), Some(strip_raw_prefix(alias)));
        }
        [name] => {
            add_import([path.as_slice(), &[strip_raw_prefix(name)]].concat(), Some(strip_raw_prefix(name)));
        }
        ["::", rest @ ..] => {
            // A path that begins with `::` names an external crate, even if the current module contains a
            // module with the same name.
            path.push(String::new());
            collect_imports(rest, path, add_import);
        }
        [name, "::", rest @ ..] => {
            path.push(strip_raw_prefix(name));
            collect_imports(rest, path, add_import);
        }
        [_, ..] => {}
    }
    path.truncate(depth_before);
}
