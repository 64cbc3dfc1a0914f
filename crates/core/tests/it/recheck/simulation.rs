//! Simulates ten thousand histories of findings, pushes and reviewers with the real decision functions. The
//! simulation assigns an identity to each line and therefore knows whether a defect still exists. The
//! decision functions never see these identities.

// long: the simulated repository, the edits, the reviewers and the checks are easiest to understand in one
// file.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use truing_core::code_digest::CodeDigests;
use truing_core::finding::{
    CodeLocation, DefectCategory, Finding, FindingSource, FindingStatus, RawFinding, Severity,
};
use truing_core::id::{FindingId, Sha};
use truing_core::identity::{FindingFacts, PlacedFinding, assign_finding_ids};
use truing_core::increment::FileRenames;
use truing_core::outcome::ReviewCoverage;
use truing_core::recheck::{
    FollowOutcome, HeadView, RecheckStatus, RecheckVerdict, ReviewerReport, findings_to_recheck,
    locate_at_head, recheck,
};
use truing_diff::{AnchorKind, DiffSide, RepoPath, parse};

/// Number of simulated histories.
const HISTORIES: u64 = 10_000;
/// Minimum share of the actual fixes that are accepted when an honest model reports them.
const RECOGNISED: f64 = 0.95;
/// Maximum share of a lying reviewer's false verdicts that are accepted, because the quoted lines happen to
/// support the verdict. In the first measurement, 245 of 12,994 verdicts were accepted.
const BELIEVED: f64 = 0.025;
/// Maximum number of undetected reverts of a fix. The first measurement had 12. Outside the simulation, a
/// later review could report the defect as a new finding.
const REVERTS_UNSEEN: u32 = 14;

/// Defects of different categories, each with a title and a description.
const DEFECTS: [(DefectCategory, &str, &str); 5] = [
    (
        DefectCategory::F,
        "A failed charge looks like success",
        "The handler swallows every error of the bank.",
    ),
    (
        DefectCategory::G,
        "The last page is never fetched",
        "The loop ends one page too early, so orders are missing.",
    ),
    (
        DefectCategory::H,
        "A name becomes part of the query",
        "A quote in it ends the string, and what follows is run.",
    ),
    (
        DefectCategory::C,
        "The connection stays open",
        "Nobody closes the socket when the request is cancelled.",
    ),
    (DefectCategory::I, "Two workers write the counter", "Without the lock one of both increments is lost."),
];
/// Lines that occur more than once in every file.
const COMMON: [&str; 7] = ["", "    return None", "    else:", "        pass", "    }", "    try:", ""];
/// Function that every defect's lines call. A change of this function may also fix a defect.
const CALLED: &str = "def charge(order, key, amount):";

struct SeededGenerator(u64);

impl SeededGenerator {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap()
    }

    fn roll_percent(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

#[derive(Clone, Debug)]
struct Line {
    tag: u32,
    text: Rc<str>,
}

/// The texts of the lines at a head, by the identities of the lines.
type Snapshot = Rc<BTreeMap<u32, Rc<str>>>;

#[derive(Clone, Debug)]
struct Defect {
    kind: usize,
    /// Identities of the defect's lines; empty after a fix has replaced the lines.
    tags: BTreeSet<u32>,
    is_fixed: bool,
    /// Identities of the lines that fixed the defect. `around` contains the identities of the lines around
    /// the defect at the time of the fix.
    instead: Vec<u32>,
    around: Vec<u32>,
    id: Option<FindingId>,
    /// True if a change of other lines fixed the defect, and the defect's lines are unchanged.
    is_beside: bool,
    /// True if a single edit has moved the defect to another file and fixed it.
    is_moved: bool,
    /// All lines of the last head at which a reviewer saw the defect.
    seen: Snapshot,
    /// True if the fix of the defect was reverted.
    is_reverted: bool,
    /// True if a reviewer falsely reported the defect as fixed, and the verdict was accepted.
    is_lied_away: bool,
    had_chance: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Model {
    Honest,
    Repeats,
    Silent,
    Forgetful,
    Liar,
    Absent,
    Blind,
}

struct World {
    dice: SeededGenerator,
    files: BTreeMap<String, Vec<Line>>,
    deleted: BTreeSet<RepoPath>,
    renames: FileRenames,
    knows_renames: bool,
    defects: Vec<Defect>,
    next: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let dice = SeededGenerator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut world = Self {
            dice,
            files: BTreeMap::new(),
            deleted: BTreeSet::new(),
            renames: FileRenames::default(),
            knows_renames: seed.is_multiple_of(2),
            defects: Vec::new(),
            next: 0,
        };
        for file in ["a.py", "b.py"] {
            let count = 12 + world.dice.roll(40);
            let lines = (0..count).map(|_| world.line()).collect();
            world.files.insert(file.to_owned(), lines);
        }
        if !seed.is_multiple_of(3) {
            let lines: Vec<Line> =
                [CALLED, "    bank = open_account(order)", "    return bank.charge(key, amount)", "", ""]
                    .into_iter()
                    .map(|text| world.new_line(text.to_owned()))
                    .collect();
            let file = if seed.is_multiple_of(2) { "b.py" } else { "c.py" };
            world.files.entry(file.to_owned()).or_default().splice(0..0, lines);
        }
        let count = 1 + world.dice.roll(3);
        (0..count).for_each(|kind| world.add_defect(kind));
        world
    }

    fn new_line(&mut self, text: String) -> Line {
        self.next += 1;
        Line { tag: self.next, text: text.into() }
    }

    fn snapshot(&self) -> Snapshot {
        Rc::new(self.files.values().flatten().map(|line| (line.tag, Rc::clone(&line.text))).collect())
    }

    fn line(&mut self) -> Line {
        self.next += 1;
        let text = match self.dice.roll(10) {
            0..6 => {
                let [a, b] = [self.dice.roll(40), self.dice.roll(40)];
                format!("    value_{a} = load(\"key {b}\", order_{})", self.next % 50)
            }
            6 => format!("def step_{}(order, amount):", self.next),
            _ => COMMON[self.dice.roll(COMMON.len())].to_owned(),
        };
        Line { tag: self.next, text: text.into() }
    }

    /// Adds a defect on one to three lines that have no defect yet.
    fn add_defect(&mut self, kind: usize) {
        let names: Vec<String> = self.files.keys().cloned().collect();
        let name = &names[self.dice.roll(names.len())];
        let taken: BTreeSet<u32> = self.defects.iter().flat_map(|defect| defect.tags.clone()).collect();
        let size = 1 + self.dice.roll(3);
        let count = self.files[name].len();
        if count < size + 2 {
            return;
        }
        let at = self.dice.roll(count - size);
        let own_line = !self.dice.roll_percent(15);
        self.next += 1;
        let fresh = format!("    result_{} = charge(order, \"{}\", amount)", self.next, self.next);
        let lines = self.files.get_mut(name).unwrap();
        let span = &mut lines[at..at + size];
        if span.iter().any(|line| taken.contains(&line.tag)) {
            return;
        }
        if own_line || span.iter().all(|line| line.text.trim().is_empty()) {
            span[0].text = fresh.into();
        }
        let tags = span.iter().map(|line| line.tag).collect();
        self.defects.push(Defect {
            kind,
            tags,
            is_fixed: false,
            instead: vec![],
            around: vec![],
            id: None,
            is_beside: false,
            is_moved: false,
            seen: Snapshot::default(),
            is_reverted: false,
            is_lied_away: false,
            had_chance: false,
        });
    }

    /// Returns the file that contains a defect, and the numbers of the defect's first and last line, counted
    /// from 0.
    fn find_defect(&self, tags: &BTreeSet<u32>) -> Option<(String, usize, usize)> {
        self.files.iter().find_map(|(name, lines)| {
            let first = lines.iter().position(|line| tags.contains(&line.tag))?;
            let last = lines.iter().rposition(|line| tags.contains(&line.tag))?;
            Some((name.clone(), first, last))
        })
    }

    /// Makes one edit, and returns the name of its kind.
    fn edit(&mut self) -> &'static str {
        if self.dice.roll_percent(10) && self.revert() {
            return "reverted";
        }
        let open: Vec<usize> = (0..self.defects.len()).filter(|&at| !self.defects[at].is_fixed).collect();
        let which = open.get(self.dice.roll(open.len())).copied();
        let place = which.and_then(|which| Some((which, self.find_defect(&self.defects[which].tags)?)));
        let kind = self.dice.roll(18);
        let Some((which, (name, first, last))) = place.filter(|_| kind < 16) else {
            return self.edit_elsewhere();
        };
        let others: BTreeSet<u32> = self
            .defects
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != which)
            .flat_map(|(_, defect)| defect.tags.clone())
            .collect();
        let is_shared = self.files[&name][first..=last].iter().any(|line| others.contains(&line.tag));
        match kind {
            0 | 1 => {
                let to = self.dice.roll(1000);
                let lines = self.files.get_mut(&name).unwrap();
                for line in &mut lines[first..=last] {
                    line.text =
                        line.text.replace("result_", &format!("r{to}_")).replace("value_", "v_").into();
                }
                "renamed"
            }
            2 => {
                let lines = self.files.get_mut(&name).unwrap();
                for line in &mut lines[first..=last] {
                    line.text = format!("    {}", line.text).into();
                }
                let line = lines[first].clone();
                if let Some((call, arguments)) = line.text.split_once('(')
                    && let Some(arguments) = arguments.strip_suffix(')')
                {
                    let indent = " ".repeat(12);
                    let parts = [format!("{call}("), format!("{indent}{arguments},"), "        )".to_owned()];
                    let mut broken = Vec::new();
                    for (at, text) in parts.into_iter().enumerate() {
                        self.next += 1;
                        let tag = if at == 0 { line.tag } else { self.next };
                        self.defects[which].tags.insert(tag);
                        broken.push(Line { tag, text: text.into() });
                    }
                    lines.splice(first..=first, broken);
                }
                "reformatted"
            }
            3 if !is_shared => {
                // Moves the defect and some lines around it to another position in the same file or to
                // another file.
                let margin = self.dice.roll(5);
                let lines = self.files.get_mut(&name).unwrap();
                let from = first.saturating_sub(margin);
                let to = (last + 1 + margin).min(lines.len());
                let block: Vec<Line> = lines.drain(from..to).collect();
                let names: Vec<String> = self.files.keys().cloned().collect();
                let target = if margin > 2 { &names[self.dice.roll(names.len())] } else { &name };
                let lines = self.files.get_mut(target).unwrap();
                let at = self.dice.roll(lines.len() + 1);
                lines.splice(at..at, block);
                "moved"
            }
            4..7 if !is_shared => {
                let count = 1 + self.dice.roll(3);
                let new: Vec<Line> = (0..count)
                    .map(|_| self.new_line(format!("    checked_{} = safely(order)", self.next)))
                    .collect();
                self.replace_defect_lines(which, &name, (first, last), new);
                "fixed"
            }
            7 if !is_shared && last > first => {
                let lines = self.files.get_mut(&name).unwrap();
                let at = (first..=last).find(|&at| !lines[at].text.trim().is_empty()).unwrap_or(first);
                let old = lines[at].tag;
                self.next += 1;
                lines[at] =
                    Line { tag: self.next, text: format!("    half_{} = safely(order)", self.next).into() };
                self.defects[which].tags.remove(&old);
                "half fixed"
            }
            8 if !is_shared => {
                self.replace_defect_lines(which, &name, (first, last), Vec::new());
                "deleted"
            }
            9 => {
                self.rename(&name);
                if self.dice.roll_percent(50) {
                    let (name, first, last) = self.find_defect(&self.defects[which].tags).unwrap();
                    for line in &mut self.files.get_mut(&name).unwrap()[first..=last] {
                        line.text = line.text.replace("result_", "total_").into();
                    }
                }
                "file renamed"
            }
            10 | 11 => {
                // Inserts lines shortly before the defect.
                let at = first.saturating_sub(self.dice.roll(7));
                let inside = |defect: &Defect| {
                    let lines = &self.files[&name];
                    at > 0
                        && at < lines.len()
                        && defect.tags.contains(&lines[at - 1].tag)
                        && defect.tags.contains(&lines[at].tag)
                };
                if self.defects.iter().any(inside) {
                    return self.edit_elsewhere();
                }
                let number = self.next;
                let new = vec![
                    self.new_line(format!("    if not allowed_{number}(order):")),
                    self.new_line("        return None".to_owned()),
                ];
                self.fix_elsewhere(which, &name, at, new);
                "guarded"
            }
            12 | 13 => {
                let is_called =
                    self.files[&name][first..=last].iter().any(|line| line.text.contains("charge("));
                let helper = self.files.iter().find_map(|(name, lines)| {
                    Some((name.clone(), lines.iter().position(|line| *line.text == *CALLED)?))
                });
                let Some((helper, at)) = helper.filter(|_| is_called) else { return self.edit_elsewhere() };
                let number = self.next;
                let new = vec![self.new_line(format!("    amount = limited_{number}(amount)"))];
                self.fix_elsewhere(which, &helper, at + 1, new);
                "fixed in a helper"
            }
            14 | 15 if !is_shared => self.move_and_fix(which, &name, (first, last)),
            _ => self.edit_elsewhere(),
        }
    }

    /// Moves the function of a defect to another file, and fixes the defect there.
    fn move_and_fix(&mut self, which: usize, name: &str, (first, last): (usize, usize)) -> &'static str {
        let is_heading = |line: &Line| line.text.starts_with("def ");
        let lines = &self.files[name];
        let heading = lines[..first].iter().rposition(is_heading);
        let Some(heading) = heading.filter(|_| !lines[first..=last].iter().any(is_heading)) else {
            return self.edit_elsewhere();
        };
        let below = lines[last + 1..].iter().position(is_heading);
        let after = below.map_or(0, |below| lines.len() - (last + 1 + below));
        let count = 1 + self.dice.roll(2);
        let new: Vec<Line> =
            (0..count).map(|_| self.new_line(format!("    checked_{} = safely(order)", self.next))).collect();
        self.replace_defect_lines(which, name, (first, last), new);
        self.defects[which].is_moved = true;
        let lines = self.files.get_mut(name).unwrap();
        let end = lines.len() - after;
        let block: Vec<Line> = lines.drain(heading..end).collect();
        let others: Vec<String> = self.files.keys().filter(|other| *other != name).cloned().collect();
        let target = if others.is_empty() || self.dice.roll_percent(40) {
            self.next += 1;
            format!("n{}.py", self.next)
        } else {
            others[self.dice.roll(others.len())].clone()
        };
        let lines = self.files.entry(target).or_default();
        let mut places: Vec<usize> =
            lines.iter().enumerate().filter(|(_, line)| is_heading(line)).map(|(at, _)| at).collect();
        places.push(lines.len());
        let at = places[self.dice.roll(places.len())];
        lines.splice(at..at, block);
        "moved and fixed"
    }

    /// Fixes a defect by adding other lines, and leaves the lines of the defect unchanged.
    fn fix_elsewhere(&mut self, which: usize, name: &str, at: usize, new: Vec<Line>) {
        let defect = &mut self.defects[which];
        defect.instead = new.iter().map(|line| line.tag).collect();
        (defect.around, defect.is_fixed, defect.is_beside) = (Vec::new(), true, true);
        self.files.get_mut(name).unwrap().splice(at..at, new);
    }

    /// Reverts a fix that left the defect's lines unchanged, so the defect exists again. Returns false if
    /// there is no such fix.
    fn revert(&mut self) -> bool {
        let fixed =
            |at: &usize| self.defects[*at].is_beside && self.find_defect(&self.defects[*at].tags).is_some();
        let all: Vec<usize> = (0..self.defects.len()).filter(fixed).collect();
        let Some(&which) = all.get(self.dice.roll(all.len())) else { return false };
        let defect = &mut self.defects[which];
        let gone: BTreeSet<u32> = std::mem::take(&mut defect.instead).into_iter().collect();
        (defect.is_fixed, defect.is_beside, defect.had_chance) = (false, false, false);
        defect.is_reverted = true;
        for lines in self.files.values_mut() {
            lines.retain(|line| !gone.contains(&line.tag));
        }
        true
    }

    /// Fixes a defect by replacing its lines.
    fn replace_defect_lines(
        &mut self,
        which: usize,
        name: &str,
        (first, last): (usize, usize),
        new: Vec<Line>,
    ) {
        let lines = self.files.get_mut(name).unwrap();
        let beside = |range: &[Line]| range.iter().map(|line| line.tag).collect::<Vec<_>>();
        let (above, below) = (beside(&lines[..first]), beside(&lines[last + 1..]));
        let defect = &mut self.defects[which];
        defect.instead = new.iter().map(|line| line.tag).collect();
        let mut around = Vec::new();
        for step in 0..above.len().max(below.len()) {
            around.extend(above.iter().rev().nth(step));
            around.extend(below.get(step));
        }
        (defect.around, defect.is_fixed) = (around, true);
        lines.splice(first..=last, new);
    }

    fn rename(&mut self, name: &str) {
        self.next += 1;
        let new = format!("n{}.py", self.next);
        let lines = self.files.remove(name).unwrap();
        self.files.insert(new.clone(), lines);
        if self.knows_renames {
            let diff = format!(
                "diff --git a/{name} b/{new}\nsimilarity index 90%\nrename from {name}\nrename to {new}\n"
            );
            self.renames.add_diff(&parse(diff.as_bytes()).files);
        } else if self.dice.roll_percent(50) {
            self.deleted.insert(name.into());
        }
    }

    /// Makes an edit that changes no defect.
    fn edit_elsewhere(&mut self) -> &'static str {
        let names: Vec<String> = self.files.keys().cloned().collect();
        let name = names[self.dice.roll(names.len())].clone();
        if self.dice.roll_percent(8) && names.len() > 1 {
            let lines = self.files.remove(&name).unwrap();
            if self.dice.roll_percent(50) {
                self.deleted.insert(name.as_str().into());
            }
            let gone: BTreeSet<u32> = lines.iter().map(|line| line.tag).collect();
            for defect in &mut self.defects {
                if defect.tags.iter().any(|tag| gone.contains(tag)) {
                    (defect.is_fixed, defect.is_beside) = (true, false);
                } else if defect.is_beside && defect.instead.iter().any(|tag| gone.contains(tag)) {
                    (defect.is_fixed, defect.is_beside, defect.had_chance) = (false, false, false);
                    defect.is_reverted = true;
                }
            }
            return "file deleted";
        }
        let kept = |defect: &Defect| {
            let fix = defect.instead.clone().into_iter().filter(|_| defect.is_beside);
            fix.chain(defect.tags.clone()).collect::<Vec<_>>()
        };
        let taken: BTreeSet<u32> = self.defects.iter().flat_map(kept).collect();
        let count = 1 + self.dice.roll(6);
        let new: Vec<Line> = (0..count).map(|_| self.line()).collect();
        let at = self.dice.roll(self.files[&name].len() + 1);
        let remove = self.dice.roll_percent(40);
        let lines = self.files.get_mut(&name).unwrap();
        if remove {
            let to = (at + count).min(lines.len());
            if lines[at..to].iter().all(|line| !taken.contains(&line.tag)) && lines.len() > 8 {
                lines.drain(at..to);
            }
        } else if !(at > 0
            && at < lines.len()
            && taken.contains(&lines[at - 1].tag)
            && taken.contains(&lines[at].tag))
        {
            lines.splice(at..at, new);
        }
        "elsewhere"
    }

    fn changed(&self) -> Vec<RepoPath> {
        self.files.keys().map(|name| name.as_str().into()).collect()
    }

    fn raw(&self, defect: &Defect) -> Option<RawFinding> {
        let (name, first, last) = self.find_defect(&defect.tags)?;
        let (category, title, body) = DEFECTS[defect.kind];
        let snippet: Vec<&str> = self.files[&name][first..=last].iter().map(|line| &*line.text).collect();
        let line = |at: usize| u32::try_from(at).unwrap() + 1;
        Some(RawFinding {
            location: CodeLocation {
                path: name.as_str().into(),
                side: DiffSide::New,
                start_line: line(first),
                end_line: line(last),
            },
            severity: Severity::P1,
            category,
            rule: "agent/x".into(),
            title: title.into(),
            body: body.into(),
            snippet: snippet.join("\n"),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Agent,
            specialists: Vec::new(),
        })
    }

    /// Returns the lines that show a fix: their file, line numbers and text, as a reviewer quotes them.
    fn fix_evidence_lines(&self, defect: &Defect) -> Option<(RepoPath, (u32, u32), String)> {
        defect.instead.iter().chain(&defect.around).find_map(|tag| {
            let (name, lines, at) = self.files.iter().find_map(|(name, lines)| {
                Some((name, lines, lines.iter().position(|line| line.tag == *tag)?))
            })?;
            let line = u32::try_from(at).unwrap() + 1;
            let text = &*lines[at].text;
            (!text.trim().is_empty()).then(|| (name.as_str().into(), (line, line), text.to_owned()))
        })
    }

    /// Returns the newest line of all files, which a lying reviewer would quote.
    fn newest_added_lines(&mut self) -> Option<(RepoPath, (u32, u32), String)> {
        let all = self.files.iter().flat_map(|(name, lines)| {
            lines
                .iter()
                .enumerate()
                .filter(|(_, line)| !line.text.trim().is_empty())
                .map(move |line| (name, line))
        });
        let (name, (at, line)) = all.max_by_key(|(_, (_, line))| line.tag)?;
        let number = u32::try_from(at).unwrap() + 1;
        Some((name.as_str().into(), (number, number), line.text.to_string()))
    }
}

fn place_finding(raw: RawFinding) -> PlacedFinding {
    let at = raw.location.clone();
    PlacedFinding {
        raw,
        anchor: AnchorKind::Inline,
        comment_location: at,
        old_path: None,
        sighting: FindingFacts::default(),
    }
}

#[derive(Default)]
struct Figures {
    edits: BTreeMap<&'static str, u32>,
    reviews: BTreeMap<Model, u32>,
    findings: u32,
    true_fixes: u32,
    recognised: u32,
    missed: BTreeMap<String, u32>,
    unverified: u32,
    lies: u32,
    lies_with_evidence: u32,
    lies_beside: u32,
    reverts_unseen: u32,
    reopened: u32,
    /// Number of findings that were reported as fixed. `fixed_unshown` is the number of these findings
    /// without evidence of the fix.
    fixed: u32,
    fixed_unshown: u32,
    /// Number of checks that the finding of an existing defect is still open. `standing_green` is the number
    /// of these checks that failed.
    standing: u32,
    standing_green: u32,
    /// Number of findings, after the first review, whose ids were searched for among the known findings.
    /// `second_comments` is the number of these ids that were not found.
    looked_up: u32,
    second_comments: u32,
}

fn history(seed: u64, figures: &mut Figures) {
    let mut world = World::new(seed);
    let mut known: Vec<Finding> = Vec::new();
    let reviews = 2 + world.dice.roll(6);
    for round in 0..reviews {
        let mut edits = Vec::new();
        if round > 0 {
            for _ in 0..world.dice.roll(4) {
                let edit = world.edit();
                edits.push(edit);
                *figures.edits.entry(edit).or_default() += 1;
            }
        }
        let model = match (round, world.dice.roll(12)) {
            (0, _) | (_, 0..4) => Model::Honest,
            (_, 4) => Model::Repeats,
            (_, 5 | 6) => Model::Silent,
            (_, 7) => Model::Forgetful,
            (_, 8 | 9) => Model::Liar,
            (_, 10) => Model::Absent,
            _ => Model::Blind,
        };
        *figures.reviews.entry(model).or_default() += 1;
        review(seed, round, model, &mut world, &mut known, figures);
    }
}

fn review(
    seed: u64,
    round: usize,
    model: Model,
    world: &mut World,
    known: &mut Vec<Finding>,
    figures: &mut Figures,
) {
    let changed = world.changed();
    let added = changed.iter().map(|path| (path.clone(), vec![(1, u32::MAX)])).collect();
    let (renames, deleted) = (world.renames.clone(), world.deleted.clone());
    let files = world.files.clone();
    let read = |path: &RepoPath| {
        let lines = files.get(&path.to_string())?;
        let mut text = String::with_capacity(64 * lines.len());
        for line in lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        Some(text)
    };
    let head = HeadView::new(read, &changed, added, deleted, &renames);
    let sha = Sha::parse(&format!("{:040x}", round + 1)).unwrap();
    let mut verdicts = Vec::new();
    let mut found = Vec::new();
    let mut lies = BTreeSet::new();
    let mut truth: BTreeMap<FindingId, usize> = BTreeMap::new();
    for (at, defect) in world.defects.iter().enumerate() {
        if let Some(id) = &defect.id {
            truth.insert(id.clone(), at);
        } else if round == 0 {
            found.extend(world.raw(defect).map(place_finding));
        }
    }
    let owed: Vec<Finding> = findings_to_recheck(known).cloned().collect();
    for finding in &owed {
        let at = truth[&finding.id];
        let defect = world.defects[at].clone();
        let shown = || {
            let went = locate_at_head(finding, &head);
            went.path().cloned().unwrap_or_else(|| finding.raw.location.path.clone())
        };
        let mut say = |word, shown: Option<(RepoPath, (u32, u32), String)>| {
            let finding = finding.id.clone();
            let verdict = match shown {
                Some((path, lines, excerpt)) => {
                    RecheckVerdict { finding, status: word, path: Some(path), lines: Some(lines), excerpt }
                }
                None => {
                    RecheckVerdict { finding, status: word, path: None, lines: None, excerpt: String::new() }
                }
            };
            verdicts.push(verdict);
        };
        let now = world.raw(&defect).filter(|_| !defect.is_fixed);
        match model {
            Model::Honest | Model::Forgetful => {
                if model == Model::Forgetful && world.dice.roll_percent(50) {
                    continue;
                }
                match now {
                    Some(now) => {
                        let (lines, shown) = ((now.location.start_line, now.location.end_line), shown());
                        let shown = (now.location.path == shown).then_some((shown, lines, now.snippet));
                        say(RecheckStatus::StillThere, shown);
                    }
                    None => say(RecheckStatus::Fixed, world.fix_evidence_lines(&defect)),
                }
            }
            Model::Repeats => found.extend(now.map(place_finding)),
            Model::Silent | Model::Absent => {}
            Model::Liar | Model::Blind => {
                figures.lies += 1;
                lies.insert(finding.id.clone());
                let shown = shown();
                let lines = world.files.get(&shown.to_string());
                let count = lines.map_or(0, Vec::len);
                let random = (count > 0).then(|| {
                    let at = world.dice.roll(count);
                    let line = u32::try_from(at).unwrap() + 1;
                    (shown.clone(), (line, line), lines.unwrap()[at].text.to_string())
                });
                let made_up = Some((shown, (1, 2), "all is well now".to_owned()));
                let own = now.map(|now| {
                    (now.location.path, (now.location.start_line, now.location.end_line), now.snippet)
                });
                let evidence = match world.dice.roll(5) {
                    0 => None,
                    1 => made_up,
                    2 => random,
                    3 => world.newest_added_lines(),
                    _ => own,
                };
                say(RecheckStatus::Fixed, evidence);
            }
        }
    }
    let seen = if model == Model::Blind { BTreeSet::new() } else { changed.iter().cloned().collect() };
    let reviewers = match model {
        Model::Absent => vec![],
        Model::Honest if world.dice.roll_percent(20) => {
            // A second reviewer without verdicts must not change the effect of the first reviewer's verdicts.
            let silent = ReviewerReport { viewed_paths: changed.iter().cloned().collect(), verdicts: vec![] };
            vec![silent, ReviewerReport { viewed_paths: seen, verdicts: verdicts.clone() }]
        }
        Model::Honest | Model::Repeats | Model::Silent | Model::Forgetful | Model::Liar | Model::Blind => {
            vec![ReviewerReport { viewed_paths: seen, verdicts: verdicts.clone() }]
        }
    };
    let rechecked = recheck(known, &mut found, &reviewers, &head, place_finding);
    let mut identified = assign_finding_ids(known, found, Some(&sha), &ReviewCoverage::default(), &renames);
    rechecked.update_statuses(&mut identified.missing_findings, known, &sha);
    let all = identified.into_findings();
    if round == 0 {
        for finding in &all {
            let defect = world.defects.iter_mut().find(|defect| DEFECTS[defect.kind].1 == finding.raw.title);
            defect.unwrap().id = Some(finding.id.clone());
        }
        figures.findings += u32::try_from(all.len()).unwrap();
    }
    let context = |id: &FindingId| {
        let was = known.iter().find(|finding| finding.id == *id);
        let mut told = format!("seed {seed}, review {round} by {model:?}, finding {id}\nwas {was:#?}\n");
        let verdict = verdicts.iter().find(|verdict| verdict.finding == *id);
        let went = was.map(|was| locate_at_head(was, &head));
        let _ = writeln!(told, "went {went:?}\nverdict {verdict:?}");
        for (name, lines) in &files {
            let _ = writeln!(told, "== {name}");
            for (at, line) in lines.iter().enumerate() {
                let _ = writeln!(told, "{:4} [{}] {}", at + 1, line.tag, line.text);
            }
        }
        told
    };
    let sighted = |finding: &Finding| match model {
        Model::Repeats => {
            // The reviewer reports a known defect again, as a new finding.
            let mut defects = world.defects.iter().filter(|_| owed.iter().any(|owed| owed.id == finding.id));
            defects.any(|defect| defect.id.as_ref() == Some(&finding.id) && !defect.is_fixed)
        }
        Model::Honest | Model::Forgetful => verdicts.iter().any(|verdict| {
            verdict.finding == finding.id
                && verdict.status == RecheckStatus::StillThere
                && verdict.lines.is_some()
        }),
        Model::Silent | Model::Liar | Model::Absent | Model::Blind => false,
    };
    let now = OnceCell::new();
    let seen: Vec<&Finding> =
        all.iter().filter(|finding| finding.is_open() && (round == 0 || sighted(finding))).collect();
    for finding in seen {
        let mine = |defect: &&mut Defect| defect.id.as_ref() == Some(&finding.id);
        let snapshot = Rc::clone(now.get_or_init(|| world.snapshot()));
        if let Some(defect) = world.defects.iter_mut().find(mine) {
            defect.seen = snapshot;
        }
    }
    // Ids are unique and never change, so each finding has exactly one comment.
    let ids: BTreeSet<&FindingId> = all.iter().map(|finding| &finding.id).collect();
    assert_eq!(ids.len(), all.len(), "seed {seed}: an id occurs twice");
    if round > 0 {
        let count = |many: usize| u32::try_from(many).unwrap();
        let is_new = |finding: &&Finding| !known.iter().any(|known| known.id == finding.id);
        figures.looked_up += count(all.len());
        figures.second_comments += count(all.iter().filter(is_new).count());
        let second = all.iter().find(|finding| !known.iter().any(|known| known.id == finding.id));
        assert!(second.is_none(), "a second comment: {second:#?}\n{}", context(&known[0].id));
    }
    for finding in &all {
        let Some(defect) = world.defects.iter_mut().find(|defect| defect.id.as_ref() == Some(&finding.id))
        else {
            continue;
        };
        let was_open = known.iter().any(|was| was.id == finding.id && was.is_open());
        figures.unverified += u32::from(finding.is_open() && finding.unverified.is_some());
        match &finding.status {
            FindingStatus::Open => {
                if defect.is_lied_away {
                    (defect.is_lied_away, figures.reopened) = (false, figures.reopened + 1);
                }
            }
            FindingStatus::Fixed(_) if !was_open => {}
            FindingStatus::Fixed(_) => {
                let verdict = verdicts.iter().find(|verdict| verdict.finding == finding.id);
                let Some(verdict) = verdict else { panic!("nobody says so: {}", context(&finding.id)) };
                // If a reviewer has read no file, its verdict is accepted only if the finding's file was
                // deleted.
                let is_gone = !files.contains_key(&finding.raw.location.path.to_string());
                assert!(model != Model::Blind || is_gone, "unseen: {}", context(&finding.id));
                assert_eq!(verdict.status, RecheckStatus::Fixed, "{}", context(&finding.id));
                let was = known.iter().find(|was| was.id == finding.id).unwrap();
                let is_shown = is_fix_visible(was, verdict, defect, &files);
                figures.fixed += 1;
                figures.fixed_unshown += u32::from(!is_shown);
                assert!(is_shown, "without evidence: {}", context(&finding.id));
                if lies.contains(&finding.id) {
                    let is_beside = finding.evidence.as_ref().is_some_and(|evidence| evidence.mark.is_some());
                    figures.lies_with_evidence += u32::from(!defect.is_fixed);
                    figures.lies_beside += u32::from(!defect.is_fixed && is_beside);
                    defect.is_lied_away = true;
                }
                assert!(defect.is_fixed || defect.is_lied_away, "it is there: {}", context(&finding.id));
            }
            status @ (FindingStatus::Claimed
            | FindingStatus::OutOfScope
            | FindingStatus::Suppressed(_)
            | FindingStatus::Declined(_)
            | FindingStatus::Dismissed(_)) => panic!("{status:?}: {}", context(&finding.id)),
        }
        // The return of the defect cannot be detected: the defect's lines had changed, and the new lines were
        // accepted as evidence of the fix.
        let in_place = finding.evidence.as_ref().is_some_and(|evidence| evidence.mark.is_none());
        if defect.is_reverted && !defect.is_fixed && !finding.is_open() && in_place && !defect.is_lied_away {
            (defect.is_lied_away, figures.reverts_unseen) = (true, figures.reverts_unseen + 1);
        }
        // The finding of an existing defect must be open, unless a lying reviewer's verdict was accepted.
        if !defect.is_fixed && !defect.is_lied_away {
            figures.standing += 1;
            figures.standing_green += u32::from(!finding.is_open());
            assert!(finding.is_open(), "green: {}", context(&finding.id));
        }
        if model == Model::Honest && defect.is_fixed && was_open && !defect.had_chance {
            defect.had_chance = true;
            figures.true_fixes += 1;
            if finding.is_open() {
                let was = known.iter().find(|was| was.id == finding.id).unwrap();
                let went = match locate_at_head(was, &head) {
                    FollowOutcome::Found { .. } => "there",
                    FollowOutcome::Changed { .. } => "changed",
                    FollowOutcome::NotFound { .. } => "lost",
                    FollowOutcome::NoFile => "no file",
                };
                let how = if defect.is_moved { "moved, " } else { "" };
                let missed = format!("{how}{went}, {:?}", finding.unverified);
                *figures.missed.entry(missed).or_default() += 1;
                if std::env::var("SIMULATION_TELL").is_ok() {
                    println!("missed: {}", context(&finding.id));
                }
            } else {
                figures.recognised += 1;
            }
        }
    }
    *known = all;
}

/// Returns true if the texts of the files contain evidence of a fix. This check is independent of the tested
/// code. The text that a verdict quotes must be at the lines that the verdict names. In addition, the
/// finding's recorded lines must occur less often in the file than before, or the quoted text must be newer
/// than the reviewer's last view of the defect.
fn is_fix_visible(
    earlier: &Finding,
    verdict: &RecheckVerdict,
    defect: &Defect,
    files: &BTreeMap<String, Vec<Line>>,
) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>().replace(",)", ")");
    let quoted = |lines: &[Line]| {
        let Some((first, last)) = verdict.lines else { return false };
        let range = usize::try_from(first).unwrap() - 1..usize::try_from(last).unwrap();
        let said: Vec<&str> = lines.get(range).unwrap_or_default().iter().map(|line| &*line.text).collect();
        !verdict.excerpt.trim().is_empty() && squeezed(&said.join("\n")).contains(&squeezed(&verdict.excerpt))
    };
    let own = files.get(&earlier.raw.location.path.to_string());
    let is_gone = own.is_none();
    let snippet = squeezed(&earlier.raw.snippet);
    let copies = own.map_or(0, |lines| {
        let whole = squeezed(&lines.iter().map(|line| &*line.text).collect::<Vec<_>>().join("\n"));
        whole.matches(&snippet).count()
    });
    let before = earlier.surrounding_lines.as_ref().map_or(1, |around| around.copies);
    let unique = before <= 1 && snippet.len() > 20;
    let is_new = || {
        let file = verdict.path.as_ref().and_then(|path| files.get(&path.to_string()));
        let (Some(lines), Some((first, last))) = (file, verdict.lines) else { return false };
        let range = usize::try_from(first).unwrap() - 1..usize::try_from(last).unwrap();
        lines[range].iter().any(|line| {
            let before = defect.seen.get(&line.tag);
            before.is_none_or(|before| squeezed(before) != squeezed(&line.text))
        })
    };
    (is_gone || files.values().any(|lines| quoted(lines))) && (!(unique && copies > 0) || is_new())
}

#[test]
fn ten_thousand_histories_have_no_fix_without_evidence_and_one_comment_a_finding() {
    let mut figures = Figures::default();
    (1..=HISTORIES).for_each(|seed| history(seed, &mut figures));
    let Figures {
        edits,
        reviews,
        findings,
        true_fixes,
        recognised,
        missed,
        unverified,
        lies,
        lies_with_evidence,
        lies_beside,
        reverts_unseen,
        reopened,
        fixed,
        fixed_unshown,
        standing,
        standing_green,
        looked_up,
        second_comments,
    } = figures;
    let share = f64::from(recognised) / f64::from(true_fixes);
    println!("{HISTORIES} histories of {findings} findings; edits {edits:?}; reviews {reviews:?}");
    println!(
        "fixed without evidence: {fixed_unshown} of {fixed}; green without evidence: {standing_green} of \
         {standing}; second comments: {second_comments} of {looked_up}"
    );
    println!(
        "true fixes that an honest model named: {true_fixes}, recognised: {recognised} ({share:.4}); missed \
         {missed:?}"
    );
    println!("open and unverified after a review: {unverified}");
    println!("fixes taken back whose finding's own lines had changed as well, not seen: {reverts_unseen}");
    println!(
        "lies: {lies}, with lines that bear them out: {lies_with_evidence} (beside lines that were left: \
         {lies_beside}), seen through later: {reopened}"
    );
    assert!(share >= RECOGNISED && true_fixes > 5000, "{share}");
    assert!(edits.values().all(|count| *count > 500) && reviews.len() == 7);
    // Checks that the simulation contained enough cases.
    assert!(fixed > 5000 && standing > 10_000 && looked_up > 20_000, "{fixed} {standing} {looked_up}");
    assert_eq!((fixed_unshown, standing_green, second_comments), (0, 0, 0));
    let believed = f64::from(lies_with_evidence) / f64::from(lies);
    assert!(lies > 5000 && believed <= BELIEVED, "{lies_with_evidence} of {lies} lies are believed");
    assert!(reverts_unseen <= REVERTS_UNSEEN, "{reverts_unseen} of {HISTORIES}");
}
