//! A file of the head, prepared once for all that is asked of it: its lines and tokens as they are compared, and its
//! statements.
//!
//! Everything is compared by its hash. Of two texts with one hash a finding is still there, or a line is not new: an
//! accident keeps something open, and fixes nothing.

use std::cell::OnceCell;

use super::statement::{Statement, statements};
use crate::excerpt::folded;
use crate::line::{cut, is_hidden};

/// Characters of a line that are remembered.
const MAX_LINE_CHARS: usize = 200;

/// A file, as it is compared.
pub(super) struct Page {
    pub(super) text: String,
    /// Each line, white space aside.
    pub(super) lines: Vec<u64>,
    tokens: OnceCell<Tokens>,
    statements: OnceCell<Vec<Statement>>,
}

impl Page {
    pub(super) fn new(text: String) -> Self {
        let lines = text.lines().map(key_hash).collect();
        Self { text, lines, tokens: OnceCell::new(), statements: OnceCell::new() }
    }

    pub(super) fn tokens(&self) -> &Tokens {
        self.tokens.get_or_init(|| Tokens::of(&self.text))
    }

    pub(super) fn statements(&self) -> &[Statement] {
        self.statements.get_or_init(|| statements(&self.text))
    }
}

/// A hash that is the same on every machine and in every version (FNV-1a): what is recorded is compared with it later.
#[derive(Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
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

/// A line as it is compared.
pub(super) fn key(line: &str) -> String {
    cut(folded(std::iter::once(line)), MAX_LINE_CHARS)
}

/// The hash of [`key`].
pub(super) fn key_hash(line: &str) -> u64 {
    let (mut hash, mut has_gap, mut is_begun) = (Hash::new(), false, false);
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
                // What cannot be seen is left to the other way.
                _ => return hash_of(&key(line)),
            }
        }
        return hash.get();
    }
    hash_of(&key(line))
}

fn hash_of(text: &str) -> u64 {
    let mut hash = Hash::new();
    hash.bytes(text.as_bytes());
    hash.get()
}

/// The words and signs of lines, with the line of each. How code is broken into lines, which quotes it has and whether a
/// comma stands before a closing bracket is no difference.
pub(super) struct Tokens {
    tokens: Vec<u64>,
    lines: Vec<usize>,
}

impl Tokens {
    pub(super) fn of(text: &str) -> Self {
        let mut all = Self { tokens: Vec::new(), lines: Vec::new() };
        let (mut word, mut line) = (None, 0);
        for char in text.chars() {
            if char.is_ascii_alphanumeric() || char == '_' || !char.is_ascii() && char.is_alphanumeric() {
                add(word.get_or_insert(Hash::new()), char);
                continue;
            }
            if let Some(word) = word.take() {
                all.push(word, line);
            }
            if char == '\n' {
                line += 1;
            }
            if char.is_whitespace() || is_hidden(char) {
                continue;
            }
            if matches!(char, ')' | ']' | '}') && all.tokens.last() == Some(&COMMA) {
                all.tokens.pop();
                all.lines.pop();
            }
            let mut sign = Hash::new();
            add(&mut sign, if matches!(char, '\'' | '`') { '"' } else { char });
            all.push(sign, line);
        }
        if let Some(word) = word {
            all.push(word, line);
        }
        all
    }

    fn push(&mut self, token: Hash, line: usize) {
        self.tokens.push(token.get());
        self.lines.push(line);
    }

    /// Where these stand as whole lines: the first line and the last of each place.
    pub(super) fn all(&self, wanted: &Self) -> Vec<(usize, usize)> {
        let wanted = wanted.tokens.as_slice();
        let Some(first) = wanted.first() else { return Vec::new() };
        let begins = |at: usize| at == 0 || self.lines.get(at) != self.lines.get(at - 1);
        let ends = |at: usize| self.lines.get(at) != self.lines.get(at + 1);
        let mut places = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let end = at + wanted.len();
            if token == first && begins(at) && self.tokens.get(at..end) == Some(wanted) && ends(end - 1) {
                places.extend(self.lines.get(at).copied().zip(self.lines.get(end - 1).copied()));
            }
        }
        places
    }
}

/// The token of a comma.
const COMMA: u64 = {
    let mut hash = Hash::new();
    hash.byte(b',');
    hash.get()
};

fn add(hash: &mut Hash, char: char) {
    match u8::try_from(char) {
        Ok(byte) if byte.is_ascii() => hash.byte(byte),
        Ok(_) | Err(_) => hash.bytes(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
