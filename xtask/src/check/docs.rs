//! The documentation builds without a warning: no dead link, nothing public without a word on it.

use std::path::Path;

use anyhow::{Context, Result};

use super::report::CheckReport;
use crate::workspace;

/// Builds the documentation of the workspace's own crates; rustdoc prints what is wrong as it goes.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let status = workspace::cargo(root)
        .args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .context("cannot start cargo doc")?;
    let problems =
        if status.success() { Vec::new() } else { vec![format!("cargo doc: {status} (see above)")] };
    Ok(CheckReport::Looked { at: "cargo doc --workspace".to_owned(), problems, warnings: Vec::new() })
}
