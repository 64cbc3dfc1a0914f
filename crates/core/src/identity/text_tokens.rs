//! Splits a finding's text into tokens: removes markup, stems words, and groups words with the same meaning.
//! Names from the code are separate tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Maximum number of tokens that are read from the beginning of one text. The beginning usually contains the
/// essential statements.
const MAX_TOKENS: usize = 240;

/// The kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TextTokenKind {
    /// A name from the code. A word is a name if it is in backticks, has an underscore or inner capitals,
    /// precedes a call's bracket, or is in a member access.
    Name,
    /// A number that is not a line number.
    Number,
    /// A word of prose.
    Prose,
}

/// One token of a text.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct TextToken {
    pub(super) kind: TextTokenKind,
    /// Key for comparison: for a compound name, the lower-case name without underscores; for any other token,
    /// its stem or its group of words with the same meaning.
    pub(super) key: String,
    /// Stem of the token itself, before words of the same meaning are grouped.
    pub(super) stem: String,
    /// Stemmed words of a compound name; empty for a name of one word.
    pub(super) part_stems: Vec<String>,
    /// Weight of the token as evidence for a match; 0 if the token is ignored as evidence.
    pub(super) weight: f64,
    /// True if the sentence that contains the token is advice, and not a description of the defect.
    pub(super) advice: bool,
}

impl TextToken {
    fn new(kind: TextTokenKind, key: String, stem: String, weight: f64) -> Self {
        Self { kind, key, stem, part_stems: vec![], weight, advice: false }
    }

    /// Turns the word into a name. The caller has found that one of the texts or the code uses the word as a
    /// name.
    pub(super) fn turn_into_name(&mut self) {
        self.kind = TextTokenKind::Name;
        self.key.clone_from(&self.stem);
        self.weight = SINGLE_NAME_WEIGHT;
    }
}

/// Weights of a compound name and of a single name. A compound name weighs more, because two texts seldom
/// contain the same compound name by chance.
const COMPOUND_NAME_WEIGHT: f64 = 3.0;
const SINGLE_NAME_WEIGHT: f64 = 2.0;
/// Weight of names that occur in almost every program.
const COMMON_NAME: f64 = 0.5;
const SYNONYM_WEIGHT: f64 = 1.5;
const PLAIN_WORD: f64 = 1.0;
const WEAK_WORD_WEIGHT: f64 = 0.25;

struct Lexicon {
    stop: BTreeSet<String>,
    weak: BTreeSet<String>,
    common_name_stems: BTreeSet<String>,
    /// Maps each stem to the first word of its line in the lexicon. The words of one line have the same
    /// meaning.
    synonyms: BTreeMap<String, String>,
    opposite: Vec<(String, String)>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut lexicon = Lexicon {
        stop: BTreeSet::new(),
        weak: BTreeSet::new(),
        common_name_stems: BTreeSet::new(),
        synonyms: BTreeMap::new(),
        opposite: Vec::new(),
    };
    let mut section = "";
    for line in include_str!("lexicon.txt").lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let stems = words.iter().map(|word| stem(word));
        match (section, words.as_slice()) {
            ("[stop]", _) => lexicon.stop.extend(words.iter().map(|word| (*word).to_owned())),
            ("[common]", _) => lexicon.common_name_stems.extend(stems),
            ("[weak]", _) => lexicon.weak.extend(stems),
            ("[same]", [first, ..]) => {
                for other in stems {
                    lexicon.synonyms.entry(other).or_insert_with(|| format!("={first}"));
                }
            }
            ("[opposite]", [one, other]) => lexicon.opposite.push((stem(one), stem(other))),
            (_, _) => {}
        }
    }
    lexicon
});

/// Returns the pairs of stems with opposite meanings.
pub(super) fn opposites() -> &'static [(String, String)] {
    &LEXICON.opposite
}

/// Returns true if the word is a negation.
pub(super) fn is_negation(stem: &str) -> bool {
    matches!(
        stem,
        "not"
            | "no"
            | "never"
            | "without"
            | "none"
            | "nor"
            | "cannot"
            | "cant"
            | "dont"
            | "doesnt"
            | "isnt"
            | "arent"
            | "wasnt"
            | "wont"
            | "didnt"
            | "havent"
            | "hasnt"
    )
}

/// Returns the tokens of a finding's text, in order.
pub(super) fn tokenize_prose(text: &str) -> Vec<TextToken> {
    tokenize(&without_markup(text), false)
}

/// Returns the tokens of code lines, in order, including key words and literals.
pub(super) fn tokenize_code(text: &str) -> Vec<TextToken> {
    tokenize(text, true)
}

/// The position and state of the reader of a text.
struct TokenReader {
    code: bool,
    in_ticks: bool,
    /// Character before the word.
    previous_char: Option<char>,
    /// Three flags. `begins`: the next word begins a sentence. `has_read_sentence`: a sentence has already
    /// begun. `advice`: the current sentence is advice.
    begins_sentence: bool,
    has_read_sentence: bool,
    advice: bool,
    /// True after "line" or "lines": the numbers that follow are line numbers. Line numbers are ignored,
    /// because they change.
    expects_line_number: bool,
}

fn tokenize(text: &str, code: bool) -> Vec<TextToken> {
    let mut at = TokenReader {
        code,
        in_ticks: false,
        previous_char: None,
        begins_sentence: true,
        has_read_sentence: false,
        advice: false,
        expects_line_number: false,
    };
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if found.len() >= MAX_TOKENS {
            break;
        }
        let length = if is_word(c) { word_end(rest, at.in_ticks) } else { c.len_utf8() };
        let (piece, tail) = rest.split_at(length);
        if is_word(c) {
            found.extend(at.read_word(piece, text, rest));
            at.previous_char = None;
        } else {
            at.skip_separator(c, tail);
        }
        rest = tail;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl TokenReader {
    /// Skips a character between words.
    fn skip_separator(&mut self, c: char, tail: &str) {
        self.in_ticks ^= c == '`';
        self.begins_sentence |= c == ';'
            || (matches!(c, '.' | '!' | ':') && tail.starts_with([' ', '\n', '*']))
            || (c == '\n' && tail.trim_start_matches([' ', '\t']).starts_with(['\n', '-', '*']));
        self.previous_char = Some(c);
    }

    /// Reads the word at the start of `rest`.
    fn read_word(&mut self, word: &str, text: &str, rest: &str) -> Option<TextToken> {
        let tail = rest.get(word.len()..).unwrap_or_default();
        let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
        let number = word.chars().all(|c| c.is_ascii_digit());
        let lower = word.to_lowercase();
        if self.begins_sentence && !self.in_ticks {
            let stem = stem(word);
            // The first sentence always counts as a description of the defect. An introduction such as "In
            // FILE around lines 1 to 2," does not count as a sentence.
            self.advice = self.has_read_sentence && ADVICE_VERB_STEMS.contains(&stem.as_str());
            self.begins_sentence = number || SENTENCE_LEAD_WORDS.contains(&lower.as_str());
            self.has_read_sentence |= !self.begins_sentence;
        }
        let place = number && self.expects_line_number || is_line_reference(&lower);
        self.expects_line_number = matches!(lower.as_str(), "line" | "lines")
            || (self.expects_line_number && (number || matches!(lower.as_str(), "to" | "and")));
        if place {
            return None;
        }
        let member = self.previous_char == Some('.') || is_member_access(tail);
        let marked = self.in_ticks || self.code || member || tail.starts_with('(');
        let token = if number {
            Some(TextToken::new(TextTokenKind::Number, lower.clone(), lower, PLAIN_WORD))
        } else {
            parse_token(word, marked || has_identifier_shape(word) || is_name_by_position(word, text, rest))
        };
        token.map(|token| TextToken { advice: self.advice && !self.code, ..token })
    }
}

/// Returns true for a line reference such as `L42`, as forges write it in links.
fn is_line_reference(lower: &str) -> bool {
    lower.strip_prefix('l').is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
}

/// Returns true if the position of a plain word suggests that the word is a name. This is the case if a
/// lower-case word begins a sentence, or follows "in" at the end of a phrase. `rest` is the part of `text`
/// that begins with the word.
fn is_name_by_position(word: &str, text: &str, rest: &str) -> bool {
    if !word.starts_with(|c: char| c.is_lowercase()) || word.contains(['\'', '’']) {
        return false;
    }
    let before = text.get(..text.len() - rest.len()).unwrap_or_default().trim_end();
    if before.is_empty()
        || before.ends_with(['.', ':', '!', '?']) && !before.ends_with("e.g.") && !before.ends_with("i.e.")
    {
        return !before.ends_with(':');
    }
    let preposition = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let after = rest.get(word.len()..).unwrap_or_default();
    let ends = after.is_empty()
        || after.starts_with([';', ',', ')', ':'])
        || after.starts_with(". ")
        || after == ".";
    ends && preposition.eq_ignore_ascii_case("in") && !IN_PHRASES.contains(&word)
}

/// Words that may precede the first significant word of a sentence.
const SENTENCE_LEAD_WORDS: [&str; 12] =
    ["in", "at", "on", "around", "line", "lines", "to", "and", "please", "you", "should", "file"];

/// Stems of verbs that begin advice.
const ADVICE_VERB_STEMS: [&str; 40] = [
    "use", "add", "pass", "replac", "prefer", "return", "wrap", "mov", "check", "consider", "writ", "giv",
    "set", "tak", "mak", "avoid", "default", "recover", "drop", "pin", "limit", "rescu", "catch", "render",
    "clos", "releas", "index", "guard", "abort", "divid", "restrict", "includ", "requir", "validat", "chang",
    "switch", "updat", "keep", "handl", "remov",
];

/// Words after "in" that are not names.
const IN_PHRASES: [&str; 16] = [
    "place",
    "production",
    "memory",
    "practice",
    "general",
    "time",
    "order",
    "full",
    "parallel",
    "advance",
    "fact",
    "turn",
    "use",
    "cents",
    "seconds",
    "logs",
];

/// Returns the end of the word at the start of `rest`. An apostrophe inside a word of prose is part of the
/// word.
fn word_end(rest: &str, ticks: bool) -> usize {
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            continue;
        }
        // `cargo-cache` in backticks is one name.
        if ticks && c == '-' && chars.peek().is_some_and(|(_, next)| next.is_alphanumeric()) {
            continue;
        }
        let inside = matches!(c, '\'' | '’') && chars.peek().is_some_and(|(_, next)| next.is_alphabetic());
        if ticks || !inside {
            return at;
        }
    }
    rest.len()
}

/// Returns true if the text continues with a member or a path, as in `a.b`, `a::b` and `a->b`.
fn is_member_access(tail: &str) -> bool {
    let follows = |joint: &str| {
        tail.strip_prefix(joint).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphabetic)
    };
    follows(".") || follows("::") || follows("->")
}

/// Returns true if the word contains an underscore, a capital after a small letter, or both letters and
/// digits.
fn has_identifier_shape(word: &str) -> bool {
    let chars: Vec<char> = word.chars().collect();
    chars.contains(&'_')
        || chars.windows(2).any(|pair| matches!(pair, [a, b] if a.is_lowercase() && b.is_uppercase()))
        || (chars.iter().any(|c| c.is_alphabetic()) && chars.iter().any(|c| c.is_ascii_digit()))
}

fn parse_token(word: &str, looks_like_code: bool) -> Option<TextToken> {
    let parts: Vec<String> = split_name(word).iter().map(|part| stem(part)).collect();
    let prose: String = word.to_lowercase().chars().filter(|c| !matches!(c, '\'' | '’')).collect();
    let prose = prose.as_str();
    let stemmed = stem(prose);
    if parts.is_empty() || (looks_like_code && matches!(prose, "self" | "this")) {
        return None;
    }
    if parts.len() > 1 {
        let parts = if parts.iter().any(|part| LEXICON.stop.contains(part)) { vec![] } else { parts };
        let key = word.to_lowercase().replace(['_', '-'], "");
        return Some(TextToken {
            kind: TextTokenKind::Name,
            stem: stem(&key),
            key,
            part_stems: parts,
            weight: COMPOUND_NAME_WEIGHT,
            advice: false,
        });
    }
    let weak = LEXICON.weak.contains(&stemmed) || stemmed.len() < 2;
    if looks_like_code {
        let weight =
            if LEXICON.common_name_stems.contains(&stemmed) { COMMON_NAME } else { SINGLE_NAME_WEIGHT };
        return Some(TextToken::new(TextTokenKind::Name, stemmed.clone(), stemmed, weight));
    }
    let meaning = LEXICON.synonyms.get(&stemmed);
    let weight = match meaning {
        _ if LEXICON.stop.contains(prose) => 0.0,
        Some(_) => SYNONYM_WEIGHT,
        None if weak => WEAK_WORD_WEIGHT,
        None => PLAIN_WORD,
    };
    let key = meaning.cloned().filter(|_| weight > 0.0).unwrap_or_else(|| stemmed.clone());
    let stem = if weight == 0.0 { prose.to_owned() } else { stemmed };
    Some(TextToken::new(TextTokenKind::Prose, key, stem, weight))
}

/// Returns the words in a name such as `fetch_user`, `fetchUser` or `HTTPServer`.
fn split_name(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut parts = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let next_small = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        let last = at.checked_sub(1).and_then(|at| chars.get(at)).copied().unwrap_or('_');
        let begins = c.is_uppercase() && (last.is_lowercase() || (last.is_uppercase() && next_small));
        if matches!(c, '_' | '-') || begins {
            parts.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Returns a word without its English ending. The method is crude, but returns the same stem for the common
/// forms of a word.
pub(super) fn stem(word: &str) -> String {
    let word = word.to_lowercase();
    if !word.is_ascii() || word.len() < 4 {
        return word;
    }
    let cut = |suffix: &str, min_stem_length: usize| {
        word.strip_suffix(suffix).filter(|stem| stem.len() >= min_stem_length)
    };
    let base = cut("ies", 3)
        .map(|stem| format!("{stem}y"))
        .or_else(|| cut("ied", 3).map(|stem| format!("{stem}y")))
        .or_else(|| cut("sses", 2).map(|stem| format!("{stem}ss")))
        .or_else(|| cut("ing", 3).map(str::to_owned))
        .or_else(|| cut("ed", 3).map(str::to_owned))
        .or_else(|| cut("es", 4).map(str::to_owned))
        .or_else(|| cut("s", 3).filter(|stem| !stem.ends_with(['s', 'u', 'i'])).map(str::to_owned))
        .unwrap_or_else(|| word.clone());
    let undoubled = match base.as_bytes() {
        [.., a, b] if a == b && !matches!(b, b's' | b'l' | b'e') && base.len() < word.len() => {
            base.get(..base.len() - 1).unwrap_or(&base)
        }
        _ => &base,
    };
    undoubled.strip_suffix('e').filter(|stem| stem.len() >= 3).unwrap_or(undoubled).to_owned()
}

/// Returns the text without the markup of forges and reviewers: comments, HTML tags, blocks of code and
/// addresses.
fn without_markup(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let kept = if kept.trim().is_empty() { text.to_owned() } else { kept };
    let kept = cut_between(&kept, "<!--", "-->");
    let open = cut_between(&kept, "<details", "</details>");
    let kept = if open.trim().is_empty() { kept } else { open };
    let kept = TAGS.iter().fold(kept, |kept, tag| {
        let opened = cut_between(&kept, &format!("<{tag} "), ">");
        opened.replace(&format!("<{tag}>"), " ").replace(&format!("</{tag}>"), " ")
    });
    let links = kept.split_inclusive(char::is_whitespace).map(|word| {
        let at = ["http://", "https://"].iter().filter_map(|scheme| word.find(scheme)).min();
        at.and_then(|at| word.get(..at)).map_or_else(|| word.to_owned(), |kept| format!("{kept} "))
    });
    links.collect()
}

/// HTML tags that are removed from the text. All other text in angle brackets, such as `<String>`, is treated
/// as code.
const TAGS: [&str; 14] = [
    "details",
    "summary",
    "sub",
    "sup",
    "br",
    "br/",
    "img",
    "b",
    "i",
    "em",
    "strong",
    "blockquote",
    "picture",
    "source",
];

/// Returns `text` without the parts from each `open` to the next `close`. `open` and `close` are removed,
/// too.
fn cut_between(text: &str, open: &str, close: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(open) {
        kept.push_str(before);
        kept.push(' ');
        rest = inside.split_once(close).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}
