//! `cargo xtask check`: runs the checks that the compiler does not make. Each check is a file in `check/` and
//! returns a report.

mod arrows;
mod changelog;
mod circles;
mod code;
mod deny;
mod docs;
mod forges;
mod interface;
mod lines;
mod macos;
mod names;
mod paths;
mod programs;
mod report;
mod words;
mod writers;

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use self::report::CheckReport;
use crate::{say, workspace};

/// The options of `cargo xtask check`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this check
    check: Option<CheckName>,
}

/// A check that can be selected by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckName {
    /// Only permitted dependencies between our crates, and no I/O in the pure crates
    Arrows,
    /// No cycle of more than three files among the modules of a crate
    Circles,
    /// Only the listed files use the trait that writes to a forge
    Writers,
    /// In the crates above `forge`, only the listed files name a specific kind of forge
    Forges,
    /// Every name that users' scripts depend on, in documents and on the command line, is as interface.toml
    /// records
    Interface,
    /// No dependency that deny.toml forbids, and none with a known vulnerability (needs cargo-deny)
    Deny,
    /// No source file is too long
    Lines,
    /// The number of confusing names and comments is not higher than names.toml records
    Names,
    /// Every file that ARCHITECTURE.md names exists
    Paths,
    /// Each crate has one program of integration tests, which includes all its files
    Programs,
    /// No paths of a person's machine in any file; no unfinished code, no ignored tests and no `sleep`
    Words,
    /// Every fragment in changelog.d has the name and the form that its README requires
    Changelog,
    /// The documentation builds without a warning
    Docs,
    /// The program compiles for macOS (needs Rust's target, and a C compiler from PyPI; gets them if missing)
    Macos,
}

/// Runs one check, or all. Returns `false` if a check found a problem.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::workspace_root()?;
    let checks = options.check.as_ref().map_or(CheckName::value_variants(), std::slice::from_ref);
    let mut passed = true;
    let mut not_run = Vec::new();
    for check in checks {
        let name = format!("{check:?}").to_lowercase();
        match run_check(*check, &root).with_context(|| format!("check {name}"))? {
            CheckReport::NotRun(why) => not_run.push(format!("not run: {name}: {why}")),
            CheckReport::Completed { summary, problems, warnings } => {
                warnings.iter().for_each(|warning| say::print_line(&format!("{name}: warning: {warning}")));
                problems.iter().for_each(|problem| say::print_line(&format!("{name}: {problem}")));
                let verdict = match problems.len() {
                    0 => "ok".to_owned(),
                    1 => "1 problem".to_owned(),
                    n => format!("{n} problems"),
                };
                say::print_line(&format!("{name}: {verdict} ({summary})"));
                passed &= problems.is_empty();
            }
        }
    }
    not_run.iter().for_each(|line| say::print_line(line));
    Ok(passed)
}

fn run_check(check: CheckName, root: &Path) -> Result<CheckReport> {
    match check {
        CheckName::Arrows => arrows::check(root),
        CheckName::Circles => circles::check(root),
        CheckName::Writers => writers::check(root),
        CheckName::Forges => forges::check(root),
        CheckName::Interface => interface::check(root),
        CheckName::Deny => deny::check(root),
        CheckName::Lines => lines::check(root),
        CheckName::Names => names::check(root),
        CheckName::Paths => paths::check(root),
        CheckName::Programs => programs::check(root),
        CheckName::Words => words::check(root),
        CheckName::Changelog => changelog::check(root),
        CheckName::Docs => docs::check(root),
        CheckName::Macos => macos::check(root),
    }
}
