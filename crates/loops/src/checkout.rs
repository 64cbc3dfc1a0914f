//! Fetches, compares and reads one revision of a pull request. The rules come from the operator and from the
//! repository.
//!
//! The repository's own file can add to the operator's rules. This file is read at the tip of the default
//! branch, or at the tip of the target branch if the operator lists that branch. The file is never read from
//! the pull request's own commits, because a change must not configure its own review.

use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use globset::GlobSet;
use truing_agent::memory::{CLAUDE_FOLDER, MEMORY_FILES};
use truing_agent::verify::CacheScope as Trust;
use truing_config::layer::SourceFile;
use truing_config::problem::{ConfigError, ConfigProblem};
use truing_config::{Config, REPOSITORY_FILE, value};
use truing_core::code_digest::LinesKey;
use truing_core::id::{PrId, Sha};
use truing_core::outcome::ReviewCoverage;
use truing_core::port::{PullRequest, PullRevision, RepositoryReader};
use truing_diff::{FileStatus, RepoPath, parse};
use truing_forge::AnyForgeServer;
use truing_git::{ExportSummary, Git, GitError, Mirror, PrivateFolder, Remote};

use super::agent::{
    self, AgentError, ContextSources, ModelReviewRequest, ModelReviewRun, ReviewContext, ReviewTree,
};
use super::earlier_reviews::EarlierReviews;
use super::fetch;
use super::ignores;
use super::reading::{self, ReadingError, ReadingOutcome, ReviewScope, ReviewedChange};
use super::tools::{BaseCommit, LinterSources, ReviewLinters};

/// Returns the path of the mirror for a pull request's repository. The path is below `mirrors`.
pub fn mirror_path(mirrors: &Path, id: &PrId) -> PathBuf {
    mirrors.join(&id.forge).join(format!("{}.git", id.repository))
}

/// The operator's rules, without the additions of a repository's own file.
#[derive(Clone, Debug)]
pub struct OperatorRules {
    config: Config,
    scope: ReviewScope,
    /// Base branches that may configure reviews, by forge.
    configuring_branches: BTreeMap<String, GlobSet>,
}

impl OperatorRules {
    /// Reads the rules from the operator's configuration.
    ///
    /// # Errors
    /// If a pattern is not a glob.
    pub fn new(config: Config, lines_key: LinesKey) -> Result<Self, globset::Error> {
        let scope = ReviewScope::from_config(&config, lines_key)?;
        let branches = config.forges.iter();
        let branches =
            branches.map(|(name, forge)| Ok((name.clone(), value::compile_globs(&forge.config_branches)?)));
        let branches = branches.collect::<Result<_, globset::Error>>()?;
        Ok(Self { config, scope, configuring_branches: branches })
    }

    /// True if the tip of this branch may configure the reviews of pull requests into the branch.
    fn can_configure(&self, forge: &str, branch: &str) -> bool {
        self.configuring_branches.get(forge).is_some_and(|branches| branches.is_match(branch))
    }

    /// Returns the rules with the settings of the repository's own file.
    fn scope_with(&self, repository_file: &SourceFile) -> Result<ReviewScope, CheckoutError> {
        Ok(ReviewScope::from_config(
            &self.config.with_repository(repository_file)?,
            self.scope.lines_key.clone(),
        )?)
    }

    pub fn operator_config(&self) -> &Config {
        &self.config
    }

    /// Returns the configuration for pull requests into this branch. If the repository has its own file, the
    /// configuration includes the additions of this file.
    ///
    /// # Errors
    /// [`CheckoutError`]
    #[truing_core::boxed_future]
    pub async fn effective_config(
        &self,
        git: &Git,
        mirror: &Mirror,
        forge: &str,
        base_branch: &str,
    ) -> Result<Config, CheckoutError> {
        for tip in self.configuring_tips(mirror, forge, base_branch).await? {
            mirror.fetch(std::slice::from_ref(&tip.commit)).await?;
            if let Some(own) = read_repository_config(git, mirror, &tip.commit).await? {
                return Ok(self.config.with_repository(&own)?);
            }
        }
        Ok(self.config.clone())
    }

    /// Returns the branch tips that may configure reviews, in order of precedence.
    async fn configuring_tips(
        &self,
        mirror: &Mirror,
        forge: &str,
        base_branch: &str,
    ) -> Result<Vec<ConfigBranchTip>, GitError> {
        let of_base = match self.can_configure(forge, base_branch) {
            true => mirror.branch_tip(base_branch).await?,
            false => None,
        };
        let of_base = of_base.map(|commit| ConfigBranchTip { branch: ConfigBranch::Base, commit });
        let of_default = mirror.default_tip().await?;
        let of_default = of_default.map(|commit| ConfigBranchTip { branch: ConfigBranch::Default, commit });
        Ok(of_base.into_iter().chain(of_default).collect())
    }
}

/// Reads the repository's own configuration at a commit.
async fn read_repository_config(
    git: &Git,
    mirror: &Mirror,
    commit: &Sha,
) -> Result<Option<SourceFile>, CheckoutError> {
    let folder = git.create_private_folder()?;
    let exported = mirror.export(commit, folder.path(), Some(&[REPOSITORY_FILE.into()])).await?;
    Ok(read_exported_config(&exported, &folder, commit)?)
}

/// The mirror and the remote of a pull request's repository, and the components that read its commits.
pub struct CheckoutContext<'a> {
    pub git: &'a Git,
    /// `NAME` of the forge's section `[forge.NAME]` in the configuration.
    pub forge: &'a str,
    /// The client of the forge. The client can find the repository of a fork.
    pub server: &'a AnyForgeServer,
    /// Path of the repository's mirror.
    pub mirror: &'a Path,
    /// The remote that the mirror fetches from.
    pub remote: &'a Remote,
    /// Rules of the operator, without the additions of the repository.
    pub rules: &'a OperatorRules,
    /// The isolated processes that parse repository bytes.
    pub reader: &'a dyn RepositoryReader,
    /// Linters whose findings are part of the review.
    pub linter_sources: &'a LinterSources,
    /// The scope of dependency set-ups that linters may use.
    pub trust: Trust,
}

/// The configuration of one review. It stays the same during the review, even if branches move.
#[derive(Debug)]
pub struct PinnedReviewScope {
    /// The files and rules to review.
    pub scope: ReviewScope,
    /// The branch tip that provides the repository's own file; `None` if no tip contains this file.
    pub config_file_tip: Option<ConfigBranchTip>,
    /// The branch tip that provides the other settings: `configured` or, if that is `None`, the first tip
    /// that may configure reviews. `None` if the repository has no tip that may configure reviews.
    pub settings_tip: Option<ConfigBranchTip>,
}

impl PinnedReviewScope {
    /// Reads the repository's context for a model from the commit of `tip`.
    ///
    /// # Errors
    /// [`GitError`]
    #[truing_core::boxed_future]
    pub async fn read_review_context(
        &self,
        sources: &ContextSources,
        mirror: &Mirror,
    ) -> Result<ReviewContext, GitError> {
        let memory = sources.read_commit(mirror, self.settings_tip.as_ref().map(|tip| &tip.commit)).await?;
        Ok(ReviewContext {
            memory,
            repository_source: self.settings_tip.as_ref().map(ToString::to_string).unwrap_or_default(),
        })
    }
}

/// The tip of a branch that may configure reviews.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigBranchTip {
    /// The kind of the branch.
    pub branch: ConfigBranch,
    /// Newest commit of the branch.
    pub commit: Sha,
}

/// A branch that may configure reviews.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigBranch {
    /// The target branch of the pull request, if the operator lists this branch.
    Base,
    /// The repository's default branch.
    Default,
}

impl fmt::Display for ConfigBranchTip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = match self.branch {
            ConfigBranch::Base => "base",
            ConfigBranch::Default => "default",
        };
        write!(f, "the {branch} branch, commit {}", self.commit.short_sha())
    }
}

/// The reason why a revision could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The change could not be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// The model's part of the review failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The repository's own file is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A pattern in the repository's own file is not a glob.
    #[error("rules.ignore: {0}")]
    Pattern(#[from] globset::Error),
}

impl CheckoutContext<'_> {
    /// Fetches the head and the base of a pull request, and reads the configuration of the review.
    ///
    /// # Errors
    /// [`CheckoutError`]
    #[truing_core::boxed_future]
    pub async fn fetch(&self, pull: &PullRequest) -> Result<(Mirror, PinnedReviewScope), CheckoutError> {
        let mirror = self.git.open_mirror(self.mirror, self.remote).await?;
        let tips = self.rules.configuring_tips(&mirror, self.forge, &pull.base_branch).await?;
        let PullRevision { head, base } = &pull.revision;
        let others: Vec<Sha> =
            [base].into_iter().chain(tips.iter().map(|tip| &tip.commit)).cloned().collect();
        fetch::fetch_commits(self.server, &mirror, head, pull.head_repository.as_ref(), &others).await?;
        let first = tips.first().cloned();
        for tip in tips {
            if let Some(own) = read_repository_config(self.git, &mirror, &tip.commit).await? {
                let (scope, tip) = (self.rules.scope_with(&own)?, Some(tip));
                return Ok((
                    mirror,
                    PinnedReviewScope { scope, config_file_tip: tip.clone(), settings_tip: tip },
                ));
            }
        }
        Ok((
            mirror,
            PinnedReviewScope { scope: self.rules.scope.clone(), config_file_tip: None, settings_tip: first },
        ))
    }

    /// Returns the `rules.ignore` patterns of the repository's own file that match no file at this head. The
    /// operator's patterns are not checked, because they apply to many repositories.
    pub(crate) async fn unused_ignore_patterns(
        &self,
        mirror: &Mirror,
        head: &Sha,
        pinned: &PinnedReviewScope,
        coverage: &ReviewCoverage,
    ) -> Vec<String> {
        let scope = &pinned.scope;
        if scope.ignore_patterns == self.rules.scope.ignore_patterns {
            return Vec::new();
        }
        let list = async {
            let files = mirror.list_files(head, &[]).await?;
            Ok::<Vec<RepoPath>, GitError>(files.into_iter().map(|file| file.path).collect())
        };
        ignores::unused_patterns(scope, coverage, list).await
    }

    /// Exports the files of the head to a temporary folder and runs the reader on the changed files. If a
    /// model is requested, runs the model afterwards.
    ///
    /// # Errors
    /// [`CheckoutError`]
    pub fn read_and_review<'a>(
        &'a self,
        mirror: &'a Mirror,
        change: &'a ReviewedChange,
        head: &'a Sha,
        scope: &'a ReviewScope,
        model_request: Option<ModelReviewRequest<'a>>,
        earlier: &'a EarlierReviews,
    ) -> BoxFuture<'a, Result<(ReadingOutcome, Option<ModelReviewRun>), CheckoutError>> {
        Box::pin(async move {
            let mut plan = reading::plan_reading(change, scope)?;
            let folder = self.git.create_private_folder()?;
            let mut paths = plan.required_paths(scope, self.reader).await?;
            paths.extend(earlier.recheck_paths());
            // All files are exported if a model or a linter runs: both may read every file, and a linter's
            // output may name any file.
            let is_all = model_request.is_some() || self.linter_sources.needs_tree(&scope.tools);
            let only = if is_all { None } else { Some(paths.as_slice()) };
            let exported = mirror.export(head, folder.path(), only).await?;
            plan.add_oversized_files(&exported.oversized_files, folder.path());
            plan.add_unreviewed_files(exported.omitted_files);
            let tree = folder.path().to_owned();
            let base = BaseCommit::Mirror(mirror, &change.base);
            let tooling = ReviewLinters {
                linter_sources: self.linter_sources,
                project_programs_folder: None,
                trust: Some(&self.trust),
                base,
            };
            let mut reading = plan.read(tree, scope, self.reader, Some(tooling)).await?;
            let place = ReviewTree { tree: folder.path(), visible_paths: None };
            let part =
                agent::run_model_review(model_request, change, place, self.reader, earlier, &mut reading)
                    .await?;
            reading.add_line_digests(folder.path(), &scope.lines_key);
            Ok((reading, part))
        })
    }
}

/// Returns the diff of a pull request, from its merge base with the base branch to its head.
///
/// # Errors
/// [`GitError`]
#[truing_core::boxed_future]
pub async fn load_change(mirror: &Mirror, revision: &PullRevision) -> Result<ReviewedChange, GitError> {
    let PullRevision { head, base } = revision;
    let left = mirror.merge_base(base, head).await?.unwrap_or_else(|| base.clone());
    let found = mirror.diff_with_omissions(&left, head).await?;
    Ok(ReviewedChange::from_commit_diff(left, head, found))
}

/// Returns the changed files that would configure reviews once they are merged into the branch that
/// configures reviews. With `has_model`, these files include memory and skills, because both instruct a
/// model.
pub fn configuring_files(change: &ReviewedChange, has_model: bool) -> Vec<RepoPath> {
    let tells = |path: &str| {
        let of_model = MEMORY_FILES.contains(&path)
            || path
                .strip_prefix(CLAUDE_FOLDER)
                .is_some_and(|below| below.is_empty() || below.starts_with('/'));
        path == REPOSITORY_FILE || (has_model && of_model)
    };
    let mut paths: Vec<RepoPath> = parse(&change.diff)
        .files
        .into_iter()
        .flat_map(|file| {
            // Copying a file does not change the source of the copy, so the source's path does not count.
            let old = file.old_path.filter(|_| file.status != FileStatus::Copied);
            [Some(file.path), old].into_iter().flatten()
        })
        .filter(|path| path.as_str().is_some_and(tells))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Returns the repository's own file from the exported files of a commit, if the commit has this file.
///
/// # Errors
/// [`ConfigProblem::UnreadableRepositoryFile`] if the path is a link or anything else that is not a plain
/// file.
pub fn read_exported_config(
    exported: &ExportSummary,
    folder: &PrivateFolder,
    commit: &Sha,
) -> Result<Option<SourceFile>, ConfigError> {
    // Git uses the same syntax to name a file in a commit.
    let name = format!("{}:{REPOSITORY_FILE}", commit.short_sha());
    if let Some(odd) = exported.omitted_files.first() {
        let reason = odd.reason.as_str().replace('_', " ");
        return Err(ConfigProblem::UnreadableRepositoryFile { file: name, reason }.into());
    }
    let file = truing_config::read_repository_file(folder.path())?;
    Ok(file.map(|file| SourceFile { name, ..file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_configures_by_what_it_writes_removes_or_renames_but_not_by_copies() {
        let git = |lines: &str| ReviewedChange {
            base: Sha::parse(&"b".repeat(40)).unwrap(),
            head: None,
            diff: lines.as_bytes().to_vec(),
            omitted_files: vec![],
            large_new_files: vec![],
            index_content_paths: vec![],
        };
        let written = "--- a/.truing.toml\n+++ b/.truing.toml\n@@ -1 +1 @@\n-a\n+b\n";
        let table = [
            (
                format!("diff --git a/.truing.toml b/.truing.toml\nindex 1111111..2222222 100644\n{written}"),
                true,
            ),
            (
                "diff --git a/.truing.toml b/x\nsimilarity index 100%\nrename from .truing.toml\nrename to \
                x\n"
                .into(),
                true,
            ),
            (
                "diff --git a/.truing.toml b/x\nsimilarity index 100%\ncopy from .truing.toml\ncopy to \
                x\n"
                .into(),
                false,
            ),
            (
                "diff --git a/x/.truing.toml b/x/.truing.toml\nold mode 100644\nnew mode 100755\n".into(),
                false,
            ),
        ];
        for (diff, counts) in table {
            let expected = if counts { vec![RepoPath::from(REPOSITORY_FILE)] } else { vec![] };
            assert_eq!(configuring_files(&git(&diff), false), expected, "{diff}");
        }
        for (path, counts) in [
            ("CLAUDE.md", true),
            (".claude/skills/a/SKILL.md", true),
            (".claude", true),
            (".claude-2/x", false),
        ] {
            let diff = format!("diff --git a/{path} b/{path}\nold mode 100644\nnew mode 100755\n");
            let told: Vec<RepoPath> = if counts { vec![path.into()] } else { vec![] };
            assert_eq!(configuring_files(&git(&diff), true), told, "{path}");
            assert_eq!(configuring_files(&git(&diff), false), [], "{path}: rules are not told");
        }
    }
}
