//! Compares the given names of rules and repositories with those of posted comments, to detect typing errors.

use std::collections::BTreeSet;

use globset::Glob;
use truing_config::Config;
use truing_core::id::UnixMillis;
use truing_core::line;
use truing_core::port::{Clock as _, RunStore as _};
use truing_loops::machine::SystemClock;
use truing_loops::text::format_instant;
use truing_store::Store;

use super::{MAX_LISTED_FINDINGS, RetractArgs};
use crate::cli::error::CliError;
use crate::cli::target::store_error;
use crate::wiring;

/// The rules and repositories to which posted comments belong.
#[derive(Debug, Default)]
struct CommentNames {
    rules: BTreeSet<String>,
    repos: BTreeSet<String>,
}

impl CommentNames {
    /// Returns the rules and repositories to which the comments since the given time belong.
    async fn load_since(since: UnixMillis, store: &Store) -> Result<Self, CliError> {
        let mut names = Self::default();
        let posted = store.posted_findings(since).await.map_err(store_error)?;
        for of_pull in posted.chunk_by(|one, next| one.key == next.key) {
            let Some(first) = of_pull.first() else { continue };
            let described =
                store.descriptions(std::slice::from_ref(&first.key)).await.map_err(store_error)?;
            let name = described.into_iter().flatten().next().map(|described| described.name);
            names.repos.extend(name.and_then(|name| Some(name.rsplit_once('#')?.0.to_owned())));
            let findings = store.findings(&first.key).await.map_err(store_error)?;
            let posted =
                findings.into_iter().filter(|found| of_pull.iter().any(|one| one.finding == found.id));
            names.rules.extend(posted.map(|finding| finding.raw.rule));
        }
        Ok(names)
    }
}

impl RetractArgs {
    /// Rejects a time that is not in the past.
    pub(super) fn check_since(&self, now: UnixMillis) -> Result<(), CliError> {
        let since = self.since.to_instant(now);
        if since < now {
            return Ok(());
        }
        let message = format!("--since: {} is not in the past", format_instant(since));
        Err(CliError::usage("bad_since", message).hint("choose a time in the past, such as `--since 3h`"))
    }

    /// Rejects a rule or a repository that is unknown.
    pub(super) async fn check_names(&self, store: &Store, config: &Config) -> Result<(), CliError> {
        if self.rule.is_none() && self.repo.is_none() {
            return Ok(());
        }
        let since = self.since.to_instant(SystemClock.now());
        let mut ever = CommentNames::load_since(UnixMillis(0), store).await?;
        let recent = CommentNames::load_since(since, store).await?;
        let packs = wiring::load_packs(&config.rules).map_err(wiring::reader_error)?;
        let listed = packs.list_rules().map_err(|error| wiring::reader_error(error.into()))?;
        ever.rules.extend(listed.iter().map(|rule| rule.name.to_owned()));
        for (glob, known, recent, one, many) in [
            (&self.rule, &ever.rules, &recent.rules, "rule", "rules"),
            (&self.repo, &ever.repos, &recent.repos, "repository", "repositories"),
        ] {
            if let Some(glob) = glob.as_ref().filter(|glob| !matches_any(glob, known)) {
                let code = if one == "rule" { "unknown_rule" } else { "unknown_repo" };
                let message =
                    format!("no known {one} and no {one} of a recorded comment matches `{}`", glob.glob());
                return Err(CliError::usage(code, message).hint(render_names(recent, many, since)));
            }
        }
        Ok(())
    }
}

fn matches_any(glob: &Glob, names: &BTreeSet<String>) -> bool {
    let glob = glob.compile_matcher();
    names.iter().any(|name| glob.is_match(name))
}

/// Formats the names of rules or repositories to which comments belong. `plural` is the word for these names,
/// such as `rules`.
fn render_names(names: &BTreeSet<String>, plural: &str, since: UnixMillis) -> String {
    let since = format_instant(since);
    if names.is_empty() {
        return format!("no comment since {since} is recorded: give an earlier time with --since");
    }
    let shown: Vec<String> =
        names.iter().take(MAX_LISTED_FINDINGS).map(|name| line::visible_line(name)).collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{plural} with comments since {since}: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: RetractArgs,
    }

    #[test]
    fn a_time_that_has_not_passed_is_refused() {
        let check = |since: &str| {
            let Program { args } = Program::parse_from(["retract", "--since", since]);
            args.check_since(UnixMillis(1_790_000_000_000)).map_err(|error| error.code)
        };
        assert_eq!(check("3h"), Ok(()));
        for since in ["0s", "2090-01-01"] {
            assert_eq!(check(since), Err("bad_since"), "{since}");
        }
    }

    #[test]
    fn names_that_have_comments_are_listed_up_to_a_number() {
        let names: BTreeSet<String> = (10..22).map(|number| format!("core/r{number}")).collect();
        let listed = render_names(&names, "rules", UnixMillis(0));
        assert!(
            listed.starts_with("rules with comments since 1970-01-01T00:00:00Z: core/r10, core/r11"),
            "{listed}"
        );
        assert!(listed.ends_with("core/r19 and 2 more"), "{listed}");
        assert!(matches_any(&Glob::new("core/*").unwrap(), &names));
        assert!(!matches_any(&Glob::new("core/x*").unwrap(), &names));
    }
}
