//! Resolves names in a file to import paths: the imported names, and the names of variables that an imported
//! name is assigned to.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::tokens::{CodeToken, MAX_BRACKETED_TOKENS};
use super::version::AnalyzedVersion;

/// Maximum number of words in the path of a name, including the dots.
const MAX_PATH_TOKENS: usize = 15;

/// Splits the name of a module into tokens. The name is split at dots only in Python.
pub(super) fn module_tokens(origin_token: &CodeToken, module: &str, file_path: &str) -> Vec<CodeToken> {
    let module = module.strip_prefix("node:").unwrap_or(module);
    let parts: Vec<&str> =
        if file_path.ends_with(".py") { module.split('.').collect() } else { vec![module] };
    let tokens = parts.iter().flat_map(|part| [".", *part]).skip(1);
    tokens.map(|text| origin_token.with_text(text, true)).collect()
}

/// Maximum nesting of brackets in an import.
const MAX_BRACKET_DEPTH: usize = 6;

/// Maximum number of words that may replace imported names, in addition to the number of bytes in the text.
/// Each use of an imported name is replaced by the words of its path. Normal text stays below the limit,
/// because the frequently used names are longer in characters than their paths are in words.
const EXTRA_WORD_BUDGET: usize = 1 << 17;

/// The words of each name's path.
type NamePaths = BTreeMap<Rc<str>, Vec<CodeToken>>;

/// The number of words that may still be used; `None` after the budget was exceeded.
struct WordBudget(Cell<Option<usize>>);

impl WordBudget {
    /// Subtracts `words` from the budget; returns `None` if too few words are left.
    fn take_words(&self, words: usize) -> Option<()> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(words)));
        self.0.get().map(|_| ())
    }
}

/// Replaces each imported name by its path, and each import statement by the imported path. The second value
/// is true if the budget was exceeded and some names remain unresolved.
pub(super) fn resolve_imports(
    tokens: Vec<CodeToken>,
    file_version: &AnalyzedVersion,
) -> (Vec<CodeToken>, bool) {
    let path = file_version.path.as_str();
    let left = WordBudget(Cell::new(file_version.text.len().checked_add(EXTRA_WORD_BUDGET)));
    let mut names = NamePaths::new();
    let mut resolved: Vec<CodeToken> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let import = ImportReader { tokens: &tokens, file_path: path, budget: &left };
        let read = import.parse_statement(at, resolved.last());
        let Some((end, imports)) = read.filter(|(end, _)| *end > at) else {
            resolved.push(token.clone());
            at += 1;
            continue;
        };
        for (name, target) in imports {
            resolved.push(token.with_text("import", false));
            match name.and_then(|name| left.take_words(target.len()).map(|()| name)) {
                Some(name) => {
                    resolved.extend(target.iter().cloned());
                    names.insert(name, target);
                }
                None => resolved.extend(target),
            }
        }
        at = end;
    }
    drop(tokens);
    add_assigned_names(&resolved, &mut names, &left);
    let mut whole = Vec::with_capacity(resolved.len());
    for (at, token) in resolved.iter().enumerate() {
        let is_part = at
            .checked_sub(1)
            .and_then(|before| resolved.get(before))
            .is_some_and(|before| before.has_text("."));
        // A name on the left side of an assignment is not replaced.
        let is_given = resolved.get(at + 1).is_some_and(|next| next.has_text("=") || next.has_text(":="));
        let target = names.get(&token.text).filter(|_| !is_part && !is_given && !token.is_imported);
        match target.filter(|target| left.take_words(target.len()).is_some()) {
            Some(target) => whole.extend(target.iter().map(|part| token.with_text(part.text.clone(), true))),
            None => whole.push(token.clone()),
        }
    }
    (whole, left.0.get().is_none())
}

/// A name that an import binds.
#[derive(Debug)]
pub(super) struct ImportedName {
    /// Bound name; `None` if the import binds no name and only runs the module.
    pub name: Option<Rc<str>>,
    /// Path to which the name refers.
    pub target: Vec<CodeToken>,
}

/// Returns the words of a file without its import statements, and the imported names.
pub(super) fn split_imports(
    tokens: Vec<CodeToken>,
    file_version: &AnalyzedVersion,
) -> (Vec<CodeToken>, Vec<ImportedName>) {
    let left = WordBudget(Cell::new(file_version.text.len().checked_add(EXTRA_WORD_BUDGET)));
    let (mut rest, mut found): (Vec<CodeToken>, Vec<ImportedName>) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let import = ImportReader { tokens: &tokens, file_path: &file_version.path, budget: &left };
        match import.parse_statement(at, before).filter(|(end, _)| *end > at) {
            Some((end, imports)) => {
                found.extend(imports.into_iter().map(|(name, target)| ImportedName { name, target }));
                at = end;
            }
            None => {
                rest.push(token.clone());
                at += 1;
            }
        }
    }
    (rest, found)
}

/// Adds names to which an imported name is assigned, as in `const a = require("assert")`, `{ exit } =
/// process` and `m = sys`.
fn add_assigned_names(tokens: &[CodeToken], names: &mut NamePaths, budget: &WordBudget) {
    for (at, token) in
        tokens.iter().enumerate().filter(|(_, token)| token.has_text("=") || token.has_text(":="))
    {
        let from = tokens.get(at + 1).is_some_and(|next| next.has_text("import") || next.has_text("await"));
        let mut path = Vec::new();
        for next in tokens.iter().skip(at + 1 + usize::from(from)) {
            let wants_name = path.len() % 2 == 0;
            let is_next = if wants_name { next.is_name() || next.is_imported } else { next.has_text(".") };
            let is_marker = path.is_empty() && (next.has_text("import") || next.has_text("await"));
            if is_marker {
                continue;
            }
            if !is_next || (path.is_empty() && next.line != token.line) {
                break;
            }
            path.push(next.clone());
        }
        let end = at + 1 + path.len();
        let is_call =
            tokens.get(end + usize::from(from)).is_some_and(|next| next.has_text("(") || next.has_text("["));
        let Some(first) = path.first().cloned() else { continue };
        let known = names.get(&first.text);
        if is_call
            || path.len() > MAX_PATH_TOKENS
            || path.len() % 2 == 0
            || !(first.is_imported || known.is_some() || first.has_text("process"))
        {
            continue;
        }
        if known.is_some_and(|known| known.len() > MAX_PATH_TOKENS) {
            continue;
        }
        let mut target = known.cloned().unwrap_or_else(|| vec![first.with_text(first.text.clone(), true)]);
        target.extend(path.iter().skip(1).map(|part| part.with_text(part.text.clone(), true)));
        let before = |count: usize| at.checked_sub(count).and_then(|at| tokens.get(at));
        match before(1) {
            Some(name) if name.is_name() && !before(2).is_some_and(|token| token.has_text(".")) => {
                names.insert(name.text.clone(), target);
            }
            Some(close) if close.has_text("}") => {
                let near = at.saturating_sub(MAX_BRACKETED_TOKENS);
                let nearby = tokens.get(near..at).unwrap_or_default();
                let start =
                    nearby.iter().rposition(|token| token.has_text("{")).map_or(at, |start| near + start);
                let fields = tokens.get(start + 1..at.saturating_sub(1)).unwrap_or_default();
                for field in fields.split(|token| token.has_text(",")) {
                    let (Some(key), Some(name)) = (field.first(), field.last()) else { continue };
                    if budget.take_words(target.len() + 2).is_none() {
                        return;
                    }
                    let mut whole = target.clone();
                    whole.extend([key.with_text(".", true), key.with_text(key.text.clone(), true)]);
                    names.insert(name.text.clone(), whole);
                }
            }
            Some(_) | None => {}
        }
    }
}

/// Position after an import statement, and the names that the statement binds, each with its path; `None` if
/// there is no import statement.
type ParsedImport = Option<(usize, Vec<(Option<Rc<str>>, Vec<CodeToken>)>)>;

/// Parser of import statements.
struct ImportReader<'t> {
    tokens: &'t [CodeToken],
    file_path: &'t str,
    budget: &'t WordBudget,
}

impl ImportReader<'_> {
    /// Parses the import statement at this position; `previous_token` is the token before the statement.
    fn parse_statement(&self, token_index: usize, previous_token: Option<&CodeToken>) -> ParsedImport {
        let token = self.tokens.get(token_index)?;
        let begins = previous_token.is_none_or(|previous_token| {
            previous_token.line != token.line || matches!(&*previous_token.text, ";" | ":" | "{" | "}")
        });
        let is_of = |endings: &[&str]| endings.iter().any(|ending| self.file_path.ends_with(ending));
        match &*token.text {
            _ if is_of(&[".py"]) && begins => self.parse_python(token_index),
            _ if is_of(&[".go"]) && begins => self.parse_go(token_index),
            "import" if is_of(&[".java", ".kt"]) && begins => self.parse_java(token_index),
            "use" | "extern" if is_of(&[".rs"]) => self.parse_rust(token_index),
            "import" | "from" if !is_of(&[".py"]) => self.parse_javascript(token_index),
            _ => None,
        }
    }

    /// Parses `import static a.b.c;`, `import a.b.*;`, and Kotlin's `import a.b as c`.
    fn parse_java(&self, start: usize) -> ParsedImport {
        let (mut at, mut path) =
            self.parse_dotted_path(start + 1 + usize::from(self.has_token_at(start + 1, "static")));
        if let Some(star) = self.tokens.get(at).filter(|star| star.has_text("*")) {
            path.push(star.clone());
            at += 1;
        }
        let (at, name) = self.parse_alias(at, path.last());
        Some((at, vec![(name, path)])).filter(|(_, found)| found.iter().all(|(_, path)| !path.is_empty()))
    }

    fn has_token_at(&self, token_index: usize, text: &str) -> bool {
        self.tokens.get(token_index).is_some_and(|token| token.has_text(text))
    }

    /// Parses a dotted path `a . b . c`. Returns its end and its words.
    fn parse_dotted_path(&self, mut token_index: usize) -> (usize, Vec<CodeToken>) {
        let mut path = Vec::new();
        while let Some(token) = self.tokens.get(token_index) {
            let wanted = if path.len() % 2 == 0 { token.is_name() } else { token.has_text(".") };
            let goes_on = path.is_empty()
                || self.file_path.ends_with(".rs")
                || self.tokens.get(token_index - 1).is_some_and(|last| last.line == token.line);
            if !wanted || !goes_on {
                break;
            }
            path.push(token.with_text(token.text.clone(), true));
            token_index += 1;
        }
        (token_index, path)
    }

    /// Parses `as NAME`. If there is no `as`, returns the text of `default_name`.
    fn parse_alias(&self, token_index: usize, default_name: Option<&CodeToken>) -> (usize, Option<Rc<str>>) {
        match self.tokens.get(token_index + 1).filter(|_| {
            self.has_token_at(token_index, "as")
                || (self.has_token_at(token_index, ":") && !self.file_path.ends_with(".py"))
        }) {
            Some(name) => (token_index + 2, Some(name.text.clone())),
            None => (token_index, default_name.map(|token| token.text.clone())),
        }
    }

    fn parse_python(&self, start: usize) -> ParsedImport {
        let mut found = Vec::new();
        if self.has_token_at(start, "import") {
            let mut at = start + 1;
            loop {
                let (end, path) = self.parse_dotted_path(at);
                let is_as = self.has_token_at(end, "as");
                let (end, name) = self.parse_alias(end, path.first());
                // `import a.b` binds the name `a`.
                let target = if is_as { path.clone() } else { path.iter().take(1).cloned().collect() };
                if !is_as && path.len() > 1 {
                    found.push((None, path));
                }
                if !target.is_empty() {
                    found.push((name, target));
                }
                at = end;
                if !self.has_token_at(at, ",") {
                    return Some((at, found));
                }
                at += 1;
            }
        }
        if !self.has_token_at(start, "from") {
            return None;
        }
        let (at, module) = self.parse_dotted_path(start + 1);
        if module.is_empty() || !self.has_token_at(at, "import") {
            return None;
        }
        let mut at = at + 1 + usize::from(self.has_token_at(at + 1, "("));
        let line = self.tokens.get(start).map(|token| token.line);
        let is_list = self.has_token_at(at - 1, "(");
        while let Some(token) = self.tokens.get(at).filter(|token| token.is_name() || token.has_text("*")) {
            if !is_list && Some(token.line) != line {
                break;
            }
            let (end, name) = self.parse_alias(at + 1, Some(token));
            self.budget.take_words(module.len() + 2)?;
            let mut target = module.clone();
            target.extend([token.with_text(".", true), token.with_text(token.text.clone(), true)]);
            found.push((name, target));
            at = end;
            if !self.has_token_at(at, ",") {
                break;
            }
            at += 1;
        }
        Some((at + usize::from(is_list && self.has_token_at(at, ")")), found))
    }

    fn parse_javascript(&self, start: usize) -> ParsedImport {
        if self.has_token_at(start, "from") {
            let module = self.tokens.get(start + 1)?;
            return Some((
                start + 2,
                vec![(None, module_tokens(module, module.string_content()?, self.file_path))],
            ));
        }
        let rest = self.tokens.get(start + 1..)?;
        if let Some(module) = rest.first().and_then(CodeToken::string_content) {
            return Some((start + 2, vec![(None, module_tokens(rest.first()?, module, self.file_path))]));
        }
        let is_clause = |token: &CodeToken| token.is_name() || matches!(&*token.text, "{" | "}" | "," | "*");
        let length = rest
            .iter()
            .take(MAX_BRACKETED_TOKENS)
            .position(|token| token.has_text("from") || !is_clause(token))?;
        let module =
            rest.get(length + 1).filter(|_| rest.get(length).is_some_and(|token| token.has_text("from")))?;
        let target = module_tokens(module, module.string_content()?, self.file_path);
        let mut found = vec![(None, target.clone())];
        let mut is_inside = false;
        for clause in rest.get(..length)?.split(|token| matches!(&*token.text, ",")) {
            is_inside |= clause.iter().any(|token| token.has_text("{"));
            let names: Vec<&CodeToken> =
                clause.iter().filter(|token| token.is_name() || token.has_text("*")).collect();
            let names: Vec<&CodeToken> = names.into_iter().filter(|token| !token.has_text("type")).collect();
            let (Some(first), Some(last)) = (names.first(), names.last()) else { continue };
            let mut whole = target.clone();
            if is_inside && !first.has_text("default") {
                whole.extend([first.with_text(".", true), first.with_text(first.text.clone(), true)]);
            }
            found.push((Some(last.text.clone()), whole));
        }
        // An imported type has no effect at run time.
        if rest.first().is_some_and(|token| token.has_text("type")) {
            return Some((start + length + 3, Vec::new()));
        }
        Some((start + length + 3, found))
    }

    fn parse_go(&self, start: usize) -> ParsedImport {
        if !self.has_token_at(start, "import") {
            return None;
        }
        let is_list = self.has_token_at(start + 1, "(");
        let mut at = start + 1 + usize::from(is_list);
        let mut found = Vec::new();
        let mut name: Option<Rc<str>> = None;
        while let Some(token) = self.tokens.get(at).filter(|token| !token.has_text(")")) {
            at += 1;
            let Some(module) = token.string_content() else {
                name = Some(token.text.clone());
                continue;
            };
            let last =
                module.rsplit('/').find(|part| !(part.starts_with('v') && part.len() == 2)).unwrap_or(module);
            found.push((
                name.take().or_else(|| Some(last.into())),
                module_tokens(token, module, self.file_path),
            ));
            if !is_list {
                break;
            }
        }
        Some((at + usize::from(is_list), found))
    }

    fn parse_rust(&self, start: usize) -> ParsedImport {
        if self.has_token_at(start, "extern") {
            let (end, path) = self.parse_dotted_path(start + 2);
            let (end, name) = self.parse_alias(end, path.first());
            let path: Vec<CodeToken> = path.into_iter().take(1).collect();
            return (self.has_token_at(start + 1, "crate") && !path.is_empty())
                .then(|| (end, vec![(name, path)]));
        }
        let mut found = Vec::new();
        let mut stack: Vec<Vec<CodeToken>> = Vec::new();
        let mut prefix: Vec<CodeToken> = Vec::new();
        let mut at = start + 1;
        while let Some(token) = self.tokens.get(at).filter(|token| !token.has_text(";")) {
            // If a `use` cannot be parsed, parsing starts again at the next `use`. Each parsed word is
            // subtracted from the budget, which limits such retries.
            self.budget.take_words(1)?;
            if prefix.len() > MAX_BRACKETED_TOKENS || stack.len() > MAX_BRACKET_DEPTH {
                return None;
            }
            match &*token.text {
                "{" => {
                    self.budget.take_words(prefix.len())?;
                    stack.push(prefix.clone());
                }
                "," => {
                    let outer = stack.last().map(Vec::as_slice).unwrap_or_default();
                    self.budget.take_words(outer.len())?;
                    prefix = outer.to_vec();
                }
                "}" => drop(stack.pop()),
                "." if prefix.is_empty() => {}
                "." => prefix.push(token.with_text(".", true)),
                "as" => {
                    let name = self.tokens.get(at + 1)?.text.clone();
                    if let Some((last, _)) = found.last_mut() {
                        *last = Some(name);
                    }
                    at += 1;
                }
                "self" => {
                    self.budget.take_words(prefix.len())?;
                    let target: Vec<CodeToken> =
                        prefix.iter().take(prefix.len().saturating_sub(1)).cloned().collect();
                    found.push((target.last().map(|last| last.text.clone()), target));
                }
                _ => {
                    prefix.push(token.with_text(token.text.clone(), true));
                    if !self.has_token_at(at + 1, ".") {
                        self.budget.take_words(prefix.len())?;
                        found.push((Some(token.text.clone()), prefix.clone()));
                    }
                }
            }
            at += 1;
        }
        Some((at, found))
    }
}
