//! `cargo xtask bench pushes`: compares the comments of Truing with those of reviewdog, on pull requests with
//! several pushes. The comments report a linter's findings, and the forge is a fake.
//!
//! reviewdog itself is not run; its rules are taken from its source of August 2026. reviewdog identifies a
//! comment by path, line and a fingerprint of the whole diagnostic. If reviewdog finds no such comment on the
//! pull request, it posts one. If the finding of a comment no longer exists, reviewdog deletes the comment,
//! unless it has a reply.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::runtime::Runtime;
use truing_fakes::forge::{FakeForge, FakeForgeOptions as ForgeOptions, NewPull, PullView};
use truing_fakes::repo::CommitBuilder;

use super::linters::{
    ComparedLinter, LINTERS, LineSide, find_changed_lines, git, parse_places, single_linter_config,
};
use crate::{say, workspace};

const TOKEN: &str = "a token of the bench";
const LOGIN: &str = "truing[bot]";

/// The linter, and the pull requests to create.
#[derive(Args)]
pub(crate) struct Options {
    /// The repository whose commits are the pushes
    repository: PathBuf,
    /// The linter, by its name in the list of `bench linters`
    #[arg(long)]
    tool: String,
    /// Pull requests
    #[arg(long, default_value_t = 10)]
    pulls: usize,
    /// Pushes of each
    #[arg(long, default_value_t = 5)]
    pushes: usize,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// The identity of a finding: its path, and the text of its line without white space.
type FindingKey = (String, String);

/// The numbers of comments that Truing or reviewdog makes, summed over all pull requests.
#[derive(Default)]
struct CommentTotals {
    posted: usize,
    repeated: usize,
    deleted: usize,
    stale: usize,
    uncommented_findings: usize,
}

/// Compares the comments. Returns `false` if Truing repeats a comment, keeps a comment open whose finding is
/// fixed, or fails to comment on a new finding.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let linter =
        LINTERS.iter().find(|linter| linter.name == options.tool).context("there is no such linter")?;
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    let program = match &options.program {
        Some(program) => program.canonicalize()?,
        None => super::program::build_truing(&workspace::workspace_root()?)?,
    };
    let clone = here.join("clone");
    let from = options.repository.canonicalize()?;
    git(here, &["clone", "--quiet", &from.display().to_string(), &clone.display().to_string()])?;
    let history = list_linter_commits(&clone, linter, options.pulls * (options.pushes + 1))?;
    let (mut ours, mut theirs) = (CommentTotals::default(), CommentTotals::default());
    let runtime = Runtime::new()?;
    for commits in history.chunks(options.pushes + 1).take(options.pulls) {
        let [base, pushes @ ..] = commits else { continue };
        let site = PushComparison { linter, program: &program, clone: &clone, folder: here };
        let found = site.findings_by_push(base, pushes)?;
        // A finding is old if the base has a finding on a line with the same text. The paths are not
        // compared, because code also moves between files.
        let old: BTreeSet<String> = site.findings_at_base(base)?.into_keys().map(|(_, text)| text).collect();
        count_reviewdog_comments(&found, &mut theirs);
        let view = runtime.block_on(site.publish_reviews(base, pushes))?;
        count_truing_comments(&view, &found, &old, &mut ours);
    }
    for (name, sums) in [("truing", &ours), ("reviewdog", &theirs)] {
        let CommentTotals { posted, repeated, deleted, stale, uncommented_findings: lost } = sums;
        say::print_line(&format!(
            "{name:<10} posted {posted}, of these again {repeated}, deleted {deleted}, left though fixed \
             {stale}, lost {lost}"
        ));
    }
    Ok((ours.repeated, ours.stale, ours.uncommented_findings) == (0, 0, 0))
}

/// Returns the newest commits that change files of the linter, oldest first.
fn list_linter_commits(clone: &Path, linter: &ComparedLinter, count: usize) -> Result<Vec<String>> {
    let mut commits = Vec::new();
    for commit in
        git(clone, &["log", "--no-merges", "--min-parents=1", "--first-parent", "--format=%H"])?.lines()
    {
        let changed = find_changed_lines(clone, commit, LineSide::New)?;
        if changed.keys().any(|path| linter.file_suffixes.iter().any(|end| path.ends_with(end))) {
            commits.push(commit.to_owned());
        }
        if commits.len() == count {
            break;
        }
    }
    if commits.len() < count {
        bail!("{} commits are too few, {count} are needed", commits.len());
    }
    commits.reverse();
    Ok(commits)
}

/// The comparison of the comments on one pull request with several pushes.
struct PushComparison<'a> {
    linter: &'a ComparedLinter,
    program: &'a Path,
    clone: &'a Path,
    folder: &'a Path,
}

/// The findings on added lines after a push: for each `FindingKey`, the line ranges at which it was found.
type PushFindings = BTreeMap<FindingKey, BTreeSet<(u64, u64)>>;

impl PushComparison<'_> {
    /// Returns the linter's findings after each push, on all lines that the pull request adds up to this
    /// push.
    fn findings_by_push(&self, base: &str, pushes: &[String]) -> Result<Vec<PushFindings>> {
        let mut all = Vec::new();
        for push in pushes {
            let added = self.added_lines(base, push)?;
            let wanted = |path: &&String| self.linter.file_suffixes.iter().any(|end| path.ends_with(end));
            let files: Vec<&String> = added.keys().filter(wanted).collect();
            let files: Vec<&str> = files.into_iter().map(String::as_str).collect();
            let touches = |path: &str, first, last| {
                added
                    .get(path)
                    .is_some_and(|lines: &BTreeSet<u64>| lines.range(first..=last).next().is_some())
            };
            let found = self.findings_at_commit(push, &files, touches)?;
            all.push(found);
        }
        Ok(all)
    }

    /// Returns all of the linter's findings at the base commit.
    fn findings_at_base(&self, base: &str) -> Result<PushFindings> {
        let tree = git(self.clone, &["ls-tree", "-r", "--name-only", base])?;
        let wanted = |path: &&str| self.linter.file_suffixes.iter().any(|end| path.ends_with(end));
        let files: Vec<&str> = tree.lines().filter(wanted).collect();
        self.findings_at_commit(base, &files, |_, _, _| true)
    }

    /// Returns the linter's findings in these files of a commit. Only findings at locations for which
    /// `is_counted` returns true are returned.
    fn findings_at_commit(
        &self,
        commit: &str,
        files: &[&str],
        is_counted: impl Fn(&str, u64, u64) -> bool,
    ) -> Result<PushFindings> {
        let mut found = PushFindings::new();
        git(self.clone, &["checkout", "--quiet", "--force", commit])?;
        if files.is_empty() {
            return Ok(found);
        }
        let (program, arguments) = self.linter.command.split_first().context("a command")?;
        let mut command = Command::new(program);
        command.args(arguments).args(files).current_dir(self.clone).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        for (path, line, last) in
            parse_places(&self.linter.shape, &String::from_utf8_lossy(&output.stdout), self.clone)
        {
            if is_counted(&path, line, last) {
                let text = std::fs::read_to_string(self.clone.join(&path)).unwrap_or_default();
                let at = usize::try_from(line).unwrap_or(1).saturating_sub(1);
                let text: String = text.lines().nth(at).unwrap_or_default().split_whitespace().collect();
                found.entry((path, text)).or_default().insert((line, last));
            }
        }
        Ok(found)
    }

    fn added_lines(&self, base: &str, push: &str) -> Result<BTreeMap<String, BTreeSet<u64>>> {
        find_changed_lines(self.clone, &format!("{base}..{push}"), LineSide::New)
    }

    /// Creates the pull request, and runs `truing review --pr --publish --tools` after each push. Returns the
    /// pull request after the last review.
    async fn publish_reviews(&self, base: &str, pushes: &[String]) -> Result<PullView> {
        let forge = FakeForge::start(ForgeOptions::default()).await?;
        forge.register_token(TOKEN, LOGIN);
        let home = self.folder.join(format!("home-{}", base.get(..8).unwrap_or(base)));
        std::fs::create_dir_all(&home)?;
        let url = forge.base_url();
        let rest = single_linter_config(self.linter);
        let config = format!(
            "[forge.github]\napi_url = \"{url}\"\ngit_url = \"{url}\"\nsettle = \"100ms\"\n[review]\nquiet \
             = \"1s\"\nmax_inline = 200\n{rest}"
        );
        std::fs::write(home.join("truing.toml"), config)?;
        let repo = forge.create_repository("o", "r", self.stage_linter_files(None, base)?).await?;
        let mut number = 0;
        let mut before = base;
        for push in pushes {
            repo.push("one", self.stage_linter_files(Some(before), push)?).await?;
            if number == 0 {
                number = repo.open_pull(NewPull::from_branch("one")).await?;
            }
            self.review(&home, number).await?;
            before = push;
        }
        Ok(repo.pull(number).await?)
    }

    async fn review(&self, home: &Path, number: u64) -> Result<()> {
        let mut command = tokio::process::Command::new(self.program);
        command.args([
            "--config",
            "truing.toml",
            "--quiet",
            "review",
            "--pr",
            &format!("o/r#{number}"),
            "--publish",
        ]);
        command
            .args(["--tools", "--fail-on", "never", "--allow-partial"])
            .current_dir(home)
            .stdin(Stdio::null());
        command.env_clear().env("HOME", home).env("GITHUB_TOKEN", TOKEN);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let output = command.output().await?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Returns a commit with the files that the linter checks and its configuration, as they are at `commit`.
    /// If `previous_commit` is given, the new commit contains only the files that differ between the two
    /// commits.
    fn stage_linter_files(&self, previous_commit: Option<&str>, commit: &str) -> Result<CommitBuilder> {
        let named = match previous_commit {
            None => git(self.clone, &["ls-tree", "-r", "--name-only", commit])?,
            Some(before) => git(self.clone, &["diff", "--no-renames", "--name-only", before, commit])?,
        };
        let is_wanted = |path: &&str| {
            self.linter.file_suffixes.iter().any(|end| path.ends_with(end))
                || path.ends_with(".toml")
                || path.ends_with(".cfg")
        };
        let mut change = CommitBuilder::new("push").write("README.md", commit);
        for path in named.lines().filter(is_wanted) {
            change = match git(self.clone, &["show", &format!("{commit}:{path}")]) {
                Ok(text) => change.write(path, text),
                Err(_) => change.delete(path),
            };
        }
        Ok(change)
    }
}

/// Counts the comments that reviewdog would post, repeat and delete for these findings.
fn count_reviewdog_comments(findings: &[PushFindings], totals: &mut CommentTotals) {
    let (mut there, mut posted) = (BTreeSet::new(), BTreeMap::<FindingKey, usize>::new());
    for push in findings {
        let one = |(posted, lines): (&FindingKey, &BTreeSet<(u64, u64)>)| {
            lines.iter().map(|lines| (posted.clone(), *lines)).collect::<Vec<_>>()
        };
        let now: BTreeSet<(FindingKey, (u64, u64))> = push.iter().flat_map(one).collect();
        for (text, _) in now.difference(&there) {
            totals.posted += 1;
            let before = posted.entry(text.clone()).or_default();
            *before += 1;
            let needed = push.get(text).map_or(1, BTreeSet::len);
            totals.repeated += usize::from(*before > needed);
        }
        totals.deleted += there.difference(&now).count();
        there = now;
    }
}

/// Counts Truing's comments, and compares its open comments with the findings after the last push.
fn count_truing_comments(
    view: &PullView,
    findings: &[PushFindings],
    base_line_texts: &BTreeSet<String>,
    totals: &mut CommentTotals,
) {
    let comments: Vec<_> = view.inline_comments().filter(|comment| comment.author == LOGIN).collect();
    totals.posted += comments.len();
    totals.deleted +=
        view.comments.iter().filter(|comment| comment.deleted && comment.place.is_some()).count();
    let markers: BTreeSet<&str> = comments.iter().filter_map(|comment| comment.body.lines().last()).collect();
    totals.repeated += comments.len() - markers.len();
    let last = findings.last().cloned().unwrap_or_default();
    let open: Vec<(String, u64)> = comments
        .iter()
        .filter(|comment| !comment.resolved)
        .filter_map(|comment| Some((comment.place.as_ref()?.path.clone(), u64::from(comment.line?))))
        .collect();
    let is_at = |(path, line): &(String, u64), posted: &FindingKey, lines: &BTreeSet<(u64, u64)>| {
        *path == posted.0 && lines.iter().any(|(first, last)| (first..=last).contains(&line))
    };
    totals.stale +=
        open.iter().filter(|place| !last.iter().any(|(posted, lines)| is_at(place, posted, lines))).count();
    let news = last.iter().filter(|((_, text), _)| !base_line_texts.contains(text));
    // An open comment has no line if the diff no longer contains this line, or if the file was renamed. For
    // each such comment, one finding is not counted as lost.
    let hidden = comments.iter().filter(|comment| !comment.resolved && comment.line.is_none()).count();
    let without =
        news.filter(|(posted, lines)| !open.iter().any(|place| is_at(place, posted, lines))).count();
    totals.uncommented_findings += without.saturating_sub(hidden);
}
