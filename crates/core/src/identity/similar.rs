//! How alike two findings are: the same defect in other words, or another one?
//!
//! Two things must agree: **where** (the names of the code that both mention) and **what** (the meaning of the
//! words around them). Each is a share of weight, damped where little is
//! shared in all: two long texts with half in common say more than two short ones. What speaks against: names
//! that only one mentions, on both sides ("the other function"), and texts that are almost word by word the
//! same but for a name, a number, a denial or an opposite. Nothing is learnt at run time; the weights were
//! chosen on the tuning half of `tests/data`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::words::{self, TextToken, TextTokenKind};

/// A score from here on means: the same finding.
pub const SAME: f64 = 0.5;

/// The raw agreement at which the score is [`SAME`].
const THRESHOLD: f64 = 0.347;
/// How much "where" counts beside "what", as exponents of a product.
const WHERE: f64 = 0.6;
/// How much the share of the smaller side counts beside the share of both: names, then words. A prompt of
/// twenty lines names what a title names, and more.
const NAMES_CONTAINED: f64 = 0.7;
const WORDS_CONTAINED: f64 = 0.5;
/// Weight that must be shared for half of the trust: names, then words.
const NAMES_TRUST: f64 = 1.0;
const WORDS_TRUST: f64 = 4.0;
/// What "where" is worth at least under the same code, and where neither names anything: then words must agree all
/// the more.
const SAME_CODE_PLACE: f64 = 0.4;
const NAMELESS_PLACE: f64 = 0.3;
/// What words are worth where they have nothing in common: names tell of the matter, too.
const UNSAID: f64 = 0.1;
/// How hard names speak against that each side mentions alone.
const AGAINST: f64 = 3.0;
/// Names of one family (`list_orders`, `list_items`) speak against with this factor.
const FAMILY: f64 = 2.0;
/// From here on texts are the same word by word, so that what differs is meant to differ.
const VERBATIM: f64 = 0.7;
/// From here on texts say the same, whatever their names and words weigh.
const REPEATED: f64 = 0.9;
/// Texts with more tokens than this are not one sentence: single words may differ.
const SENTENCE: usize = 40;
/// Code that is the same but for white space and details.
const SAME_CODE: f64 = 0.9;
/// Under a repeated text, code below this is another place.
const OTHER_CODE: f64 = 0.75;

/// What one finding says, read once and compared many times.
#[derive(Clone, Debug)]
pub struct ComparableFinding {
    path: String,
    tokens: Vec<TextToken>,
    code: Vec<TextToken>,
    said: TextMentions,
    shown: TextMentions,
}

impl ComparableFinding {
    /// Reads a text (title and body, Markdown) and the lines of code it is about, if known. `path` is the file
    /// after renames; where the text names it, that tells nothing, because all findings of the file could.
    pub fn new(path: &str, text: &str, snippet: Option<&str>) -> Self {
        let base = path.rsplit('/').next().unwrap_or(path);
        let mut text = text.to_owned();
        for own in [path, base].iter().filter(|own| own.len() > 3) {
            text = text.replace(own, " ");
        }
        let tokens = words::read(&text);
        let code = snippet.map(words::read_code).unwrap_or_default();
        let (said, shown) = (TextMentions::of(&tokens), TextMentions::of(&code));
        Self { path: path.to_owned(), tokens, code, said, shown }
    }

    /// The same, with words taken as names that are names on the other side or in the code.
    fn beside(&self, other: &Self) -> Cow<'_, Self> {
        let vocabulary = [&self.said, &self.shown, &other.said, &other.shown];
        let is_name = |token: &TextToken| {
            let known =
                |bag: &&TextMentions| bag.names.get(&token.stem).is_some_and(|name| name.weight > 1.0);
            token.kind == TextTokenKind::Word && token.weight > 0.0 && vocabulary.iter().any(known)
        };
        if !self.tokens.iter().any(is_name) {
            return Cow::Borrowed(self);
        }
        let mut read = self.clone();
        read.tokens.iter_mut().filter(|token| is_name(token)).for_each(TextToken::become_name);
        read.said = TextMentions::of(&read.tokens);
        Cow::Owned(read)
    }

    /// Names in what is said to be wrong that the other side does not mention, and that the code they are
    /// both about does not explain.
    fn alone<'a>(&'a self, other: &Self, same_code: bool) -> Vec<&'a NameMention> {
        let explained = |name: &NameMention| {
            other.said.has_name(name)
                || (name.parts.len() > 1 && other.shown.names.contains_key(&name.key))
                || (same_code && self.shown.has_name(name))
        };
        self.said.names.values().filter(|name| name.problem && !explained(name)).collect()
    }
}

/// How alike two statements are, from 0 to 1; from [`SAME`] on they are the same finding. Symmetric, but not
/// transitive: never a key. Statements about different files are never the same.
pub fn similarity(a: &ComparableFinding, b: &ComparableFinding) -> f64 {
    if a.path != b.path {
        return 0.0;
    }
    let code = code_alike(a, b);
    let (beside_a, beside_b) = (a.beside(b), b.beside(a));
    let (a, b) = (beside_a.as_ref(), beside_b.as_ref());
    let likely = agreement(a, b, code);
    let score = likely / (likely + THRESHOLD);
    if score < SAME && !may_run_alike(a, b) {
        return score;
    }
    let texts = TextAlignment::of(a, b);
    if texts.verbatim > VERBATIM && (texts.turned || code.is_some_and(|code| code < OTHER_CODE)) {
        return score / 2.0;
    }
    if texts.verbatim > REPEATED {
        return texts.verbatim.min(code.unwrap_or(1.0));
    }
    score
}

/// Could [`TextAlignment::verbatim`] be above [`VERBATIM`]? Told without laying the texts side by side.
fn may_run_alike(a: &ComparableFinding, b: &ComparableFinding) -> bool {
    let (few, many) = if a.tokens.len() < b.tokens.len() { (a, b) } else { (b, a) };
    let found = few
        .tokens
        .iter()
        .filter(|token| token.kind != TextTokenKind::Word || many.said.index.contains(&token.key));
    found.count() as f64 > VERBATIM * many.tokens.len() as f64
}

/// Where and what, before a look at the order of words.
fn agreement(a: &ComparableFinding, b: &ComparableFinding, code: Option<f64>) -> f64 {
    let names = SharedWeight::names(a, b);
    let words = SharedWeight::words(a, b);
    let same_code = code.is_some_and(|code| code >= SAME_CODE);
    let against = against(a, b, same_code);
    let doubt = if against > 0.0 {
        let common = names.problem + words.least();
        (1.0 - AGAINST * against / (against + common)).max(0.0)
    } else {
        1.0
    };
    let named = names.share(NAMES_CONTAINED, 2.0) * names.trust(NAMES_TRUST) * doubt;
    let place = match names.sums {
        _ if same_code && against == 0.0 => named.max(SAME_CODE_PLACE),
        [0.0, 0.0] => NAMELESS_PLACE,
        [_, _] => named,
    };
    let matter = words.share(WORDS_CONTAINED, 3.0) * words.trust(WORDS_TRUST) + UNSAID;
    let other_code = code.map_or(1.0, |code| (0.5 + code).min(1.0));
    place.powf(WHERE) * matter.powf(1.0 - WHERE) * other_code
}

/// The weight of names that each side alone mentions: the lesser of both sides.
fn against(a: &ComparableFinding, b: &ComparableFinding, same_code: bool) -> f64 {
    let (one, other) = (a.alone(b, same_code), b.alone(a, same_code));
    let weight = |names: &[&NameMention]| names.iter().map(|name| name.weight).sum::<f64>();
    let related = |x: &NameMention, y: &NameMention| x.parts.iter().any(|part| y.parts.contains(part));
    let family = one.iter().any(|x| other.iter().any(|y| related(x, y)));
    weight(&one).min(weight(&other)) * if family { FAMILY } else { 1.0 }
}

/// A name of the code in a text.
#[derive(Clone, Debug)]
struct NameMention {
    key: String,
    weight: f64,
    parts: Vec<String>,
    /// Is it in what is said to be wrong, rather than in advice alone?
    problem: bool,
}

/// What a text mentions, without order.
#[derive(Clone, Debug, Default)]
struct TextMentions {
    names: BTreeMap<String, NameMention>,
    words: BTreeMap<String, f64>,
    /// Everything by which a token can be found: keys, stems, and two neighbours joined by `+`.
    index: BTreeSet<String>,
}

impl TextMentions {
    fn of(tokens: &[TextToken]) -> Self {
        let mut bag = Self::default();
        for token in tokens {
            bag.index.insert(token.key.clone());
            bag.index.insert(token.stem.clone());
            match token.kind {
                TextTokenKind::Name | TextTokenKind::Number => bag.add_name(token),
                TextTokenKind::Word if token.weight > 0.0 => {
                    bag.words.insert(token.key.clone(), token.weight);
                }
                TextTokenKind::Word => {}
            }
        }
        for (one, next) in tokens.iter().zip(tokens.iter().skip(1)) {
            bag.index.insert(format!("{}+{}", one.stem, next.stem));
        }
        bag
    }

    /// Advice names what it would like to see: that counts half.
    fn add_name(&mut self, token: &TextToken) {
        let weight = if token.advice { token.weight / 2.0 } else { token.weight };
        let (key, parts) = (token.key.clone(), token.parts.clone());
        let name =
            self.names.entry(key.clone()).or_insert(NameMention { key, weight, parts, problem: false });
        name.weight = name.weight.max(weight);
        name.problem |= !token.advice;
    }

    /// Is it mentioned, as it is or written as separate words?
    fn has_name(&self, name: &NameMention) -> bool {
        let mut neighbours = name.parts.iter().zip(name.parts.iter().skip(1));
        self.index.contains(&name.key)
            || (name.parts.len() > 1
                && neighbours.all(|(one, next)| self.index.contains(&format!("{one}+{next}"))))
    }

    /// Is a meaning there, also within a name?
    fn has_word(&self, key: &str) -> bool {
        self.index.contains(key) || self.names.values().any(|name| name.parts.iter().any(|part| part == key))
    }
}

/// Weight on both sides, and how much of each is found on the other.
#[derive(Clone, Copy, Debug, Default)]
struct SharedWeight {
    sums: [f64; 2],
    found: [f64; 2],
    /// Found on both sides among the names in what is said to be wrong: the lesser.
    problem: f64,
}

impl SharedWeight {
    fn names(a: &ComparableFinding, b: &ComparableFinding) -> Self {
        let weights = |a: &ComparableFinding, b: &ComparableFinding| {
            a.said.names.values().fold([0.0; 3], |[sum, found, problem], name| {
                let there = if b.said.has_name(name) { name.weight } else { 0.0 };
                [sum + name.weight, found + there, problem + if name.problem { there } else { 0.0 }]
            })
        };
        let ([sa, fa, pa], [sb, fb, pb]) = (weights(a, b), weights(b, a));
        Self { sums: [sa, sb], found: [fa, fb], problem: pa.min(pb) }
    }

    fn words(a: &ComparableFinding, b: &ComparableFinding) -> Self {
        let weights = |a: &ComparableFinding, b: &ComparableFinding| {
            a.said.words.iter().fold((0.0, 0.0), |(sum, found), (key, weight)| {
                (sum + weight, found + if b.said.has_word(key) { *weight } else { 0.0 })
            })
        };
        let ((sa, fa), (sb, fb)) = (weights(a, b), weights(b, a));
        Self { sums: [sa, sb], found: [fa, fb], problem: 0.0 }
    }

    fn least(self) -> f64 {
        self.found[0].min(self.found[1])
    }

    /// The share that is found: of both sides together, and, `contained` of it, of the smaller side, which
    /// counts as no smaller than `floor`.
    fn share(self, contained: f64, floor: f64) -> f64 {
        let ([a, b], [found_a, found_b]) = (self.sums, self.found);
        if a + b == 0.0 {
            return 0.0;
        }
        let (small, found) = if (a, found_a) <= (b, found_b) { (a, found_a) } else { (b, found_b) };
        (1.0 - contained) * (found_a + found_b) / (a + b) + contained * found / small.max(floor)
    }

    /// Grows with what is shared in all; one half at `half`.
    fn trust(self, half: f64) -> f64 {
        self.least() / (self.least() + half)
    }
}

/// The share of code that is the same, by weight of tokens; none if one side shows none.
fn code_alike(a: &ComparableFinding, b: &ComparableFinding) -> Option<f64> {
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
    Some(SharedWeight { sums, found: [shared; 2], problem: 0.0 }.share(0.5, 3.0))
}

/// Two texts laid side by side.
#[derive(Debug)]
struct TextAlignment {
    /// How much of the longer text runs as the other does: 1 is all.
    verbatim: f64,
    /// Does something that differs turn the meaning?
    turned: bool,
}

impl TextAlignment {
    fn of(a: &ComparableFinding, b: &ComparableFinding) -> Self {
        let pairs = align(&a.tokens, &b.tokens);
        let same = pairs.iter().filter(|(one, other)| one.key == other.key).count() as f64;
        // A name against another keeps the sentence, but is not the same.
        let score = same + 0.8 * (pairs.len() as f64 - same);
        let longer = a.tokens.len().max(b.tokens.len()).max(1);
        let verbatim = score / longer as f64;
        let turned = verbatim > VERBATIM && (names_turned(a, b, &pairs) || words_turned(a, b));
        Self { verbatim, turned }
    }
}

/// Does a name stand where the other text has another one?
fn names_turned(a: &ComparableFinding, b: &ComparableFinding, pairs: &[(&TextToken, &TextToken)]) -> bool {
    let count = |tokens: &[TextToken], key: &str| tokens.iter().filter(|token| token.key == key).count();
    let more = |key: &str, here: &ComparableFinding, there: &ComparableFinding| {
        count(&here.tokens, key) > count(&there.tokens, key)
    };
    let mismatched: Vec<_> =
        pairs.iter().filter(|(x, y)| x.key != y.key && !abbreviates(&x.key, &y.key)).collect();
    let swapped =
        |x: &TextToken, y: &TextToken| mismatched.iter().any(|(p, q)| p.key == y.key && q.key == x.key);
    mismatched.iter().any(|(x, y)| (more(&x.key, a, b) && more(&y.key, b, a)) || swapped(x, y))
}

/// Is one denied and the other not, do they say opposites, or does a short text have another word of weight?
fn words_turned(a: &ComparableFinding, b: &ComparableFinding) -> bool {
    let denials = |s: &ComparableFinding| s.tokens.iter().filter(|token| words::denies(&token.stem)).count();
    let stems =
        |s: &ComparableFinding| s.tokens.iter().map(|token| token.stem.clone()).collect::<BTreeSet<_>>();
    let (one, other) = (stems(a), stems(b));
    let has_only =
        |stems: &BTreeSet<String>, this: &str, that: &str| stems.contains(this) && !stems.contains(that);
    let opposed = words::opposites().iter().any(|(x, y)| {
        (has_only(&one, x, y) && has_only(&other, y, x)) || (has_only(&one, y, x) && has_only(&other, x, y))
    });
    let alone = |a: &ComparableFinding, b: &ComparableFinding| {
        a.said.words.iter().any(|(key, weight)| *weight >= 1.0 && !b.said.has_word(key))
    };
    let short = a.tokens.len().min(b.tokens.len()) < SENTENCE;
    denials(a) % 2 != denials(b) % 2 || opposed || (short && alone(a, b) && alone(b, a))
}

/// `resp` and `response`, but not `user` and `user2`.
fn abbreviates(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() >= 3 && long.starts_with(short) && long.chars().all(char::is_alphabetic)
}

/// The longest run of tokens in common, in order, in which a name may stand against another.
fn align<'a>(a: &'a [TextToken], b: &'a [TextToken]) -> Vec<(&'a TextToken, &'a TextToken)> {
    let worth = |one: &TextToken, other: &TextToken| -> u32 {
        let words = one.kind == TextTokenKind::Word && other.kind == TextTokenKind::Word;
        match one.key == other.key {
            true => 5,
            false if words || one.weight == 0.0 || other.weight == 0.0 => 0,
            false => 4,
        }
    };
    // best[i][j]: the most that the tokens from i and from j on can be worth.
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
