//! The command `truing rules`: lists rules, checks whole files, tests rules against their own examples, and
//! creates new ones.

mod new;
mod show;
mod template;
mod walk;

use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;
use truing_config::Config;
use truing_config::layer::KeyFlag;
use truing_core::code_digest::LinesKey;
use truing_core::finding::{AnchorKind, Finding, Severity};
use truing_core::identity::{FindingFacts, PlacedFinding, assign_finding_ids};
use truing_core::increment::FileRenames;
use truing_core::outcome::{CoverageGap, ReviewCoverage, SkipReason};
use truing_core::suppression::UnusedSuppression;
use truing_diff::RepoPath;
use truing_loops::desired_state::sort_worst_first;
use truing_loops::text::{count_by_severity, format_count};
use truing_reader::{ExampleResults, InProcessReader, ListedRule, RulePacks};

use super::destination::OutputFileArgs;
use super::error::{CliError, CommandExit};
use super::output::{is_stdout_terminal, json_line};
use super::review::{json, markdown, sarif, text};
use super::{CliFormat, CommandContext};
use crate::wiring;

/// List and show rules, check whole files with rules, run the examples of rules, or create your own rule
#[derive(clap::Args, Debug)]
pub struct RulesArgs {
    #[command(subcommand)]
    action: RulesCommand,
}

#[derive(clap::Subcommand, Debug)]
enum RulesCommand {
    /// List every rule
    List,
    /// Explain one rule: its purpose with code, and how to fix or suppress its findings
    Show {
        /// The rule's name as PACK/RULE, or RULE alone if only one pack has a rule of this name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Show the rule's file instead, with its pattern and its tests
        #[arg(long)]
        source: bool,
    },
    /// Check whole files, not only changed lines
    ///
    /// In folders, files that git ignores are skipped. Exit code 1 if there is a finding of P0 or P1, or a
    /// file that could not be checked. The JSON output contains one finding on each line.
    Check {
        /// Files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Use this rule pack instead of the configured ones; may be repeated
        #[arg(long = "pack", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        packs: Vec<String>,
        #[command(flatten)]
        destination: OutputFileArgs,
    },
    /// Run the examples of rules: of all packs, of one pack, or of the pack in a folder
    Test {
        /// A pack's name, or the path of a pack's folder, which contains a folder `rules`
        pack: Option<String>,
    },
    /// Create your own rule from a working example with tests
    ///
    /// Writes FOLDER/PACK/rules/RULE.yml, a rule in ast-grep's YAML that forbids a call. Creates missing
    /// folders. An existing file is not changed.
    New(new::RulesNewArgs),
}

pub(crate) fn run(args: &RulesArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.action {
        RulesCommand::List => list_rules(context),
        RulesCommand::Check { paths, packs, destination } => {
            let here = context.environment.directory();
            destination.check_writable(here)?;
            let (answer, exit) = check_paths(paths, packs, context)?;
            destination.write_answer(&answer, here, context.globals.color, context.output)?;
            Ok(exit)
        }
        RulesCommand::Test { pack } => test_rules(pack.as_deref(), context),
        RulesCommand::Show { name, source } => show::run(name, *source, context),
        RulesCommand::New(args) => new::run(args, context),
    }
}

fn list_rules(context: &CommandContext) -> Result<CommandExit, CliError> {
    let packs = wiring::load_packs(&context.config(&[])?.rules).map_err(wiring::reader_error)?;
    let rules = packs.list_rules().map_err(|error| wiring::reader_error(error.into()))?;
    match context.output.is_json() {
        true => context.output.print_json_lines(&rules)?,
        false => {
            // Programs such as grep select lines, so each rule is then on one line.
            let separator = if is_stdout_terminal() { "\n  " } else { "  " };
            let lines = rules.iter().map(|rule| show::rule_line(rule, separator));
            context.output.print_data(lines.collect::<String>())?;
        }
    }
    Ok(CommandExit::Success)
}

// ---------------------------------------------------------------------------------------------- check

/// The results of the check of all files.
#[derive(Default)]
struct RulesCheckResult {
    findings: Vec<PlacedFinding>,
    coverage: ReviewCoverage,
    unused_suppressions: Vec<UnusedSuppression>,
}

/// Returns the answer and the exit code.
fn check_paths(
    paths: &[PathBuf],
    packs: &[String],
    context: &CommandContext,
) -> Result<(String, CommandExit), CliError> {
    let config = config_with_packs(packs, context)?;
    let scope = wiring::review_scope(&config, LinesKey::default())?;
    let reader =
        InProcessReader::with_packs(wiring::load_packs(&config.rules).map_err(wiring::reader_error)?)
            .with_max_findings(usize::MAX);
    // Unknown pack names are reported even if there is no file to check.
    reader.packs().check_packs_exist(&config.rules.packs).map_err(wiring::reader_error)?;
    let mut checked = RulesCheckResult::default();
    let walk::FolderWalkResult { folders: parts, unreadable_paths: unread } =
        walk::walk_paths(paths, context.environment.directory(), &scope)?;
    for part in parts {
        let report = reader.read_blocking(&part.request).map_err(wiring::reader_error)?;
        checked.coverage.reviewed.extend(report.reviewed.iter().map(|path| part.display_path(path)));
        checked.coverage.not_reviewed.extend(
            report
                .not_reviewed
                .iter()
                .map(|gap| CoverageGap { path: part.display_path(&gap.path), reason: gap.reason }),
        );
        checked.unused_suppressions.extend(report.suppressions.into_iter().map(|idle| {
            let path = part.display_path(&idle.path);
            UnusedSuppression { path, ..idle }
        }));
        checked.findings.extend(report.findings.into_iter().map(|mut raw| {
            raw.location.path = part.display_path(&raw.location.path);
            scope.apply_severity_override(&mut raw);
            let at = raw.location.clone();
            PlacedFinding {
                raw,
                anchor: AnchorKind::Inline,
                comment_location: at,
                old_path: None,
                sighting: FindingFacts::default(),
            }
        }));
    }
    let RulesCheckResult { findings, mut coverage, unused_suppressions: suppressions } = checked;
    for idle in suppressions {
        context.output.warn(text::visible_text(&idle.to_string()));
    }
    let findings = assign_finding_ids(&[], findings, None, &coverage, &FileRenames::default()).current;
    let mut gaps = 0;
    for gap in coverage.not_reviewed.iter().filter(|gap| !gap.reason.is_by_design()) {
        gaps += 1;
        let reason = gap.reason.as_str().replace('_', " ");
        context
            .output
            .warn(format_args!("{}: not checked: {reason}", text::visible_text(&gap.path.to_string())));
    }
    for walk::UnreadablePath { path, reason } in unread {
        gaps += 1;
        context.output.warn(format_args!("{}: not checked: {reason}", text::visible_text(&path.to_string())));
        coverage.not_reviewed.push(CoverageGap { path, reason: SkipReason::Unreadable });
    }
    let blocking = findings.iter().any(|finding| finding.raw.severity <= Severity::P1);
    let exit = if blocking || gaps > 0 { CommandExit::NegativeAnswer } else { CommandExit::Success };
    let answer = match context.output.format() {
        // CSV, HTML, rdjson, GitHub and GitLab were rejected before.
        CliFormat::Text
        | CliFormat::Csv
        | CliFormat::Html
        | CliFormat::Rdjson
        | CliFormat::Github
        | CliFormat::Gitlab => render_text(&findings, &coverage),
        CliFormat::Json => render_json(&findings)?,
        CliFormat::Markdown => render_markdown(&findings, &coverage),
        CliFormat::Sarif => {
            let rules = reader.packs().enabled_rules(&config.rules.packs).map_err(wiring::reader_error)?;
            render_sarif(&findings, &coverage, gaps == 0, &rules)?
        }
    };
    Ok((answer, exit))
}

/// Returns the operator's configuration, merged with the configuration file of the current folder's
/// repository, as in a local review.
fn config_with_packs(packs: &[String], context: &CommandContext) -> Result<Config, CliError> {
    let flag =
        (!packs.is_empty()).then(|| KeyFlag { name: "--pack", key: "rules.packs", values: packs.to_vec() });
    let config = context.config(flag.as_slice())?;
    match truing_config::read_repository_file(context.environment.directory())? {
        Some(file) => Ok(config.with_repository(&file)?),
        None => Ok(config),
    }
}

fn render_text(findings: &[Finding], coverage: &ReviewCoverage) -> String {
    let frames: String = findings.iter().map(|finding| text::render_finding(finding) + "\n\n").collect();
    let found = match findings.len() {
        0 => "no findings".to_owned(),
        count => format_count(count, "finding"),
    };
    format!("{frames}{found}: {}\n", text::render_file_counts(coverage, "checked"))
}

/// Returns one JSON line per finding.
fn render_json(findings: &[Finding]) -> Result<String, CliError> {
    let mut lines = String::new();
    for finding in findings {
        lines += &json_line(&json::finding_json(finding))?;
    }
    Ok(lines)
}

/// Formats the findings as Markdown. The worst finding is first, because forges truncate long texts.
fn render_markdown(findings: &[Finding], coverage: &ReviewCoverage) -> String {
    let findings = sort_worst_first(findings.iter());
    markdown::render_markdown(&markdown::MarkdownReport {
        walkthrough: &[],
        headline: text::render_counts(&count_by_severity(&findings)),
        remarks: vec![text::render_file_counts(coverage, "checked")],
        findings: &findings,
        not_reviewed: &coverage.not_reviewed,
        reviewer: "rules only: no model was called",
    })
}

fn render_sarif(
    findings: &[Finding],
    coverage: &ReviewCoverage,
    is_complete: bool,
    rules: &[ListedRule<'_>],
) -> Result<String, CliError> {
    sarif::render_sarif(&sarif::SarifReport {
        category: "rules-check",
        id: "",
        root_description: "The folder in which the check ran.",
        rules,
        findings: &sort_worst_first(findings.iter()),
        suppressed: &[],
        dismissed: &[],
        coverage,
        is_complete,
        start_and_end: None,
        comparison: None,
    })
}

// ---------------------------------------------------------------------------------------------- test

/// Results of the examples in the JSON output.
#[derive(Serialize)]
struct RulesTestJson<'a> {
    rules: usize,
    examples: usize,
    failing: &'a [String],
    untested: &'a [String],
}

fn test_rules(pack: Option<&str>, context: &CommandContext) -> Result<CommandExit, CliError> {
    let tested = match pack.map(|pack| (pack, parse_pack_folder(pack, context.environment.directory()))) {
        Some((name, Some(folder))) if !folder.is_dir() => {
            return Err(CliError::usage("no_such_path", format!("there is no folder `{name}`")).hint(
                "specify a pack from `truing rules list`, or the path of a pack (a folder with a subfolder \
                    `rules`)",
            ));
        }
        Some((_, Some(folder))) => {
            let packs =
                RulePacks::from_folder(&folder).map_err(|error| wiring::reader_error(error.into()))?;
            packs.run_examples(&[])
        }
        Some((name, None)) => operator_packs(context)?.run_examples(&[name.to_owned()]),
        None => operator_packs(context)?.run_examples(&[]),
    }
    .map_err(wiring::reader_error)?;
    let ExampleResults {
        rule_count: rules,
        example_count: examples,
        failure_messages: failing,
        untested_rules: untested,
    } = &tested;
    context.output.print_answer(
        &RulesTestJson { rules: *rules, examples: *examples, failing, untested },
        || {
            let mut text: String = failing.iter().map(|line| format!("{line}\n")).collect();
            for name in untested {
                text += &format!("{name} has no example: nothing shows what the rule finds\n");
            }
            let (rules, examples) = (format_count(*rules, "rule"), format_count(*examples, "example"));
            let mut wrong = Vec::new();
            if !failing.is_empty() {
                wrong.push(format!("{} with a wrong result", failing.len()));
            }
            if !untested.is_empty() {
                wrong.push(format!("{} without an example", format_count(untested.len(), "rule")));
            }
            if wrong.is_empty() {
                wrong.push("all with the expected result".to_owned());
            }
            text += &format!("{rules}, {examples}: {}\n", wrong.join(", "));
            text
        },
    )?;
    Ok(if failing.is_empty() && untested.is_empty() {
        CommandExit::Success
    } else {
        CommandExit::NegativeAnswer
    })
}

fn operator_packs(context: &CommandContext) -> Result<RulePacks, CliError> {
    wiring::load_packs(&context.config(&[])?.rules).map_err(wiring::reader_error)
}

/// Returns the path of a pack's folder, if the user named the pack by a path. Returns `None` for a text
/// without a slash, which is the name of a pack.
fn parse_pack_folder(pack: &str, current_folder: &Path) -> Option<PathBuf> {
    pack.contains('/').then(|| current_folder.join(pack))
}

/// Joins the path of a folder and the path of a file in this folder, for output.
fn join_path(prefix: &[u8], path: &RepoPath) -> RepoPath {
    if prefix.is_empty() {
        return path.clone();
    }
    RepoPath::from_bytes([prefix, b"/", path.as_bytes()].concat())
}
