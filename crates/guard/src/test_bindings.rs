//! Reads the names of one test file and the bindings of these names, with the tables in
//! [`naming`](super::naming). The module matches words without a grammar. A misread word does little harm,
//! because it is misread in the same way before and after a fix.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::imports::split_imports;
use super::name_bindings::BindingReader;
use super::naming::{NAMING_RULES, NamingRules};
use super::runner_files::is_standard_module;
use super::tokens::{CodeToken, normalize_tokens};
use super::version::AnalyzedVersion;

/// Maximum characters between `#[cfg(test)]` and the body of its item.
const MAX_TEST_ITEM_HEAD_CHARS: usize = 400;

/// Maximum number of bindings of one name in one test that are compared.
const MAX_BINDINGS: usize = 200;

/// Maximum number of words of a statement that are examined.
const MAX_STATEMENT_TOKENS: usize = 200;

/// The kind of statement that binds a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum BindingKind {
    Definition,
    Value,
    Parameter,
}

/// Binding of one name.
#[derive(Debug)]
pub(super) struct TestBinding {
    /// The bound name, or a dotted path without white space, such as `calc.add`.
    pub name: String,
    pub kind: BindingKind,
    /// Import path of the value, or another path that the name refers to; empty if the value has no path.
    pub target_path: String,
    /// Digest of the whole value.
    pub value_digest: u64,
    /// Test that contains the binding; `None` if the binding is outside tests.
    pub test: Option<Rc<str>>,
    /// True if the name is also visible outside the test that binds it.
    pub is_shared: bool,
    /// True if the value is a literal.
    pub is_literal: bool,
    /// Line number, from 0.
    pub line: usize,
}

impl TestBinding {
    pub(super) fn root_name(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// Returns the key that identifies the same binding in another version of the file.
    fn identity(&self) -> BindingIdentity {
        (self.name.clone(), self.test.clone(), self.value_digest, self.kind)
    }
}

/// Name, test, digest and kind of a binding.
type BindingIdentity = (String, Option<Rc<str>>, u64, BindingKind);

/// One version of a test file, with the names and bindings in it.
pub(super) struct TestFileBindings<'h> {
    pub version: &'h AnalyzedVersion,
    pub naming_rules: &'static NamingRules,
    /// Imported names, each with its import paths.
    pub imports: BTreeMap<String, BTreeSet<String>>,
    pub bindings: Vec<TestBinding>,
    /// Indexes into `bounds` by name and test.
    index: BTreeMap<String, BTreeMap<Option<Rc<str>>, Vec<usize>>>,
    identities: BTreeSet<BindingIdentity>,
    /// Names of the file's tests.
    pub tests: BTreeSet<Rc<str>>,
    /// Names of the file's tests, in the order of the file.
    ordered_test_names: Vec<Rc<str>>,
    /// Names that are defined or declared anywhere in the file.
    pub declared_names: BTreeSet<Rc<str>>,
    /// Names that a test declares as `global` or `nonlocal`, each with that test.
    pub nonlocal_declarations: BTreeSet<(Rc<str>, Rc<str>)>,
    pub tokens: Vec<CodeToken>,
}

impl<'h> TestFileBindings<'h> {
    /// Returns none if the file does not belong to tests.
    pub(super) fn new(version: Option<&'h AnalyzedVersion>) -> Option<Self> {
        let version = version?;
        let read = version.scanned_file.as_ref()?;
        let names = NAMING_RULES
            .iter()
            .find(|names| names.file_suffixes.iter().any(|ending| version.path.ends_with(ending)))?;
        let ranges = if version.is_test || version.is_loaded_by_runner {
            std::iter::once(0..read.scanned_text.code.len()).collect()
        } else {
            test_module_ranges(version)
        };
        if ranges.is_empty() {
            return None;
        }
        let (tokens, imported) = split_imports(normalize_tokens(version, ranges).tokens, version);
        let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for import in imported {
            let path = resolve_path(&version.path, &join_tokens(&import.target));
            imports.entry(import.name.as_deref().unwrap_or_default().to_owned()).or_default().insert(path);
        }
        let units: Vec<Rc<str>> = read.units.iter().map(|unit| Rc::from(unit.name.as_str())).collect();
        let mut side = Self {
            version,
            naming_rules: names,
            imports,
            bindings: Vec::new(),
            index: BTreeMap::new(),
            identities: BTreeSet::new(),
            tests: units.iter().cloned().collect(),
            ordered_test_names: units,
            declared_names: BTreeSet::new(),
            nonlocal_declarations: BTreeSet::new(),
            tokens,
        };
        for pair in side.tokens.windows(2) {
            let [word, name] = pair else { continue };
            let text = &*word.text;
            if names.declaration_words.contains(&text) || names.definition_words.contains(&text) {
                side.declared_names.insert(Rc::clone(&name.text));
            }
            if let Some(test) = side.test_at(name.offset).filter(|_| text == "global" || text == "nonlocal") {
                side.nonlocal_declarations.insert((Rc::clone(&name.text), test));
            }
        }
        side.bindings = BindingReader::new(&side).read_bindings();
        for (at, bound) in side.bindings.iter().enumerate() {
            let of_name = side.index.entry(bound.name.clone()).or_default();
            of_name.entry(bound.test.clone()).or_default().push(at);
            side.identities.insert(bound.identity());
        }
        Some(side)
    }

    pub(super) fn shares_tests(&self, other: &Self) -> bool {
        self.naming_rules.file_suffixes == other.naming_rules.file_suffixes
            && !self.tests.is_disjoint(&other.tests)
    }

    pub(super) fn imports_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.imports.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Returns true if the file binds this name outside tests.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.imports_of(name).next().is_some() || self.bindings_in_test(name, &None).next().is_some()
    }

    /// Returns the bindings of this name in `test`, or outside tests if `test` is `None`. At most
    /// `MAX_BINDINGS` are returned.
    pub(super) fn bindings_in_test(
        &self,
        name: &str,
        test: &Option<Rc<str>>,
    ) -> impl Iterator<Item = &TestBinding> {
        let all = self.index.get(name).and_then(|of_name| of_name.get(test)).into_iter().flatten();
        all.take(MAX_BINDINGS).filter_map(|at| self.bindings.get(*at))
    }

    pub(super) fn has_binding(&self, binding: &TestBinding) -> bool {
        self.identities.contains(&binding.identity())
    }

    /// Returns the text of a line for display.
    pub(super) fn line_text(&self, line: usize) -> String {
        let scanned = self.version.scanned_file.as_ref().map(|read| &read.scanned_text);
        let text = scanned
            .and_then(|scanned| scanned.code_with_strings.get(scanned.line_range(line)))
            .unwrap_or_default();
        text.trim().to_owned()
    }

    /// Returns true if the test binds the name and this binding is visible only inside the test.
    pub(super) fn is_local(&self, name: &str, test: &Option<Rc<str>>) -> bool {
        self.bindings_in_test(name, test).any(|bound| !bound.is_shared)
    }

    pub(super) fn token_texts(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| &*token.text)
    }

    /// Returns true if this path probably belongs to the product, because it belongs to no known library and
    /// not to the standard library.
    pub(super) fn is_product(&self, path: &str) -> bool {
        let root = path.split(' ').next().unwrap_or_default();
        let is_word =
            root.starts_with(|first: char| first.is_alphabetic() || matches!(first, '.' | '_' | '@' | '/'));
        let is_library = self.naming_rules.library_prefixes.iter().any(|library| {
            path.strip_prefix(library)
                .is_some_and(|rest| library.ends_with(':') || rest.is_empty() || rest.starts_with([' ', '/']))
        });
        let is_own = self.naming_rules.file_suffixes.contains(&".py")
            && (is_standard_module(root) || root == "unittest");
        is_word && !is_library && !is_own
    }

    /// Returns the test that contains a position of the file; `None` outside tests.
    pub(super) fn test_at(&self, offset: usize) -> Option<Rc<str>> {
        let read = self.version.scanned_file.as_ref()?;
        let unit = read.units.partition_point(|unit| unit.start <= offset).checked_sub(1)?;
        read.units
            .get(unit)
            .filter(|of| offset < of.end)
            .and_then(|_| self.ordered_test_names.get(unit))
            .cloned()
    }

    /// Finds statements that replace a function or value by its name, permanently or until the end of a test.
    /// A replacement until the end of a test is returned only if `accepts_test` accepts the test.
    pub(super) fn find_patching_statements(
        &self,
        accepts_test: impl Fn(Option<&str>) -> bool,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let mut end = 0;
        for (at, token) in self.tokens.iter().enumerate() {
            let is_any = |all: &[&str]| all.iter().any(|words| self.matches_tokens_at(at, words));
            let is_hit = at >= end
                && (is_any(self.naming_rules.permanent_patching_calls)
                    || (is_any(self.naming_rules.test_scoped_patching_calls)
                        && accepts_test(self.test_at(token.offset).as_deref())));
            if !is_hit {
                continue;
            }
            let start = self.statement_start(at);
            end = self.statement_end(at);
            found.push(join_tokens(self.tokens.get(start..end).unwrap_or_default()));
        }
        found
    }

    pub(super) fn has_token_at(&self, token_index: usize, text: &str) -> bool {
        self.tokens.get(token_index).is_some_and(|token| token.has_text(text))
    }

    pub(super) fn matches_tokens_at(&self, token_index: usize, pattern: &str) -> bool {
        pattern.split(' ').enumerate().all(|(step, word)| self.has_token_at(token_index + step, word))
    }

    fn line_of(&self, token_index: usize) -> usize {
        self.tokens.get(token_index).map_or(0, |token| token.line)
    }

    /// Returns the position of the first word of the statement that contains this word. The search does not
    /// leave the line of this word.
    pub(super) fn statement_start(&self, token_index: usize) -> usize {
        let mut start = token_index;
        while let Some(before) =
            start.checked_sub(1).filter(|before| token_index - before < MAX_STATEMENT_TOKENS)
        {
            let is_end = self.tokens.get(before).is_some_and(|token| matches!(&*token.text, ";" | "{" | "}"));
            if is_end || self.line_of(before) != self.line_of(token_index) {
                break;
            }
            start = before;
        }
        start
    }

    /// Returns the end of the statement that contains this word.
    pub(super) fn statement_end(&self, token_index: usize) -> usize {
        let mut depth = 0_usize;
        let mut end = token_index;
        while let Some(token) = self.tokens.get(end).filter(|_| end - token_index < MAX_STATEMENT_TOKENS) {
            let is_next = end > token_index && token.line > self.line_of(end - 1) && depth == 0;
            if is_next
                && !token.has_text(".")
                && !matches!(
                    &*self.tokens.get(end - 1).map_or("".into(), |last| last.text.clone()),
                    "=" | ":=" | "=>" | "+" | ","
                )
            {
                break;
            }
            match &*token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None if end > token_index => break,
                    None => {}
                },
                ";" if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        end
    }

    /// Formats a dotted path of names as a text. If an import binds the first name, the imported path
    /// replaces this name.
    pub(super) fn resolved_path(&self, tokens: &[CodeToken]) -> String {
        let path = join_tokens(tokens);
        let (head, rest) = path.split_once(' ').unwrap_or((path.as_str(), ""));
        let known = self.imports_of(head).next().unwrap_or(head);
        format!("{known} {rest}").trim_end().to_owned()
    }
}

/// Returns the ranges of the items marked `#[cfg(test)]` in a Rust file.
fn test_module_ranges(version: &AnalyzedVersion) -> Vec<Range<usize>> {
    let Some(read) = version.scanned_file.as_ref().filter(|_| version.path.ends_with(".rs")) else {
        return Vec::new();
    };
    let code = &read.scanned_text.code;
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        if ranges.last().is_some_and(|last| at < last.end) {
            continue;
        }
        let after = at + attribute.len();
        let mut head = code.get(after..).unwrap_or_default().char_indices().take(MAX_TEST_ITEM_HEAD_CHARS);
        let stop = head.find(|(_, letter)| matches!(letter, '{' | ';')).map(|(stop, _)| after + stop);
        let Some(stop) = stop else { continue };
        ranges.push(at..read.scanned_text.closing_bracket(stop).map_or(stop, |close| close + 1));
    }
    ranges
}

pub(super) fn join_tokens(tokens: &[CodeToken]) -> String {
    tokens.iter().map(|token| &*token.text).collect::<Vec<_>>().join(" ")
}

/// Resolves a relative import path to a path from the root. The path does not contain the extension of the
/// file name.
pub(super) fn resolve_path(file: &str, path: &str) -> String {
    let (module, rest) = path.split_once(' ').unwrap_or((path, ""));
    if !module.starts_with("./") && !module.starts_with("../") {
        return path.to_owned();
    }
    let mut folders: Vec<&str> = file.split('/').collect();
    folders.pop();
    for part in module.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    let whole = folders.join("/");
    let bare =
        [".js", ".ts", ".mjs", ".cjs", ".jsx", ".tsx"].iter().find_map(|ending| whole.strip_suffix(ending));
    format!("/{} {rest}", bare.unwrap_or(&whole)).trim_end().to_owned()
}
