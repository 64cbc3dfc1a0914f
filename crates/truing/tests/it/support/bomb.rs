//! Generates bombs, which are texts that repeat pieces of a grammar, and records the memory and time that a
//! parser needs for them.

#![allow(clippy::print_stdout, reason = "the figures are its result")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Environment variable in the format `SECONDS,SEED,FOLDER`: the time for generating texts, the first seed,
/// and the folder to which texts that exceed a limit are written.
const HOW_LONG: &str = "TRUING_FUZZ_BOMBS";

/// Tokens that are used in the texts for every grammar.
const COMMON: &[&str] = &[
    "(", ")", "[", "]", "{", "}", "<", ">", ",", ";", ":", ".", "=", "==", "=>", "->", "+", "-", "*", "/",
    "%", "&", "&&", "|", "||", "!", "?", "??", "@", "#", "\\", "'", "\"", "`", "a", "b", "x1", "0", "1.5",
    "\n", " ", "\t", "é", "‹", "if", "for", "return", "else", "in", "...", "..", "::", "<<", ">>", ">>>",
    "/*", "*/", "//", "a<b", "f(", "a=",
];

/// Number of texts to generate: a fixed number, or as many as possible in a given time.
pub(crate) struct BombRequest {
    seconds: Option<Duration>,
    first: u64,
    kept: Option<PathBuf>,
}

impl BombRequest {
    pub(crate) fn from_environment() -> Self {
        let asked = std::env::var(HOW_LONG).ok();
        let mut parts = asked.as_deref().unwrap_or_default().splitn(3, ',');
        let seconds = parts.next().and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let first = parts.next().map_or(1, |text| text.parse().unwrap());
        Self { seconds, first, kept: parts.next().filter(|folder| !folder.is_empty()).map(PathBuf::from) }
    }

    /// Returns consecutive seeds until the time is over, or `few` seeds if no time is given.
    pub(crate) fn seeds(&self, few: u64) -> impl Iterator<Item = u64> + use<> {
        let (begun, seconds, first) = (Instant::now(), self.seconds, self.first);
        (first..).take_while(move |seed| match seconds {
            Some(seconds) => begun.elapsed() < seconds,
            None => *seed < first + few,
        })
    }

    /// Writes a text to a file of this name in the folder, if a folder is given.
    pub(crate) fn save_text(&self, name: &str, text: &str) {
        if let Some(folder) = &self.kept {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
}

/// A generator of pseudo-random numbers, which depend only on the seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn choose<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// Returns a text that repeats tokens in sequence or nested, or that consists of one long word or of many
/// different words. Its size is between about 2^10 and 2^`largest` bytes.
pub(crate) fn generate_text(begins: &[&str], words: &[&str], largest: usize, random: &mut Random) -> String {
    let unit = |random: &mut Random| {
        let mut unit = String::new();
        for _ in 0..=random.below(4) {
            unit += match random.below(2) {
                0 => random.choose(COMMON),
                _ => random.choose(words),
            };
            unit += random.choose(&["", "", " "]);
        }
        unit
    };
    let size = 1 << (10 + random.below(largest - 9));
    let mut text = random.choose(begins).to_owned();
    let (first, second) = (unit(random), unit(random));
    let times = size / first.len().max(1);
    match random.below(6) {
        0..=2 => text += &first.repeat(times),
        3 => {
            text += &first.repeat(times / 2);
            text += &unit(random);
            text += &second.repeat(times / 2);
        }
        4 => {
            for at in 0..times / 2 {
                text += if at % (2 + random.below(3)) == 0 { &second } else { &first };
            }
        }
        _ => match random.below(3) {
            0 => text += &random.choose(&["a", "1", "'", "_", "é", "(", "\\"]).repeat(size),
            1 => (0..size / 12).for_each(|key| text += &format!("k{key}: {key},\n")),
            _ => (0..size / 16).for_each(|name| text += &format!("{first} n{name} {second}\n")),
        },
    }
    text
}

/// For each reader, the texts that needed the most memory and time, with their seeds.
#[derive(Default)]
pub(crate) struct CostliestTexts(BTreeMap<&'static str, Figures>);

#[derive(Default)]
struct Figures {
    count: usize,
    /// Each value comes with the seed of its text: the most memory per byte of text, the most memory, the
    /// most seconds per MB of text, and the most seconds.
    memory_ratio: (f64, u64),
    memory: (u64, u64),
    time_ratio: (f64, u64),
    time: (f64, u64),
}

impl CostliestTexts {
    pub(crate) fn add(&mut self, name: &'static str, seed: u64, bytes: u64, memory: u64, took: Duration) {
        let of = self.0.entry(name).or_default();
        of.count += 1;
        let most = |kept: &mut (f64, u64), is: f64| {
            if is > kept.0 {
                *kept = (is, seed);
            }
        };
        most(&mut of.memory_ratio, memory as f64 / bytes as f64);
        most(&mut of.time_ratio, took.as_secs_f64() * 1e6 / bytes as f64);
        most(&mut of.time, took.as_secs_f64());
        of.memory = of.memory.max((memory, seed));
    }

    pub(crate) fn print(&self) {
        for (name, of) in &self.0 {
            println!(
                "bombs: {name}: {} read; worst {:.0} bytes a byte (seed {}), {} MiB (seed {}), {:.1} s a MB \
                 (seed {}), {:.2} s (seed {})",
                of.count,
                of.memory_ratio.0,
                of.memory_ratio.1,
                of.memory.0 >> 20,
                of.memory.1,
                of.time_ratio.0,
                of.time_ratio.1,
                of.time.0,
                of.time.1,
            );
        }
    }
}
