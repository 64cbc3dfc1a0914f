//! `cargo xtask check`: the checks that the compiler does not make. Each check is a file in `check/` and
//! returns a report.

mod advisories;
mod arrows;
mod changelog;
mod circles;
mod code;
mod deny;
mod docs;
mod duplicates;
mod forges;
mod licences;
mod lines;
mod names;
mod paths;
mod programs;
mod report;
mod spdx;
mod words;
mod writers;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use self::report::CheckReport;
use crate::{say, workspace};

/// The options of `cargo xtask check`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this check
    check: Option<CheckName>,
    /// A clone of the RustSec advisory database [default: ~/.cargo/advisory-db, if it is there]
    #[arg(long, env = "ADVISORY_DB", value_name = "FOLDER")]
    advisory_db: Option<PathBuf>,
}

/// A check that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckName {
    /// Which crate may depend on which, what is banned, and where crates may come from
    Arrows,
    /// No circle of more than three files among the modules of a crate
    Circles,
    /// No file but those that are listed has the side of a forge that writes
    Writers,
    /// No file above crate `forge` names one kind of forge, but where clients are made
    Forges,
    /// Every crate's licence is on the list of deny.toml
    Licences,
    /// Every crate is built in one version, or deny.toml says why not
    Duplicates,
    /// No locked version has a known security problem (needs a copy of the RustSec database)
    Advisories,
    /// No source file is too long to find one's way in
    Lines,
    /// No more bare, short or shared names, and no more empty comments, than names.toml records
    Names,
    /// ARCHITECTURE.md names no file that is not there
    Paths,
    /// Each crate has one program of integration tests, and no file is left out of it
    Programs,
    /// No machine's paths in any file; no unfinished, ignored or sleeping code
    Words,
    /// Every fragment in changelog.d is named and filled as its README says
    Changelog,
    /// The documentation builds without a warning
    Docs,
}

/// Runs one check, or all. Returns `false` if one of them found a problem.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::workspace_root()?;
    let checks = options.check.as_ref().map_or(CheckName::value_variants(), std::slice::from_ref);
    let mut passed = true;
    let mut not_run = Vec::new();
    for check in checks {
        let name = format!("{check:?}").to_lowercase();
        match run_check(*check, &root, options).with_context(|| format!("check {name}"))? {
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

fn run_check(check: CheckName, root: &Path, options: &Options) -> Result<CheckReport> {
    match check {
        CheckName::Arrows => arrows::check(root),
        CheckName::Circles => circles::check(root),
        CheckName::Writers => writers::check(root),
        CheckName::Forges => forges::check(root),
        CheckName::Licences => licences::check(root),
        CheckName::Duplicates => duplicates::check(root),
        CheckName::Advisories => advisories::check(root, options.advisory_db.as_deref()),
        CheckName::Lines => lines::check(root),
        CheckName::Names => names::check(root),
        CheckName::Paths => paths::check(root),
        CheckName::Programs => programs::check(root),
        CheckName::Words => words::check(root),
        CheckName::Changelog => changelog::check(root),
        CheckName::Docs => docs::check(root),
    }
}
