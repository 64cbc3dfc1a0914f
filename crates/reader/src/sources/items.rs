//! Finds definitions in languages whose modules are files (Rust, JavaScript, TypeScript). A definition is
//! identified by the path of the file and the item: `src/a.rs:Type.method`. Re-exports from other files are
//! followed. `rust` and `script` contain the rules of each language for definitions and for references to
//! other files.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tree_sitter::Node;
use truing_core::sync::{
    DefinitionDigests, NonFunctionCode, ReleasePartKind, SymbolDefinition, SymbolState, WHOLE_FILE,
};

use super::digest::{digest_bytes, digest_nodes, digest_remaining_nodes, join_digests};
use super::{javascript, rust};
use crate::syntax::{MAX_SOURCE_BYTES, MAX_TREE_DEPTH, ParserPool, SourceLanguage, SyntaxScanError};

/// Maximum number of files that are examined for one symbol. The number is limited because re-exports may
/// form a cycle.
const MAX_LOOKUPS: u32 = 300;

/// Files of a release.
pub(super) struct ReleaseFiles<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    parsed_files: BTreeMap<String, Option<Rc<FileItems>>>,
    pub(super) unreadable_files: BTreeMap<String, String>,
    parsers: ParserPool,
}

/// The definitions in a file, and its re-exports.
#[derive(Default)]
pub(super) struct FileItems {
    definitions: BTreeMap<String, FileItem>,
    aliases: Vec<ItemAlias>,
    /// Digest of the code outside of all innermost definitions.
    non_function_digest: String,
}

struct FileItem {
    definition: SymbolDefinition,
    /// True if the definition contains other definitions, which are reported separately.
    has_nested_definitions: bool,
}

/// A name that a file re-exports from another module, or an alias for another name in the file.
#[derive(Debug)]
pub(super) struct ItemAlias {
    /// Name in this file; `None` if the file re-exports all names of the other module.
    pub(super) name: Option<String>,
    /// Other module, in the notation of the language; empty for this file.
    pub(super) module: String,
    /// Name in the other module; `None` for the module itself.
    pub(super) target_name: Option<String>,
}

/// The family of a file's language, which determines how definitions are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LanguageFamily {
    Rust,
    JavaScript,
}

impl LanguageFamily {
    /// Returns the language family of a file. Returns `None` for files whose definitions are not reported
    /// separately.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        match SourceLanguage::from_path(path.as_bytes())?.name() {
            "rust" => Some(Self::Rust),
            "typescript" | "tsx" | "javascript" => Some(Self::JavaScript),
            _ => None,
        }
    }
}

impl<'a> ReleaseFiles<'a> {
    pub(super) fn new(files: &'a BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            files,
            parsed_files: BTreeMap::new(),
            unreadable_files: BTreeMap::new(),
            parsers: ParserPool::default(),
        }
    }

    /// Returns the digests of a whole file in any format, or reports that the file does not exist.
    pub(super) fn whole_file_state(&mut self, path: &str) -> SymbolState {
        let Some(bytes) = self.files.get(path) else { return SymbolState::Absent };
        let tree =
            SourceLanguage::from_path(path.as_bytes()).and_then(|language| self.tree_digest(language, bytes));
        SymbolState::Defined(SymbolDefinition {
            file: path.to_owned(),
            line: 1,
            name: WHOLE_FILE.to_owned(),
            digests: digest_bytes(bytes, tree),
            decorated: false,
        })
    }

    /// Returns the digest of a file's whole tree. In Python, the tree also expresses the indentation. Returns
    /// `None` for a file with syntax errors.
    fn tree_digest(&mut self, language: &'static SourceLanguage, bytes: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_SOURCE_BYTES)?;
        let parsers = &mut self.parsers;
        catch_unwind(AssertUnwindSafe(|| {
            let tree = parsers.parse_in_time(language, text)?;
            let root = tree.root_node();
            if root.has_error() {
                None
            } else {
                digest_nodes("", &[root], text).ok().map(|digests| digests.tree)
            }
        }))
        .unwrap_or_default()
    }

    /// Returns the definition of an item that a file defines or re-exports. Otherwise, the result states that
    /// the item is absent or in another package.
    pub(super) fn symbol_state(&mut self, path: &str, item: &str) -> SymbolState {
        let names: Vec<&str> = item.split('.').collect();
        let mut left = MAX_LOOKUPS;
        self.find_item(path, &names, &mut left)
    }

    fn find_item(&mut self, path: &str, names: &[&str], remaining_lookups: &mut u32) -> SymbolState {
        let Some(fewer) = remaining_lookups.checked_sub(1) else { return SymbolState::Absent };
        *remaining_lookups = fewer;
        let (Some(family), Some(items)) = (LanguageFamily::from_path(path), self.load_items(path)) else {
            return SymbolState::Absent;
        };
        if let Some(item) = items.definitions.get(&names.join(".")) {
            return SymbolState::Defined(item.definition.clone());
        }
        let Some((head, rest)) = names.split_first() else { return SymbolState::Absent };
        let mut nothing = SymbolState::Absent;
        let named = items.aliases.iter().filter(|link| link.name.as_deref() == Some(*head));
        let all = items.aliases.iter().filter(|link| link.name.is_none());
        for link in named.chain(all) {
            let there = link.target_name.as_deref();
            let names: Vec<&str> = match &link.name {
                Some(_) => there.into_iter().chain(rest.iter().copied()).collect(),
                None => names.to_vec(),
            };
            if link.module.is_empty() {
                // The name is an alias of another name in this file.
                if there != Some(*head) {
                    match self.find_item(path, &names, remaining_lookups) {
                        SymbolState::Absent => {}
                        found @ (SymbolState::Defined(_) | SymbolState::OtherPackage) => return found,
                    }
                }
                continue;
            }
            let has = |path: &str| self.files.contains_key(path);
            let other = match family {
                LanguageFamily::Rust => rust::resolve_module(path, &link.module, &has),
                LanguageFamily::JavaScript => {
                    javascript::resolve_module(path, &link.module, &has).map(|path| (path, Vec::new()))
                }
            };
            let Some((path, within)) = other else {
                // If all names of another package are re-exported, it is unknown whether the searched name is
                // among them.
                if link.name.is_some() {
                    nothing = SymbolState::OtherPackage;
                }
                continue;
            };
            let names: Vec<&str> = within.iter().map(String::as_str).chain(names).collect();
            match self.find_item(&path, &names, remaining_lookups) {
                SymbolState::Absent => {}
                found @ (SymbolState::Defined(_) | SymbolState::OtherPackage) => return found,
            }
        }
        nothing
    }

    /// Returns all innermost definitions of a file. The key is the definition's name. A file that is not in
    /// one of the language families counts as one definition.
    pub(super) fn all_definitions(&mut self, path: &str) -> BTreeMap<String, DefinitionDigests> {
        if LanguageFamily::from_path(path).is_none() {
            let whole = self.whole_file_state(path);
            return whole
                .definition()
                .map(|of| (WHOLE_FILE.to_owned(), of.digests.clone()))
                .into_iter()
                .collect();
        }
        let Some(items) = self.load_items(path) else { return BTreeMap::new() };
        let single = items.definitions.iter().filter(|(_, item)| !item.has_nested_definitions);
        single.map(|(name, item)| (name.clone(), item.definition.digests.clone())).collect()
    }

    /// Returns the code outside of all innermost definitions. Returns `None` for a file that is not in one of
    /// the language families, because such a file is reported whole.
    pub(super) fn non_function_code(&mut self, path: &str) -> Option<NonFunctionCode> {
        LanguageFamily::from_path(path)?;
        let tree = self.load_items(path)?.non_function_digest.clone();
        let (scope, name) = (String::new(), WHOLE_FILE.to_owned());
        Some(NonFunctionCode { scope, name, kind: ReleasePartKind::Code, tree })
    }

    fn load_items(&mut self, path: &str) -> Option<Rc<FileItems>> {
        if !self.parsed_files.contains_key(path) {
            let bytes = self.files.get(path)?;
            let parsers = &mut self.parsers;
            // A panic in a grammar must not affect other files.
            let parsed = catch_unwind(AssertUnwindSafe(|| parse_items(path, bytes, parsers)));
            let items = match parsed.unwrap_or_else(|_| Err("its parser failed".to_owned())) {
                Ok(items) => Some(Rc::new(items)),
                Err(why) => {
                    self.unreadable_files.insert(path.to_owned(), why);
                    None
                }
            };
            self.parsed_files.insert(path.to_owned(), items);
        }
        self.parsed_files.get(path)?.clone()
    }
}

fn parse_items(path: &str, bytes: &[u8], parsers: &mut ParserPool) -> Result<FileItems, String> {
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(format!("it is longer than {} KiB", MAX_SOURCE_BYTES >> 10));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let language = SourceLanguage::from_path(path.as_bytes()).ok_or("its language is not known")?;
    let tree = parsers.parse_in_time(language, &text).ok_or("it takes too long to parse")?;
    let lines = text.split_inclusive('\n').collect();
    let mut source = ItemCollector {
        path,
        text: &text,
        lines,
        items: FileItems::default(),
        definition_nodes: BTreeSet::new(),
    };
    let walked = match LanguageFamily::from_path(path) {
        Some(LanguageFamily::Rust) => rust::collect_items(tree.root_node(), &mut source),
        Some(LanguageFamily::JavaScript) => javascript::collect_items(tree.root_node(), &mut source),
        None => Ok(()),
    };
    let rest =
        walked.and_then(|()| digest_remaining_nodes(tree.root_node(), &source.definition_nodes, &text));
    source.items.non_function_digest = rest.map_err(|_| "it is nested too deeply".to_owned())?;
    Ok(source.items)
}

/// Collects the items of a file.
pub(super) struct ItemCollector<'a> {
    path: &'a str,
    text: &'a str,
    lines: Vec<&'a str>,
    items: FileItems,
    /// The nodes of all innermost definitions.
    definition_nodes: BTreeSet<usize>,
}

impl<'a> ItemCollector<'a> {
    pub(super) fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    pub(super) fn field(&self, node: Node<'_>, name: &str) -> Option<&'a str> {
        node.child_by_field_name(name).map(|child| self.text_of(child))
    }

    pub(super) fn add_alias(&mut self, name: Option<&str>, module: &str, original_name: Option<&str>) {
        let (name, module, original_name) =
            (name.map(str::to_owned), module.to_owned(), original_name.map(str::to_owned));
        self.items.aliases.push(ItemAlias { name, module, target_name: original_name });
    }

    /// Adds a definition, from its first node (such as an attribute or a decorator) to its last node.
    /// Definitions with the same name are combined to one definition.
    pub(super) fn define(
        &mut self,
        name: String,
        nodes: &[Node<'_>],
        has_nested_definitions: bool,
    ) -> Result<(), SyntaxScanError> {
        let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else { return Ok(()) };
        if !has_nested_definitions {
            self.definition_nodes.extend(nodes.iter().map(Node::id));
        }
        let (first, last) = (first.start_position().row, last.end_position().row);
        let lines = self.lines.get(first..=last).unwrap_or_default().concat();
        let digests = digest_nodes(&lines, nodes, self.text)?;
        if let Some(known) = self.items.definitions.get_mut(&name) {
            known.definition.digests = join_digests(&known.definition.digests, &digests);
            return Ok(());
        }
        let line = u32::try_from(first + 1).unwrap_or(u32::MAX);
        let definition = SymbolDefinition {
            file: self.path.to_owned(),
            line,
            name: name.clone(),
            digests,
            decorated: false,
        };
        self.items.definitions.insert(name, FileItem { definition, has_nested_definitions });
        Ok(())
    }
}

/// Returns the qualified name of a definition within another definition.
pub(super) fn qualified_name(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Returns the next nesting depth, or an error if that depth exceeds the limit.
pub(super) fn next_depth(depth: usize) -> Result<usize, SyntaxScanError> {
    if depth >= MAX_TREE_DEPTH { Err(SyntaxScanError::OverLimit) } else { Ok(depth + 1) }
}
