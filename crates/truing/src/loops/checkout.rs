//! One revision of a pull request: fetched, compared, and read by the rules of its repository's default branch.
//!
//! Those are what the operator configured, and what the repository's own file at the default branch's tip may add;
//! never what the pull request says of itself (design.md section 6).

use std::path::Path;

use truing_core::id::Sha;
use truing_core::port::{Reader, Revision};
use truing_git::{Exported, Git, GitError, Mirror, PrivateFolder, Remote};

use super::reading::{self, Change, Reading, ReadingError, Scope};
use crate::config::layer::SourceFile;
use crate::config::problem::{ConfigError, Problem};
use crate::config::{self, Config, REPOSITORY_FILE};

/// What the rules look at, before a repository's own file is asked.
#[derive(Clone, Debug)]
pub struct Rules {
    config: Config,
    scope: Scope,
}

impl Rules {
    /// The operator's.
    ///
    /// # Errors
    /// A pattern in `rules.ignore` that is no glob.
    pub fn new(config: Config) -> Result<Self, globset::Error> {
        let scope = Scope::of(&config.rules)?;
        Ok(Self { config, scope })
    }

    /// With what the repository's own file adds.
    fn with(&self, own: Option<&SourceFile>) -> Result<Scope, CheckoutError> {
        match own {
            None => Ok(self.scope.clone()),
            Some(file) => Ok(Scope::of(&self.config.with_repository(file)?.rules)?),
        }
    }
}

/// Where a pull request's commits are, and who reads them.
#[derive(Debug)]
pub struct Checkout<'a, R> {
    /// Git.
    pub git: &'a Git,
    /// Where the repository's mirror is.
    pub mirror: &'a Path,
    /// Where it is fetched from.
    pub remote: &'a Remote,
    /// What the rules look at.
    pub rules: &'a Rules,
    /// The plane that parses repository bytes.
    pub reader: &'a R,
}

/// What holds for one review, whatever happens meanwhile.
#[derive(Debug)]
pub struct Pinned {
    /// What the rules look at.
    pub scope: Scope,
    /// The commit of the default branch whose own file counted; none if it has none.
    pub configured: Option<Sha>,
}

/// Why a revision could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The change could not be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// The repository's own file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// One of its patterns is no glob.
    #[error("rules.ignore: {0}")]
    Pattern(#[from] globset::Error),
}

impl<R: Reader> Checkout<'_, R> {
    /// Fetches both commits, and what configures their review.
    ///
    /// # Errors
    /// [`CheckoutError`]
    pub async fn fetch(&self, revision: &Revision) -> Result<(Mirror, Pinned), CheckoutError> {
        let mirror = self.git.mirror(self.mirror, self.remote).await?;
        let tip = mirror.default_tip().await?;
        let commits = [&revision.head, &revision.base].into_iter().chain(&tip);
        mirror.fetch(&commits.cloned().collect::<Vec<_>>()).await?;
        let own = match &tip {
            Some(tip) => self.own_file(&mirror, tip).await?,
            None => None,
        };
        let scope = self.rules.with(own.as_ref())?;
        Ok((mirror, Pinned { scope, configured: tip.filter(|_| own.is_some()) }))
    }

    /// The repository's own configuration.
    async fn own_file(&self, mirror: &Mirror, commit: &Sha) -> Result<Option<SourceFile>, CheckoutError> {
        let folder = self.git.private_folder()?;
        let exported = mirror.export(commit, folder.path(), Some(&[REPOSITORY_FILE.into()])).await?;
        Ok(exported_file(&exported, &folder, commit)?)
    }

    /// Lets the reader read the changed files of the exact head, from a folder that is gone afterwards.
    ///
    /// # Errors
    /// [`CheckoutError`]
    pub async fn read(
        &self,
        mirror: &Mirror,
        change: &Change,
        head: &Sha,
        scope: &Scope,
    ) -> Result<Reading, CheckoutError> {
        let mut plan = reading::plan(change, scope)?;
        let folder = self.git.private_folder()?;
        let paths = plan.paths(scope, self.reader).await?;
        let exported = mirror.export(head, folder.path(), Some(&paths)).await?;
        plan.stand_in(&exported.too_large, folder.path());
        plan.leave_out(exported.left_out);
        Ok(plan.read(folder.path().to_owned(), scope, self.reader).await?)
    }
}

/// The diff of a pull request: from where its branch left the base.
///
/// # Errors
/// [`GitError`]
pub async fn changed(mirror: &Mirror, revision: &Revision) -> Result<Change, GitError> {
    let Revision { head, base } = revision;
    let left = mirror.merge_base(base, head).await?.unwrap_or_else(|| base.clone());
    let diff = mirror.diff(&left, head).await?;
    Ok(Change { base: left, head: Some(head.clone()), diff, left_out: vec![], large: vec![] })
}

/// The repository's own file as it was exported from a commit, if that has one.
///
/// # Errors
/// [`Problem::RepositoryFile`] for a link, and whatever else is no plain file.
pub fn exported_file(
    exported: &Exported,
    folder: &PrivateFolder,
    commit: &Sha,
) -> Result<Option<SourceFile>, ConfigError> {
    // As git names a file of a commit.
    let name = format!("{}:{REPOSITORY_FILE}", commit.short());
    if let Some(odd) = exported.left_out.first() {
        let why = odd.reason.as_str().replace('_', " ");
        return Err(Problem::RepositoryFile { file: name, why }.into());
    }
    let file = config::repository_file(folder.path())?;
    Ok(file.map(|file| SourceFile { name, ..file }))
}
