//! What the targets of one call name: pull requests and branches of local repositories, each once.

use std::path::PathBuf;

use truing_git::Git;

use crate::budget::name_of_remote;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::review::Target;
use crate::wiring;

/// What a run works on.
pub(super) enum Site {
    /// A pull request at a forge.
    Pull(Box<Target>),
    /// The branch that is checked out in the repository that this folder is in.
    Folder(PathBuf),
}

/// One target of a call.
pub(super) struct Asked {
    /// What people call it; none where none was named.
    pub(super) name: Option<String>,
    /// What it is, or why it is nothing that could be worked on.
    pub(super) site: Result<Site, CliError>,
}

impl Asked {
    /// The same text for whatever is the same thing.
    fn identity(&self) -> String {
        match &self.site {
            // Forges do not tell names apart by case.
            Ok(Site::Pull(pull)) => {
                format!("pull {} {} {}", pull.forge, pull.repo.to_ascii_lowercase(), pull.number)
            }
            Ok(Site::Folder(root)) => format!("folder {root:?}"),
            Err(_) => format!("unknown {:?}", self.name),
        }
    }
}

/// What is asked for, in this order. What is named twice, however, is there once. One that names nothing keeps no
/// other one waiting.
///
/// # Errors
/// There is no git.
pub(super) async fn of(targets: &[String], context: &Context) -> Result<Vec<Asked>, CliError> {
    if targets.is_empty() {
        let here = context.environment.directory().to_owned();
        return Ok(vec![Asked { name: None, site: Ok(Site::Folder(here)) }]);
    }
    let git = wiring::git(&context.environment).await?;
    let mut all: Vec<Asked> = Vec::new();
    for target in targets {
        let site = site(target, &git, context).await;
        let name = match &site {
            Ok(Site::Pull(pull)) => format!("{}#{}", pull.repo, pull.number),
            Ok(Site::Folder(_)) | Err(_) => target.clone(),
        };
        let asked = Asked { name: Some(name), site };
        if !all.iter().any(|other| other.identity() == asked.identity()) {
            all.push(asked);
        }
    }
    Ok(all)
}

/// What one target names.
pub(super) async fn site(target: &str, git: &Git, context: &Context) -> Result<Site, CliError> {
    let folder = context.environment.directory().join(target);
    if folder.is_dir() && !target.contains("://") {
        let repository = git.open(&folder).await.map_err(wiring::git_error)?;
        return Ok(Site::Folder(repository.root().to_owned()));
    }
    if is_path(target) {
        let what = if folder.exists() { "is no folder" } else { "there is no such folder" };
        return Err(CliError::usage("bad_target", format!("`{target}`: {what}"))
            .hint("give a folder of a repository, a pull request's page, OWNER/NAME#NUMBER, or NUMBER"));
    }
    let of_origin = match target.parse::<u64>() {
        Ok(_) => Some(of_origin(target, git, context).await?),
        Err(_) => None,
    };
    let text = of_origin.as_deref().unwrap_or(target);
    let pull = Target::find(text, &context.config(&[])?, &context.environment)?;
    Ok(Site::Pull(Box::new(pull)))
}

/// Can it be nothing but a folder? `a/b` may be meant for a repository; what begins as a path does not.
fn is_path(target: &str) -> bool {
    let begins = ["/", "./", "../", "~"].iter().any(|begin| target.starts_with(begin));
    begins || matches!(target, "." | "..") || (!target.contains(['#', ':']) && target.parse::<u64>().is_err())
}

/// A number alone is one of the repository that is stood in, by where it was cloned from.
async fn of_origin(number: &str, git: &Git, context: &Context) -> Result<String, CliError> {
    let repository = git.open(context.environment.directory()).await.map_err(wiring::git_error)?;
    let name = repository.remote_url().and_then(name_of_remote).ok_or_else(|| {
        CliError::usage(
            "bad_target",
            format!("`{number}`: this repository has no remote `origin` to be one of"),
        )
        .hint("name it in full: OWNER/NAME#NUMBER, or its page's URL")
    })?;
    Ok(format!("{name}#{number}"))
}
