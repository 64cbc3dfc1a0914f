//! `cargo xtask bench linters`: runs a linter on many commits, through `truing review --tools` and directly.
//! Compares the findings that Truing reports with the linter's findings on the lines that each commit adds.
//! The comparison has its own filter and its own parser of the linter's output, so it does not rely on the
//! code that it checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{say, workspace};

/// The linter and the commits to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// The repository whose history is examined; it is cloned
    repository: PathBuf,
    /// The linter, by its name in the list of this benchmark; its program must be on the search path
    #[arg(long)]
    tool: String,
    /// Number of commits to compare: the newest ones that change files of the linter
    #[arg(long, default_value_t = 300)]
    commits: usize,
    /// A shell command that prepares each of the two clones, for example by linking `node_modules`
    #[arg(long)]
    prepare: Option<String>,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// A linter, with its command and the format of its output.
pub(super) struct ComparedLinter {
    pub(super) name: &'static str,
    pub(super) command: &'static [&'static str],
    /// Suffixes of the names of the files that the linter checks.
    pub(super) file_suffixes: &'static [&'static str],
    pub(super) shape: LinterOutputShape,
}

/// The format of a linter's output: JSON, with pointers to the values of a finding, or plain lines.
pub(super) enum LinterOutputShape {
    /// One JSON text with a list of findings. The fields are the pointer to the list, and the pointers to a
    /// finding's path, first line and last line.
    List(&'static str, [&'static str; 3]),
    /// A list of files, each with a list of findings. The fields are the pointers to a file's path and list,
    /// and to a finding's first and last line.
    PerFile([&'static str; 4]),
    /// One JSON text on each line, for one finding. The fields are the pointers to the finding's path, first
    /// line and last line.
    Lines([&'static str; 3]),
    /// Plain lines that begin with `path:line:`.
    Text,
}

pub(super) const LINTERS: &[ComparedLinter] = &[
    ComparedLinter {
        name: "ruff",
        command: &["ruff", "check", "--output-format", "json", "--no-fix", "--no-cache", "--force-exclude"],
        file_suffixes: &[".py", ".pyi"],
        shape: LinterOutputShape::List("", ["/filename", "/location/row", "/end_location/row"]),
    },
    ComparedLinter {
        name: "flake8",
        command: &["flake8"],
        file_suffixes: &[".py"],
        shape: LinterOutputShape::Text,
    },
    ComparedLinter {
        name: "pylint",
        command: &["pylint", "--output-format", "json2", "--score", "n"],
        file_suffixes: &[".py"],
        shape: LinterOutputShape::List("/messages", ["/path", "/line", "/endLine"]),
    },
    ComparedLinter {
        name: "mypy",
        command: &["mypy", "--output", "json", "--cache-dir", "/dev/null"],
        file_suffixes: &[".py", ".pyi"],
        shape: LinterOutputShape::Lines(["/file", "/line", "/line"]),
    },
    ComparedLinter {
        name: "bandit",
        command: &["bandit", "-q", "-f", "json"],
        file_suffixes: &[".py"],
        shape: LinterOutputShape::List("/results", ["/filename", "/line_number", "/line_range"]),
    },
    ComparedLinter {
        name: "codespell",
        command: &["codespell"],
        file_suffixes: &[".py", ".md", ".rst", ".txt", ".js", ".ts", ".go", ".rs", ".sh"],
        shape: LinterOutputShape::Text,
    },
    ComparedLinter {
        name: "yamllint",
        command: &["yamllint", "-f", "parsable"],
        file_suffixes: &[".yml", ".yaml"],
        shape: LinterOutputShape::Text,
    },
    ComparedLinter {
        name: "shellcheck",
        command: &["shellcheck", "-f", "json1"],
        file_suffixes: &[".sh", ".bash"],
        shape: LinterOutputShape::List("/comments", ["/file", "/line", "/endLine"]),
    },
    ComparedLinter {
        name: "semgrep",
        command: &[
            "semgrep",
            "scan",
            "--json",
            "--quiet",
            "--metrics",
            "off",
            "--disable-version-check",
            "--config",
            ".semgrep",
        ],
        file_suffixes: &[".py", ".js", ".ts", ".go"],
        shape: LinterOutputShape::List("/results", ["/path", "/start/line", "/end/line"]),
    },
    ComparedLinter {
        name: "eslint",
        command: &["eslint", "-f", "json", "--no-warn-ignored"],
        file_suffixes: &[".js", ".mjs", ".cjs", ".ts"],
        shape: LinterOutputShape::PerFile(["/filePath", "/messages", "/line", "/endLine"]),
    },
    ComparedLinter {
        name: "biome",
        command: &[
            "biome",
            "lint",
            "--reporter=rdjson",
            "--max-diagnostics=none",
            "--no-errors-on-unmatched",
        ],
        file_suffixes: &[".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx"],
        shape: LinterOutputShape::List(
            "/diagnostics",
            ["/location/path", "/location/range/start/line", "/location/range/end/line"],
        ),
    },
    ComparedLinter {
        name: "oxlint",
        command: &["oxlint", "-f", "unix"],
        file_suffixes: &[".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx"],
        shape: LinterOutputShape::Text,
    },
];

/// The location of a finding in a linter's output: the path, the first line and the last line.
pub(super) type LinterPlace = (String, u64, u64);

/// The counts and the times of all compared commits.
#[derive(Default)]
struct LinterTotals {
    commits: usize,
    linter_findings: usize,
    findings_on_added_lines: usize,
    reported: usize,
    old_findings: usize,
    repeated: usize,
    missing: usize,
    extra_findings: usize,
    failed: usize,
    linter_seconds: Vec<f64>,
    truing_seconds: Vec<f64>,
    truing_seconds_without_linter: Vec<f64>,
}

/// Compares the findings. Returns `false` if Truing reports a finding that the linter does not report, or
/// omits a new finding of the linter on added lines.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let named = |linter: &&ComparedLinter| linter.name == options.tool;
    let Some(linter) = LINTERS.iter().find(named) else {
        let names: Vec<_> = LINTERS.iter().map(|linter| linter.name).collect();
        bail!("there is no linter `{}`; known are {}", options.tool, names.join(", "));
    };
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let here = folder.path();
    let program = match &options.program {
        Some(program) => program.canonicalize()?,
        None => super::program::build_truing(&workspace::workspace_root()?)?,
    };
    let repository = options.repository.canonicalize().context("the repository")?;
    let (ours, theirs) = (here.join("ours"), here.join("theirs"));
    for clone in [&ours, &theirs] {
        git(here, &["clone", "--quiet", &repository.display().to_string(), &clone.display().to_string()])?;
    }
    if let Some(script) = &options.prepare {
        for clone in [&ours, &theirs] {
            let status = Command::new("sh").args(["-c", script]).current_dir(clone).status()?;
            if !status.success() {
                bail!("`{script}`: {status}");
            }
        }
    }
    std::fs::write(here.join("truing.toml"), single_linter_config(linter))?;
    let mut sums = LinterTotals::default();
    for commit in git(&ours, &["log", "--no-merges", "--format=%H", "--min-parents=1"])?.lines() {
        if sums.commits == options.commits {
            break;
        }
        let changed = find_changed_lines(&ours, commit, LineSide::New)?;
        let wanted = |path: &&String| linter.file_suffixes.iter().any(|end| path.ends_with(end));
        let files: Vec<&String> = changed.keys().filter(wanted).collect();
        if files.is_empty() {
            continue;
        }
        sums.commits += 1;
        let compared = LinterComparison {
            linter,
            program: &program,
            truing_clone: &ours,
            linter_clone: &theirs,
            commit,
        };
        compared.compare_commit(&files, &changed, &mut sums)?;
    }
    print_comparison(linter, &repository, &mut sums);
    Ok(sums.missing == 0 && sums.extra_findings == 0 && sums.commits > 0)
}

/// A commit to compare, with the linter and the two clones.
struct LinterComparison<'a> {
    linter: &'a ComparedLinter,
    program: &'a Path,
    truing_clone: &'a Path,
    linter_clone: &'a Path,
    commit: &'a str,
}

impl LinterComparison<'_> {
    fn compare_commit(
        &self,
        files: &[&String],
        changed: &BTreeMap<String, BTreeSet<u64>>,
        totals: &mut LinterTotals,
    ) -> Result<()> {
        let found = self.find_with_linter(self.commit, files, &mut totals.linter_seconds)?;
        let is_added = |(path, first, last): &&LinterPlace| {
            changed.get(path).is_some_and(|lines| lines.range(*first..=*last).next().is_some())
        };
        let added: Vec<&LinterPlace> = found.iter().filter(is_added).collect();
        let Some(truing_findings) = self.find_with_truing(true, &mut totals.truing_seconds)? else {
            totals.failed += 1;
            return Ok(());
        };
        self.find_with_truing(false, &mut totals.truing_seconds_without_linter)?;
        totals.linter_findings += found.len();
        totals.findings_on_added_lines += added.len();
        totals.reported += truing_findings.len();
        let mut left: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        for (path, line, _) in &truing_findings {
            *left.entry((path, *line)).or_default() += 1;
        }
        let mut not_told = Vec::new();
        for place in added {
            match left.get_mut(&(place.0.as_str(), place.1)) {
                Some(count @ 1..) => *count -= 1,
                Some(_) | None => not_told.push(place),
            }
        }
        let more: usize = left.values().sum();
        if more > 0 {
            say::print_line(&format!("{}: told, and not found by the linter itself: {left:?}", self.commit));
        }
        totals.extra_findings += more;
        // If the linter reports the same rule twice on a line, Truing reports only one finding. The second
        // finding does not count as missing.
        let is_told = |place: &&&LinterPlace| {
            truing_findings.iter().any(|(path, line, _)| (path, line) == (&place.0, &place.1))
        };
        let twice = not_told.iter().filter(is_told).count();
        not_told.retain(|place| !is_told(&place));
        // If Truing does not report a finding, the finding may be old: the commit may only have moved the
        // finding's line. Old findings are only counted. Their number is limited to the number of findings
        // that the parent commit has on the removed lines.
        let old = if not_told.is_empty() { 0 } else { self.count_removed_findings()?.min(not_told.len()) };
        let missing = not_told.len() - old;
        totals.repeated += twice;
        if let (1.., Some(first)) = (missing, not_told.first()) {
            say::print_line(&format!("{}: {missing} are not reported, such as {first:?}", self.commit));
        }
        totals.old_findings += old;
        totals.missing += missing;
        Ok(())
    }

    /// Counts the linter's findings in the parent commit on lines that the commit removes.
    fn count_removed_findings(&self) -> Result<usize> {
        let removed = find_changed_lines(self.truing_clone, self.commit, LineSide::Old)?;
        let wanted = |path: &&String| self.linter.file_suffixes.iter().any(|end| path.ends_with(end));
        let files: Vec<&String> = removed.keys().filter(wanted).collect();
        if files.is_empty() {
            return Ok(0);
        }
        let found = self.find_with_linter(&format!("{}~1", self.commit), &files, &mut Vec::new())?;
        let is_removed = |(path, first, last): &&LinterPlace| {
            removed.get(path).is_some_and(|lines| lines.range(*first..=*last).next().is_some())
        };
        Ok(found.iter().filter(is_removed).count())
    }

    fn find_with_linter(
        &self,
        commit: &str,
        files: &[&String],
        times: &mut Vec<f64>,
    ) -> Result<Vec<LinterPlace>> {
        git(self.linter_clone, &["checkout", "--quiet", "--force", commit])?;
        let (program, arguments) = self.linter.command.split_first().context("a command")?;
        let mut command = Command::new(program);
        command.args(arguments).args(files).current_dir(self.linter_clone).stdin(Stdio::null());
        let began = Instant::now();
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        times.push(began.elapsed().as_secs_f64());
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(parse_places(&self.linter.shape, &text, self.linter_clone))
    }

    /// Runs `truing review`, and returns the locations of the linter's findings in Truing's report. Returns
    /// `None` if the linter did not run or failed.
    fn find_with_truing(
        &self,
        is_linter_enabled: bool,
        times: &mut Vec<f64>,
    ) -> Result<Option<Vec<LinterPlace>>> {
        let base = format!("{}~1", self.commit);
        let mut command = Command::new(self.program);
        command.args(["--config", "../truing.toml", "review", "--quiet", "--no-record", "--format", "json"]);
        command.args(["--base", &base, "--head", self.commit, "--fail-on", "never", "--allow-partial"]);
        if is_linter_enabled {
            command.arg("--tools");
        }
        command.current_dir(self.truing_clone).stdin(Stdio::null());
        let began = Instant::now();
        let output = command.output()?;
        times.push(began.elapsed().as_secs_f64());
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{}: {}", self.commit, String::from_utf8_lossy(&output.stderr)))?;
        let runs = report["tools"].as_array().cloned().unwrap_or_default();
        if let Some(why) = runs.iter().find_map(|run| run["failed"].as_str().or(run["skipped"].as_str())) {
            say::print_line(&format!("{}: {why}", self.commit));
            return Ok(None);
        }
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let of_tool = findings.iter().filter(|finding| finding["source"] == "tool");
        Ok(Some(
            of_tool
                .filter_map(|one| parse_place(one, ["/path", "/start_line", "/end_line"], self.truing_clone))
                .collect(),
        ))
    }
}

/// Returns a configuration with which Truing runs only this linter, even if the repository configures other
/// tools.
pub(super) fn single_linter_config(linter: &ComparedLinter) -> String {
    let mut text = "[rules]\npacks = []\n".to_owned();
    for known in truing_reader::output::known::known_tools() {
        let when = if known.name == linter.name { "changed" } else { "never" };
        text += &format!("[[tool]]\nname = \"{}\"\nwhen = \"{when}\"\n", known.name);
    }
    text
}

/// The side of a diff.
#[derive(Clone, Copy)]
pub(super) enum LineSide {
    Old,
    New,
}

/// Returns the lines that a commit, or a range `from..to`, adds or removes, by file. The lines are taken from
/// git's diff.
pub(super) fn find_changed_lines(
    repository: &Path,
    commit: &str,
    side: LineSide,
) -> Result<BTreeMap<String, BTreeSet<u64>>> {
    let (mark, prefix, part) = match side {
        LineSide::Old => ("--- ", "a/", 0),
        LineSide::New => ("+++ ", "b/", 1),
    };
    let mut files: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut path = None;
    let range = commit.split_once("..");
    let diff = match range {
        Some((from, to)) => git(repository, &["diff", "--unified=0", "-M", "--no-color", from, to])?,
        None => git(repository, &["show", "--format=", "--unified=0", "-M", "--no-color", commit])?,
    };
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix(mark) {
            path = name.strip_prefix(prefix).map(str::to_owned);
        } else if let (Some(path), Some(hunk)) = (&path, line.strip_prefix("@@ -")) {
            let Some((first, count)) = hunk.split('+').nth(part).and_then(|new| {
                let new = new.split(' ').next()?;
                let (first, count) = new.split_once(',').unwrap_or((new, "1"));
                Some((first.parse::<u64>().ok()?, count.parse::<u64>().ok()?))
            }) else {
                continue;
            };
            files.entry(path.clone()).or_default().extend(first..first + count);
        }
    }
    Ok(files)
}

pub(super) fn parse_places(shape: &LinterOutputShape, text: &str, root: &Path) -> Vec<LinterPlace> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match shape {
        LinterOutputShape::List(pointer, names) => {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            let entries = value.pointer(pointer).map(list).unwrap_or_default();
            entries.iter().filter_map(|entry| parse_place(entry, *names, root)).collect()
        }
        LinterOutputShape::PerFile([path, messages, line, end]) => {
            let files: Value = serde_json::from_str(text).unwrap_or_default();
            let of = |file: &Value| {
                let name = file.pointer(path).cloned().unwrap_or_default();
                let messages = file.pointer(messages).map(list).unwrap_or_default();
                let one = |message: &Value| {
                    let mut message = message.clone();
                    message["file"] = name.clone();
                    parse_place(&message, ["/file", line, end], root)
                };
                messages.iter().filter_map(one).collect::<Vec<_>>()
            };
            list(&files).iter().flat_map(of).collect()
        }
        LinterOutputShape::Lines(names) => {
            let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            entries.filter_map(|entry| parse_place(&entry, *names, root)).collect()
        }
        LinterOutputShape::Text => {
            let of = |line: &str| {
                let mut parts = line.splitn(3, ':');
                let (path, number) = (parts.next()?, parts.next()?.trim().parse().ok()?);
                Some((strip_root(path, root), number, number))
            };
            text.lines().filter_map(of).collect()
        }
    }
}

fn parse_place(entry: &Value, [path, line, end]: [&str; 3], root: &Path) -> Option<LinterPlace> {
    let first = entry.pointer(line)?.as_u64()?;
    let last = entry.pointer(end).and_then(|end| match end.as_array() {
        Some(lines) => lines.last()?.as_u64(),
        None => end.as_u64(),
    });
    Some((strip_root(entry.pointer(path)?.as_str()?, root), first, last.unwrap_or(first).max(first)))
}

fn strip_root(path: &str, root: &Path) -> String {
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(path));
    below.strip_prefix("./").unwrap_or(below).display().to_string()
}

pub(super) fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).current_dir(folder).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn print_comparison(linter: &ComparedLinter, repository: &Path, totals: &mut LinterTotals) {
    let name = repository.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default() * 1000.0
    };
    let (tool, ours, without) = (
        median(&mut totals.linter_seconds),
        median(&mut totals.truing_seconds),
        median(&mut totals.truing_seconds_without_linter),
    );
    say::print_line(&format!(
        "{} on {name}: {} commits, {} findings, {} on added lines; told {}, said twice {}, as old as the \
         base {}, missing {}, told beyond {}, not run {}; medians: the linter {tool:.0} ms, a review \
         {without:.0} ms, both {ours:.0} ms",
        linter.name,
        totals.commits,
        totals.linter_findings,
        totals.findings_on_added_lines,
        totals.reported,
        totals.repeated,
        totals.old_findings,
        totals.missing,
        totals.extra_findings,
        totals.failed,
    ));
}
