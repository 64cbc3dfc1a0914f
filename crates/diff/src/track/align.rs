//! Matches each old line with a new line.
//!
//! The steps have this order so that a frequent line is matched together with the rare lines next to it:
//!
//! 1. A line that occurs exactly once on each side is matched, regardless of its position (P. Heckel, "A
//!    technique for isolating differences between files", 1978).
//! 2. Equal lines directly below matched lines are matched, then equal lines directly above matched lines.
//! 3. Steps 1 and 2 are repeated within each pair of files.
//! 4. Between two matches, equal unmatched lines are matched in order: the lines of the common
//!    subsequence with the greatest weight.
//! 5. A run of a few unmatched lines that occurs exactly once on each side is matched as a moved run.
//! 6. Unmatched lines between two matches are matched as edited lines if they share enough words.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use super::side_text::SideText;

/// Number of lines of a run that is matched as a whole at any position. The single lines of the run may occur
/// more than once.
const RUN_LINES: usize = 3;

/// Maximum number of line comparisons in one gap, enough for 1,000 lines on each side. A gap consists of
/// consecutive unmatched old lines and consecutive unmatched new lines.
const MAX_GAP_LINE_COMPARISONS: usize = 1_000_000;

/// Maximum number of line comparisons in all gaps together.
const MAX_LINE_COMPARISONS: usize = 40_000_000;

/// Maximum number of pairs of lines in one gap that are compared word by word. It is enough for 50 lines on
/// each side.
const MAX_GAP_WORD_COMPARISONS: usize = 2_500;

/// Maximum number of pairs of lines in all gaps together that are compared word by word.
const MAX_WORD_COMPARISONS: usize = 1_000_000;

/// Minimum percentage of words that two lines must share so that one line counts as an edited version of the
/// other.
const MIN_SHARED_WORD_PERCENT: u32 = 50;

/// Maximum number of words of a line that are compared.
const MAX_COMPARED_LINE_WORDS: usize = 64;

/// The match of an old line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AlignedLine {
    /// Index of the new line.
    pub(super) new_line: usize,
    /// True if the text of the line changed.
    pub(super) is_edited: bool,
}

/// The matches of all lines.
#[derive(Debug)]
pub(super) struct LineAlignment {
    /// Matching new line of each old line; `None` for an unmatched line.
    new_by_old_line: Vec<Option<AlignedLine>>,
    /// Matching old line of each new line; `None` for an unmatched line.
    old_by_new_line: Vec<Option<usize>>,
}

impl LineAlignment {
    /// Matches the lines. `file_pairs` contains the old and the new index of each file that exists on both
    /// sides.
    pub(super) fn new(old: &SideText<'_>, new: &SideText<'_>, file_pairs: &[(usize, usize)]) -> Self {
        let mut alignment = Self {
            new_by_old_line: vec![None; old.line_count()],
            old_by_new_line: vec![None; new.line_count()],
        };
        let mut work = AlignmentBuilder {
            old,
            new,
            file_pairs: file_pairs.iter().copied().collect(),
            alignment: &mut alignment,
        };
        work.match_unique_lines(0..old.line_count(), 0..new.line_count());
        work.match_equal_neighbours();
        for (old_file, new_file) in file_pairs {
            if let (Some(old_file), Some(new_file)) = (old.file(*old_file), new.file(*new_file)) {
                work.match_unique_lines(old_file.lines.clone(), new_file.lines.clone());
            }
        }
        work.match_equal_neighbours();
        let mut cells = ComparisonBudget {
            max_gap_comparisons: MAX_GAP_LINE_COMPARISONS,
            remaining_comparisons: MAX_LINE_COMPARISONS,
        };
        work.align_unmatched_runs(&mut cells, MatchKind::Equal);
        work.match_unique_runs();
        work.match_equal_neighbours();
        work.align_unmatched_runs(&mut cells, MatchKind::Equal);
        let mut cells = ComparisonBudget {
            max_gap_comparisons: MAX_GAP_WORD_COMPARISONS,
            remaining_comparisons: MAX_WORD_COMPARISONS,
        };
        work.align_unmatched_runs(&mut cells, MatchKind::SharedWords);
        alignment
    }

    /// Returns the new line that matches an old line; `None` if the old line is unmatched.
    pub(super) fn matched_line(&self, old: usize) -> Option<AlignedLine> {
        self.new_by_old_line.get(old).copied().flatten()
    }
}

/// The criterion by which two lines in a gap match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MatchKind {
    /// The lines are equal.
    Equal,
    /// The lines share words.
    SharedWords,
}

/// The maximum number of comparisons in one gap, and the remaining number of comparisons in all gaps.
struct ComparisonBudget {
    max_gap_comparisons: usize,
    remaining_comparisons: usize,
}

impl ComparisonBudget {
    /// Subtracts the comparisons of a gap from the budget. If the budget does not allow these comparisons,
    /// returns false and subtracts nothing.
    fn try_spend(&mut self, old: usize, new: usize) -> bool {
        let cost = old.saturating_mul(new);
        let enough = cost <= self.max_gap_comparisons && cost <= self.remaining_comparisons;
        if enough {
            self.remaining_comparisons -= cost;
        }
        enough
    }
}

/// The number of occurrences of an item: once, with the position, or more than once.
#[derive(Clone, Copy)]
enum LineOccurrence {
    Unique(usize),
    Repeated,
}

/// Returns the occurrence of each item: its position if the item occurs only once, otherwise `Repeated`.
fn index_occurrences<K: Eq + Hash>(items: impl Iterator<Item = (K, usize)>) -> HashMap<K, LineOccurrence> {
    let mut seen = HashMap::new();
    for (thing, at) in items {
        seen.entry(thing)
            .and_modify(|seen| *seen = LineOccurrence::Repeated)
            .or_insert(LineOccurrence::Unique(at));
    }
    seen
}

/// Returns the old and the new position of each item that occurs exactly once on each side.
fn pair_unique_items<K: Eq + Hash>(
    old: HashMap<K, LineOccurrence>,
    new: &HashMap<K, LineOccurrence>,
) -> Vec<(usize, usize)> {
    let both = old.into_iter().filter_map(|(thing, old)| match (old, new.get(&thing)) {
        (LineOccurrence::Unique(old), Some(LineOccurrence::Unique(new))) => Some((old, *new)),
        (
            LineOccurrence::Unique(_) | LineOccurrence::Repeated,
            Some(LineOccurrence::Unique(_) | LineOccurrence::Repeated) | None,
        ) => None,
    });
    let mut both: Vec<_> = both.collect();
    both.sort_unstable();
    both
}

struct AlignmentBuilder<'t, 'a> {
    old: &'t SideText<'a>,
    new: &'t SideText<'a>,
    /// Index of the new file, by the index of the old file.
    file_pairs: HashMap<usize, usize>,
    alignment: &'t mut LineAlignment,
}

impl AlignmentBuilder<'_, '_> {
    fn are_both_unmatched(&self, old: usize, new: usize) -> bool {
        self.is_old_unmatched(old) && self.is_new_unmatched(new)
    }

    fn is_old_unmatched(&self, old: usize) -> bool {
        self.alignment.new_by_old_line.get(old).is_some_and(Option::is_none)
    }

    fn is_new_unmatched(&self, new: usize) -> bool {
        self.alignment.old_by_new_line.get(new).is_some_and(Option::is_none)
    }

    fn match_lines(&mut self, old: usize, new: usize, match_kind: MatchKind) {
        let edited = match_kind == MatchKind::SharedWords;
        if let (Some(to), Some(from)) =
            (self.alignment.new_by_old_line.get_mut(old), self.alignment.old_by_new_line.get_mut(new))
        {
            *to = Some(AlignedLine { new_line: new, is_edited: edited });
            *from = Some(old);
        }
    }

    /// Step 1: matches lines with words that occur once in `old` and once in `new`.
    fn match_unique_lines(&mut self, old: Range<usize>, new: Range<usize>) {
        let census_of = |text: &SideText<'_>, lines: Range<usize>| {
            let lines = lines.filter(|line| text.has_words(*line));
            index_occurrences(lines.filter_map(|line| Some((text.text_id(line)?, line))))
        };
        for (old, new) in pair_unique_items(census_of(self.old, old), &census_of(self.new, new)) {
            if self.are_both_unmatched(old, new) {
                self.match_lines(old, new, MatchKind::Equal);
            }
        }
    }

    /// Step 2: matches equal lines next to matched lines.
    fn match_equal_neighbours(&mut self) {
        for old in 0..self.old.line_count() {
            self.match_neighbour(old, |text, line| text.next_line(line));
        }
        for old in (0..self.old.line_count()).rev() {
            self.match_neighbour(old, |text, line| text.previous_line(line));
        }
    }

    fn match_neighbour(&mut self, old: usize, step: impl Fn(&SideText<'_>, usize) -> Option<usize>) {
        let Some(partner) = self.alignment.matched_line(old) else { return };
        let (Some(old), Some(new)) = (step(self.old, old), step(self.new, partner.new_line)) else { return };
        if self.are_both_unmatched(old, new) && self.old.text_id(old) == self.new.text_id(new) {
            self.match_lines(old, new, MatchKind::Equal);
        }
    }

    /// Step 5: matches runs of lines that occur exactly once among the unmatched lines of each side.
    fn match_unique_runs(&mut self) {
        let runs = |text: &SideText<'_>, is_unmatched: &dyn Fn(usize) -> bool| {
            let mut found = Vec::new();
            for file in text.files() {
                let starts = file.lines.start..file.lines.end.saturating_sub(RUN_LINES - 1);
                let starts = starts.filter(|first| {
                    let mut run = *first..first + RUN_LINES;
                    run.clone().all(is_unmatched) && run.any(|line| text.has_words(line))
                });
                found.extend(starts.map(|first| {
                    let numbers: [_; RUN_LINES] = std::array::from_fn(|line| text.text_id(first + line));
                    (numbers, first)
                }));
            }
            index_occurrences(found.into_iter())
        };
        let old = runs(self.old, &|line| self.is_old_unmatched(line));
        let new = runs(self.new, &|line| self.is_new_unmatched(line));
        for (old, new) in pair_unique_items(old, &new) {
            if (0..RUN_LINES).all(|line| self.are_both_unmatched(old + line, new + line)) {
                (0..RUN_LINES).for_each(|line| self.match_lines(old + line, new + line, MatchKind::Equal));
            }
        }
    }

    /// Steps 4 and 6: aligns each run of unmatched old lines with two runs of unmatched new lines. The old
    /// line above the run matches a new line; the first new run begins below that new line. The old line
    /// below the run matches another new line; the second new run ends above that new line.
    fn align_unmatched_runs(&mut self, budget: &mut ComparisonBudget, match_kind: MatchKind) {
        let files: Vec<_> = self.old.files().iter().map(|file| file.lines.clone()).enumerate().collect();
        for (file, lines) in files {
            let pair =
                self.file_pairs.get(&file).and_then(|new| self.new.file(*new)).map(|file| file.lines.clone());
            let mut start = lines.start;
            while start < lines.end {
                let end = (start..lines.end).find(|line| !self.is_old_unmatched(*line)).unwrap_or(lines.end);
                if start < end {
                    let above = if start == lines.start {
                        pair.as_ref().map(|pair| pair.start)
                    } else {
                        self.alignment
                            .matched_line(start - 1)
                            .and_then(|partner| self.new.next_line(partner.new_line))
                    };
                    let below = if end == lines.end {
                        pair.as_ref()
                            .and_then(|pair| pair.end.checked_sub(1))
                            .filter(|last| pair.as_ref().is_some_and(|pair| pair.contains(last)))
                    } else {
                        self.alignment
                            .matched_line(end)
                            .and_then(|partner| self.new.previous_line(partner.new_line))
                    };
                    let down = self.unmatched_run(above, |text, line| text.next_line(line));
                    self.align_runs(start..end, &down, budget, match_kind);
                    let mut up = self.unmatched_run(below, |text, line| text.previous_line(line));
                    up.reverse();
                    self.align_runs(start..end, &up, budget, match_kind);
                }
                start = end + 1;
            }
        }
    }

    /// Returns the consecutive unmatched new lines, beginning with `from`.
    fn unmatched_run(
        &self,
        from: Option<usize>,
        step: impl Fn(&SideText<'_>, usize) -> Option<usize>,
    ) -> Vec<usize> {
        std::iter::successors(from, |line| step(self.new, *line))
            .take_while(|line| self.is_new_unmatched(*line))
            .collect()
    }

    /// Aligns the lines of two runs in order.
    fn align_runs(
        &mut self,
        old: Range<usize>,
        new: &[usize],
        budget: &mut ComparisonBudget,
        match_kind: MatchKind,
    ) {
        let old: Vec<usize> = old.filter(|line| self.is_old_unmatched(*line)).collect();
        let (mut old, mut new) = (old.as_slice(), new);
        if match_kind == MatchKind::Equal {
            // Equal lines at the beginning or the end of both runs are matched directly, which avoids a
            // comparison of all pairs.
            while let (Some((a, rest_old)), Some((b, rest_new))) = (old.split_first(), new.split_first())
                && self.old.text_id(*a) == self.new.text_id(*b)
            {
                self.match_lines(*a, *b, match_kind);
                (old, new) = (rest_old, rest_new);
            }
            while let (Some((a, rest_old)), Some((b, rest_new))) = (old.split_last(), new.split_last())
                && self.old.text_id(*a) == self.new.text_id(*b)
            {
                self.match_lines(*a, *b, match_kind);
                (old, new) = (rest_old, rest_new);
            }
        }
        if old.is_empty() || new.is_empty() || !budget.try_spend(old.len(), new.len()) {
            return;
        }
        let weights: Vec<u32> = match match_kind {
            MatchKind::Equal => {
                let weight = |a: &usize, b: &usize| {
                    if self.old.text_id(*a) == self.new.text_id(*b) { self.old.line_weight(*a) } else { 0 }
                };
                old.iter().flat_map(|a| new.iter().map(move |b| (a, b))).map(|(a, b)| weight(a, b)).collect()
            }
            MatchKind::SharedWords => {
                let of_new: Vec<_> = new.iter().map(|line| sorted_words(self.new.text(*line))).collect();
                let of_old = old.iter().map(|line| sorted_words(self.old.text(*line)));
                of_old
                    .flat_map(|a| of_new.iter().map(move |b| shared_word_percent(&a, b)).collect::<Vec<_>>())
                    .collect()
            }
        };
        for (a, b) in max_weight_pairs(old.len(), new.len(), &weights) {
            if let (Some(a), Some(b)) = (old.get(a), new.get(b)) {
                self.match_lines(*a, *b, match_kind);
            }
        }
    }
}

/// Returns the pairs (row, column) with the greatest sum of weights. From one pair to the next, both row and
/// column increase. No pair has the weight 0.
fn max_weight_pairs(rows: usize, columns: usize, weights: &[u32]) -> Vec<(usize, usize)> {
    let width = columns + 1;
    // best[row * width + column] is the greatest sum of weights for pairs that begin at this row and column
    // or later.
    let mut best = vec![0_u32; (rows + 1) * width];
    let weight = |row: usize, column: usize| weights.get(row * columns + column).copied().unwrap_or_default();
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let at = |row: usize, column: usize| best.get(row * width + column).copied().unwrap_or_default();
            let both = match weight(row, column) {
                0 => 0,
                weight => weight.saturating_add(at(row + 1, column + 1)),
            };
            let sum = both.max(at(row + 1, column)).max(at(row, column + 1));
            if let Some(cell) = best.get_mut(row * width + column) {
                *cell = sum;
            }
        }
    }
    let at = |row: usize, column: usize| best.get(row * width + column).copied().unwrap_or_default();
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows && column < columns {
        let weight = weight(row, column);
        if weight > 0 && weight.saturating_add(at(row + 1, column + 1)) == at(row, column) {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if at(row + 1, column) == at(row, column) {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

/// Returns the words of a line, sorted.
fn sorted_words(text: &[u8]) -> Vec<&[u8]> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let words = text.split(|byte| !is_letter(byte)).filter(|word| !word.is_empty());
    let mut words: Vec<_> = words.take(MAX_COMPARED_LINE_WORDS).collect();
    words.sort_unstable();
    words
}

/// Returns the percentage of words that two lines share, or 0 if the percentage is less than
/// [`MIN_SHARED_WORD_PERCENT`].
fn shared_word_percent(first: &[&[u8]], second: &[&[u8]]) -> u32 {
    let (mut i, mut j, mut common) = (0, 0, 0_usize);
    while let (Some(left), Some(right)) = (first.get(i), second.get(j)) {
        common += usize::from(left == right);
        (i, j) = (i + usize::from(left <= right), j + usize::from(right <= left));
    }
    let percent = (200 * common).checked_div(first.len() + second.len()).unwrap_or_default();
    u32::try_from(percent).ok().filter(|percent| *percent >= MIN_SHARED_WORD_PERCENT).unwrap_or_default()
}
