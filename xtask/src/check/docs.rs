//! Checks that the documentation builds without a warning, such as a dead link.

use std::path::Path;

use anyhow::{Context, Result};

use super::report::CheckReport;
use crate::workspace;

/// Builds the documentation of the workspace's crates; rustdoc prints the problems.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let status = workspace::cargo_command(root)
        .args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .context("cannot start cargo doc")?;
    let problems =
        if status.success() { Vec::new() } else { vec![format!("cargo doc: {status} (see above)")] };
    Ok(CheckReport::Completed { summary: "cargo doc --workspace".to_owned(), problems, warnings: Vec::new() })
}
