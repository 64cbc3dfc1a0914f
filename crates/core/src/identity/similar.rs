//! Measures the similarity of two findings, to decide if both describe the same defect in different words.
//!
//! Two aspects must agree: **where** (the names from the code in both texts) and **what** (the meaning of the
//! words around these names). The value of an aspect is the weight of the names or words that both texts
//! contain, as a share of the total weight. The value is reduced if this common weight is small: half of two
//! long texts is stronger evidence than half of two short texts.
//!
//! If each side mentions names that the other side does not mention ("the other function"), this is evidence
//! against a match. If the texts differ in little more than a name, a number, a negation or an opposite, this
//! is evidence against a match, too. The weights are constants that were chosen with the tuning half of
//! `tests/data`; nothing is learnt at run time.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::text_tokens::{self, TextToken, TextTokenKind};

/// Minimum score of findings that count as the same.
pub const MIN_SAME_SCORE: f64 = 0.5;

/// Value of the combined agreement at which the score equals [`MIN_SAME_SCORE`].
const AGREEMENT_AT_MIN_SCORE: f64 = 0.347;
/// Exponent of "where" in the product of both aspects; the exponent of "what" is 1 minus this value.
const LOCATION_EXPONENT: f64 = 0.6;
/// In the average of the lighter text's common share and the common share of both texts, the weight of the
/// lighter text's share: first for names, then for words. The lighter text is weighted separately because a
/// longer text may contain all its names and many others.
const NAME_CONTAINMENT_WEIGHT: f64 = 0.7;
const WORD_CONTAINMENT_WEIGHT: f64 = 0.5;
/// Common weight at which the trust factor is one half: first for names, then for words.
const HALF_TRUST_NAME_WEIGHT: f64 = 1.0;
const HALF_TRUST_WORD_WEIGHT: f64 = 4.0;
/// Two values of "where": the minimum value if the code is the same, and the value if neither text has names.
/// Both values are low, so the words must agree more strongly.
const MIN_SAME_CODE_LOCATION: f64 = 0.4;
const NAMELESS_LOCATION_SCORE: f64 = 0.3;
/// Value of "what" for texts that share no words. The value is not 0, because the names alone are also
/// evidence of the subject.
const NO_SHARED_WORDS_SCORE: f64 = 0.1;
/// Weight of names that only one text mentions, as evidence against a match.
const MISMATCH_WEIGHT: f64 = 3.0;
/// Factor by which evidence against a match increases if the different names have a word in common
/// (`list_orders`, `list_items`).
const RELATED_NAME_FACTOR: f64 = 2.0;
/// Share of equal wording above which the remaining differences, such as another name or a negation, are
/// evidence against a match.
const MIN_VERBATIM_SHARE: f64 = 0.7;
/// Share of equal wording above which texts count as the same, regardless of the weight of their names and
/// words.
const MIN_REPEATED_SHARE: f64 = 0.9;
/// Minimum number of tokens of a long text. If both texts are long, single different words are not evidence
/// against a match.
const MIN_LONG_TEXT_TOKENS: usize = 40;
/// Minimum share of equal code at which two snippets count as the same code.
const MIN_SAME_CODE_SHARE: f64 = 0.9;
/// Share of equal code below which nearly equal texts count as statements about different code.
const MIN_SIMILAR_CODE_SHARE: f64 = 0.75;

/// The text of one finding, read once and compared many times.
#[derive(Clone, Debug)]
pub struct ComparableFinding {
    path: String,
    tokens: Vec<TextToken>,
    code: Vec<TextToken>,
    text_mentions: TextMentions,
    code_mentions: TextMentions,
}

impl ComparableFinding {
    /// Reads a finding's text (title and body, Markdown) and its code lines, if known. `path` is the current
    /// path of the finding's file. The path and the file name are removed from the text, because any finding
    /// in the file may contain them.
    pub fn new(path: &str, text: &str, snippet: Option<&str>) -> Self {
        let base = path.rsplit('/').next().unwrap_or(path);
        let mut text = text.to_owned();
        for own in [path, base].iter().filter(|own| own.len() > 3) {
            text = text.replace(own, " ");
        }
        let tokens = text_tokens::tokenize_prose(&text);
        let code = snippet.map(text_tokens::tokenize_code).unwrap_or_default();
        let (text_mentions, code_mentions) =
            (TextMentions::from_tokens(&tokens), TextMentions::from_tokens(&code));
        Self { path: path.to_owned(), tokens, code, text_mentions, code_mentions }
    }

    /// Returns the finding with some plain words turned into names: the words that are names in one of the
    /// texts or code snippets.
    fn with_names_from(&self, other: &Self) -> Cow<'_, Self> {
        let vocabulary =
            [&self.text_mentions, &self.code_mentions, &other.text_mentions, &other.code_mentions];
        let is_name = |token: &TextToken| {
            let known =
                |bag: &&TextMentions| bag.names.get(&token.stem).is_some_and(|name| name.weight > 1.0);
            token.kind == TextTokenKind::Prose && token.weight > 0.0 && vocabulary.iter().any(known)
        };
        if !self.tokens.iter().any(is_name) {
            return Cow::Borrowed(self);
        }
        let mut read = self.clone();
        read.tokens.iter_mut().filter(|token| is_name(token)).for_each(TextToken::turn_into_name);
        read.text_mentions = TextMentions::from_tokens(&read.tokens);
        Cow::Owned(read)
    }

    /// Returns the names that this finding's defect description mentions and the other finding's text does
    /// not mention. A name that occurs in the code may be left out.
    fn unmatched_names<'a>(&'a self, other: &Self, same_code: bool) -> Vec<&'a NameMention> {
        let explained = |name: &NameMention| {
            other.text_mentions.has_name(name)
                || (name.part_stems.len() > 1 && other.code_mentions.names.contains_key(&name.key))
                || (same_code && self.code_mentions.has_name(name))
        };
        self.text_mentions.names.values().filter(|name| name.describes_defect && !explained(name)).collect()
    }
}

/// Returns the similarity of two findings, from 0 to 1. Findings with a similarity of at least
/// [`MIN_SAME_SCORE`] count as the same. Similarity is symmetric but not transitive. The similarity of
/// findings in different files is 0.
pub fn similarity(a: &ComparableFinding, b: &ComparableFinding) -> f64 {
    if a.path != b.path {
        return 0.0;
    }
    let code = code_similarity(a, b);
    let (beside_a, beside_b) = (a.with_names_from(b), b.with_names_from(a));
    let (a, b) = (beside_a.as_ref(), beside_b.as_ref());
    let likely = agreement_score(a, b, code);
    let score = likely / (likely + AGREEMENT_AT_MIN_SCORE);
    if score < MIN_SAME_SCORE && !may_exceed_verbatim(a, b) {
        return score;
    }
    let texts = TextAlignment::new(a, b);
    if texts.verbatim_share > MIN_VERBATIM_SHARE
        && (texts.changes_meaning || code.is_some_and(|code| code < MIN_SIMILAR_CODE_SHARE))
    {
        return score / 2.0;
    }
    if texts.verbatim_share > MIN_REPEATED_SHARE {
        return texts.verbatim_share.min(code.unwrap_or(1.0));
    }
    score
}

/// Returns true if [`TextAlignment::verbatim_share`] may exceed [`MIN_VERBATIM_SHARE`]. This check avoids the
/// expensive alignment of the texts.
fn may_exceed_verbatim(a: &ComparableFinding, b: &ComparableFinding) -> bool {
    let (few, many) = if a.tokens.len() < b.tokens.len() { (a, b) } else { (b, a) };
    let found = few.tokens.iter().filter(|token| {
        token.kind != TextTokenKind::Prose || many.text_mentions.lookup_keys.contains(&token.key)
    });
    found.count() as f64 > MIN_VERBATIM_SHARE * many.tokens.len() as f64
}

/// Returns the combined agreement of "where" and "what". The order of words has no effect.
fn agreement_score(a: &ComparableFinding, b: &ComparableFinding, code: Option<f64>) -> f64 {
    let names = OverlapWeights::from_names(a, b);
    let words = OverlapWeights::from_words(a, b);
    let same_code = code.is_some_and(|code| code >= MIN_SAME_CODE_SHARE);
    let against = contradiction_weight(a, b, same_code);
    let doubt = if against > 0.0 {
        let common = names.defect_shared_sum + words.min_shared_sum();
        (1.0 - MISMATCH_WEIGHT * against / (against + common)).max(0.0)
    } else {
        1.0
    };
    let named =
        names.shared_part(NAME_CONTAINMENT_WEIGHT, 2.0) * names.trust_factor(HALF_TRUST_NAME_WEIGHT) * doubt;
    let place = match names.sums {
        _ if same_code && against == 0.0 => named.max(MIN_SAME_CODE_LOCATION),
        [0.0, 0.0] => NAMELESS_LOCATION_SCORE,
        [_, _] => named,
    };
    let matter = words.shared_part(WORD_CONTAINMENT_WEIGHT, 3.0) * words.trust_factor(HALF_TRUST_WORD_WEIGHT)
        + NO_SHARED_WORDS_SCORE;
    let other_code = code.map_or(1.0, |code| (0.5 + code).min(1.0));
    place.powf(LOCATION_EXPONENT) * matter.powf(1.0 - LOCATION_EXPONENT) * other_code
}

/// Sums, for each text, the weight of the names that only this text mentions, and returns the smaller sum.
/// The sum is multiplied by `RELATED_NAME_FACTOR` if different names have a word in common.
fn contradiction_weight(a: &ComparableFinding, b: &ComparableFinding, same_code: bool) -> f64 {
    let (one, other) = (a.unmatched_names(b, same_code), b.unmatched_names(a, same_code));
    let weight = |names: &[&NameMention]| names.iter().map(|name| name.weight).sum::<f64>();
    let related =
        |x: &NameMention, y: &NameMention| x.part_stems.iter().any(|part| y.part_stems.contains(part));
    let family = one.iter().any(|x| other.iter().any(|y| related(x, y)));
    weight(&one).min(weight(&other)) * if family { RELATED_NAME_FACTOR } else { 1.0 }
}

/// A name from the code that a text mentions.
#[derive(Clone, Debug)]
struct NameMention {
    key: String,
    weight: f64,
    part_stems: Vec<String>,
    /// True if the description of the defect mentions the name. False if only advice mentions it.
    describes_defect: bool,
}

/// The names and words of a text, without order.
#[derive(Clone, Debug, Default)]
struct TextMentions {
    names: BTreeMap<String, NameMention>,
    words: BTreeMap<String, f64>,
    /// All strings by which a token can be looked up: keys, stems, and pairs of neighbouring stems joined by
    /// `+`.
    lookup_keys: BTreeSet<String>,
}

impl TextMentions {
    fn from_tokens(tokens: &[TextToken]) -> Self {
        let mut bag = Self::default();
        for token in tokens {
            bag.lookup_keys.insert(token.key.clone());
            bag.lookup_keys.insert(token.stem.clone());
            match token.kind {
                TextTokenKind::Name | TextTokenKind::Number => bag.add_name(token),
                TextTokenKind::Prose if token.weight > 0.0 => {
                    bag.words.insert(token.key.clone(), token.weight);
                }
                TextTokenKind::Prose => {}
            }
        }
        for (one, next) in tokens.iter().zip(tokens.iter().skip(1)) {
            bag.lookup_keys.insert(format!("{}+{}", one.stem, next.stem));
        }
        bag
    }

    /// Adds a name. A name in advice has half the weight, because advice names the desired code.
    fn add_name(&mut self, token: &TextToken) {
        let weight = if token.advice { token.weight / 2.0 } else { token.weight };
        let (key, parts) = (token.key.clone(), token.part_stems.clone());
        let name = self.names.entry(key.clone()).or_insert(NameMention {
            key,
            weight,
            part_stems: parts,
            describes_defect: false,
        });
        name.weight = name.weight.max(weight);
        name.describes_defect |= !token.advice;
    }

    /// Returns true if the text mentions the name, as one word or as separate words.
    fn has_name(&self, name: &NameMention) -> bool {
        let mut neighbours = name.part_stems.iter().zip(name.part_stems.iter().skip(1));
        self.lookup_keys.contains(&name.key)
            || (name.part_stems.len() > 1
                && neighbours.all(|(one, next)| self.lookup_keys.contains(&format!("{one}+{next}"))))
    }

    /// Returns true if a word with this meaning occurs in the text or within a name.
    fn has_word(&self, key: &str) -> bool {
        self.lookup_keys.contains(key)
            || self.names.values().any(|name| name.part_stems.iter().any(|part| part == key))
    }
}

/// For each of two findings: the total weight of its names or words, and the weight of those that the other
/// finding contains, too.
#[derive(Clone, Copy, Debug, Default)]
struct OverlapWeights {
    sums: [f64; 2],
    shared_sums: [f64; 2],
    /// For each finding, the weight of the names in its defect description that the other text mentions, too.
    /// The field contains the smaller of both weights.
    defect_shared_sum: f64,
}

impl OverlapWeights {
    fn from_names(a: &ComparableFinding, b: &ComparableFinding) -> Self {
        let weights = |a: &ComparableFinding, b: &ComparableFinding| {
            a.text_mentions.names.values().fold([0.0; 3], |[sum, found, problem], name| {
                let there = if b.text_mentions.has_name(name) { name.weight } else { 0.0 };
                [sum + name.weight, found + there, problem + if name.describes_defect { there } else { 0.0 }]
            })
        };
        let ([sa, fa, pa], [sb, fb, pb]) = (weights(a, b), weights(b, a));
        Self { sums: [sa, sb], shared_sums: [fa, fb], defect_shared_sum: pa.min(pb) }
    }

    fn from_words(a: &ComparableFinding, b: &ComparableFinding) -> Self {
        let weights = |a: &ComparableFinding, b: &ComparableFinding| {
            a.text_mentions.words.iter().fold((0.0, 0.0), |(sum, found), (key, weight)| {
                (sum + weight, found + if b.text_mentions.has_word(key) { *weight } else { 0.0 })
            })
        };
        let ((sa, fa), (sb, fb)) = (weights(a, b), weights(b, a));
        Self { sums: [sa, sb], shared_sums: [fa, fb], defect_shared_sum: 0.0 }
    }

    fn min_shared_sum(self) -> f64 {
        self.shared_sums[0].min(self.shared_sums[1])
    }

    /// Returns the common weight as a share of the total weight. The result is an average of the share for
    /// both findings together and the lighter finding's share. `contained` is the weight of the lighter
    /// finding's share in this average. The lighter finding's total weight counts as at least `floor`.
    fn shared_part(self, containment_weight: f64, floor: f64) -> f64 {
        let ([a, b], [found_a, found_b]) = (self.sums, self.shared_sums);
        if a + b == 0.0 {
            return 0.0;
        }
        let (small, found) = if (a, found_a) <= (b, found_b) { (a, found_a) } else { (b, found_b) };
        (1.0 - containment_weight) * (found_a + found_b) / (a + b)
            + containment_weight * found / small.max(floor)
    }

    /// Returns a trust factor from 0 to 1 that increases with the common weight. The factor is one half if
    /// the common weight is `half`.
    fn trust_factor(self, half_trust_weight: f64) -> f64 {
        self.min_shared_sum() / (self.min_shared_sum() + half_trust_weight)
    }
}

/// Returns the share of equal code, weighted by tokens; `None` if one finding has no code.
fn code_similarity(a: &ComparableFinding, b: &ComparableFinding) -> Option<f64> {
    let weights = |tokens: &[TextToken]| {
        let mut bag: BTreeMap<String, f64> = BTreeMap::new();
        for token in tokens {
            *bag.entry(token.key.clone()).or_default() += token.weight;
        }
        bag
    };
    if a.code.is_empty() || b.code.is_empty() {
        return None;
    }
    let (a, b) = (weights(&a.code), weights(&b.code));
    let shared: f64 = a.iter().filter_map(|(key, one)| Some(one.min(*b.get(key)?))).sum();
    let sums = [a.values().sum(), b.values().sum()];
    Some(OverlapWeights { sums, shared_sums: [shared; 2], defect_shared_sum: 0.0 }.shared_part(0.5, 3.0))
}

/// Share of the longer text's tokens that the other text has in the same order; 1 means all of them.
#[derive(Debug)]
struct TextAlignment {
    /// Share of the longer text's tokens that the other text has in the same order; 1 means all of them.
    verbatim_share: f64,
    /// True if a difference reverses or changes the meaning.
    changes_meaning: bool,
}

impl TextAlignment {
    fn new(a: &ComparableFinding, b: &ComparableFinding) -> Self {
        let pairs = align_tokens(&a.tokens, &b.tokens);
        let same = pairs.iter().filter(|(one, other)| one.key == other.key).count() as f64;
        // A pair of different names in the same position scores 0.8, because the words around the names
        // match.
        let score = same + 0.8 * (pairs.len() as f64 - same);
        let longer = a.tokens.len().max(b.tokens.len()).max(1);
        let verbatim = score / longer as f64;
        let turned =
            verbatim > MIN_VERBATIM_SHARE && (has_different_name(a, b, &pairs) || has_opposite_words(a, b));
        Self { verbatim_share: verbatim, changes_meaning: turned }
    }
}

/// Returns true if the texts have different names in the same position of the sentence.
fn has_different_name(
    a: &ComparableFinding,
    b: &ComparableFinding,
    pairs: &[(&TextToken, &TextToken)],
) -> bool {
    let count = |tokens: &[TextToken], key: &str| tokens.iter().filter(|token| token.key == key).count();
    let more = |key: &str, here: &ComparableFinding, there: &ComparableFinding| {
        count(&here.tokens, key) > count(&there.tokens, key)
    };
    let mismatched: Vec<_> =
        pairs.iter().filter(|(x, y)| x.key != y.key && !is_abbreviation(&x.key, &y.key)).collect();
    let swapped =
        |x: &TextToken, y: &TextToken| mismatched.iter().any(|(p, q)| p.key == y.key && q.key == x.key);
    mismatched.iter().any(|(x, y)| (more(&x.key, a, b) && more(&y.key, b, a)) || swapped(x, y))
}

/// Returns true if only one text is negated, or if the texts contain opposites. Also returns true if one text
/// is short and each has a significant word that the other lacks.
fn has_opposite_words(a: &ComparableFinding, b: &ComparableFinding) -> bool {
    let denials =
        |s: &ComparableFinding| s.tokens.iter().filter(|token| text_tokens::is_negation(&token.stem)).count();
    let stems =
        |s: &ComparableFinding| s.tokens.iter().map(|token| token.stem.clone()).collect::<BTreeSet<_>>();
    let (one, other) = (stems(a), stems(b));
    let has_only =
        |stems: &BTreeSet<String>, this: &str, that: &str| stems.contains(this) && !stems.contains(that);
    let opposed = text_tokens::opposites().iter().any(|(x, y)| {
        (has_only(&one, x, y) && has_only(&other, y, x)) || (has_only(&one, y, x) && has_only(&other, x, y))
    });
    let alone = |a: &ComparableFinding, b: &ComparableFinding| {
        a.text_mentions.words.iter().any(|(key, weight)| *weight >= 1.0 && !b.text_mentions.has_word(key))
    };
    let short = a.tokens.len().min(b.tokens.len()) < MIN_LONG_TEXT_TOKENS;
    denials(a) % 2 != denials(b) % 2 || opposed || (short && alone(a, b) && alone(b, a))
}

/// Returns true for `resp` and `response`, but not for `user` and `user2`.
fn is_abbreviation(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() >= 3 && long.starts_with(short) && long.chars().all(char::is_alphabetic)
}

/// Returns the longest common sequence of tokens, in which different names may be paired.
fn align_tokens<'a>(a: &'a [TextToken], b: &'a [TextToken]) -> Vec<(&'a TextToken, &'a TextToken)> {
    let worth = |one: &TextToken, other: &TextToken| -> u32 {
        let words = one.kind == TextTokenKind::Prose && other.kind == TextTokenKind::Prose;
        match one.key == other.key {
            true => 5,
            false if words || one.weight == 0.0 || other.weight == 0.0 => 0,
            false => 4,
        }
    };
    // best[i][j] is the highest score for the tokens of `a` from i on and the tokens of `b` from j on.
    let mut best = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for (i, one) in a.iter().enumerate().rev() {
        for (j, other) in b.iter().enumerate().rev() {
            let gain = worth(one, other);
            let both = if gain > 0 { best[i + 1][j + 1] + gain } else { 0 };
            best[i][j] = both.max(best[i + 1][j]).max(best[i][j + 1]);
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, vec![]);
    while let (Some(one), Some(other)) = (a.get(i), b.get(j)) {
        let gain = worth(one, other);
        if gain > 0 && best[i][j] == best[i + 1][j + 1] + gain {
            pairs.push((one, other));
            (i, j) = (i + 1, j + 1);
        } else if best[i][j] == best[i + 1][j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}
