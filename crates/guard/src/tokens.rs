//! Converts code to a sequence of words with resolved names. Different spellings of the same access become
//! the same words. `from os import _exit as bye`, `getattr(os, "_ex" + "it")` and `vars(os)["_exit"]` all
//! become `os . _exit`.
//!
//! The conversion does not analyse types or scopes, so an imported name refers to its import everywhere in
//! the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::imports::{module_tokens, resolve_imports};
use super::scan::is_word_byte;
use super::version::AnalyzedVersion;

/// A word, a string or an operator.
#[derive(Clone, Debug)]
pub(super) struct CodeToken {
    /// Text of the token. The text of a string begins with `"` and has no closing quote. Tokens share the
    /// text, because a name may be as long as the file.
    pub text: Rc<str>,
    /// Start position in the file.
    pub offset: usize,
    /// Line number of the start, from 0.
    pub line: usize,
    /// True if the token is part of an import path that replaced an imported name.
    pub is_imported: bool,
}

impl CodeToken {
    pub(super) fn is_name(&self) -> bool {
        self.text.bytes().next().is_some_and(|byte| is_word_byte(byte) && !byte.is_ascii_digit())
    }

    pub(super) fn has_text(&self, text: &str) -> bool {
        *self.text == *text
    }

    pub(super) fn string_content(&self) -> Option<&str> {
        self.text.strip_prefix('"')
    }

    pub(super) fn with_text(&self, text: impl Into<Rc<str>>, is_imported: bool) -> Self {
        Self { text: text.into(), offset: self.offset, line: self.line, is_imported }
    }
}

/// The code of a file that is outside tests, as tokens.
#[derive(Debug, Default)]
pub(super) struct NormalizedCode {
    pub tokens: Vec<CodeToken>,
    /// Numbers of the lines that assemble a name from several strings.
    pub assembled_name_lines: Vec<usize>,
    /// True if some imported names remain unresolved, because resolving them would produce too many words.
    pub has_unresolved_imports: bool,
}

/// Operators of several characters.
const MULTI_CHAR_OPERATORS: &[&str] =
    &["===", "!==", "==", "!=", "=>", "::", "->", "<=", ">=", "+=", "-=", ":=", "**", "?.", "//"];

/// Words after which a square bracket begins a list and not an index.
const KEYWORDS_BEFORE_LIST: &[&str] =
    &["return", "in", "of", "case", "await", "else", "and", "or", "not", "if", "yield"];

/// Calls that import the module named in their string argument.
const IMPORT_CALLS: &[&str] = &["__import__", "import_module", "require", "import"];

/// Methods of `__dict__`, the table of names in Python. After `__dict__`, these words are methods and not
/// names in the table.
const DICT_METHODS: &[&str] = &["update", "setdefault", "pop", "get", "items", "keys", "values"];

/// Maximum number of tokens in a pair of brackets that may count as an access to a name.
pub(super) const MAX_BRACKETED_TOKENS: usize = 256;

/// Calls that take a name as a string.
const NAME_STRING_CALLS: &[&str] = &["getattr", "setattr", "hasattr", "defineProperty"];

/// Functions that build a string. The string cannot be read from their arguments.
const STRING_BUILDER_CALLS: &[&str] = &[
    "chr",
    "decode",
    "b64decode",
    "fromhex",
    "unhexlify",
    "reversed",
    "fromCharCode",
    "fromCodePoint",
    "atob",
    "reverse",
];

/// Maximum length of a string that is joined with other strings.
const MAX_JOINED_STRING_BYTES: usize = 120;

/// Maximum length of an assembled name.
const MAX_ASSEMBLED_NAME_BYTES: usize = 48;

impl NormalizedCode {
    /// Converts the code of a file that is outside tests, and resolves its imports.
    pub(super) fn new(version: &AnalyzedVersion) -> Self {
        let mut code = normalize_tokens(version, version.ranges_outside_tests());
        (code.tokens, code.has_unresolved_imports) = resolve_imports(code.tokens, version);
        code
    }
}

/// Converts the words in these ranges of a file, and leaves import statements unchanged.
pub(super) fn normalize_tokens(version: &AnalyzedVersion, ranges: Vec<Range<usize>>) -> NormalizedCode {
    let mut normalizer =
        TokenNormalizer { code: NormalizedCode::default(), open_brackets: Vec::new(), path: &version.path };
    for token in split_tokens(version, ranges) {
        normalizer.push(token);
    }
    normalizer.code
}

fn split_tokens(version: &AnalyzedVersion, ranges: Vec<Range<usize>>) -> Vec<CodeToken> {
    let mut tokens = Vec::new();
    let Some(read) = &version.scanned_file else { return tokens };
    let scanned = &read.scanned_text;
    let mut known: BTreeMap<&str, Rc<str>> = BTreeMap::new();
    for range in ranges {
        let mut at = range.start;
        let mut strings = scanned.strings_in(&range).peekable();
        while at < range.end {
            let rest = scanned.code_with_strings.get(at..range.end).unwrap_or_default();
            let text = match strings.next_if(|string| string.start <= at) {
                Some(string) => {
                    let raw = scanned.code_with_strings.get(string.clone()).unwrap_or_default();
                    let inner = raw.strip_prefix('r').unwrap_or(raw);
                    let text = inner.trim_matches(['"', '\'', '`', '#']);
                    // Letters directly before a string belong to the string as its prefix.
                    let is_joined = |last: &mut CodeToken| {
                        last.is_name() && last.offset + last.text.len() == string.start
                    };
                    tokens.pop_if(|last| is_joined(last));
                    tokens.push(new_token(
                        format!("\"{text}").into(),
                        string.start,
                        scanned.line_of(string.start),
                    ));
                    at = string.end;
                    continue;
                }
                None if rest.bytes().next().is_some_and(is_word_byte) => {
                    let end = rest.bytes().position(|byte| !is_word_byte(byte)).unwrap_or(rest.len());
                    rest.get(..end).unwrap_or(rest)
                }
                None => match MULTI_CHAR_OPERATORS.iter().find(|sign| rest.starts_with(**sign)) {
                    Some(sign) => sign,
                    None => {
                        rest.chars().next().map_or("", |sign| rest.get(..sign.len_utf8()).unwrap_or_default())
                    }
                },
            };
            if !text.trim().is_empty() {
                let text = if matches!(text, "::" | "?.") { "." } else { text };
                let shared = known.entry(text).or_insert_with(|| text.into());
                tokens.push(new_token(Rc::clone(shared), at, scanned.line_of(at)));
            }
            at += text.len().max(1);
        }
    }
    tokens
}

fn new_token(text: Rc<str>, offset: usize, line: usize) -> CodeToken {
    CodeToken { text, offset, line, is_imported: false }
}

/// Joins the strings that form a name, and converts each access to a name to `a . b`.
struct TokenNormalizer<'p> {
    code: NormalizedCode,
    /// Indices of the opening brackets that are not closed yet.
    open_brackets: Vec<usize>,
    path: &'p str,
}

impl TokenNormalizer<'_> {
    fn token_from_end(&self, count: usize) -> Option<&CodeToken> {
        let tokens = &self.code.tokens;
        tokens.len().checked_sub(count).and_then(|at| tokens.get(at))
    }

    fn ends_with(&self, texts: &[&str]) -> bool {
        texts
            .iter()
            .rev()
            .enumerate()
            .all(|(at, text)| self.token_from_end(at + 1).is_some_and(|token| token.has_text(text)))
    }

    fn push(&mut self, token: CodeToken) {
        match &*token.text {
            "(" | "[" | "{" => {
                self.open_brackets.push(self.code.tokens.len());
                self.code.tokens.push(token);
            }
            ")" | "]" | "}" => {
                let open = self.open_brackets.pop();
                let end = self.code.tokens.len();
                let Some(open) = open.filter(|open| *open < end && end - *open <= MAX_BRACKETED_TOKENS)
                else {
                    self.code.tokens.push(token);
                    return;
                };
                self.simplify_brackets(open, token);
            }
            _ if token.string_content().is_some() => self.push_string(token),
            // The prefix `globalThis` or `global` of a global name is optional, so it is removed.
            "." if ["globalThis", "global"].iter().any(|name| self.ends_with(&[name])) => {
                self.code.tokens.pop();
            }
            _ => {
                if self.ends_with(&[".", "__dict__", "."]) && !DICT_METHODS.contains(&&*token.text) {
                    self.code.tokens.truncate(self.code.tokens.len().saturating_sub(2));
                }
                self.code.tokens.push(token);
            }
        }
    }

    pub(super) fn push_string(&mut self, token: CodeToken) {
        if self.ends_with(&["__name__", "=="]) && token.has_text("\"__main__") {
            self.code.tokens.truncate(self.code.tokens.len().saturating_sub(2));
            self.code.tokens.push(token.with_text("@main", false));
            return;
        }
        // A long string is not joined with other strings, because it is not a name, and each join would copy
        // it again.
        let is_long = |text: &CodeToken| text.text.len() > MAX_JOINED_STRING_BYTES;
        if is_long(&token)
            || self.token_from_end(1).is_some_and(is_long)
            || (self.ends_with(&["+"]) && self.token_from_end(2).is_some_and(is_long))
        {
            self.code.tokens.push(token);
            return;
        }
        let is_added = self.ends_with(&["+"])
            && self.token_from_end(2).is_some_and(|before| before.string_content().is_some());
        let is_beside = self.path.ends_with(".py")
            && self.token_from_end(1).is_some_and(|before| before.string_content().is_some());
        if is_added {
            self.code.tokens.pop();
        }
        match self.code.tokens.pop_if(|_| is_added || is_beside) {
            Some(before) => {
                let whole = self.join_strings(&[before.clone(), token], "");
                self.code.tokens.push(before.with_text(whole, false));
            }
            None => self.code.tokens.push(token),
        }
    }

    /// Joins strings with `separator`. If the pieces are on one line and form a name, the line is recorded.
    fn join_strings(&mut self, pieces: &[CodeToken], separator: &str) -> String {
        let texts: Vec<&str> = pieces.iter().filter_map(CodeToken::string_content).collect();
        let whole = texts.join(separator);
        let is_piece = |text: &&str| {
            text.bytes().any(|byte| byte.is_ascii_alphabetic())
                && text.bytes().all(|byte| is_word_byte(byte) || matches!(byte, b'.' | b':'))
        };
        let lines = pieces.first().map(|first| first.line);
        let is_line = pieces.iter().all(|piece| Some(piece.line) == lines);
        let is_name = texts.len() > 1 && texts.iter().all(is_piece) && separator.is_empty();
        if is_name && is_line && whole.len() <= MAX_ASSEMBLED_NAME_BYTES {
            self.code.assembled_name_lines.extend(lines);
        }
        format!("\"{whole}")
    }

    /// Simplifies the bracketed expression that begins at `open_index`. `closing_bracket` is the closing
    /// bracket of this expression.
    fn simplify_brackets(&mut self, open_index: usize, closing_bracket: CodeToken) {
        let inner: Vec<CodeToken> = self.code.tokens.split_off(open_index + 1);
        let head = open_index.checked_sub(1).and_then(|at| self.code.tokens.get(at)).cloned();
        let name = head.as_ref().map_or("", |head| &*head.text).to_owned();
        let one =
            inner.first().filter(|_| inner.len() == 1).and_then(CodeToken::string_content).map(str::to_owned);
        let place = head.clone().unwrap_or_else(|| closing_bracket.clone());
        let takes_name = IMPORT_CALLS.contains(&name.as_str()) || NAME_STRING_CALLS.contains(&name.as_str());
        let is_backwards = |(at, token): (usize, &CodeToken)| {
            token.has_text("[")
                && inner.get(at + 1..at + 4).is_some_and(|row| row.iter().any(|token| token.has_text("-")))
        };
        if takes_name
            && (inner.iter().any(|token| STRING_BUILDER_CALLS.contains(&&*token.text))
                || inner.iter().enumerate().any(is_backwards))
        {
            self.code.assembled_name_lines.push(place.line);
        }
        match (&*closing_bracket.text, one) {
            ("]", Some(key))
                if self.is_index_bracket(&name) && key.bytes().all(is_word_byte) && !key.is_empty() =>
            {
                self.code.tokens.truncate(open_index);
                if self.ends_with(&["sys", ".", "modules"]) {
                    self.code.tokens.truncate(open_index.saturating_sub(3));
                    self.push_import(&place, &key);
                } else {
                    self.push(place.with_text(".", false));
                    self.push(place.with_text(key, false));
                }
            }
            ("]", Some(key)) if self.ends_with(&["sys", ".", "modules", "["]) => {
                self.code.tokens.truncate(open_index.saturating_sub(3));
                self.push_import(&place, &key);
            }
            (")", Some(key)) if IMPORT_CALLS.contains(&name.as_str()) => {
                self.code.tokens.truncate(open_index.saturating_sub(1));
                if self.ends_with(&["importlib", "."]) {
                    self.code.tokens.truncate(open_index.saturating_sub(3));
                }
                self.push_import(&place, &key);
            }
            (")", Some(_)) if name == "join" && self.is_list_join_call(open_index) => {
                self.fold_join_call(open_index, &inner, &place);
            }
            (")", _) if name == "join" && self.ends_with(&[".", "join", "("]) => {
                let is_list = |first: &CodeToken| first.has_text("[") || first.has_text("(");
                let list = inner.get(1..inner.len().saturating_sub(1)).unwrap_or_default();
                let between = self.token_from_end(4).and_then(CodeToken::string_content).map(str::to_owned);
                match between.filter(|_| inner.first().is_some_and(is_list) && are_strings_or_commas(list)) {
                    Some(between) => {
                        let whole = self.join_strings(&string_tokens(list), &between);
                        self.code.tokens.truncate(open_index.saturating_sub(3));
                        self.push_string(place.with_text(whole, false));
                    }
                    None => self.restore_bracketed_tokens(inner, closing_bracket),
                }
            }
            (")", _) if name == "getattr" || self.ends_with(&["Reflect", ".", "get", "("]) => {
                let comma = inner.iter().position(|token| token.has_text(","));
                let key = comma
                    .and_then(|comma| inner.get(comma + 1))
                    .and_then(CodeToken::string_content)
                    .map(str::to_owned);
                let (Some(comma), Some(key)) = (comma, key) else {
                    return self.restore_bracketed_tokens(inner, closing_bracket);
                };
                let back = if name == "getattr" { 1 } else { 3 };
                self.code.tokens.truncate(open_index.saturating_sub(back));
                self.code.tokens.extend(inner.into_iter().take(comma));
                self.code.tokens.push(place.with_text(".", false));
                self.push(place.with_text(key, false));
            }
            (")", _) if name == "vars" && !inner.is_empty() => {
                self.code.tokens.truncate(open_index.saturating_sub(1));
                self.code.tokens.extend(inner);
                self.code.tokens.push(place.with_text(".", false));
                self.code.tokens.push(place.with_text("__dict__", false));
            }
            (")", _) if are_strings_or_commas(&inner) && self.ends_with(&["concat", "!", "("]) => {
                let whole = self.join_strings(&string_tokens(&inner), "");
                self.code.tokens.truncate(open_index.saturating_sub(2));
                self.code.tokens.push(place.with_text(whole, false));
            }
            // Example: `(await import("x")).y`
            (")", _)
                if !inner.is_empty()
                    && inner.iter().all(|token| token.is_imported || token.has_text("await")) =>
            {
                let is_call =
                    head.as_ref().is_some_and(|head| head.is_name() && !is_keyword_before_list(&head.text));
                if is_call {
                    return self.restore_bracketed_tokens(inner, closing_bracket);
                }
                self.code.tokens.truncate(open_index);
                self.code.tokens.extend(inner.into_iter().filter(|token| !token.has_text("await")));
            }
            _ => self.restore_bracketed_tokens(inner, closing_bracket),
        }
    }

    fn restore_bracketed_tokens(&mut self, inner: Vec<CodeToken>, close: CodeToken) {
        self.code.tokens.extend(inner);
        self.code.tokens.push(close);
    }

    /// Returns true if a square bracket after the word `previous_word` begins an index.
    fn is_index_bracket(&self, previous_word: &str) -> bool {
        let is_name = previous_word.bytes().next().is_some_and(is_word_byte)
            && !KEYWORDS_BEFORE_LIST.contains(&previous_word);
        is_name || matches!(previous_word, ")" | "]")
    }

    /// Returns true if a list at this position is joined by a call such as `["a", "b"].join("")`.
    fn is_list_join_call(&self, open_index: usize) -> bool {
        let before = self.code.tokens.get(..open_index.saturating_sub(2)).unwrap_or_default();
        before.last().is_some_and(|last| last.has_text("]"))
    }

    fn fold_join_call(&mut self, open_index: usize, separator: &[CodeToken], origin_token: &CodeToken) {
        let separator = separator.first().and_then(CodeToken::string_content).unwrap_or_default().to_owned();
        let end = open_index.saturating_sub(3);
        let list = self.code.tokens.get(..end).unwrap_or_default();
        let start = list.iter().rposition(|token| !is_string_or_comma(token)).map_or(0, |at| at + 1);
        let pieces = string_tokens(list.get(start..).unwrap_or_default());
        if pieces.is_empty() || !list.get(start.saturating_sub(1)).is_some_and(|token| token.has_text("[")) {
            return self.restore_bracketed_tokens(
                vec![origin_token.with_text(format!("\"{separator}"), false)],
                origin_token.with_text(")", false),
            );
        }
        let whole = self.join_strings(&pieces, &separator);
        self.code.tokens.truncate(start.saturating_sub(1));
        self.push_string(origin_token.with_text(whole, false));
    }

    /// Adds the tokens of a module that an expression imports.
    fn push_import(&mut self, origin_token: &CodeToken, module: &str) {
        let marked = origin_token.with_text("import", false);
        self.code.tokens.push(marked);
        self.code.tokens.extend(module_tokens(origin_token, module, self.path));
    }
}

fn is_keyword_before_list(text: &str) -> bool {
    KEYWORDS_BEFORE_LIST.contains(&text)
}

fn is_string_or_comma(token: &CodeToken) -> bool {
    token.string_content().is_some() || token.has_text(",")
}

fn are_strings_or_commas(tokens: &[CodeToken]) -> bool {
    !tokens.is_empty() && tokens.iter().all(is_string_or_comma)
}

fn string_tokens(tokens: &[CodeToken]) -> Vec<CodeToken> {
    tokens.iter().filter(|token| token.string_content().is_some()).cloned().collect()
}
