//! `truing reader`: the other end of [`crate::reader`]. Hidden: it is for `truing serve` alone.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use truing_reader::serve::{serve_parent, serve_tools_to_parent};

use super::Context;
use super::error::{CliError, Exit};
use crate::wiring;

/// The process that reads repository files for `truing serve`, which starts it and speaks JSON with it
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A folder with further rule packs
    #[arg(long, value_name = "FOLDER")]
    rules: Option<PathBuf>,
    /// Carry out a model's calls of tools instead
    #[arg(long)]
    tools: bool,
}

pub(super) fn run(args: &Args, _: &Context) -> Result<Exit, CliError> {
    let told = if io::stdin().is_terminal() {
        CliError::usage("not_for_people", "`truing reader` does nothing for a person at a terminal")
    } else {
        let served = match args.tools {
            true => serve_tools_to_parent(),
            false => serve_parent(|| wiring::packs_with(args.rules.as_deref())),
        };
        match served {
            Ok(()) => return Ok(Exit::Done),
            Err(error) => CliError::failed("reader", error.to_string()),
        }
    };
    Err(told.hint("`truing serve` starts `truing reader` to read repository files, and speaks JSON with it"))
}
