//! The command `truing init`: writes a commented configuration file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use serde_json::json;
use truing_config::ForgeKind;
use truing_config::environment::Environment;

use super::error::{CliError, CommandExit};
use super::review::{starter_forge, unsupported_origin_text};
use super::{CommandContext, runtime};
use crate::wiring;

/// Path of the written file if no other path is given.
pub(super) const DEFAULT_OUTPUT_FILE: &str = "truing.toml";

/// Write a configuration file with the keys that a first server needs
///
/// With --all, the file contains every key, with its default and its meaning. If the current folder is a
/// clone of a repository at GitHub or Bitbucket, the file configures the forge of its remote `origin`, and
/// limits the server to that repository: `forge.NAME.repositories`. Without that key, every repository that
/// the token can read is served. The command asks no questions.
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
    if let Some(hint) = origin.as_deref().and_then(unsupported_origin_text) {
        let message = "no file is written: the remote `origin` of this repository is at an unsupported forge";
        return Err(CliError::usage("unknown_forge", message)
            .hint(hint)
            .hint("to serve repositories at GitHub or Bitbucket, run `truing init` in another folder"));
    }
    let forge = origin.as_deref().map_or(Ok(None), starter_forge).unwrap_or_else(|host| {
        context.output.warn(format_args!(
            "the remote `origin` is at {host}, whose kind of forge is unknown: the file configures \
             github.com; \
             set `kind` and `api_url` of the forge"
        ));
        None
    });
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
    let name = forge.kind.as_str();
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
    let (host, variables) = match (forge.kind, &forge.server) {
        (ForgeKind::Github, None) => ("github.com", "GITHUB"),
        (ForgeKind::Bitbucket, None) => ("bitbucket.org", "BITBUCKET"),
        (ForgeKind::Github, Some(server)) => (server.as_str(), "GITHUB"),
        (ForgeKind::Bitbucket | ForgeKind::BitbucketDc, Some(server)) => (server.as_str(), "BITBUCKET"),
        (ForgeKind::BitbucketDc, None) => ("the server", "BITBUCKET"),
    };
    output.print_note(format_args!(
        "to serve {host}: set {variables}_TOKEN and {variables}_WEBHOOK_SECRET, then"
    ));
    output.print_note(format_args!(
        "  truing --config {shown} serve --dry-run    # shows what a start would do"
    ));
    output.print_note(format_args!("  truing --config {shown} serve"));
    Ok(CommandExit::Success)
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
