//! The gate, which has to be clean before each audit: the commands that the operator has configured, linters, and the rule packs
//! (spec/converge.md "Gate", 2.10, 4).
//!
//! A command says 0 for clean and 1 for findings; whatever else it comes to means that it could not run, which is
//! nobody's to fix by a change of the code. Each runs as a check does, on a copy of its own: what one changes, the
//! others and the caller's tree do not see. Of the lines that it prints, those that name a changed line block, and
//! those that name another line of the repository are notes. A line that names no place blocks: nobody can say that it
//! was there before. Lines are sorted first and left out then, so that old findings never hide a new one.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use truing_agent::verify::{CacheScope as Trust, CommandOutput, INSIDE, Verifier, VerifyError};
use truing_core::line;
use truing_core::outcome::{ReviewCoverage, UnreviewedFile};
use truing_core::verification::CommandEnd;
use truing_diff::RepoPath;
use truing_reader::redact::redact;

use crate::reading::{self, ReadingError, ReadingOutcome, ReviewedChange};
use crate::said::why;

/// Findings of a kind that are kept; the others are counted.
pub const MAX_KEPT: usize = 500;
/// Characters of one finding.
const MAX_TEXT: usize = 500;
/// Characters of a command where it is named.
const MAX_COMMAND: usize = 100;
/// Findings that a fixer is told at once.
const MAX_TOLD: usize = 100;
/// Bytes of a line that may be a path: as long as the system takes one.
const MAX_PATH: usize = 4096;
/// Colons of a line that are looked at for a place.
const MAX_COLONS: usize = 8;
/// A command that found something.
const FOUND: u8 = 1;

/// Commands of a gate, and what runs them.
#[derive(Clone, Debug)]
pub struct GateCommands {
    /// Each a program and its arguments, in order.
    pub argv: Vec<Vec<String>>,
    /// Runs them on what its own plan sets up.
    pub verifier: Verifier,
}

/// What a gate says of a change.
#[derive(Debug, Default)]
pub struct GateResult {
    /// Findings on changed lines, and without a place.
    pub blocking: GateFindings,
    /// Findings elsewhere.
    pub advisory: GateFindings,
    /// Changed files that the rules have read.
    pub inspected: usize,
    /// Those that they have not, and why.
    pub not_inspected: Vec<UnreviewedFile>,
    /// What the commands came to.
    pub ran: Vec<GateCommandRun>,
}

/// Findings of a kind.
#[derive(Debug, Default)]
pub struct GateFindings {
    /// The first, in the order in which they were found: [`MAX_KEPT`] at most.
    pub kept: Vec<GateFinding>,
    /// How many there are beyond those.
    pub left_out: usize,
}

/// A finding of the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateFinding {
    /// The rule, or the command's words.
    pub by: String,
    /// The file and the line, if it names them.
    pub place: Option<(RepoPath, u32)>,
    /// What it says, on one line.
    pub text: String,
}

/// How a command went that could run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateCommandRun {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Did it find nothing?
    pub is_clean: bool,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The reason why nothing is known. Not for an agent: no change of the code fixes it.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A command.
    #[error("code rules gate could not run: `{command}`: {why}")]
    Command {
        /// Its words.
        command: String,
        /// How it ended, and what it said last.
        why: String,
    },
    /// A linter.
    #[error("code rules gate could not run: {name}: {why}")]
    Linter {
        /// Its name.
        name: String,
        /// The reason for which not all of its findings are known.
        why: String,
    },
    /// The sandbox, a set-up, or the copy of the files.
    #[error("code rules gate could not run: {0}")]
    Verify(#[from] VerifyError),
    /// Files that are for the rules, none of which they have read.
    #[error(
        "code rules gate could not run: it has read none of the files that have changed, such as {path} ({why})"
    )]
    Unread {
        /// One of them.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// The change or the rules.
    #[error("code rules gate could not run: {0}")]
    Reading(#[from] ReadingError),
}

impl GateCommands {
    /// Runs them on a change whose head is laid out in `tree`, with git's folder if they ask git, and adds what they
    /// find. Nothing there is changed. `trust`: whose set-ups may be used.
    ///
    /// # Errors
    /// [`GateError`]; findings are none.
    #[truing_core::boxed_future]
    pub async fn look(
        &self,
        tree: &Path,
        change: &ReviewedChange,
        trust: &Trust,
        gated: &mut GateResult,
    ) -> Result<(), GateError> {
        let lines = reading::counted_lines(change)?;
        let Self { argv, verifier } = self;
        let set_up = verifier.set_up(tree, trust).await?;
        let mut places = ChangedPlaces { lines, tree, known: BTreeMap::new() };
        for words in argv {
            let command = redact(&line::clean(&words.join(" "), MAX_COMMAND));
            let printout = verifier.asked(&set_up, tree, words).await?;
            let is_clean = match printout.end {
                CommandEnd::Exit { code: 0 } => true,
                CommandEnd::Exit { code: FOUND } => false,
                CommandEnd::Exit { .. }
                | CommandEnd::Killed
                | CommandEnd::Time
                | CommandEnd::Output
                | CommandEnd::Disk
                | CommandEnd::Limit { .. }
                | CommandEnd::Full
                | CommandEnd::NoProgram => {
                    let mut why = why(&printout);
                    if !set_up.works() {
                        why += "; the set-up (`verify.setup`) does not work";
                    }
                    return Err(GateError::Command { command, why });
                }
            };
            if !is_clean {
                gated.hear(&command, &printout, &mut places);
            }
            gated.ran.push(GateCommandRun { argv: words.clone(), is_clean, ms: printout.ms });
        }
        Ok(())
    }
}

impl GateResult {
    /// With what the rules and linters found.
    ///
    /// # Errors
    /// [`GateError::Linter`]
    pub fn of(reading: ReadingOutcome) -> Result<Self, GateError> {
        let ReadingOutcome { found, tools, coverage: ReviewCoverage { reviewed, not_reviewed }, .. } =
            reading;
        if let Some((name, why)) = tools.into_iter().find_map(|tool| Some((tool.name, tool.failed?))) {
            return Err(GateError::Linter { name, why });
        }
        let mut gated = Self { inspected: reviewed.len(), not_inspected: not_reviewed, ..Self::default() };
        for raw in found.into_iter().map(|placed| placed.raw) {
            let text = line::clean(&format!("{}: {}", raw.title, raw.body), MAX_TEXT);
            let place = Some((raw.place.path, raw.place.start_line));
            gated.blocking.add(|| GateFinding { by: raw.rule, place, text });
        }
        Ok(gated)
    }

    /// Is there nothing that blocks?
    pub fn is_clean(&self) -> bool {
        self.blocking.kept.is_empty()
    }

    /// Itself, if somebody has looked: where no command ran, and the rules have read none of the files that are for
    /// them, nothing is known.
    ///
    /// # Errors
    /// [`GateError::Unread`]
    pub fn seen(self) -> Result<Self, GateError> {
        let missed = self.not_inspected.iter().find(|gap| !gap.reason.by_design());
        match missed.filter(|_| self.inspected == 0 && self.ran.is_empty()) {
            Some(UnreviewedFile { path, reason }) => {
                let path = line::visible(&path.to_string());
                Err(GateError::Unread { path, why: reason.as_str() })
            }
            None => Ok(self),
        }
    }

    /// What a fixer is told; nothing, if nothing blocks.
    pub fn words(&self) -> Option<String> {
        if self.is_clean() {
            return None;
        }
        let GateFindings { kept, left_out } = &self.blocking;
        let mut words = String::new();
        for said in kept.iter().take(MAX_TOLD) {
            let _ = writeln!(words, "{said}");
        }
        let more = kept.len().saturating_sub(MAX_TOLD) + left_out;
        if more > 0 {
            let _ = writeln!(words, "and {more} more");
        }
        Some(words)
    }

    /// Takes in what a command found.
    fn hear(&mut self, command: &str, printout: &CommandOutput, places: &mut ChangedPlaces<'_>) {
        let mut is_silent = true;
        for text in [&printout.output, &printout.errors] {
            // Of the finding that the next lines may belong to: does it block?
            let mut above = None;
            for line in text.lines() {
                let stripped = anstream::adapter::strip_str(line).to_string();
                if line::visible(&stripped).is_empty() {
                    continue;
                }
                is_silent = false;
                if let Some(blocks) = above
                    && stripped.starts_with([' ', '\t'])
                {
                    let found = if blocks { &mut self.blocking } else { &mut self.advisory };
                    found.go_on(&stripped);
                    continue;
                }
                let (place, rest, blocks) = places.of(&stripped);
                let found = if blocks { &mut self.blocking } else { &mut self.advisory };
                found.add(|| GateFinding {
                    by: command.to_owned(),
                    place,
                    text: line::clean(&redact(rest), MAX_TEXT),
                });
                above = Some(blocks);
            }
        }
        if is_silent {
            let text = "it found something, and does not say what".to_owned();
            self.blocking.add(|| GateFinding { by: command.to_owned(), place: None, text });
        }
    }
}

impl GateFindings {
    fn add(&mut self, said: impl FnOnce() -> GateFinding) {
        if self.kept.len() < MAX_KEPT {
            self.kept.push(said());
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// A further line of the last finding.
    fn go_on(&mut self, more: &str) {
        if self.left_out == 0
            && let Some(last) = self.kept.last_mut()
        {
            last.text = line::clean(&format!("{} {}", last.text, redact(more)), MAX_TEXT);
        }
    }
}

/// As tools print it, and who says so.
impl fmt::Display for GateFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, line)) = &self.place {
            write!(f, "{}:{line}: ", line::visible(&path.to_string()))?;
        }
        write!(f, "{} [{}]", self.text, self.by)
    }
}

/// Which places of a tree have changed.
struct ChangedPlaces<'a> {
    lines: BTreeMap<RepoPath, Vec<(u32, u32)>>,
    tree: &'a Path,
    /// What was asked before: the file that a text names, if it names one of the tree.
    known: BTreeMap<String, Option<RepoPath>>,
}

impl ChangedPlaces<'_> {
    /// The place that a line begins with, what it says there, and whether that blocks.
    fn of<'t>(&mut self, text: &'t str) -> (Option<(RepoPath, u32)>, &'t str, bool) {
        let Some((path, line, rest)) = self.place(text) else { return (None, text, true) };
        let ranges = self.lines.get(&path).map(Vec::as_slice).unwrap_or_default();
        let blocks = ranges.iter().any(|(first, last)| (*first..=*last).contains(&line));
        (Some((path, line)), rest, blocks)
    }

    /// `path:line: text`, `path:line:column: text`, of a file of the tree.
    fn place<'t>(&mut self, text: &'t str) -> Option<(RepoPath, u32, &'t str)> {
        let colons = text.match_indices(':').map(|(at, _)| at).take(MAX_COLONS);
        for at in colons.take_while(|at| *at <= MAX_PATH) {
            let (path, rest) = (text.get(..at)?, text.get(at + 1..)?);
            let Some((line, rest)) = number(rest).filter(|(line, _)| *line > 0) else { continue };
            let Some(path) = self.file(path) else { continue };
            let after_column = rest.strip_prefix(':').and_then(number).map_or(rest, |(_, rest)| rest);
            return Some((path, line, after_column.trim_start_matches(':').trim()));
        }
        None
    }

    /// The file of the tree that this names. No link is gone through: what is behind it may be anywhere.
    fn file(&mut self, named: &str) -> Option<RepoPath> {
        if let Some(known) = self.known.get(named) {
            return known.clone();
        }
        let below = Path::new(named.trim_start());
        let below = below.strip_prefix(INSIDE).unwrap_or(below);
        let mut inside = PathBuf::new();
        let mut is_file = false;
        for part in below.components() {
            match part {
                Component::CurDir => continue,
                Component::Normal(name) => inside.push(name),
                Component::Prefix(_) | Component::RootDir | Component::ParentDir => {
                    inside.clear();
                    break;
                }
            }
            let found = self.tree.join(&inside).symlink_metadata();
            is_file = found.as_ref().is_ok_and(std::fs::Metadata::is_file);
            if !is_file && !found.is_ok_and(|found| found.is_dir()) {
                break;
            }
        }
        let file = (is_file && !inside.as_os_str().is_empty())
            .then(|| RepoPath::from_bytes(inside.into_os_string().into_encoded_bytes()));
        self.known.insert(named.to_owned(), file.clone());
        file
    }
}

/// The number that a text begins with, and what follows: not more letters.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let ends = rest.is_empty() || rest.starts_with([':', ' ', '\t', ',']);
    Some((digits.parse().ok().filter(|_| ends)?, rest))
}
