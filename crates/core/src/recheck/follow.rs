//! Where the lines of a finding went: recognised by themselves and by the lines that stood beside them, in whatever the
//! file is by now.
//!
//! Not by a diff: the state in which a finding was seen is often nowhere any more (a working tree, an index, a branch
//! that was rewritten). So a finding remembers its surroundings, and they are fitted into the file by dynamic
//! programming: lines that are equal count by what they hold, lines that stand between them cost a little.

use std::collections::BTreeSet;

use truing_diff::RepoPath;

use super::around::index;
use super::head::HeadView;
use super::page::{ComparedFile, SearchTokens, key_hash};
use crate::finding::Finding;

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

/// So many of its lines, and so much of all of them in percent, may be what is left of it in a file that was rewritten.
const LIKE_LINES: usize = 3;
const LIKE_PERCENT: usize = 25;

/// Where a finding's lines are now. Lines are 1-based and inclusive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FollowOutcome {
    /// They are there, comments and a formatter's doings aside.
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
        /// The first and the last of these that most likely are its own: they may be fewer, for what stood beside it may have
        /// changed with it. Of nothing, the same as above.
        likely: (u32, u32),
    },
    /// The file is there, and has neither them nor what stood beside them.
    Lost {
        /// The file.
        path: RepoPath,
    },
    /// The file is not there any more.
    NoFile,
}

impl FollowOutcome {
    /// The file.
    pub fn path(&self) -> Option<&RepoPath> {
        match self {
            Self::There { path, .. } | Self::Changed { path, .. } | Self::Lost { path } => Some(path),
            Self::NoFile => None,
        }
    }
}

/// Follows a finding to the head.
pub fn follow<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    head: &HeadView<'_, T>,
) -> FollowOutcome {
    let was = &finding.raw.place.path;
    let wanted = TargetLines::of(finding);
    let renamed = head.changed.iter().filter(|path| *path != was && head.renames.same_file(path, was));
    let own = std::iter::once(was).chain(renamed).filter_map(|path| {
        let page = head.page(path)?;
        Some(LineMatch::of(&wanted, path, &page))
    });
    // Of equals the first: its own name.
    let own = own.reduce(|best, other| if other.rank() > best.rank() { other } else { best });
    if let Some(own) = own.as_ref().filter(|own| own.is_there()) {
        return own.went();
    }
    // Its code may have gone to another file.
    let lines: BTreeSet<u64> =
        wanted.lines.iter().filter(|line| line.worth == WORDS).map(|line| line.key).collect();
    let others = head.changed.iter().filter(|path| *path != was && !head.renames.same_file(path, was));
    let least = own.as_ref().map_or(0, |own| own.score);
    let best = others
        .take(MAX_FILES)
        .filter_map(|path| {
            let page = head.page(path)?;
            let known: BTreeSet<u64> =
                page.lines.iter().copied().filter(|line| lines.contains(line)).collect();
            let may_be = i32::try_from(known.len()).unwrap_or(i32::MAX).saturating_mul(WORDS) >= ELSEWHERE;
            may_be.then(|| LineMatch::of(&wanted, path, &page))
        })
        .filter(|fit| fit.score >= ELSEWHERE)
        .filter(|fit| fit.is_there() || (fit.score > least && fit.share() >= ELSEWHERE_PERCENT))
        .reduce(|best, other| if other.rank() > best.rank() { other } else { best });
    best.or(own).map_or(FollowOutcome::NoFile, |fit| fit.went())
}

/// May the code of a finding whose file is gone be in another file that the change adds to, so much rewritten that it is not
/// known again?
pub(super) fn may_be_rewritten<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    head: &HeadView<'_, T>,
) -> bool {
    let wanted = TargetLines::of(finding);
    let words: BTreeSet<u64> =
        wanted.lines.iter().filter(|line| line.worth == WORDS).map(|line| line.key).collect();
    head.changed.iter().take(MAX_FILES).filter_map(|path| head.page(path)).any(|page| {
        let known: BTreeSet<u64> = page.lines.iter().copied().filter(|line| words.contains(line)).collect();
        known.len() >= LIKE_LINES && known.len() * 100 >= words.len() * LIKE_PERCENT
    })
}

/// A finding's lines and those beside it, as they are looked for.
struct TargetLines {
    lines: Vec<TargetLine>,
    /// Of these, so many stood above it, and so many below.
    above: usize,
    below: usize,
    /// How often its lines stood in its file.
    copies: u32,
    /// The index of its first line then.
    was: usize,
    /// Its own lines.
    sought: SearchTokens,
    /// What all of them are worth, and those beside it.
    whole: i32,
    beside: i32,
}

#[derive(Clone, Copy)]
struct TargetLine {
    key: u64,
    worth: i32,
}

impl TargetLines {
    fn of(finding: &Finding) -> Self {
        let line = |line: &str| TargetLine { key: key_hash(line), worth: worth(line.trim()) };
        let around = finding.around.as_ref();
        let before = around.map_or(&[][..], |around| &around.before);
        let after = around.map_or(&[][..], |around| &around.after);
        let own = finding.raw.snippet.lines();
        let lines: Vec<TargetLine> = before
            .iter()
            .map(|text| line(text))
            .chain(own.map(line))
            .chain(after.iter().map(|text| line(text)))
            .collect();
        let (above, below) = (before.len(), after.len());
        let of_these = |lines: &[TargetLine]| lines.iter().map(|line| line.worth).sum::<i32>();
        let whole = of_these(&lines);
        let own = of_these(lines.get(above..lines.len() - below).unwrap_or_default());
        Self {
            above,
            below,
            copies: around.map_or(1, |around| around.copies.max(1)),
            was: index(finding.raw.place.start_line),
            sought: SearchTokens::of(&finding.raw.snippet),
            whole,
            beside: whole - own,
            lines,
        }
    }

    /// The one place where all of it stands as it was, if it has enough lines to know it by: its own first line and the
    /// last.
    fn as_it_was(&self, lines: &[u64]) -> Option<(usize, usize)> {
        let count = self.lines.len();
        let first = self.lines.first()?.key;
        if self.beside < ENOUGH || self.above + self.below == count {
            return None;
        }
        let is_here = |at: usize| {
            lines
                .get(at..at + count)
                .is_some_and(|here| here.iter().zip(&self.lines).all(|(here, wanted)| *here == wanted.key))
        };
        let mut places = (0..lines.len()).filter(|at| lines.get(*at) == Some(&first) && is_here(*at));
        let at = places.next()?;
        places.next().is_none().then(|| (at + self.above, at + count - self.below - 1))
    }

    /// Of the lines between what stood above and below it, those that most likely are its own, as a range without its end. One
    /// that is as it was tells where the others are. Else, if as many lines are there as were, each is where it was. What
    /// changed in other ways is shown from its beginning.
    fn likely(&self, partners: &[Option<usize>], (first, end): (usize, usize)) -> (usize, usize) {
        let count = self.lines.len() - self.above - self.below;
        let own = self.above..self.above + count;
        let known = |row: &usize| {
            let is_telling = self.lines.get(*row).is_some_and(|line| line.worth == WORDS);
            let at =
                partners.get(*row).copied().flatten().filter(|at| is_telling && (first..end).contains(at));
            at.map(|at| (row - self.above, at))
        };
        let (highest, lowest) =
            (own.clone().find_map(|row| known(&row)), own.rev().find_map(|row| known(&row)));
        if let (Some((before, highest)), Some((row, lowest))) = (highest, lowest) {
            return (highest.saturating_sub(before).max(first), (lowest + count - row).min(end));
        }
        let is_gone = |row: &usize| partners.get(*row).copied().flatten().is_none();
        let above = (0..self.above).rev().take_while(is_gone).count();
        let below = (self.above + count..self.lines.len()).take_while(is_gone).count();
        let start = if end - first == above + count + below { first + above } else { first };
        (start, (start + count.max(1)).min(end))
    }
}

/// The best place of a finding in a file.
struct LineMatch {
    path: RepoPath,
    /// Its lines, if they are there.
    there: Option<(usize, usize)>,
    /// The lines between what stood above and below it, and whether that is known.
    between: Option<(usize, usize)>,
    /// Of these, those that most likely are its own.
    likely: (usize, usize),
    /// What was found of it and its surroundings is worth this, of so much.
    score: i32,
    whole: i32,
}

impl LineMatch {
    fn of(wanted: &TargetLines, path: &RepoPath, page: &ComparedFile) -> Self {
        let whole = wanted.whole.max(1);
        let none =
            LineMatch { path: path.clone(), there: None, between: None, likely: (0, 0), score: 0, whole };
        if page.lines.len() > MAX_LINES {
            return none;
        }
        if let Some(there) = wanted.as_it_was(&page.lines) {
            return Self { there: Some(there), score: whole, ..none };
        }
        let TargetLines { lines, above, below, was, .. } = wanted;
        let (score, partners) = fitted(lines, &page.lines, was.saturating_sub(*above));
        let beside: i32 = (0..*above)
            .chain(lines.len() - below..lines.len())
            .filter(|at| partners.get(*at).is_some_and(Option::is_some))
            .map(|at| lines.get(at).map_or(0, |line| line.worth))
            .sum();
        let between = (beside >= ENOUGH.min(wanted.beside) && beside > 0)
            .then(|| gap(&partners, (*above, *below), (lines.len(), page.lines.len())));
        let likely = between.map_or((0, 0), |between| wanted.likely(&partners, between));
        let all = page.places(&wanted.sought);
        let near = |at: &&(usize, usize)| match between {
            Some((first, last)) if at.1 >= first && at.0 < last => 0,
            Some((first, _)) => at.0.abs_diff(first) + 1,
            None => at.0.abs_diff(*was) + 1,
        };
        let nearest = all.iter().min_by_key(near).copied();
        // A copy of it elsewhere in the file is another one, unless there are as many as before.
        let moved = between.is_none() || u32::try_from(all.len()).unwrap_or(u32::MAX) >= wanted.copies;
        let there = nearest.filter(|at| moved || near(&at) == 0);
        Self { there, between, likely, score, ..none }
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

    fn went(self: &LineMatch) -> FollowOutcome {
        let path = self.path.clone();
        match (self.there, self.between) {
            (Some((first, last)), _) => {
                FollowOutcome::There { path, start: number(first), end: number(last) }
            }
            // One line below the last one above it, to one line above the first one below it.
            (None, Some((first, end))) => {
                let lines = |(first, end)| (number(first), u32::try_from(end).unwrap_or(u32::MAX));
                let (start, end) = lines((first, end));
                FollowOutcome::Changed { path, start, end, likely: lines(self.likely) }
            }
            (None, None) => FollowOutcome::Lost { path },
        }
    }
}

/// The best fit of some lines, in their order, into others: its score, and the partner of each. Of equals the one that
/// begins nearest to `was`. Lines of the others that are none of them only stand between.
fn fitted(wanted: &[TargetLine], keys: &[u64], was: usize) -> (i32, Vec<Option<usize>>) {
    let known: BTreeSet<u64> = wanted.iter().map(|line| line.key).collect();
    let columns: Vec<(usize, u64)> =
        keys.iter().copied().enumerate().filter(|(_, key)| known.contains(key)).collect();
    let (rows, width) = (wanted.len(), columns.len() + 1);
    // The way here: diagonal (a pair), up (a wanted line is not there), left (lines stand between).
    let mut ways = vec![1_u8; (rows + 1) * width];
    // The score so far, and the line where it began.
    let mut above: Vec<(i32, usize)> =
        std::iter::once((0, 0)).chain(columns.iter().map(|(at, _)| (0, at + 1))).collect();
    let mut scores = above.clone();
    for (line, ways) in wanted.iter().zip(ways.chunks_exact_mut(width).skip(1)) {
        let (mut left, mut corner, mut last) = ((0_i32, 0), (0_i32, 0), 0);
        for (column, (score, way)) in scores.iter_mut().zip(ways.iter_mut()).enumerate() {
            let up = above.get(column).copied().unwrap_or_default();
            let (mut best, mut how) = (up, 1);
            if let Some((at, key)) = column.checked_sub(1).and_then(|column| columns.get(column)) {
                let lines = i32::try_from(at + 1 - last).unwrap_or(i32::MAX);
                last = at + 1;
                let crossed = left.0.saturating_sub(lines);
                if crossed > best.0 {
                    (best, how) = ((crossed, left.1), 2);
                }
                if *key == line.key {
                    // Lines of the others that are left out in front of the pair.
                    let skipped = lines - 1;
                    let (so_far, from) =
                        if corner.0 > skipped { (corner.0 - skipped, corner.1) } else { (0, *at) };
                    let pair = so_far + line.worth;
                    let is_nearer = pair == best.0 && from.abs_diff(was) < best.1.abs_diff(was);
                    if pair > best.0 || is_nearer {
                        (best, how) = ((pair, from), 0);
                    }
                }
            }
            (*score, *way) = (best, how);
            (left, corner) = (best, up);
        }
        std::mem::swap(&mut above, &mut scores);
    }
    let place =
        |column: usize| column.checked_sub(1).and_then(|at| columns.get(at)).map_or(0, |(at, _)| at + 1);
    let end = (0..width).max_by_key(|&column| {
        let (score, from) = above.get(column).copied().unwrap_or_default();
        (score, std::cmp::Reverse(from.abs_diff(was)), std::cmp::Reverse(place(column)))
    });
    let (mut row, mut column) = (rows, end.unwrap_or_default());
    let score = above.get(column).map_or(0, |(score, _)| *score);
    let mut partners = vec![None; rows];
    while row > 0 {
        match ways.get(row * width + column) {
            Some(0) if column > 0 => {
                (row, column) = (row - 1, column - 1);
                if let (Some(partner), Some((at, _))) = (partners.get_mut(row), columns.get(column)) {
                    *partner = Some(*at);
                }
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

fn worth(line: &str) -> i32 {
    if line.is_empty() {
        BLANK
    } else if line.chars().any(char::is_alphanumeric) {
        WORDS
    } else {
        SIGNS
    }
}

/// The line of an index.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}
