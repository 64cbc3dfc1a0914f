//! The command `truing demo`: reports each step of the demonstration of [`crate::demo`]. `truing demo sync`
//! reports the demonstration of [`crate::demo::sync`], and `truing demo converge` reports the demonstration
//! of [`crate::demo::converge`].

mod converge;
mod sync;

use std::path::Path;

use truing_config::{Config, RulesConfig, SandboxConfig};
use truing_core::port::ForgeKind;
use truing_core::sandbox::SandboxLevel;

use super::CommandContext;
use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::output::OutputPrinter;
use super::runtime::{self, StopSignal};
use crate::demo::{
    self, COMMENT_VISIBILITY_DELAY, CommentChanges, DEMO_SLOT_LIMITS, DISMISSAL_REPLY, DemoError,
    DroppedFindingCounts, FirstReview, FollowedPull, LifecycleCounts, LinterCounts,
    MODEL_FINDING_DISMISSAL_REPLY, PLANTED_FINDING_COUNT, ReviewDemo, ReviewDemoReport, ScenarioCounts,
    StormCounts,
};
use crate::wiring;

/// Watch a loop at work, with a fake forge and a scripted model: no key needed
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// Which loop
    #[arg(value_enum, value_name = "LOOP", default_value_t)]
    demo_loop: DemoLoop,
    /// The kind of the fake forge; only for the demo of the review
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    forge: DemoForgeKind,
    /// After the review, send a storm of pushes to twenty pull requests, which takes half a minute
    #[arg(long)]
    storm: bool,
    /// Keep running afterwards until interrupted, and print how to inspect the results
    #[arg(long)]
    stay: bool,
}

/// The loops that can be watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
enum DemoLoop {
    /// Rules and a model review a pull request, from its first finding to its last resolved thread
    #[default]
    Review,
    /// A job follows the releases of a package: relax, bump, a draft, questions, the circuit breaker
    Sync,
    /// A pull request and a branch with a planted bug are audited and fixed until an audit is clean
    Converge,
}

/// The kinds of forges that the review can be watched on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
enum DemoForgeKind {
    /// GitHub
    #[default]
    Github,
    /// Bitbucket Cloud
    Bitbucket,
    /// Bitbucket Data Center
    BitbucketDc,
}

impl From<DemoForgeKind> for ForgeKind {
    fn from(kind: DemoForgeKind) -> Self {
        match kind {
            DemoForgeKind::Github => Self::Github,
            DemoForgeKind::Bitbucket => Self::Bitbucket,
            DemoForgeKind::BitbucketDc => Self::BitbucketDc,
        }
    }
}

pub(crate) fn run(args: &DemoArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    runtime::start()?.block_on(async {
        tokio::select! {
            ended = run_selected_demo(args, context) => ended,
            told = runtime::wait_for_stop_signal() => match told? {
                // This is no error, because Ctrl-C is the normal way to end `--stay`, and an interrupted
                // demonstration has no result.
                StopSignal::Interrupt => Ok(CommandExit::Interrupted),
                StopSignal::Terminate | StopSignal::HangUp => Ok(CommandExit::Success),
            },
        }
    })
}

async fn run_selected_demo(args: &DemoArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    if args.demo_loop != DemoLoop::Review && args.forge != DemoForgeKind::Github {
        return Err(CliError::usage("forge", "only the demo of the review supports this kind of forge")
            .hint("omit `--forge`, or omit the loop: `truing demo --forge KIND`"));
    }
    if args.demo_loop != DemoLoop::Review && args.storm {
        return Err(CliError::usage("storm", "only the demo of the review supports `--storm`")
            .hint("omit the loop: `truing demo --storm`"));
    }
    // If a program for the model's conversation is configured, the program is checked before anything is
    // printed.
    let taken = demo::demo_environment(&context.environment)?;
    wiring::agent::check_conversation_runtime(&Config::resolve(&taken, None, &[])?, &taken)?;
    match args.demo_loop {
        DemoLoop::Review => Box::pin(run_review_demo(args, context)).await,
        DemoLoop::Sync => Box::pin(sync::run_demo(args.stay, context)).await,
        DemoLoop::Converge => Box::pin(converge::run_demo(args.stay, context)).await,
    }
}

async fn run_review_demo(args: &DemoArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let output = context.output;
    let git = wiring::open_git(&context.environment).await?;
    let timings = format!(
        "Timings of this demo: debounce {} ms, at most {} s; a storm ends after {} s of quiet; comments \
         settle in {} ms.",
        DEMO_SLOT_LIMITS.debounce.0,
        DEMO_SLOT_LIMITS.max_debounce.0 / 1000,
        DEMO_SLOT_LIMITS.storm_quiet_time.0 / 1000,
        COMMENT_VISIBILITY_DELAY.0
    );
    output.print_lines(fold_line("", &timings));
    // The demonstration reads only its own files, so its reader needs no sandbox and works on any machine.
    let sandbox = SandboxConfig { min_level: SandboxLevel::None };
    let reader = wiring::child_process_reader(&RulesConfig::default(), &sandbox)?;
    let demo =
        ReviewDemo::start(args.forge.into(), git, &context.environment, reader).await.map_err(demo_error)?;
    let first = demo.run_first_review().await.map_err(demo_error)?;
    let is_text = !output.is_json();
    if is_text {
        output.print_data(render_first_review(&first))?;
    }
    let mut steps = 0;
    let follow = demo.follow_first_pull(first, |changes| {
        steps += 1;
        let shown = if is_text { output.print_data(render_step(steps, changes)) } else { Ok(()) };
        shown.map_err(|error| DemoError::SetUp(error.message))
    });
    let mut report = follow.await.map_err(demo_error)?;
    if is_text {
        output.print_data(render_followed_pull(&report.followed))?;
    }
    if args.storm {
        report = run_scenarios(&demo, report, output).await?;
    }
    output.print_answer(&report, || render_summary(&report))?;
    if args.stay {
        let (pulls, service) = demo.page_and_service_urls();
        output.print_note(format_args!("service: {service}"));
        print_inspection_notes(output, &pulls, &demo.config_path(), &INSPECTION_COMMANDS);
        output
            .print_note("at your own forge, the comment `/review` on a pull request requests another review");
        std::future::pending::<()>().await;
    }
    demo.stop().await.map_err(demo_error)?;
    Ok(if report.has_passed() { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

/// Runs the scenarios with three more pull requests, and with a storm of pushes to twenty pull requests.
async fn run_scenarios(
    demo: &ReviewDemo,
    report: ReviewDemoReport,
    output: OutputPrinter,
) -> Result<ReviewDemoReport, CliError> {
    let is_text = !output.is_json();
    let forgotten = demo.run_dropped_finding_scenario().await.map_err(demo_error)?;
    if is_text {
        output.print_data(render_dropped_finding(forgotten))?;
    }
    let lifecycle = demo.run_lifecycle_scenario().await.map_err(demo_error)?;
    if is_text {
        output.print_data(render_lifecycle(&lifecycle))?;
    }
    let linted = demo.run_linter_scenario().await.map_err(demo_error)?;
    if let Some(linted) = linted.as_ref().filter(|_| is_text) {
        output.print_data(self::render_linter(linted))?;
    }
    let bar = output.progress(
        // The text and its progress bar fit into 80 columns.
        "A storm: 20 pull requests, 50 pushes each",
        Some(50),
    );
    let before_storm = ScenarioCounts { lifecycle, dropped_finding: forgotten, linter_counts: linted };
    demo.run_storm(report, before_storm, |_| bar.advance(1)).await.map_err(demo_error)
}

/// Formats the comments on the first pull request.
fn render_first_review(review: &FirstReview) -> String {
    let mut text =
        format!("\nA pull request was opened; {:.1} s later it shows this:\n", review.seconds_since_start);
    for comment in review.view.conversation_comments().chain(review.view.inline_comments()) {
        text += "\n";
        if let Some(place) = &comment.place {
            let line = comment.line.map(|line| format!(", line {line}")).unwrap_or_default();
            text += &format!("  [{}{line}]\n", place.path);
        }
        for line in comment.body.lines().filter(|line| !is_marker(line)) {
            text += &fold_line("  ", &unescape_markdown(line));
        }
    }
    text + "\n"
}

/// Removes backslashes before punctuation from a line of Markdown, as a forge's page does.
fn unescape_markdown(line: &str) -> String {
    let mut signs = line.chars().peekable();
    let mut shown = String::new();
    while let Some(sign) = signs.next() {
        let escapes = sign == '\\' && signs.peek().is_some_and(char::is_ascii_punctuation);
        shown.extend(if escapes { signs.next() } else { Some(sign) });
    }
    shown
}

/// Formats one step on the first pull request.
fn render_step(number: usize, changes: &CommentChanges) -> String {
    let titles = ["opened", "lines on top", "rules' findings fixed"];
    match titles.get(number - 1) {
        Some(title) => format!("  push {number}, {title:<22} {}\n", render_changes(changes)),
        None => format!(
            "  a person answers: {MODEL_FINDING_DISMISSAL_REPLY}\n  {:<30} {}\n",
            "a review",
            render_changes(changes)
        ),
    }
}

/// Formats the final state of the first pull request.
fn render_followed_pull(followed: &FollowedPull) -> String {
    let FollowedPull { comments, open_threads: open, is_green, .. } = followed;
    let status = if *is_green { "green" } else { "not green" };
    format!("  {comments} comments for 4 findings, {open} open; the last commit is {status}\n")
}

/// Returns true if the line is a marker, which no forge shows.
fn is_marker(line: &str) -> bool {
    line.starts_with("<!--") || line.starts_with("[//]: # (")
}

/// Commands that show more of the demonstration while `--stay` keeps it running.
const INSPECTION_COMMANDS: [&str; 4] = ["status", "queue list", "why wheel/spokes/1", "report"];

/// Prints how to inspect a demonstration that keeps running: the address of its pull requests, and some
/// commands.
fn print_inspection_notes(
    output: OutputPrinter,
    pulls_url: &str,
    config: &Path,
    inspection_commands: &[&str],
) {
    output.print_note(format_args!("pull requests, for a browser: {pulls_url}"));
    output.print_note("commands, in another terminal:");
    for words in inspection_commands {
        output.print_note(format_args!("  truing --config {} {words}", config.display()));
    }
    output.print_note("stop with Ctrl-C");
}

/// Formats the consequence for a finding that the model does not report again.
fn render_dropped_finding(dropped_findings: DroppedFindingCounts) -> String {
    let consequence = if dropped_findings.has_passed() {
        "it stays open and unverified, keeps its one comment, and the status is not green"
    } else {
        "the finding should still be open, but is not"
    };
    let text = format!(
        "A second push renames a variable in the lines of the model's finding, and the model no longer \
         reports it: {consequence}."
    );
    format!("\n{}", fold_line("", &text))
}

/// Formats the changes of the comments on one pull request.
fn render_lifecycle(lifecycle: &LifecycleCounts) -> String {
    let mut text = "\nAnother pull request, through five pushes:\n".to_owned();
    let titles = ["opened", "lines on top", "one fixed", "as before", "rebased"];
    for (index, (changes, title)) in lifecycle.pushes.iter().zip(titles).enumerate() {
        if title == "rebased" {
            text += &format!("  a person answers: {DISMISSAL_REPLY}\n");
        }
        text += &format!("  push {}, {title:<13} {}\n", index + 1, render_changes(changes));
    }
    text += &format!(
        "  {} comments for {PLANTED_FINDING_COUNT} findings, {} duplicates\n",
        lifecycle.comments, lifecycle.duplicates
    );
    text
}

/// Formats the changes of the comment on a linter's finding, for each push.
fn render_linter(linter_counts: &LinterCounts) -> String {
    let mut text = "\nA linter, which is a script here, through three pushes:\n".to_owned();
    for (index, (changes, title)) in
        linter_counts.pushes.iter().zip(["opened", "lines on top", "fixed"]).enumerate()
    {
        text += &format!("  push {}, {title:<13} {}\n", index + 1, render_changes(changes));
    }
    text + &format!(
        "  {} comment for 1 finding, {} duplicates\n",
        linter_counts.comments, linter_counts.duplicates
    )
}

/// Formats the changes of one push.
fn render_changes(changes: &CommentChanges) -> String {
    let CommentChanges { new, moved, fixed, reopened, dismissed } = changes;
    let counts = [
        (new, "new"),
        (moved, "moved with their lines"),
        (fixed, "fixed and resolved"),
        (reopened, "open again"),
        (dismissed, "dismissed"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| **count > 0);
    counts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

fn render_summary(report: &ReviewDemoReport) -> String {
    let verdict =
        if report.has_passed() { "As promised." } else { "The result differs from the expected one." };
    let storm = report.storm.as_ref().map(|storm| render_storm(report, storm)).unwrap_or_default();
    format!(
        "{storm}\nThe model: {} answers from a script on this machine;\n\
         \x20 {} tokens in, {} out, {} at list price\n{verdict}\n",
        report.model.model_calls,
        report.model.model_tokens_in,
        report.model.model_tokens_out,
        report.model.model_cost_micro_usd
    )
}

/// Formats the counts of the storm, and of the pull request that was reviewed before the storm.
fn render_storm(report: &ReviewDemoReport, storm: &StormCounts) -> String {
    let ReviewDemoReport { prs, pushes, reviews, findings, duplicates, unreviewed_heads, .. } = report;
    let StormCounts { deliveries, storms_each, most_reviews_of_one, seconds_of_storm, .. } = storm;
    let promised = 2 * storms_each;
    format!(
        "\nWith the storm: {prs} pull requests, {pushes} pushes, {deliveries} webhooks in \
        {seconds_of_storm:.1} s\n\x20 reviews computed      {reviews} (in the storm at most \
        {most_reviews_of_one} each; promised: {promised})\n\x20 last commits missed   {unreviewed_heads} \
        (promised: 0)\n\x20 findings shown        {findings}\n\x20 duplicate comments    {duplicates} \
        (promised: 0)\n"
    )
}

fn demo_error(error: DemoError) -> CliError {
    CliError::failure("demo", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_model_forgot_is_told_in_lines_that_fit() {
        let right = DroppedFindingCounts { comments: 1, open_threads: 1, is_green: false };
        for (forgotten, told) in [
            (right, "it stays open and unverified, keeps its one comment, and the status is not green"),
            (
                DroppedFindingCounts { open_threads: 0, ..right },
                "the finding should still be open, but is not",
            ),
            (
                DroppedFindingCounts { is_green: true, ..right },
                "the finding should still be open, but is not",
            ),
        ] {
            let text = render_dropped_finding(forgotten);
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("the model no longer reports it: ") && words.contains(told), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
