//! Locates the lines of a finding in the current files. The search compares the stored text of these lines
//! and of the lines around them.
//!
//! The search uses no diff, because the state of the code in which a finding was reported often no longer
//! exists. Dynamic programming aligns the stored surroundings with the file. Each pair of equal lines adds a
//! score that depends on the line's content. Each skipped line of the file between two pairs subtracts a
//! small cost.

use std::collections::BTreeSet;

use truing_diff::RepoPath;

use super::compared_file::{ComparedFile, SearchTokens, line_hash};
use super::head::HeadView;
use super::surroundings::line_index;
use crate::finding::Finding;

/// Maximum number of lines of a searched file. A finding in a longer file is not followed.
const MAX_LINES: usize = 60_000;
/// Maximum number of changed files, other than the finding's own, that are searched for a finding.
const MAX_FILES: usize = 300;

/// Scores of a pair of equal lines: lines with words, lines with punctuation only, and blank lines.
const WORD_LINE_SCORE: i32 = 100;
const PUNCTUATION_LINE_SCORE: i32 = 12;
const BLANK_LINE_SCORE: i32 = 1;
/// Minimum score of surroundings that count as found. If the score of all surrounding lines together is
/// lower, all these lines must be found.
const MIN_SURROUNDINGS_SCORE: i32 = 2 * WORD_LINE_SCORE;
/// Minimum percentage of the highest possible score, and minimum score, for a match in another file.
const MIN_OTHER_FILE_PERCENT: i32 = 50;
const MIN_OTHER_FILE_SCORE: i32 = 3 * WORD_LINE_SCORE;

/// Minimum number and minimum percentage of the finding's lines and their neighbours that a file must
/// contain. Only a file that meets both minimums may contain a rewrite of the finding's code.
const MIN_SIMILAR_LINES: usize = 3;
const MIN_SIMILAR_PERCENT: usize = 25;

/// The current location of a finding's lines. Line numbers start at 1; the last line is inclusive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FollowOutcome {
    /// The lines still exist; differences in comments and formatting are ignored.
    Found {
        /// File that contains the lines.
        path: RepoPath,
        /// First of the lines.
        start: u32,
        /// Last of the lines.
        end: u32,
    },
    /// The lines have changed. The range consists of the current lines between the lines that were the
    /// finding's neighbours.
    Changed {
        /// File that contains the range.
        path: RepoPath,
        /// First line of the range; for an empty range, the next line.
        start: u32,
        /// Last line of the range; for an empty range, the line before `start`.
        end: u32,
        /// First and last line of the part of the range that probably replaced the finding's lines. This part
        /// may be smaller than the range, because neighbours of the finding may have changed, too. For an
        /// empty range, `likely` equals `start` and `end`.
        likely_replacement: (u32, u32),
    },
    /// The file exists, but contains neither the lines nor their neighbours.
    NotFound {
        /// File that was searched.
        path: RepoPath,
    },
    /// The file no longer exists.
    NoFile,
}

impl FollowOutcome {
    /// Returns the path of the file; `None` if the file no longer exists.
    pub fn path(&self) -> Option<&RepoPath> {
        match self {
            Self::Found { path, .. } | Self::Changed { path, .. } | Self::NotFound { path } => Some(path),
            Self::NoFile => None,
        }
    }
}

/// Locates a finding at the head.
pub fn locate_at_head<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    head: &HeadView<'_, T>,
) -> FollowOutcome {
    let was = &finding.raw.location.path;
    let wanted = TargetLines::from_finding(finding);
    let renamed =
        head.changed_paths.iter().filter(|path| *path != was && head.renames.is_same_file(path, was));
    let own = std::iter::once(was).chain(renamed).filter_map(|path| {
        let page = head.compared_file(path)?;
        Some(LineMatch::new(&wanted, path, &page))
    });
    // If several matches have the same rank, the first match is kept. The finding's own path is searched
    // first.
    let own = own.reduce(|best, other| if other.rank() > best.rank() { other } else { best });
    if let Some(own) = own.as_ref().filter(|own| own.is_found()) {
        return own.to_outcome();
    }
    // The finding's own file does not contain the lines, but they may have moved to another file.
    let lines: BTreeSet<u64> =
        wanted.lines.iter().filter(|line| line.worth == WORD_LINE_SCORE).map(|line| line.key).collect();
    let others =
        head.changed_paths.iter().filter(|path| *path != was && !head.renames.is_same_file(path, was));
    let least = own.as_ref().map_or(0, |own| own.score);
    let best = others
        .take(MAX_FILES)
        .filter_map(|path| {
            let page = head.compared_file(path)?;
            let known: BTreeSet<u64> =
                page.lines.iter().copied().filter(|line| lines.contains(line)).collect();
            let may_be = i32::try_from(known.len()).unwrap_or(i32::MAX).saturating_mul(WORD_LINE_SCORE)
                >= MIN_OTHER_FILE_SCORE;
            may_be.then(|| LineMatch::new(&wanted, path, &page))
        })
        .filter(|fit| fit.score >= MIN_OTHER_FILE_SCORE)
        .filter(|fit| fit.is_found() || (fit.score > least && fit.score_percent() >= MIN_OTHER_FILE_PERCENT))
        .reduce(|best, other| if other.rank() > best.rank() { other } else { best });
    best.or(own).map_or(FollowOutcome::NoFile, |fit| fit.to_outcome())
}

/// Returns true if a changed file may contain a rewritten version of the finding's code, because it contains
/// several of the finding's lines or neighbours. Called if the finding's file no longer exists.
pub(super) fn may_be_rewritten<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    head: &HeadView<'_, T>,
) -> bool {
    let wanted = TargetLines::from_finding(finding);
    let words: BTreeSet<u64> =
        wanted.lines.iter().filter(|line| line.worth == WORD_LINE_SCORE).map(|line| line.key).collect();
    head.changed_paths.iter().take(MAX_FILES).filter_map(|path| head.compared_file(path)).any(|page| {
        let known: BTreeSet<u64> = page.lines.iter().copied().filter(|line| words.contains(line)).collect();
        known.len() >= MIN_SIMILAR_LINES && known.len() * 100 >= words.len() * MIN_SIMILAR_PERCENT
    })
}

/// The finding's lines and their neighbours, prepared for the search.
struct TargetLines {
    lines: Vec<TargetLine>,
    /// Number of neighbours above the finding's lines, and number of neighbours below them.
    lines_above: usize,
    lines_below: usize,
    /// Number of times that the finding's lines occurred in the finding's file.
    copies: u32,
    /// Index of the finding's first line when the finding was last seen.
    former_index: usize,
    /// Tokens of the finding's own lines.
    tokens: SearchTokens,
    /// Highest possible score of all lines, and of the neighbours alone.
    total_score: i32,
    neighbour_score: i32,
}

#[derive(Clone, Copy)]
struct TargetLine {
    key: u64,
    worth: i32,
}

impl TargetLines {
    fn from_finding(finding: &Finding) -> Self {
        let line = |line: &str| TargetLine { key: line_hash(line), worth: line_weight(line.trim()) };
        let around = finding.surrounding_lines.as_ref();
        let before = around.map_or(&[][..], |around| &around.before);
        let after = around.map_or(&[][..], |around| &around.after);
        let own = finding.raw.snippet.lines();
        let lines: Vec<TargetLine> = before
            .iter()
            .map(|text| line(text))
            .chain(own.map(line))
            .chain(after.iter().map(|text| line(text)))
            .collect();
        let (lines_above, lines_below) = (before.len(), after.len());
        let of_these = |lines: &[TargetLine]| lines.iter().map(|line| line.worth).sum::<i32>();
        let total_score = of_these(&lines);
        let own = of_these(lines.get(lines_above..lines.len() - lines_below).unwrap_or_default());
        Self {
            lines_above,
            lines_below,
            copies: around.map_or(1, |around| around.copies.max(1)),
            former_index: line_index(finding.raw.location.start_line),
            tokens: SearchTokens::from_text(&finding.raw.snippet),
            total_score,
            neighbour_score: total_score - own,
            lines,
        }
    }

    /// Returns the first and the last index of the finding's lines, if these lines with all neighbours occur
    /// unchanged exactly once in the file. Otherwise, or if the neighbours' score is too low, returns `None`.
    fn find_unchanged_place(&self, lines: &[u64]) -> Option<(usize, usize)> {
        let count = self.lines.len();
        let first = self.lines.first()?.key;
        if self.neighbour_score < MIN_SURROUNDINGS_SCORE || self.lines_above + self.lines_below == count {
            return None;
        }
        let is_here = |at: usize| {
            lines
                .get(at..at + count)
                .is_some_and(|here| here.iter().zip(&self.lines).all(|(here, wanted)| *here == wanted.key))
        };
        let mut places = (0..lines.len()).filter(|at| lines.get(*at) == Some(&first) && is_here(*at));
        let at = places.next()?;
        places.next().is_none().then(|| (at + self.lines_above, at + count - self.lines_below - 1))
    }

    /// Returns those lines between the neighbours that probably replaced the finding's lines, as a half-open
    /// range. If lines of the finding are unchanged, their positions determine the range. Otherwise, if the
    /// number of lines between the neighbours is unchanged, the finding's former position is used. In all
    /// other cases, the range starts directly below the upper neighbour.
    fn likely_range(&self, partners: &[Option<usize>], first: usize, end: usize) -> (usize, usize) {
        let count = self.lines.len() - self.lines_above - self.lines_below;
        let own = self.lines_above..self.lines_above + count;
        let known = |row: &usize| {
            let is_telling = self.lines.get(*row).is_some_and(|line| line.worth == WORD_LINE_SCORE);
            let at =
                partners.get(*row).copied().flatten().filter(|at| is_telling && (first..end).contains(at));
            at.map(|at| (row - self.lines_above, at))
        };
        let (highest, lowest) =
            (own.clone().find_map(|row| known(&row)), own.rev().find_map(|row| known(&row)));
        if let (Some((before, highest)), Some((row, lowest))) = (highest, lowest) {
            return (highest.saturating_sub(before).max(first), (lowest + count - row).min(end));
        }
        let is_gone = |row: &usize| partners.get(*row).copied().flatten().is_none();
        let above = (0..self.lines_above).rev().take_while(is_gone).count();
        let below = (self.lines_above + count..self.lines.len()).take_while(is_gone).count();
        let start = if end - first == above + count + below { first + above } else { first };
        (start, (start + count.max(1)).min(end))
    }
}

/// The best match of a finding in a file.
struct LineMatch {
    path: RepoPath,
    /// Lines of the finding, if they still exist.
    lines: Option<(usize, usize)>,
    /// Range between the finding's former neighbours; `None` if too few of them were found.
    neighbour_gap: Option<(usize, usize)>,
    /// Lines of `gap` that probably replaced the finding's lines.
    likely_lines: (usize, usize),
    /// Score of the match, and the highest possible score.
    score: i32,
    total_score: i32,
}

impl LineMatch {
    fn new(target: &TargetLines, path: &RepoPath, page: &ComparedFile) -> Self {
        let total_score = target.total_score.max(1);
        let none = LineMatch {
            path: path.clone(),
            lines: None,
            neighbour_gap: None,
            likely_lines: (0, 0),
            score: 0,
            total_score,
        };
        if page.lines.len() > MAX_LINES {
            return none;
        }
        if let Some(there) = target.find_unchanged_place(&page.lines) {
            return Self { lines: Some(there), score: total_score, ..none };
        }
        let TargetLines { lines, lines_above, lines_below, former_index, .. } = target;
        let (score, partners) =
            best_line_alignment(lines, &page.lines, former_index.saturating_sub(*lines_above));
        let beside: i32 = (0..*lines_above)
            .chain(lines.len() - lines_below..lines.len())
            .filter(|place| partners.get(*place).is_some_and(Option::is_some))
            .map(|place| lines.get(place).map_or(0, |line| line.worth))
            .sum();
        let gap = (beside >= MIN_SURROUNDINGS_SCORE.min(target.neighbour_score) && beside > 0).then(|| {
            lines_between_partners(&partners, *lines_above, *lines_below, lines.len(), page.lines.len())
        });
        let likely_lines = gap.map_or((0, 0), |gap| target.likely_range(&partners, gap.0, gap.1));
        let all = page.find_places(&target.tokens);
        let near = |place: &&(usize, usize)| match gap {
            Some((first, last)) if place.1 >= first && place.0 < last => 0,
            Some((first, _)) => place.0.abs_diff(first) + 1,
            None => place.0.abs_diff(*former_index) + 1,
        };
        let nearest = all.iter().min_by_key(near).copied();
        // If the file now contains fewer copies of the finding's lines, its own copy was probably removed. In
        // this case, a copy outside the range is not the finding's own copy.
        let moved = gap.is_none() || u32::try_from(all.len()).unwrap_or(u32::MAX) >= target.copies;
        let there = nearest.filter(|place| moved || near(&place) == 0);
        Self { lines: there, neighbour_gap: gap, likely_lines, score, ..none }
    }

    fn is_found(&self) -> bool {
        self.lines.is_some()
    }

    /// Returns the score as a percentage of the highest possible score.
    fn score_percent(&self) -> i32 {
        self.score.saturating_mul(100) / self.total_score
    }

    fn rank(&self) -> (bool, i32) {
        (self.is_found(), self.score)
    }

    fn to_outcome(self: &LineMatch) -> FollowOutcome {
        let path = self.path.clone();
        match (self.lines, self.neighbour_gap) {
            (Some((first, last)), _) => {
                FollowOutcome::Found { path, start: line_number(first), end: line_number(last) }
            }
            // The range extends from the last neighbour above to the first neighbour below, without these
            // neighbours.
            (None, Some((first, end))) => {
                let lines = |(first, end)| (line_number(first), u32::try_from(end).unwrap_or(u32::MAX));
                let (start, end) = lines((first, end));
                FollowOutcome::Changed { path, start, end, likely_replacement: lines(self.likely_lines) }
            }
            (None, None) => FollowOutcome::NotFound { path },
        }
    }
}

/// Aligns the target lines with a file's lines and returns the best score and the partner of each target
/// line. If several alignments have the same score, the alignment that begins nearest to `old_index` is
/// returned. Lines of the file that equal no target line only increase the distance between partners.
fn best_line_alignment(
    target_lines: &[TargetLine],
    keys: &[u64],
    old_index: usize,
) -> (i32, Vec<Option<usize>>) {
    let known: BTreeSet<u64> = target_lines.iter().map(|line| line.key).collect();
    let columns: Vec<(usize, u64)> =
        keys.iter().copied().enumerate().filter(|(_, key)| known.contains(key)).collect();
    let (rows, width) = (target_lines.len(), columns.len() + 1);
    // Directions: 0 is diagonal (a pair), 1 is up (a target line is missing), 2 is left (the file has
    // additional lines).
    let mut ways = vec![1_u8; (rows + 1) * width];
    // For each column of the previous row: the best score, and the first line of the alignment with this
    // score.
    let mut above: Vec<(i32, usize)> =
        std::iter::once((0, 0)).chain(columns.iter().map(|(at, _)| (0, at + 1))).collect();
    let mut scores = above.clone();
    for (line, ways) in target_lines.iter().zip(ways.chunks_exact_mut(width).skip(1)) {
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
                    // Number of lines between this line of the file and the previous line that equals a
                    // target line.
                    let skipped = lines - 1;
                    let (so_far, from) =
                        if corner.0 > skipped { (corner.0 - skipped, corner.1) } else { (0, *at) };
                    let pair = so_far + line.worth;
                    let is_nearer = pair == best.0 && from.abs_diff(old_index) < best.1.abs_diff(old_index);
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
        (score, std::cmp::Reverse(from.abs_diff(old_index)), std::cmp::Reverse(place(column)))
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

/// Returns the lines between the nearest matched neighbours above and below the finding, as a half-open
/// range.
fn lines_between_partners(
    partners: &[Option<usize>],
    lines_above: usize,
    lines_below: usize,
    target_count: usize,
    lines: usize,
) -> (usize, usize) {
    let found =
        |range: std::ops::Range<usize>| partners.get(range).unwrap_or_default().iter().flatten().copied();
    let (own, after) = (lines_above..target_count - lines_below, target_count - lines_below..target_count);
    let before = found(0..lines_above).last().map(|line| line + 1);
    let behind = found(after).next();
    let size = own.len().max(1) * 2;
    let first = before.or_else(|| found(own.clone()).next().filter(|_| lines_above > 0));
    let last = behind.or_else(|| found(own).last().map(|line| line + 1).filter(|_| lines_below > 0));
    match (first, last) {
        (Some(first), Some(last)) => (first, last.max(first)),
        // The finding was at the end of the file and had no neighbour below. In the next match arm, the
        // neighbours below are gone.
        (Some(first), None) if lines_below == 0 => (first, lines),
        (Some(first), None) => (first, (first + size).min(lines)),
        (None, Some(last)) if lines_above == 0 => (0, last),
        (None, Some(last)) => (last.saturating_sub(size), last),
        (None, None) => (0, lines),
    }
}

fn line_weight(line: &str) -> i32 {
    if line.is_empty() {
        BLANK_LINE_SCORE
    } else if line.chars().any(char::is_alphanumeric) {
        WORD_LINE_SCORE
    } else {
        PUNCTUATION_LINE_SCORE
    }
}

/// Returns the line number of an index.
fn line_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}
