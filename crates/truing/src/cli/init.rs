//! `truing init`: writes a commented configuration file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use serde_json::json;

use super::Context;
use super::error::{CliError, Exit};

/// Write a commented configuration file with every key and its default
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The file to write; it must not exist yet. `-`: standard output
    #[arg(long, short, value_name = "FILE", default_value = "truing.toml")]
    output: PathBuf,
}

/// Writes the file. One that exists is left alone.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let text = truing_config::generate::commented_file();
    if args.output.as_os_str() == "-" {
        context.output.data(text)?;
        return Ok(Exit::Done);
    }
    let path = context.environment.directory().join(&args.output);
    let written = OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let shown = args.output.display();
    written.map_err(|error| match error.kind() == ErrorKind::AlreadyExists {
        true => CliError::usage("file_exists", format!("{shown} exists already and is left as it is"))
            .hint("name another file: `truing init --output FILE`"),
        false => CliError::failed("write_failed", format!("cannot write {shown}: {error}"))
            .hint("name a file in a folder that you may write to: `truing init --output FILE`"),
    })?;
    context.output.answer(&json!({ "path": path }), || format!("{shown}\n"))?;
    let output = context.output;
    output.say(format_args!("to use it: `--config {shown}` or TRUING_CONFIG={}", path.display()));
    if let Some(own) = truing_config::user_file(&context.environment) {
        output.say(format_args!("to use it without saying so: move it to {}", own.display()));
    }
    output.say("to serve github.com: set GITHUB_TOKEN and GITHUB_WEBHOOK_SECRET, then");
    output.say(format_args!("  truing --config {shown} serve"));
    Ok(Exit::Done)
}
