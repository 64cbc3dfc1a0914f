//! Collects the names that tests use but do not bind themselves.

use std::collections::BTreeSet;

use super::naming::BUILTINS;
use super::test_bindings::{BindingKind, TestFileBindings};
use super::tokens::CodeToken;

/// Names that a file's tests use.
#[derive(Debug, Default)]
pub(super) struct UsedNames {
    pub file_suffixes: &'static [&'static str],
    /// Names that a test uses but does not bind.
    pub free_names: BTreeSet<String>,
    /// Accesses to a field of a name, such as `cart.total`.
    pub field_accesses: BTreeSet<String>,
    /// Names from product code that the tests use, as far as the text shows.
    pub tested_names: BTreeSet<String>,
}

impl UsedNames {
    pub(super) fn new(side: &TestFileBindings<'_>) -> Self {
        let mut used = Self { file_suffixes: side.naming_rules.file_suffixes, ..Self::default() };
        let is_python = side.naming_rules.file_suffixes.contains(&".py");
        // Parameters that `parametrize` sets are not fixtures. Their values are in the test's own table.
        let tables = (0..side.tokens.len()).filter(|at| side.matches_tokens_at(*at, "parametrize ("));
        let first = tables.filter_map(|at| side.tokens.get(at + 2).and_then(CodeToken::string_content));
        let given: BTreeSet<&str> = first.flat_map(|names| names.split(',').map(str::trim)).collect();
        for (at, token) in side.tokens.iter().enumerate().filter(|(_, token)| token.is_name()) {
            if at.checked_sub(1).is_some_and(|before| side.has_token_at(before, ".")) {
                continue;
            }
            let before = at.checked_sub(1).and_then(|before| side.tokens.get(before));
            let is_defined =
                before.is_some_and(|word| side.naming_rules.definition_words.contains(&&*word.text));
            if is_defined && !side.tests.is_empty() {
                continue;
            }
            if let Some(field) = side.tokens.get(at + 2).filter(|_| side.has_token_at(at + 1, ".")) {
                used.field_accesses.insert(format!("{}.{}", token.text, field.text));
                if side.imports_of(&token.text).any(|path| side.is_product(path)) {
                    used.tested_names.insert(field.text.to_string());
                }
            }
            let test = side.test_at(token.offset);
            let own = || side.bindings_in_test(&token.text, &test);
            let is_free = match &test {
                Some(_) => own().all(|bound| {
                    bound.is_shared
                        || (is_python
                            && bound.kind == BindingKind::Parameter
                            && !given.contains(&*bound.name))
                }),
                None => {
                    side.imports_of(&token.text).next().is_some()
                        || own().all(|bound| bound.kind == BindingKind::Definition)
                }
            };
            if is_free {
                used.free_names.insert(token.text.to_string());
            }
        }
        let paths = side.imports.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (name, path)));
        for (name, path) in paths.filter(|(_, path)| side.is_product(path)) {
            used.tested_names.insert(name.clone());
            used.tested_names
                .extend(path.rsplit([' ', '/', '.']).find(|part| part.len() > 1).map(str::to_owned));
        }
        if !side.naming_rules.file_suffixes.contains(&".py") {
            let is_type = |name: &&String| {
                name.starts_with(|first: char| first.is_uppercase()) && !BUILTINS.contains(&name.as_str())
            };
            let is_ours = |name: &&String| side.imports_of(name).all(|path| side.is_product(path));
            let types: Vec<String> =
                used.free_names.iter().filter(is_type).filter(is_ours).cloned().collect();
            used.tested_names.extend(types);
        }
        used.tested_names.retain(|name| !name.is_empty() && name != "*");
        used
    }

    /// Adds the names that another file uses.
    pub(super) fn add(&mut self, other: &Self) {
        self.free_names.extend(other.free_names.iter().cloned());
        self.field_accesses.extend(other.field_accesses.iter().cloned());
        self.tested_names.extend(other.tested_names.iter().cloned());
    }
}
