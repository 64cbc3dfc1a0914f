//! `cargo xtask bench`, `contract`, `fuzz` and `rules`: builds the crate `bench` and runs it with the same
//! arguments.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::workspace;

/// The arguments, which the crate `bench` reads.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Runs `command` of the crate `bench`, built with the given cargo profile. Measurements need an optimized
/// build; fuzzing needs overflow checks. Returns `false` if the command failed and has printed the reason.
pub(crate) fn run(command: &str, profile: &str, options: &Options) -> Result<bool> {
    let mut cargo = workspace::cargo_command(&workspace::workspace_root()?);
    cargo.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "truing-bench",
        "--profile",
        profile,
        "--",
        command,
    ]);
    cargo.args(&options.arguments).current_dir(std::env::current_dir()?);
    let status = cargo.status().with_context(|| format!("cannot start {cargo:?}"))?;
    Ok(status.success())
}
