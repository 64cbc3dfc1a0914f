//! A file of the head, prepared for comparisons: its lines, tokens and statements.
//!
//! All comparisons use hashes. A hash collision can make a finding count as still present, or a line as not
//! new. A collision can therefore keep a finding open, but never close it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::statement::{CodeStatement, split_statements, strip_comment};
use crate::excerpt::fold_whitespace;
use crate::line::{is_invisible_char, truncate_text};

/// Maximum number of characters of a line that are compared.
pub(super) const MAX_LINE_CHARS: usize = 200;

/// A file, prepared for comparison.
pub(super) struct ComparedFile {
    pub(super) text: String,
    /// Hash of each line. Indentation and the amount of white space do not affect the hash.
    pub(super) lines: Vec<u64>,
    search_tokens: OnceCell<SearchTokens>,
    statements: OnceCell<Vec<CodeStatement>>,
}

impl ComparedFile {
    pub(super) fn new(text: String) -> Self {
        let lines = text.lines().map(line_hash).collect();
        Self { text, lines, search_tokens: OnceCell::new(), statements: OnceCell::new() }
    }

    fn search_tokens(&self) -> &SearchTokens {
        self.search_tokens.get_or_init(|| SearchTokens::from_text(&self.text))
    }

    /// Returns true if these lines contain code, and not only comments.
    pub(super) fn has_code_in(&self, lines: (u32, u32)) -> bool {
        self.statements().iter().any(|one| one.touches(lines))
    }

    /// Returns the tokens of the file's code.
    pub(super) fn code(&self) -> &TokenSequence {
        &self.search_tokens().code
    }

    /// Returns all occurrences of these lines as whole lines, ignoring comments and formatting. Each
    /// occurrence is a pair: the indices of its first and last line.
    pub(super) fn find_places(&self, sought: &SearchTokens) -> Vec<(usize, usize)> {
        let own = self.search_tokens();
        let places = own.code.find_places(&sought.code);
        // If the wanted lines contain only a comment, they have no code. In this case, their whole text is
        // compared.
        if places.is_empty() { own.text.find_places(&sought.text) } else { places }
    }

    pub(super) fn statements(&self) -> &[CodeStatement] {
        self.statements.get_or_init(|| split_statements(&self.text))
    }
}

/// Lines that are searched for, as the tokens of their code and the tokens of their whole text.
pub(super) struct SearchTokens {
    code: TokenSequence,
    text: TokenSequence,
}

impl SearchTokens {
    pub(super) fn from_text(text: &str) -> Self {
        Self { code: TokenSequence::from_code(text), text: TokenSequence::from_text(text) }
    }
}

/// A hash (FNV-1a) that is equal on all machines and in all versions of Truing. This is required because
/// hashes are stored.
#[derive(Clone, Copy)]
pub(super) struct StableHash(u64);

impl StableHash {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) const fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.byte(byte);
        }
    }

    pub(super) const fn get(self) -> u64 {
        self.0
    }
}

/// Returns the text of a line for comparisons: white space is reduced, and a long line is truncated.
pub(super) fn line_key(line: &str) -> String {
    truncate_text(fold_whitespace(std::iter::once(line)), MAX_LINE_CHARS)
}

/// Returns the hash of [`line_key`].
pub(super) fn line_hash(line: &str) -> u64 {
    let (mut hash, mut has_gap, mut is_begun) = (StableHash::new(), false, false);
    if line.len() <= MAX_LINE_CHARS && line.is_ascii() {
        for &byte in line.as_bytes() {
            match byte {
                b' ' | b'\t' => has_gap = is_begun,
                b'!'..=b'~' => {
                    if has_gap {
                        hash.byte(b' ');
                    }
                    (has_gap, is_begun) = (false, true);
                    hash.byte(byte);
                }
                // A line with any other character needs the slower general function.
                _ => return hash_text(&line_key(line)),
            }
        }
        return hash.get();
    }
    hash_text(&line_key(line))
}

fn hash_text(text: &str) -> u64 {
    let mut hash = StableHash::new();
    hash.bytes(text.as_bytes());
    hash.get()
}

/// The tokens (words and punctuation characters) of lines, each with its line index. Texts that differ only
/// in line breaks, types of quotation marks or commas before a closing bracket have the same tokens.
pub(super) struct TokenSequence {
    tokens: Vec<u64>,
    lines: Vec<usize>,
}

impl TokenSequence {
    pub(super) fn from_text(text: &str) -> Self {
        Self::from_lines(text.lines())
    }

    /// Returns the tokens of the code only. Comments, semicolons, backslashes that join lines, and brackets
    /// around a whole expression are omitted.
    pub(super) fn from_code(text: &str) -> Self {
        let code: Vec<_> = text.lines().map(|line| strip_block_comments(strip_comment(line))).collect();
        let joined = |line| str::trim_end(line).trim_end_matches('\\');
        let all = Self::from_lines(code.iter().map(|line| joined(line)));
        let left_out = redundant_brackets(&all);
        let is_left_out = |at: &usize, token: u64| token == SEMICOLON || left_out.contains(at);
        let kept = all.tokens.iter().copied().zip(all.lines).enumerate();
        let kept = kept.filter(|(at, (token, _))| !is_left_out(at, *token)).map(|(_, token)| token);
        let (tokens, lines) = kept.unzip();
        Self { tokens, lines }
    }

    fn from_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self { tokens: Vec::new(), lines: Vec::new() };
        for (line, text) in lines.enumerate() {
            let mut word = None;
            for char in text.chars() {
                if char.is_ascii_alphanumeric() || char == '_' || !char.is_ascii() && char.is_alphanumeric() {
                    hash_char(word.get_or_insert(StableHash::new()), char);
                    continue;
                }
                if let Some(word) = word.take() {
                    all.push(word, line);
                }
                if char.is_whitespace() || is_invisible_char(char) {
                    continue;
                }
                if matches!(char, ')' | ']' | '}') && all.tokens.last() == Some(&COMMA) {
                    all.tokens.pop();
                    all.lines.pop();
                }
                let mut sign = StableHash::new();
                hash_char(&mut sign, if matches!(char, '\'' | '`') { '"' } else { char });
                all.push(sign, line);
            }
            if let Some(word) = word {
                all.push(word, line);
            }
        }
        all
    }

    /// Returns the tokens from line `first` to line `last` (counted from 1), and one additional token before
    /// and after them.
    pub(super) fn tokens_around_lines(&self, first: u32, last: u32) -> &[u64] {
        let place = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
        let begin = self.lines.partition_point(|line| line + 1 < place(first));
        let end = self.lines.partition_point(|line| *line < place(last));
        self.tokens.get(begin.saturating_sub(1)..(end + 1).min(self.tokens.len())).unwrap_or_default()
    }

    /// Returns true if this sequence contains these tokens consecutively.
    pub(super) fn contains_run(&self, tokens: &[u64]) -> bool {
        !tokens.is_empty() && self.tokens.windows(tokens.len()).any(|here| here == tokens)
    }

    fn push(&mut self, token: StableHash, line: usize) {
        self.tokens.push(token.get());
        self.lines.push(line);
    }

    /// Returns all occurrences of these tokens as whole lines: the first and last line of each occurrence.
    pub(super) fn find_places(&self, sequence: &Self) -> Vec<(usize, usize)> {
        let sequence = sequence.tokens.as_slice();
        let Some(first) = sequence.first() else { return Vec::new() };
        let begins = |at: usize| at == 0 || self.lines.get(at) != self.lines.get(at - 1);
        let ends = |at: usize| self.lines.get(at) != self.lines.get(at + 1);
        let mut places = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let end = at + sequence.len();
            if token == first && begins(at) && self.tokens.get(at..end) == Some(sequence) && ends(end - 1) {
                places.extend(self.lines.get(at).copied().zip(self.lines.get(end - 1).copied()));
            }
        }
        places
    }
}

/// Returns the hash of a word or a punctuation character.
const fn token_hash(text: &str) -> u64 {
    let (mut hash, mut at) = (StableHash::new(), 0);
    while at < text.len() {
        hash.byte(text.as_bytes()[at]);
        at += 1;
    }
    hash.get()
}

const COMMA: u64 = token_hash(",");
const SEMICOLON: u64 = token_hash(";");
const OPENING_BRACKET: u64 = token_hash("(");
const CLOSING_BRACKET: u64 = token_hash(")");
const EQUALS: u64 = token_hash("=");
/// Characters that form a comparison operator together with a following `=`.
const COMPARISON_PREFIXES: [u64; 4] = [EQUALS, token_hash("!"), token_hash("<"), token_hash(">")];
/// Words that precede a condition.
const CONDITION_KEYWORDS: [u64; 5] =
    [token_hash("if"), token_hash("elif"), token_hash("while"), token_hash("switch"), token_hash("match")];
/// Tokens after which a whole expression may begin.
const EXPRESSION_PREFIXES: [u64; 7] = [
    OPENING_BRACKET,
    COMMA,
    token_hash("["),
    token_hash("return"),
    token_hash("yield"),
    token_hash("assert"),
    token_hash("case"),
];
/// Tokens that may follow directly after a complete expression.
const EXPRESSION_SUFFIXES: [u64; 7] =
    [CLOSING_BRACKET, COMMA, SEMICOLON, token_hash("]"), token_hash("}"), token_hash(":"), token_hash("{")];
/// Tokens that continue an expression.
const EXPRESSION_CONTINUATIONS: [u64; 21] = [
    OPENING_BRACKET,
    token_hash("["),
    token_hash("."),
    token_hash("+"),
    token_hash("-"),
    token_hash("*"),
    token_hash("/"),
    token_hash("%"),
    token_hash("&"),
    token_hash("|"),
    token_hash("^"),
    token_hash("<"),
    token_hash(">"),
    token_hash("="),
    token_hash("!"),
    token_hash("?"),
    token_hash("and"),
    token_hash("or"),
    token_hash("is"),
    token_hash("in"),
    token_hash("not"),
];

/// Returns the token indices of redundant round brackets. Brackets are redundant around a whole expression
/// that is assigned, returned, tested or passed as an argument. They are also redundant around the only
/// parameter of an arrow function.
fn redundant_brackets(tokens: &TokenSequence) -> BTreeSet<usize> {
    let token = |at: usize| tokens.tokens.get(at).copied();
    let (mut open, mut around) = (Vec::<(usize, bool)>::new(), BTreeSet::new());
    for (at, now) in tokens.tokens.iter().copied().enumerate() {
        if now == COMMA {
            open.iter_mut().last().into_iter().for_each(|(_, has_comma)| *has_comma = true);
        } else if now == OPENING_BRACKET {
            open.push((at, false));
        } else if now == CLOSING_BRACKET
            && let Some((begin, has_comma)) = open.pop()
        {
            let before = |offset: usize| begin.checked_sub(offset).and_then(token);
            let is_given = before(1) == Some(EQUALS)
                && before(2).is_none_or(|sign| !COMPARISON_PREFIXES.contains(&sign));
            let may_begin = is_given || before(1).is_some_and(|before| EXPRESSION_PREFIXES.contains(&before));
            let is_test = before(1).is_some_and(|before| CONDITION_KEYWORDS.contains(&before));
            let is_last = tokens.lines.get(at) != tokens.lines.get(at + 1);
            let next = token(at + 1);
            let goes_on = next.is_some_and(|next| EXPRESSION_CONTINUATIONS.contains(&next));
            let ends = next.is_none_or(|next| EXPRESSION_SUFFIXES.contains(&next)) || is_last && !goes_on;
            let is_word = begin + 2 == at && before(1) != Some(CLOSING_BRACKET);
            let is_arrow = is_word && next == Some(EQUALS) && token(at + 2) == Some(COMPARISON_PREFIXES[3]);
            if !has_comma && begin + 1 < at && (may_begin && ends || is_test && !goes_on || is_arrow) {
                around.extend([begin, at]);
            }
        }
    }
    around
}

/// Returns a line without those block comments that begin and end on the line.
fn strip_block_comments(line: &str) -> Cow<'_, str> {
    let mut kept = Cow::Borrowed(line);
    let mut from = 0;
    while let Some(begin) = kept.get(from..).and_then(|rest| rest.find("/*")).map(|at| at + from) {
        let (before, behind) =
            (kept.get(..begin).unwrap_or_default(), kept.get(begin + 2..).unwrap_or_default());
        let is_quoted = ['"', '\'', '`'].iter().any(|quote| before.matches(*quote).count() % 2 == 1);
        match behind.find("*/") {
            Some(end) if !is_quoted => {
                kept = Cow::Owned(format!("{before} {}", behind.get(end + 2..).unwrap_or_default()));
                from = begin;
            }
            Some(_) | None => from = begin + 2,
        }
    }
    kept
}

fn hash_char(hash: &mut StableHash, char: char) {
    match u8::try_from(char) {
        Ok(byte) if byte.is_ascii() => hash.byte(byte),
        Ok(_) | Err(_) => hash.bytes(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
