//! The command `truing init`: writes a commented configuration file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use serde_json::json;
use truing_config::ForgeKind;
use truing_config::environment::Environment;
use truing_config::generate::StarterForge;

use super::error::{CliError, CommandExit};
use super::review::{starter_forge, unsupported_origin};
use super::{CommandContext, runtime};
use crate::wiring;

/// Path of the written file if no other path is given.
pub(super) const DEFAULT_OUTPUT_FILE: &str = "truing.toml";

/// Write a configuration file with the keys that a first server needs
///
/// With --all, the file contains every key, with its default and its meaning. If the current folder is a
/// clone of a repository at GitHub or Bitbucket, the file configures the forge of its remote `origin`, and
/// limits the server to that repository: `forge.NAME.repositories`. Without that key, every repository that
/// the token can read is served. A GitHub Enterprise Server is recognised by its host in the variable
/// GH_HOST. If the address of `origin` does not show the kind of the forge, the file contains the forge's
/// keys as comments. The command asks no questions.
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
    let origin = origin_url(&context.environment)?;
    if let Some(kind) = origin.as_deref().and_then(unsupported_origin) {
        let message = "no file is written: the remote `origin` of this repository is at an unsupported forge";
        return Err(CliError::usage("unknown_forge", message)
            .hint(kind.hint())
            .hint(kind.job_hint())
            .hint("`truing converge` on a local branch and `truing sync decide` need no forge either")
            .hint("to serve repositories at GitHub or Bitbucket, run `truing init` in another folder"));
    }
    let forge = origin.as_deref().and_then(|remote| starter_forge(remote, &context.environment));
    let forge = forge.unwrap_or_default();
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
    match forge.kind {
        Some(kind) => print_server_notes(kind, &forge, context),
        None => warn_of_unknown_kind(&forge, context),
    }
    // The address of git over ssh contains neither the port nor the path of the web pages.
    let is_derived = forge.server.is_some() && !origin.is_some_and(|remote| remote.starts_with("https://"));
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

/// Says that the address of `origin` does not show the kind of its forge, and which keys decide.
fn warn_of_unknown_kind(forge: &StarterForge, context: &CommandContext) {
    let server = forge.server.as_deref().unwrap_or_default();
    let host = server.trim_start_matches("https://");
    context.output.warn(format_args!(
        "the address of the remote `origin` does not show which kind of forge {host} is: the file configures \
         no forge"
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
fn print_server_notes(kind: ForgeKind, forge: &StarterForge, context: &CommandContext) {
    let output = context.output;
    let name = forge.section_name();
    match &forge.repository {
        Some(repository) => output.print_note(format_args!(
            "a server with this file serves only {repository} (the remote `origin`); without \
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

/// Returns the remote `origin` of the current folder's repository. Returns `None` if there is no remote, or
/// if git cannot be used.
///
/// # Errors
/// Returns exit 3 if the runtime cannot start its threads.
fn origin_url(environment: &Environment) -> Result<Option<String>, CliError> {
    let find = async {
        let git = wiring::open_git(environment).await.ok()?;
        let repository = git.open_without_commits(environment.directory()).await.ok()?;
        repository.origin_url().map(str::to_owned)
    };
    Ok(runtime::start()?.block_on(find))
}
