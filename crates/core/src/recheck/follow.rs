//! Where the lines of a finding went: recognised by themselves and by the lines that stood beside them, in whatever the
//! file is by now.
//!
//! Not by a diff: the state in which a finding was seen is often nowhere any more (a working tree, an index, a branch that
//! was rewritten). So a finding remembers its surroundings, and they are fitted into the file by dynamic programming:
//! lines that are equal count by what they hold, lines that stand between them cost a little.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use super::Head;
use crate::excerpt::folded;
use crate::finding::Finding;
use crate::line::{cut, is_hidden};

/// Lines that are remembered above a finding, and below it.
pub const MAX_AROUND: usize = 12;
/// Characters of a line that are remembered.
const MAX_LINE_CHARS: usize = 200;
/// Lines of a file that is searched; what was found in a longer one cannot be followed.
const MAX_LINES: usize = 60_000;
/// Files beside its own in which a finding is looked for.
const MAX_FILES: usize = 300;

/// What equal lines are worth: with words, with signs alone, blank.
const WORDS: i32 = 100;
const SIGNS: i32 = 12;
const BLANK: i32 = 1;
/// The surroundings count as found from here on; with fewer to be found, all of them.
const ENOUGH: i32 = 2 * WORDS;
/// In another file so much of them has to be found, in percent, and at least so much.
const ELSEWHERE_PERCENT: i32 = 50;
const ELSEWHERE: i32 = 3 * WORDS;

/// The surroundings of a finding, as they were when it was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Around {
    /// Lines above it, the nearest last, without indentation.
    pub before: Vec<String>,
    /// Lines below it, the nearest first.
    pub after: Vec<String>,
    /// How often its lines stood in the file.
    pub copies: u32,
}

impl Around {
    /// Of these lines of a file, first and last.
    pub fn of(text: &str, (start, end): (u32, u32), snippet: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let first = index(start).min(lines.len());
        let last = (index(end) + 1).clamp(first, lines.len());
        let kept = |lines: &[&str]| lines.iter().map(|line| key(line)).collect();
        let copies = Tokens::of(text.lines()).all(&Tokens::of(snippet.lines())).len();
        Self {
            before: kept(lines.get(first.saturating_sub(MAX_AROUND)..first).unwrap_or_default()),
            after: kept(lines.get(last..(last + MAX_AROUND).min(lines.len())).unwrap_or_default()),
            copies: u32::try_from(copies).unwrap_or(u32::MAX),
        }
    }
}

/// Where a finding's lines are now. Lines are 1-based and inclusive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Went {
    /// They are there, white space and trailing commas aside.
    There {
        /// The file.
        path: RepoPath,
        /// First line.
        start: u32,
        /// Last line.
        end: u32,
    },
    /// They have changed. Between the lines that stood beside them there is this now.
    Changed {
        /// The file.
        path: RepoPath,
        /// First line; of nothing, the line below.
        start: u32,
        /// Last line; of nothing, the line above.
        end: u32,
    },
    /// The file is there, and has neither them nor what stood beside them.
    Lost {
        /// The file.
        path: RepoPath,
    },
    /// The file is not there any more.
    NoFile,
}

impl Went {
    /// The file.
    pub fn path(&self) -> Option<&RepoPath> {
        match self {
            Self::There { path, .. } | Self::Changed { path, .. } | Self::Lost { path } => Some(path),
            Self::NoFile => None,
        }
    }
}

/// Follows a finding to the head.
pub fn follow<T: Fn(&RepoPath) -> Option<String>>(finding: &Finding, head: &Head<'_, T>) -> Went {
    let was = &finding.raw.place.path;
    let renamed = head.changed.iter().filter(|path| *path != was && head.renames.same_file(path, was));
    let own = std::iter::once(was).chain(renamed).filter_map(|path| {
        let text = (head.text)(path)?;
        Some(Fit::of(finding, path, &text))
    });
    // Of equals the first: its own name.
    let own = own.reduce(|best, other| if other.rank() > best.rank() { other } else { best });
    if let Some(own) = own.as_ref().filter(|own| own.is_there()) {
        return own.went();
    }
    // Its code may have gone to another file.
    let lines: BTreeSet<String> = fragment(finding).into_iter().filter(|line| worth(line) == WORDS).collect();
    let others = head.changed.iter().filter(|path| *path != was && !head.renames.same_file(path, was));
    let least = own.as_ref().map_or(0, |own| own.score);
    let best = others
        .take(MAX_FILES)
        .filter_map(|path| {
            let text = (head.text)(path)?;
            let known: BTreeSet<String> = text.lines().map(key).filter(|line| lines.contains(line)).collect();
            let may_be = i32::try_from(known.len()).unwrap_or(i32::MAX).saturating_mul(WORDS) >= ELSEWHERE;
            may_be.then(|| Fit::of(finding, path, &text))
        })
        .filter(|fit| fit.score >= ELSEWHERE)
        .filter(|fit| fit.is_there() || (fit.score > least && fit.share() >= ELSEWHERE_PERCENT))
        .reduce(|best, other| if other.rank() > best.rank() { other } else { best });
    best.or(own).map_or(Went::NoFile, |fit| fit.went())
}

/// The best place of a finding in a file.
struct Fit {
    path: RepoPath,
    /// Its lines, if they are there.
    there: Option<(usize, usize)>,
    /// The lines between what stood above and below it, and whether that is known.
    between: Option<(usize, usize)>,
    /// What was found of it and its surroundings is worth this, of so much.
    score: i32,
    whole: i32,
}

impl Fit {
    fn of(finding: &Finding, path: &RepoPath, text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let none = Fit { path: path.clone(), there: None, between: None, score: 0, whole: 1 };
        if lines.len() > MAX_LINES {
            return none;
        }
        let wanted = fragment(finding);
        let keys: Vec<String> = lines.iter().map(|line| key(line)).collect();
        let above = finding.around.as_ref().map_or(0, |around| around.before.len());
        let below = finding.around.as_ref().map_or(0, |around| around.after.len());
        let was = index(finding.raw.place.start_line);
        let (score, partners) = fitted(&wanted, &keys, was.saturating_sub(above));
        let whole: i32 = wanted.iter().map(|line| worth(line)).sum();
        let beside: i32 = (0..above)
            .chain(wanted.len() - below..wanted.len())
            .filter(|at| partners.get(*at).is_some_and(Option::is_some))
            .map(|at| wanted.get(at).map_or(0, |line| worth(line)))
            .sum();
        let all_beside: i32 = wanted
            .iter()
            .enumerate()
            .filter(|(at, _)| *at < above || *at >= wanted.len() - below)
            .map(|(_, line)| worth(line))
            .sum();
        let between = (beside >= ENOUGH.min(all_beside) && beside > 0)
            .then(|| gap(&partners, (above, below), (wanted.len(), keys.len())));
        let all = Tokens::of(text.lines()).all(&Tokens::of(finding.raw.snippet.lines()));
        let near = |at: &&(usize, usize)| match between {
            Some((first, last)) if at.1 >= first && at.0 < last => 0,
            Some((first, _)) => at.0.abs_diff(first) + 1,
            None => at.0.abs_diff(was) + 1,
        };
        let nearest = all.iter().min_by_key(near).copied();
        // A copy of it elsewhere in the file is another one, unless there are as many as before.
        let copies = finding.around.as_ref().map_or(1, |around| around.copies.max(1));
        let moved = between.is_none() || u32::try_from(all.len()).unwrap_or(u32::MAX) >= copies;
        let there = nearest.filter(|at| moved || near(&at) == 0);
        Self { there, between, score, whole: whole.max(1), ..none }
    }

    fn is_there(&self) -> bool {
        self.there.is_some()
    }

    /// How much of it is found, in percent.
    fn share(&self) -> i32 {
        self.score.saturating_mul(100) / self.whole
    }

    fn rank(&self) -> (bool, i32) {
        (self.is_there(), self.score)
    }

    fn went(self: &Fit) -> Went {
        let path = self.path.clone();
        match (self.there, self.between) {
            (Some((first, last)), _) => Went::There { path, start: number(first), end: number(last) },
            // One line below the last one above it, to one line above the first one below it.
            (None, Some((first, end))) => {
                Went::Changed { path, start: number(first), end: u32::try_from(end).unwrap_or(u32::MAX) }
            }
            (None, None) => Went::Lost { path },
        }
    }
}

/// A finding's lines and those beside it.
fn fragment(finding: &Finding) -> Vec<String> {
    let (before, after) = match &finding.around {
        Some(around) => (around.before.clone(), around.after.clone()),
        None => (Vec::new(), Vec::new()),
    };
    before.into_iter().chain(finding.raw.snippet.lines().map(key)).chain(after).collect()
}

/// The best fit of some lines, in their order, into others: its score, and the partner of each. Of equals the one that
/// begins nearest to `was`.
fn fitted(wanted: &[String], keys: &[String], was: usize) -> (i32, Vec<Option<usize>>) {
    let (rows, columns) = (wanted.len(), keys.len());
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    for line in wanted {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        numbers.entry(line).or_insert(next);
    }
    let keys: Vec<Option<u32>> = keys.iter().map(|line| numbers.get(line.as_str()).copied()).collect();
    let width = columns + 1;
    // The way here: diagonal (a pair), up (a wanted line is not there), left (a line stands between).
    let mut ways = vec![0_u8; (rows + 1) * width];
    let mut above = vec![0_i32; width];
    let mut begins: Vec<usize> = (0..width).collect();
    for (row, line) in wanted.iter().enumerate() {
        let (line, worth) = (numbers.get(line.as_str()).copied(), worth(line));
        let (mut scores, mut starts) = (vec![0_i32; width], begins.clone());
        for column in 0..width {
            let mut best = (above[column], 1_u8, begins[column]);
            if column > 0 {
                let left = scores[column - 1] - 1;
                if left > best.0 {
                    best = (left, 2, starts[column - 1]);
                }
                if keys[column - 1] == line {
                    let pair = above[column - 1] + worth;
                    let start = if above[column - 1] == 0 { column - 1 } else { begins[column - 1] };
                    let nearer = pair == best.0 && start.abs_diff(was) < best.2.abs_diff(was);
                    if pair > best.0 || nearer {
                        best = (pair, 0, start);
                    }
                }
            }
            scores[column] = best.0;
            starts[column] = best.2;
            ways[(row + 1) * width + column] = best.1;
        }
        above = scores;
        begins = starts;
    }
    let end = (0..width).max_by_key(|&column| {
        (above[column], std::cmp::Reverse(begins[column].abs_diff(was)), std::cmp::Reverse(column))
    });
    let (mut row, mut column) = (rows, end.unwrap_or_default());
    let score = above.get(column).copied().unwrap_or_default();
    let mut partners = vec![None; rows];
    while row > 0 {
        match ways.get(row * width + column) {
            Some(0) if column > 0 => {
                (row, column) = (row - 1, column - 1);
                partners[row] = Some(column);
            }
            Some(2) if column > 0 => column -= 1,
            _ => row -= 1,
        }
    }
    (score, partners)
}

/// The lines between the nearest partners above and below, as a range without its end.
fn gap(
    partners: &[Option<usize>],
    (above, below): (usize, usize),
    (wanted, lines): (usize, usize),
) -> (usize, usize) {
    let found =
        |range: std::ops::Range<usize>| partners.get(range).unwrap_or_default().iter().flatten().copied();
    let (own, after) = (above..wanted - below, wanted - below..wanted);
    let before = found(0..above).last().map(|line| line + 1);
    let behind = found(after).next();
    let size = own.len().max(1) * 2;
    let first = before.or_else(|| found(own.clone()).next().filter(|_| above > 0));
    let last = behind.or_else(|| found(own).last().map(|line| line + 1).filter(|_| below > 0));
    match (first, last) {
        (Some(first), Some(last)) => (first, last.max(first)),
        // At the end of the file there was nothing below; else what stood there is gone.
        (Some(first), None) if below == 0 => (first, lines),
        (Some(first), None) => (first, (first + size).min(lines)),
        (None, Some(last)) if above == 0 => (0, last),
        (None, Some(last)) => (last.saturating_sub(size), last),
        (None, None) => (0, lines),
    }
}

/// A line as it is compared.
fn key(line: &str) -> String {
    cut(folded(std::iter::once(line)), MAX_LINE_CHARS)
}

fn worth(line: &str) -> i32 {
    if line.is_empty() {
        BLANK
    } else if line.chars().any(char::is_alphanumeric) {
        WORDS
    } else {
        SIGNS
    }
}

/// The words and signs of lines, with the line of each. How code is broken into lines, which quotes it has and whether a
/// comma stands before a closing bracket is no difference.
struct Tokens<'a> {
    tokens: Vec<&'a str>,
    lines: Vec<usize>,
}

impl<'a> Tokens<'a> {
    fn of(lines: impl Iterator<Item = &'a str>) -> Self {
        let (mut tokens, mut at) = (Vec::<&str>::new(), Vec::new());
        for (number, line) in lines.enumerate() {
            let mut rest = line;
            while let Some(char) = rest.chars().next() {
                let is_word = |char: char| char.is_alphanumeric() || char == '_';
                let end = if is_word(char) {
                    rest.find(|char| !is_word(char)).unwrap_or(rest.len())
                } else {
                    char.len_utf8()
                };
                let (token, more) = rest.split_at(end);
                rest = more;
                if char.is_whitespace() || is_hidden(char) {
                    continue;
                }
                if matches!(char, ')' | ']' | '}') && tokens.last() == Some(&",") {
                    tokens.pop();
                    at.pop();
                }
                tokens.push(if matches!(char, '\'' | '`') { "\"" } else { token });
                at.push(number);
            }
        }
        Self { tokens, lines: at }
    }

    /// Where these stand as whole lines: the first line and the last of each place.
    fn all(&self, wanted: &Self) -> Vec<(usize, usize)> {
        let wanted = wanted.tokens.as_slice();
        if wanted.is_empty() {
            return Vec::new();
        }
        let begins = |at: usize| at == 0 || self.lines.get(at) != self.lines.get(at - 1);
        let ends = |at: usize| self.lines.get(at) != self.lines.get(at + 1);
        let windows = self.tokens.windows(wanted.len()).enumerate();
        windows
            .filter(|(at, window)| begins(*at) && *window == wanted && ends(at + wanted.len() - 1))
            .filter_map(|(at, _)| Some((*self.lines.get(at)?, *self.lines.get(at + wanted.len() - 1)?)))
            .collect()
    }
}

/// The index of a line.
fn index(line: u32) -> usize {
    usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// The line of an index.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}
