//! The command `truing demo converge`: a pull request and a branch with a planted bug are audited and fixed
//! until an audit is clean.

use truing_loops::converge::run_texts::format_count;

use super::{CommandContext, demo_error, print_inspection_notes};
use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::demo::converge::{
    ConvergeDemo, ConvergeDemoReport, FixCommit, LocalBranchResult, PublishedReview, PublishedThread,
    PullRequestResult,
};
use crate::demo::{WRITER_LOGIN, github_pulls_url};
use crate::wiring::converge::check_fixer_sandbox;

/// Prefix of an unquoted line of the report. The constant below is the prefix of a quoted line.
const INDENT: &str = "   ";
const QUOTE_INDENT: &str = "     | ";
/// Number of digits of an abbreviated commit id, as in git.
const SHORT_SHA_DIGITS: usize = 7;

pub(super) async fn run_demo(stay: bool, context: &CommandContext) -> Result<CommandExit, CliError> {
    let output = context.output;
    let level = tokio::task::spawn_blocking(truing_loops::machine::sandbox_level).await.map_err(|error| {
        CliError::failure("demo", format!("could not test the sandbox of this machine: {error}"))
    })?;
    check_fixer_sandbox(level)?;
    let say = |text: String| if output.is_json() { Ok(()) } else { output.print_data(text) };
    let story = ConvergeDemo::start(context).await.map_err(demo_error)?;
    let name = story.pull_name();
    let intro = format!(
        "The model follows a script: it reports a bug as long as the code has the bug, and fixes the bug \
            on request. {WRITER_LOGIN} has opened {name} as a draft; `truing converge {name}`:"
    );
    say(fold_line("", &intro))?;
    let pull = story.converge().await.map_err(demo_error)?;
    say(format!("\n1. {name} at the forge\n{}", render_pull_request(&pull)))?;
    say("\nThe same in a clone, with the branch checked out; `truing converge`:\n".to_owned())?;
    let local = story.converge_clone().await.map_err(demo_error)?;
    say(format!("\n2. Branch {} of the clone\n{}", local.branch, render_local_branch(&local)))?;
    let report = story.report(pull, local).map_err(demo_error)?;
    output.print_answer(&report, || render_summary(&report))?;
    if stay {
        let reason = format!("why '{name}'");
        print_inspection_notes(
            output,
            &github_pulls_url(story.forge_url()),
            &story.config_path(),
            &[&reason, "report --loop converge"],
        );
        std::future::pending::<()>().await;
    }
    Ok(if report.has_passed() { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

/// Formats the pull request: each review, the commits pushed on it, and the replies.
fn render_pull_request(pull: &PullRequestResult) -> String {
    let mut text = String::new();
    for PublishedReview { commit, body, threads } in &pull.reviews {
        text += &format!("{INDENT}review of {}\n{}", short_sha(commit), quote_body(body));
        for thread in threads {
            text += &format!("{INDENT}comment on {}\n{}", render_location(thread), quote_body(&thread.body));
        }
        text += &pull.commits.iter().filter(|fix| fix.parent == *commit).map(render_fix).collect::<String>();
        for thread in threads {
            for answer in &thread.answers {
                text += &format!("{INDENT}answer on {}\n{}", render_location(thread), quote_body(answer));
            }
            let state = if thread.resolved { "resolved" } else { "open" };
            text += &format!("{INDENT}thread on {}: {state}\n", render_location(thread));
        }
    }
    let state = |draft: bool| if draft { "draft" } else { "ready for review" };
    let [before, after] = pull.drafts.map(state);
    text + &format!(
        "{INDENT}state before the run: {before}; now: \
        {after}\n\n"
    ) + &indent_report(&pull.run_end.report)
}

/// Formats the state of the clone.
fn render_local_branch(local: &LocalBranchResult) -> String {
    let [before, after] = &local.tips;
    let mut text = fold_line(
        INDENT,
        &format!("{} was at {}, and is now at {}", local.branch, short_sha(before), short_sha(after)),
    );
    text += &fold_line(INDENT, &format!("on {}:", local.run_branch));
    text += &local.commits.iter().map(render_fix).collect::<String>();
    text + "\n" + &indent_report(&local.run_end.report)
}

fn render_fix(fix: &FixCommit) -> String {
    let of = format!("{INDENT}commit {} ", short_sha(&fix.commit));
    fold_line(&of, &format!("by {}: {}", fix.author, fix.subject))
        + &fix.lines.iter().map(|line| format!("{QUOTE_INDENT}{line}\n")).collect::<String>()
}

fn render_location(thread: &PublishedThread) -> String {
    let line = thread.line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("{}{line}", thread.path)
}

/// Formats a comment as quoted lines. Markers for programs are left out.
fn quote_body(body: &str) -> String {
    let lines = body.lines().filter(|line| !line.starts_with("<!--") && !line.is_empty());
    lines.map(|line| fold_line(QUOTE_INDENT, line)).collect()
}

fn indent_report(report: &str) -> String {
    // The report's lines are not wrapped again, because the last line is a command that users copy.
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{INDENT}{line}\n") };
    report.lines().map(line).collect()
}

fn short_sha(sha: &str) -> &str {
    sha.get(..SHORT_SHA_DIGITS).unwrap_or(sha)
}

fn render_summary(report: &ConvergeDemoReport) -> String {
    let ConvergeDemoReport { pull_request, local, model, seconds } = report;
    let loops = |many| format_count(many, "loop");
    let verdict =
        if report.has_passed() { "As promised." } else { "The result differs from the expected one." };
    format!(
        "\nTwo runs in {seconds:.1} s\n\x20 the pull request      {} in {}, {}\n\x20 the branch            \
            {} in {}, {}\n\x20 reported twice        {} (promised: 0)\n\x20 the model             {} \
            answers from a script; {} tokens in, {} out,\n\x20                       {} at list \
            price\n{verdict}\n",
        pull_request.run_end.exit,
        loops(pull_request.run_end.loops),
        format_count(pull_request.commits.len(), "commit"),
        local.run_end.exit,
        loops(local.run_end.loops),
        format_count(local.commits.len(), "commit"),
        pull_request.duplicates,
        model.model_calls,
        model.model_tokens_in,
        model.model_tokens_out,
        model.model_cost_micro_usd
    )
}
