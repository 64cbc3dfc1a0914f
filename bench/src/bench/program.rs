//! Builds the program that is measured.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::workspace;

/// Builds the optimized program in the same folder as this program.
pub(crate) fn build_truing(root: &Path) -> Result<PathBuf> {
    let build = ["build", "--release", "--locked", "--package", "truing"];
    workspace::command_output(workspace::cargo_command(root).args(build))?;
    Ok(std::env::current_exe()?.with_file_name("truing"))
}
