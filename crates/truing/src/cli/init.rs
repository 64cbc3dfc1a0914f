//! The command `truing init`: writes a commented configuration file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use serde_json::json;
use truing_config::ForgeKind;
use truing_config::environment::Environment;
use truing_config::generate::StarterForge;
use truing_core::line::clean_line;
use truing_git::{ConfiguredRemote, GitError, ORIGIN};

use super::error::{CliError, CommandExit};
use super::review::{starter_forge, unsupported_origin};
use super::{CommandContext, runtime};
use crate::wiring;

/// Path of the written file if no other path is given.
pub(super) const DEFAULT_OUTPUT_FILE: &str = "truing.toml";
/// Maximum number of characters of a remote's address in a warning.
const MAX_SHOWN_URL_CHARS: usize = 200;

/// Write a configuration file with the keys that a first server needs
///
/// With --all, the file contains every key, with its default and its meaning. If the current folder is a
/// clone of a repository at GitHub or Bitbucket, the file configures the forge of its remote `origin`, or of
/// its only remote, and limits the server to that repository: `forge.NAME.repositories`. Without that key,
/// every repository that the token can read is served. If the address of the remote does not show the
/// repository, a warning says so, and the file contains the key as a comment to fill in. A GitHub Enterprise
/// Server is recognised by its host in the variable GH_HOST. If the address of the remote does not show the
/// kind of the forge, the file contains the forge's keys as comments. The command asks no questions.
#[derive(clap::Args, Debug)]
pub struct InitArgs {
    /// The file to write, which must not exist yet. `-`: standard output
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_OUTPUT_FILE)]
    output: PathBuf,
    /// Write every key, as a comment with its default
    #[arg(long)]
    all: bool,
}

/// Writes the file. An existing file is not changed.
pub(crate) fn run(args: &InitArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let found = find_remote(&context.environment)?;
    let remote = found.as_ref().ok().and_then(Option::as_ref);
    if let Some((remote, kind)) = remote.and_then(|remote| Some((remote, unsupported_origin(&remote.url)?))) {
        let message = format!(
            "no file is written: the remote `{}` of this repository is at an unsupported forge",
            remote.name
        );
        return Err(CliError::usage("unknown_forge", message)
            .hint(kind.hint())
            .hint(kind.job_hint())
            .hint("`truing converge` on a local branch and `truing sync decide` need no forge either")
            .hint("to serve repositories at GitHub or Bitbucket, run `truing init` in another folder"));
    }
    let forge = remote.and_then(|remote| starter_forge(&remote.url, &context.environment));
    let forge = forge.unwrap_or_default();
    let unknown_repository_reason = match (&found, &forge.repository) {
        (Ok(None), _) | (Ok(Some(_)), Some(_)) => None,
        (Ok(Some(remote)), None) => Some(format!(
            "the address of the remote `{}`, `{}`, does not show a repository `OWNER/NAME`",
            remote.name,
            clean_line(&remote.url, MAX_SHOWN_URL_CHARS)
        )),
        (Err(reason), _) => Some(format!("the remote of this repository is unknown: {reason}")),
    };
    let forge = StarterForge { is_repository_unknown: unknown_repository_reason.is_some(), ..forge };
    let text = match args.all {
        true => truing_config::generate::commented_file(&forge),
        false => truing_config::generate::starter_file(&forge),
    };
    if args.output.as_os_str() == "-" {
        context.output.print_data(text)?;
        return Ok(CommandExit::Success);
    }
    let path = context.environment.directory().join(&args.output);
    let written = OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let shown = args.output.display();
    written.map_err(|error| match error.kind() == ErrorKind::AlreadyExists {
        true => CliError::usage("file_exists", format!("{shown} already exists and was not changed"))
            .hint("choose another file: `truing init --output FILE`"),
        false => CliError::failure("write_failed", format!("cannot write {shown}: {error}"))
            .hint("give a file in a writable folder: `truing init --output FILE`"),
    })?;
    context.output.print_answer(&json!({ "path": path }), || format!("wrote {shown}\n"))?;
    let output = context.output;
    output
        .print_note(format_args!("to use the file: `--config {shown}` or TRUING_CONFIG={}", path.display()));
    if let Some(own) = truing_config::operator_file_path(&context.environment) {
        output.print_note(format_args!("to use the file by default: move the file to {}", own.display()));
    }
    if let Some(reason) = &unknown_repository_reason {
        output.warn(format_args!(
            "{reason}: check the section `forge.{name}`, and set `forge.{name}.repositories`",
            name = forge.section_name()
        ));
    }
    let remote_name = remote.map(|remote| remote.name.as_str()).unwrap_or_default();
    match forge.kind {
        Some(kind) => print_server_notes(kind, &forge, remote_name, context),
        None => warn_of_unknown_kind(&forge, remote_name, context),
    }
    // The address of git over ssh contains neither the port nor the path of the web pages.
    let is_derived =
        forge.server.is_some() && !remote.is_some_and(|remote| remote.url.starts_with("https://"));
    if let Some(server) = forge.server.as_ref().filter(|_| is_derived) {
        output.print_note(format_args!(
            "check `forge.{}.api_url`: it is correct if the server's web pages are at {server}",
            forge.section_name()
        ));
    }
    if forge.kind.is_some() {
        output.print_note(format_args!(
            "  truing --config {shown} serve --dry-run    # shows what a start would do"
        ));
        output.print_note(format_args!("  truing --config {shown} serve"));
    }
    Ok(CommandExit::Success)
}

/// Says that the address of the remote does not show the kind of its forge, and which keys decide.
fn warn_of_unknown_kind(forge: &StarterForge, remote_name: &str, context: &CommandContext) {
    let server = forge.server.as_deref().unwrap_or_default();
    let host = server.trim_start_matches("https://");
    context.output.warn(format_args!(
        "the address of the remote `{remote_name}` does not show which kind of forge {host} is: the file \
         configures no forge"
    ));
    let name = forge.section_name();
    for line in [
        format!(
            "`forge.{name}.kind` decides: \"github\" for GitHub Enterprise Server, \"bitbucket-dc\" for \
             Bitbucket Data Center with `forge.{name}.api_url = \"{server}\"` and without `git_url`"
        ),
        format!("for GitHub Enterprise Server, you can also run: GH_HOST={host} truing init"),
        "no other kind of server is supported; to review a branch in a clone: `truing review BRANCH`"
            .to_owned(),
    ] {
        context.output.print_note(line);
    }
}

/// Prints the repositories that a server with the file serves, and the variables that it needs.
fn print_server_notes(kind: ForgeKind, forge: &StarterForge, remote_name: &str, context: &CommandContext) {
    let output = context.output;
    let name = forge.section_name();
    match &forge.repository {
        Some(repository) => output.print_note(format_args!(
            "a server with this file serves only {repository} (the remote `{remote_name}`); without \
            `forge.{name}.repositories`, every repository that the token sees is served"
        )),
        None => output.print_note(format_args!(
            "`forge.{name}.repositories` is not set: every repository that the token sees is served; set \
                this key to the repositories to review"
        )),
    }
    let (host, variables) = match (kind, &forge.server) {
        (ForgeKind::Github, None) => ("github.com", "GITHUB"),
        (ForgeKind::Bitbucket, None) => ("bitbucket.org", "BITBUCKET"),
        (ForgeKind::Github, Some(server)) => (server.as_str(), "GITHUB"),
        (ForgeKind::Bitbucket | ForgeKind::BitbucketDc, Some(server)) => (server.as_str(), "BITBUCKET"),
        (ForgeKind::BitbucketDc, None) => ("the server", "BITBUCKET"),
    };
    if kind == ForgeKind::Bitbucket {
        output.print_note(format_args!(
            "an API token also needs `forge.{name}.email`; an access token needs `forge.{name}.account`"
        ));
    }
    output.print_note(format_args!(
        "to serve {host}: set {variables}_TOKEN and {variables}_WEBHOOK_SECRET, then"
    ));
}

/// Returns the remote `origin` of the current folder's repository, or its only remote. Returns `None` if the
/// folder is in no repository, or if the repository has no remote. Returns the reason if the remote is
/// unknown.
///
/// # Errors
/// Returns exit 3 if the runtime cannot start its threads.
fn find_remote(environment: &Environment) -> Result<Result<Option<ConfiguredRemote>, String>, CliError> {
    let find = async {
        let git = wiring::open_git(environment).await.map_err(|error| error.message)?;
        let repository = match git.open_without_commits(environment.directory()).await {
            Ok(repository) => repository,
            Err(GitError::NotARepository(_)) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let remotes = repository.remotes();
        let origin = remotes.iter().find(|remote| remote.name == ORIGIN);
        match (origin, remotes) {
            (Some(remote), _) | (None, [remote]) => Ok(Some(remote.clone())),
            (None, []) => Ok(None),
            (None, [_, _, ..]) => Err(format!("there are several remotes, and none is called `{ORIGIN}`")),
        }
    };
    Ok(runtime::start()?.block_on(find))
}
