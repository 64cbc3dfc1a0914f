//! `cargo xtask bench diff`: compares our diff parser's line counts with git's counts, and our parser's speed
//! with the speed of other parsers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use diffy::patch_set::{ParseOptions, PatchSet};
use truing_diff::LineKind;

use super::{hard_diffs, meter};
use crate::{say, workspace};

/// Number of files in the generated diff. Each file changes by one line.
const GENERATED_DIFF_FILES: usize = 5_000;

/// Number of mismatches that are printed as examples.
const MAX_PRINTED_MISMATCHES: usize = 5;

/// Minimum size, in bytes, of the input for a comparison of whole processes. With less input, the start-up of
/// the processes would dominate.
const MIN_PROCESS_BYTES: usize = 20 << 20;

/// The script that runs npm's `diff`. It parses a file with diffs, and prints a line of JSON with the name
/// and the line counts of each changed file.
const NPM_DIFF_SCRIPT: &str = "
const { parsePatch } = require(process.argv[1] + '/node_modules/diff')
const out = []
for (const f of parsePatch(require('fs').readFileSync(process.argv[2], 'utf8'))) {
  let added = 0, deleted = 0
  const hunks = f.hunks.map(h => {
    for (const l of h.lines) { if (l[0] === '+') added++; else if (l[0] === '-') deleted++ }
    return { old_start: h.oldStart, old_lines: h.oldLines, new_start: h.newStart, new_lines: h.newLines }
  })
  out.push(JSON.stringify({ path: f.newFileName, old_path: f.oldFileName, added, deleted, hunks }))
}
process.stdout.write(out.join('\\n') + '\\n')
";

/// The parsers to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// The repository whose history is read [default: this one]
    repository: Option<PathBuf>,
    /// Number of commits that are read, spread evenly over the history
    #[arg(long, default_value_t = 1000)]
    commits: usize,
    /// The folder in which `npm install diff` was run
    #[arg(long, value_name = "FOLDER")]
    npm: Option<PathBuf>,
    /// The optimized program to measure as a whole process [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs the comparison. Returns `false` if a count differs from git's, or if a speed ratio is lower than
/// promised.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::workspace_root()?;
    let repository = options.repository.as_deref().unwrap_or(&root);
    let commits = sample_commit_diffs(repository, options.commits)?;
    let real = report_wrong_counts("real commits", &commits);
    let cases = report_wrong_counts("hard cases", &hard_diffs::produce_case_diffs()?);

    let diffs: Vec<&[u8]> = commits.iter().map(|commit| commit.diff.as_slice()).collect();
    let in_process = compare_parsers("real commits", &diffs, Some(0.8));
    let tiny = generate_one_line_changes();
    let in_process_tiny =
        self::compare_parsers(&format!("{GENERATED_DIFF_FILES} tiny files"), &[&tiny], None);
    let whole = compare_programs(&root, &diffs, options)?;
    Ok(real && cases && in_process && in_process_tiny && whole)
}

/// A diff, and git's line counts for the same change.
pub(crate) struct DiffWithNumstat {
    /// The commit's id, or the name of a case.
    pub(crate) name: String,
    /// Output of `git diff`.
    pub(crate) diff: Vec<u8>,
    /// Output of `git diff --numstat -z`.
    pub(crate) numstat: Vec<u8>,
}

/// Returns the diffs of `count` commits, without merges, spread evenly over the history.
fn sample_commit_diffs(repository: &Path, count: usize) -> Result<Vec<DiffWithNumstat>> {
    // With this setting, git reads the repository even if it belongs to another user.
    let git = |args: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        command.args(["-c", "safe.directory=*", "-C"]).arg(repository).args(args);
        let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(output.stdout)
    };
    let commits = git(&["rev-list", "--no-merges", "HEAD"])?;
    let commits: Vec<&str> = std::str::from_utf8(&commits)?.lines().collect();
    let step = (commits.len() / count.max(1)).max(1);
    let of = |commit: &&str| {
        let tree = ["diff-tree", "--root", "--no-commit-id", "-r", "-M", "--no-ext-diff", "--no-textconv"];
        Ok(DiffWithNumstat {
            name: (*commit).to_owned(),
            diff: git(&[&tree[..], &["-p", "--no-color", commit]].concat())?,
            numstat: git(&[&tree[..], &["--numstat", "-z", commit]].concat())?,
        })
    };
    commits.iter().step_by(step).take(count).map(of).collect()
}

/// The counts by file name: the old name, if the file was renamed, and the numbers of added and deleted
/// lines. If a file's type changes, a diff lists two files, but this map has one entry.
type NumstatCounts = BTreeMap<Vec<u8>, (Option<Vec<u8>>, u64, u64)>;

/// Prints the number of diffs for which our counts differ from git's. Returns true if there are no such
/// diffs.
fn report_wrong_counts(label: &str, diffs: &[DiffWithNumstat]) -> bool {
    let wrong: Vec<_> = diffs.iter().filter(|counted| !matches_git_counts(counted)).collect();
    let files: usize = diffs.iter().map(|counted| parse_git_numstat(&counted.numstat).len()).sum();
    let bytes: usize = diffs.iter().map(|counted| counted.diff.len()).sum();
    say::print_line(&format!(
        "{label}: {} mismatches to `git diff --numstat -z` in {} diffs, {files} files, {:.2} MB",
        wrong.len(),
        diffs.len(),
        megabytes(bytes)
    ));
    wrong
        .iter()
        .take(MAX_PRINTED_MISMATCHES)
        .for_each(|counted| say::print_line(&format!("  wrong: {}", counted.name)));
    wrong.is_empty()
}

/// Returns true if our counts of this diff equal git's.
pub(crate) fn matches_git_counts(diff_with_numstat: &DiffWithNumstat) -> bool {
    let parsed = truing_diff::parse(&diff_with_numstat.diff);
    let mut ours = NumstatCounts::new();
    for file in &parsed.files {
        let entry = ours.entry(file.path.as_bytes().to_vec()).or_default();
        entry.0 = file.old_path.as_ref().map(|path| path.as_bytes().to_vec());
        entry.1 += u64::from(file.added_lines);
        entry.2 += u64::from(file.deleted_lines);
    }
    parsed.error.is_none() && ours == parse_git_numstat(&diff_with_numstat.numstat)
}

/// Parses the output of `--numstat -z`: `ADDED⇥DELETED⇥PATH`. For a renamed file, the path is empty, and the
/// old and the new path follow.
fn parse_git_numstat(numstat: &[u8]) -> NumstatCounts {
    let mut counts = NumstatCounts::new();
    let mut fields = numstat.split(|byte| *byte == 0);
    while let Some(field) = fields.next().filter(|field| !field.is_empty()) {
        let mut parts = field.splitn(3, |byte| *byte == b'\t');
        let mut count = || {
            // Binary files have `-` in place of numbers.
            std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default().parse().unwrap_or(0)
        };
        let (added, deleted) = (count(), count());
        let name = parts.next().unwrap_or_default();
        let (old, name) = if name.is_empty() {
            (fields.next().map(<[u8]>::to_vec), fields.next().unwrap_or_default())
        } else {
            (None, name)
        };
        counts.insert(name.to_vec(), (old, added, deleted));
    }
    counts
}

/// Compares the speed of our parser and of `diffy` on all diffs, in this process.
fn compare_parsers(label: &str, diffs: &[&[u8]], min_speed_ratio: Option<f64>) -> bool {
    let bytes: usize = diffs.iter().map(|diff| diff.len()).sum();
    let ours = || diffs.iter().map(|diff| count_with_truing(diff)).sum::<usize>();
    let theirs = || diffs.iter().map(|diff| count_with_diffy(diff)).sum::<usize>();
    let (ours, theirs) = meter::measure_alternately(ours, theirs);
    print_speed_ratio(&format!("in process, {label}"), "diffy", ours, theirs, bytes, min_speed_ratio)
}

/// Counts changed lines with our parser. Our parser parses lines only on request, so this function requests
/// each line, because `diffy` also parses each line.
fn count_with_truing(diff: &[u8]) -> usize {
    let files = truing_diff::parse_files(diff).filter_map(Result::ok);
    let changed = |line: &truing_diff::HunkLine<'_>| line.kind != LineKind::Context;
    files.map(|file| file.hunks.iter().map(|hunk| hunk.lines().filter(changed).count()).sum::<usize>()).sum()
}

/// Counts changed lines with `diffy`.
fn count_with_diffy(diff: &[u8]) -> usize {
    let files = PatchSet::parse_bytes(diff, ParseOptions::gitdiff()).filter_map(Result::ok);
    let changed = |line: &&diffy::Line<'_, [u8]>| !matches!(line, diffy::Line::Context(_));
    files
        .map(|file| {
            let hunks = file.patch().as_text().map_or(&[][..], |patch| patch.hunks());
            hunks.iter().map(|hunk| hunk.lines().iter().filter(changed).count()).sum::<usize>()
        })
        .sum()
}

/// Returns a diff of many files. In each file, one line changes.
fn generate_one_line_changes() -> Vec<u8> {
    let file = |at: usize| {
        format!(
            "diff --git a/src/part{0}/file{at}.rs b/src/part{0}/file{at}.rs\nindex 1234567..89abcde \
             100644\n--- a/src/part{0}/file{at}.rs\n+++ b/src/part{0}/file{at}.rs\n@@ -1 +1 @@\n-old \
             {at}\n+new {at}\n",
            at % 100
        )
    };
    (0..GENERATED_DIFF_FILES).map(file).collect::<String>().into_bytes()
}

/// Compares the speed of `truing diff parse` and of npm's `diff` on a file that contains all diffs.
fn compare_programs(root: &Path, diffs: &[&[u8]], options: &Options) -> Result<bool> {
    let Some(npm) = options.npm.as_ref().filter(|npm| npm.join("node_modules/diff").is_dir()) else {
        say::print_line(
            "whole process: npm `diff` is missing: `npm install diff@9` in a folder, then --npm FOLDER",
        );
        return Ok(true);
    };
    if Command::new("node").arg("--version").output().is_err() {
        say::print_line("whole process: `node` is missing, so npm `diff` cannot be run");
        return Ok(true);
    }
    let program = match &options.program {
        Some(program) => program.clone(),
        None => {
            let build = ["build", "--release", "--locked", "--package", "truing"];
            workspace::command_output(workspace::cargo_command(root).args(build))?;
            std::env::current_exe()?.with_file_name("truing")
        }
    };
    let once = diffs.concat();
    let corpus = once.repeat(MIN_PROCESS_BYTES.div_ceil(once.len().max(1)));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("corpus.diff");
    fs::write(&file, &corpus)?;
    let mut ours = Command::new(program);
    ours.args(["diff", "parse"]).arg(&file);
    let mut theirs = Command::new("node");
    theirs.args(["-e", NPM_DIFF_SCRIPT]).arg(fs::canonicalize(npm)?).arg(&file);
    let (ours, theirs) = meter::measure_processes_alternately(&mut ours, &mut theirs)?;
    Ok(print_speed_ratio("whole process, JSON printed", "npm diff", ours, theirs, corpus.len(), Some(3.0)))
}

/// Prints the speed of our parser and of the peer. Returns false if the speed ratio is lower than promised.
fn print_speed_ratio(
    label: &str,
    peer: &str,
    our_seconds: f64,
    peer_seconds: f64,
    bytes: usize,
    min_speed_ratio: Option<f64>,
) -> bool {
    let ratio = peer_seconds / our_seconds;
    let holds = min_speed_ratio.is_none_or(|promised| ratio >= promised);
    let promise = min_speed_ratio
        .map(|promised| format!(" (promised: {promised}x, {})", if holds { "kept" } else { "MISSED" }));
    say::print_line(&format!(
        "{label}: {:.0} MB/s, {peer} {:.0} MB/s: {ratio:.2}x{}",
        megabytes(bytes) / our_seconds,
        megabytes(bytes) / peer_seconds,
        promise.unwrap_or_default()
    ));
    holds
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hard_case_is_read_as_git_counts_it() {
        let cases = hard_diffs::produce_case_diffs().unwrap();
        assert!(cases.len() >= 60, "{}", cases.len());
        let wrong: Vec<_> =
            cases.iter().filter(|case| !matches_git_counts(case)).map(|case| &case.name).collect();
        assert_eq!(wrong, Vec::<&String>::new());
        assert!(cases.iter().all(|case| !case.diff.is_empty()));
    }

    #[test]
    fn a_wrong_count_is_seen() {
        let diff = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-1\n+2\n+3\n";
        let counted = |numstat: &[u8]| DiffWithNumstat {
            name: String::new(),
            diff: diff.into(),
            numstat: numstat.into(),
        };
        assert!(matches_git_counts(&counted(b"2\t1\tx\0")));
        for wrong in [&b"2\t2\tx\0"[..], b"2\t1\ty\0", b"2\t1\t\0y\0x\0"] {
            assert!(!matches_git_counts(&counted(wrong)));
        }
        assert!(!matches_git_counts(&counted(b"")));
    }
}
