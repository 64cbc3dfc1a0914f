//! Runs cargo-deny, which compares the crates of `Cargo.lock` with `deny.toml`: bans, second versions,
//! licences, sources, and known vulnerabilities.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::report::CheckReport;
use crate::workspace;

/// The command that installs cargo-deny.
const INSTALL_COMMAND: &str = "cargo install cargo-deny --locked";
/// The checks of cargo-deny that need no data from outside.
const LOCAL_CHECKS: [&str; 3] = ["bans", "licenses", "sources"];
/// The check of cargo-deny that needs a copy of the RustSec database.
const ADVISORIES: &str = "advisories";

/// Runs cargo-deny, if it is installed; cargo-deny prints the problems.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    run_cargo_deny(&|| workspace::cargo_command(root))
}

/// Runs cargo-deny with `cargo`, which returns a new command of cargo. Leaves out the advisories if their
/// database cannot be downloaded, because a machine without a network must be able to run all checks.
fn run_cargo_deny(cargo: &dyn Fn() -> Command) -> Result<CheckReport> {
    let version = cargo().args(["deny", "--version"]).output().context("cannot start cargo")?;
    if !version.status.success() {
        return Ok(CheckReport::NotRun(format!(
            "cargo-deny is not installed, install it with `{INSTALL_COMMAND}`"
        )));
    }
    let mut checks = LOCAL_CHECKS.to_vec();
    let mut warnings = Vec::new();
    // The download is a step of its own, because `cargo deny check` fails in the same way without a database
    // and with a vulnerability.
    match workspace::command_output(cargo().args(["deny", "--locked", "fetch", "db"])) {
        Ok(_) => checks.push(ADVISORIES),
        Err(error) => warnings.push(format!(
            "{ADVISORIES} are not checked, because their database cannot be downloaded: {error:#}"
        )),
    }
    let mut command = cargo();
    command.args(["deny", "--locked", "check"]).args(&checks);
    let status = command.status().context("cannot start cargo deny")?;
    let summary = format!("cargo deny check {}", checks.join(" "));
    let problems = match status.success() {
        true => Vec::new(),
        false => vec![format!("{summary}: {status} (see above)")],
    };
    Ok(CheckReport::Completed { summary, problems, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the check with a shell script in place of cargo. The script gets the arguments of cargo.
    fn run_with_script(script: &str) -> CheckReport {
        run_cargo_deny(&|| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "cargo"]);
            command
        })
        .unwrap()
    }

    #[test]
    fn reports_how_to_install_missing_program() {
        let CheckReport::NotRun(reason) = run_with_script("exit 101") else { panic!("it was run") };
        assert!(reason.contains(INSTALL_COMMAND), "{reason}");
    }

    #[test]
    fn leaves_out_advisories_without_database() {
        let script = r#"case "$*" in *fetch\ db) echo offline >&2; exit 1;; *advisories*) exit 1;; esac"#;
        let CheckReport::Completed { problems, warnings, .. } = run_with_script(script) else {
            panic!("it was not run")
        };
        assert_eq!(problems, Vec::<String>::new());
        assert!(warnings.len() == 1 && warnings.concat().contains("offline"), "{warnings:?}");
    }

    #[test]
    fn reports_problem_if_check_fails() {
        let script = r#"case "$*" in *check*advisories) exit 1;; esac"#;
        let CheckReport::Completed { problems, warnings, .. } = run_with_script(script) else {
            panic!("it was not run")
        };
        assert!(problems.len() == 1 && warnings.is_empty(), "{problems:?} {warnings:?}");
    }
}
