//! Writes the texts of a sync job: titles and bodies of its pull requests and questions, and its comments.
//! Package names and the reasons for decisions come from packages and manifests, so they are always escaped
//! as text.

use truing_agent::schema::work::WorkReport;
use truing_config::sync::placeholders;
use truing_core::line;
use truing_core::markdown::{code_span, escape_text, escape_text_around_links};
use truing_core::run::RunOutcome;
use truing_core::sync::breaker::{self, JobBreaker};
use truing_core::sync::classify::{FunctionJudgement, ReleaseClassification};
use truing_core::sync::record::SyncRecord;
use truing_core::sync::{PinChangeKind, SyncDecision, SyncVerdict};
use truing_core::template::TextTemplate;
use truing_git::PushRefusal;

use super::ReleaseDecision;
use super::port::UncheckedMigration;
use super::verify::CheckResults;

/// Maximum number of rows that are shown of one table. Further rows are only counted.
const MAX_SHOWN_ROWS: usize = 40;

/// Maximum number of characters of the reason why a run ended.
const MAX_REASON_CHARS: usize = 300;

/// The job, package and release that a text is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReleaseSubject<'a> {
    pub(super) job_name: &'a str,
    pub(super) package: &'a str,
    /// Version of the release.
    pub(super) version: &'a str,
    /// The operator's template of a title, if there is one.
    pub(super) title_template: Option<&'a TextTemplate>,
}

impl ReleaseSubject<'_> {
    /// Returns the value of this placeholder in the operator's templates.
    fn placeholder_value(self, name: &str, verdict: SyncVerdict) -> String {
        match name {
            placeholders::PACKAGE => self.package.to_owned(),
            placeholders::VERSION => self.version.to_owned(),
            placeholders::DECISION => verdict.as_str().to_owned(),
            _ => String::new(),
        }
    }
}

/// Returns the title of a final pull request.
pub(super) fn pull_title(subject: ReleaseSubject<'_>, verdict: SyncVerdict) -> String {
    let ReleaseSubject { package, version, title_template: title, .. } = subject;
    if let Some(title) = title {
        let text = title.fill_with(|name| subject.placeholder_value(name, verdict));
        return text.lines().collect::<Vec<_>>().join(" ");
    }
    match verdict {
        SyncVerdict::Bump => format!("Follow {package} to {version}"),
        SyncVerdict::Relax | SyncVerdict::Ask | SyncVerdict::Skip => {
            format!("Admit {package} up to {version}")
        }
    }
}

/// Returns the complete text of a final pull request. The text begins with the repository's own template,
/// unless the operator's template defines the whole text.
pub(super) fn pull_body(
    subject: ReleaseSubject<'_>,
    verdict: SyncVerdict,
    body_template: Option<&TextTemplate>,
    repository_template: &str,
    text: &str,
) -> String {
    match body_template {
        None if repository_template.is_empty() => text.to_owned(),
        None => format!("{repository_template}\n\n{text}"),
        Some(body_template) => body_template.fill_with(|name| match name {
            placeholders::TEMPLATE => repository_template.to_owned(),
            placeholders::REPORT => text.to_owned(),
            _ => subject.placeholder_value(name, verdict),
        }),
    }
}

/// Renders the text of a final pull request that widens a range.
pub(super) fn relax_text(
    subject: ReleaseSubject<'_>,
    release_decision: &ReleaseDecision,
    files: &[String],
    check_results: &CheckResults,
) -> String {
    common_pull_text(subject, release_decision, files) + &render_checks(check_results)
}

/// Renders the beginning of the body, which is the same for pull requests that widen a range and for pull
/// requests that port code.
fn common_pull_text(
    subject: ReleaseSubject<'_>,
    release_decision: &ReleaseDecision,
    files: &[String],
) -> String {
    let ReleaseSubject { package, version, .. } = subject;
    let ReleaseDecision { from, spec_before, spec_after, decision, .. } = release_decision;
    let mut text = format!(
        "{} {} is out; the project was made for {}.\n\n",
        escape_text(package),
        code_span(version),
        code_span(&from.to_string())
    );
    let verdict = match decision.verdict {
        SyncVerdict::Relax => "the code works with both releases, and the range is widened",
        SyncVerdict::Bump => "the code is ported to this release",
        SyncVerdict::Ask | SyncVerdict::Skip => "a person decided so",
    };
    text += &format!(
        "**{}**: {verdict}, because {}.\n",
        decision.verdict.as_str(),
        escape_text(&decision.reason)
    );
    if let (Some(before), Some(after)) = (spec_before, spec_after) {
        text += &format!(
            "\nRange: {} becomes {}.\n",
            code_span(&before.to_string()),
            code_span(&after.to_string())
        );
        if after.contains_next_patch(&release_decision.to) {
            text += "The range also admits later releases, which are not checked.\n";
        }
    }
    text += &render_changes_table(decision);
    text += &render_classification(release_decision);
    if !files.is_empty() {
        text += "\nChanged files:\n\n";
        for file in files.iter().take(MAX_SHOWN_ROWS) {
            text += &format!("* {}\n", code_span(file));
        }
        text += &omitted_rows_note(files.len());
    }
    text += "\n- [ ] The range is right. If the project has a lock file, the lock file matches the \
        range.\n";
    if !decision.pin_changes.is_empty() {
        text += "- [ ] Each definition above was compared with its counterpart in this project.\n";
    }
    text
}

/// Renders the text of a final pull request that ports code.
pub(super) fn migration_text(
    subject: ReleaseSubject<'_>,
    release_decision: &ReleaseDecision,
    migration: &UncheckedMigration,
    check_results: &CheckResults,
) -> String {
    let mut text = common_pull_text(subject, release_decision, &migration.changed_files);
    if release_decision.decision.pin_changes.iter().any(|change| change.kind == PinChangeKind::Removed) {
        text += "- [ ] Each definition that no longer exists is removed from the manifest, or is pinned \
            under its new name.\n";
    }
    let WorkReport { summary, completed, .. } = &migration.work;
    text += &format!("\n## What a model ported\n\n{}\n", escape_text(summary));
    text += &render_list("Ported", completed);
    text + &render_checks(check_results)
}

/// Returns the title and the text of a port in progress.
pub(super) fn draft_title_and_body(
    subject: ReleaseSubject<'_>,
    release_decision: &ReleaseDecision,
    migration: &UncheckedMigration,
    check_results: &CheckResults,
) -> (String, String) {
    let ReleaseSubject { job_name: job, package, version, .. } = subject;
    let WorkReport { summary, completed, remaining, questions } = &migration.work;
    let mut text = format!(
        "This pull request ports the project to {} {}. The port is not finished: the next run of {} \
        continues the port. To take over the port, push a commit, or write a comment on the newest \
        commit.\n\n{}.\n\n{}\n",
        escape_text(package),
        code_span(version),
        code_span(job),
        escape_text(&release_decision.decision.reason),
        escape_text(summary)
    );
    if let Some(why) = &migration.incomplete_reason {
        text += &format!("\nThe port was cut off: {}.\n", escape_text(why));
    }
    text += &render_list("Done", completed);
    text += &render_list("Not done", remaining);
    text += &render_list("To be decided by people", questions);
    text += &render_checks(check_results);
    text += &render_changes_table(&release_decision.decision);
    text += &render_classification(release_decision);
    (format!("{} (in progress)", pull_title(subject, SyncVerdict::Bump)), text)
}

/// Summarises why a port is not finished: unfinished work, open questions and failing checks.
pub(super) fn remaining_obstacles(migration: &UncheckedMigration, check_results: &CheckResults) -> String {
    let count = |count: usize, label: &str| (count > 0).then(|| format!("{count} {label}"));
    let ends = [
        migration.incomplete_reason.clone(),
        count(migration.work.remaining.len(), "not done"),
        count(migration.work.questions.len(), "to be decided by people"),
        count(check_results.failing_commands.len(), "failing checks"),
    ];
    ends.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the body of a draft pull request that is closed, with Truing's own reason at its beginning. A link
/// in the reason stays a link.
pub(super) fn closed_draft_text(reason: &str, body: &str) -> String {
    let first = format!("{reason}.");
    if body.starts_with(&first) { body.to_owned() } else { format!("{first}\n\n{body}") }
}

/// Formats the lines of a model's report as a list.
fn render_list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("* {}\n", escape_text(line))).collect();
    format!("\n{title}:\n\n{lines}")
}

/// Lists the project's own checks that fail with the change but did not fail before.
fn render_checks(check_results: &CheckResults) -> String {
    let failing: String =
        check_results.failing_commands.iter().map(|check| format!("* {}\n", code_span(check))).collect();
    match (check_results.count, failing.is_empty()) {
        (None, _) => "\nNo checks are configured (`verify.check`): the project's tests were not run on this \
                change.\n"
            .to_owned(),
        (Some(count), true) => {
            format!("\nThe project's checks ({count}) have no new failures.\n")
        }
        (Some(_), false) => format!("\nChecks that fail only with this change:\n\n{failing}"),
    }
}

/// Renders a table of the changed pinned definitions and of the unguarded parts.
fn render_changes_table(decision: &SyncDecision) -> String {
    let mut text = String::new();
    if !decision.pin_changes.is_empty() {
        text += "\n| Pinned definition | What changed | First in |\n|---|---|---|\n";
        for change in decision.pin_changes.iter().take(MAX_SHOWN_ROWS) {
            let what = match change.kind {
                PinChangeKind::Tree => "what it does",
                PinChangeKind::Bytes => "only the text",
                PinChangeKind::Removed => "gone",
            };
            let first = change.first_in.as_deref().map(render_table_cell).unwrap_or_default();
            text += &format!("| {} | {what} | {first} |\n", render_table_cell(&change.symbol));
        }
        text += &omitted_rows_note(decision.pin_changes.len());
    }
    if !decision.unguarded_parts.is_empty() {
        text += "\nNot guarded by a pin:\n\n| Definition | Why |\n|---|---|\n";
        for one in decision.unguarded_parts.iter().take(MAX_SHOWN_ROWS) {
            text += &format!("| {} | {} |\n", render_table_cell(&one.name()), one.change_text());
        }
        text += &omitted_rows_note(decision.unguarded_parts.len());
    }
    text
}

/// Renders a model's verdicts on functions that no pinned definition guards.
fn render_classification(release_decision: &ReleaseDecision) -> String {
    let Some(ReleaseClassification { functions, no_answer_reason: in_vain }) =
        &release_decision.classification
    else {
        return String::new();
    };
    let mut text = String::new();
    if let Some(why) = in_vain {
        text += &format!(
            "\nA model was asked about these definitions and could not decide: {}.\n",
            escape_text(why)
        );
    }
    if !functions.is_empty() {
        text += "\nThe verdict of a model, with the lines that support it:\n\n| Function | Verdict | Why | \
             Lines |\n|---|---|---|---|\n";
        for one in functions.iter().take(MAX_SHOWN_ROWS) {
            let FunctionJudgement { function, verdict, reason, release, start_line, end_line, .. } = one;
            let name = render_table_cell(&format!("{} {}", function.file, function.symbol));
            let lines = if start_line == end_line {
                start_line.to_string()
            } else {
                format!("{start_line}-{end_line}")
            };
            text += &format!(
                "| {name} | {} | {} | {lines} {} |\n",
                verdict.as_str(),
                escape_text(reason).replace('|', "\\|"),
                release.as_str()
            );
        }
        text += &omitted_rows_note(functions.len());
    }
    text
}

/// Formats code for a table cell. Vertical bars are escaped, because a bar would end the cell.
fn render_table_cell(text: &str) -> String {
    code_span(&text.replace('|', "\u{2502}"))
}

fn omitted_rows_note(count: usize) -> String {
    match count.saturating_sub(MAX_SHOWN_ROWS) {
        0 => String::new(),
        more => format!("\nand {more} more\n"),
    }
}

/// Returns the title and the body of a question about the change that a release requires in the project.
pub(super) fn release_question(
    subject: ReleaseSubject<'_>,
    release_decision: &ReleaseDecision,
) -> (String, String) {
    let ReleaseSubject { job_name: job, package, version, .. } = subject;
    let decision = &release_decision.decision;
    let mut text = format!(
        "{} {} is out, and Truing cannot decide by itself what the release requires of this project: {}.\n",
        escape_text(package),
        code_span(version),
        escape_text(&decision.reason)
    );
    text += &render_changes_table(decision);
    text += &render_classification(release_decision);
    // The answer `relax` is omitted only if Truing itself decided on a port; people may correct a model's
    // classification.
    text += &render_answer_options(
        decision.verdict == SyncVerdict::Bump && release_decision.classification.is_none(),
    );
    (question_title(job, version), text)
}

/// Returns the title and the body of a question about a requirement that is not understood.
pub(super) fn requirement_question(
    subject: ReleaseSubject<'_>,
    file: &str,
    requirement: &str,
    doubt: &str,
) -> (String, String) {
    let ReleaseSubject { job_name: job, package, .. } = subject;
    let text = format!(
        "Truing cannot follow {}, because it does not wholly understand the requirement in \
         {}:\n\n{}\n\n{}.\n\n\
         No release was read. Change the requirement, or the job's `constraint` keys; the next run then \
         closes \
         this question.\n",
        escape_text(package),
        code_span(file),
        code_span(requirement),
        escape_text(doubt)
    );
    (format!("{job} sync: feedback needed for the requirement"), text)
}

/// Returns the title and the body of a question about an index whose newest entries cannot be read.
pub(super) fn unreadable_index_question(subject: ReleaseSubject<'_>, reason: &str) -> (String, String) {
    let ReleaseSubject { job_name: job, package, version, .. } = subject;
    let text = format!(
        "The project's range includes {} {}, the newest release that Truing can read, but {}.\n\nCheck these \
         entries of the index. A later run closes this question once it can read them, or once it reads \
         a newer \
         release.\n",
        escape_text(package),
        code_span(version),
        escape_text(reason)
    );
    (question_title(job, version), text)
}

/// Returns the title and the body of a question about a release whose wider range makes the project's checks
/// fail.
pub(super) fn failing_checks_question(
    subject: ReleaseSubject<'_>,
    release_decision: &ReleaseDecision,
    check_results: &CheckResults,
) -> (String, String) {
    let ReleaseSubject { job_name: job, package, version, .. } = subject;
    let mut text = format!(
        "{} {} is out. According to the pinned definitions, the range could be widened ({}), but the \
        project's checks fail with the wider range.\n",
        escape_text(package),
        code_span(version),
        escape_text(&release_decision.decision.reason)
    );
    text += &render_checks(check_results);
    text += &render_changes_table(&release_decision.decision);
    text += &render_classification(release_decision);
    text += &render_answer_options(false);
    (question_title(job, version), text)
}

/// Returns the title and the body of a question that lists a model's questions about a port, for people to
/// decide.
pub(super) fn model_questions(
    subject: ReleaseSubject<'_>,
    draft_url: &str,
    questions: &[String],
) -> (String, String) {
    let ReleaseSubject { job_name: job, package, version, .. } = subject;
    let text = format!(
        "The port of this project to {} {} is in progress in {draft_url}, and people must decide these \
            questions:\n{}\nAnswer with a comment, in your own words: the next run continues with your \
            answer. A comment that begins with `skip` leaves this release out. Only answers of people with \
            write access count.\n",
        escape_text(package),
        code_span(version),
        render_list("Questions of the model", questions)
    );
    (question_title(job, version), text)
}

/// Returns the title of a question about a release.
fn question_title(job: &str, version: &str) -> String {
    format!("{job} sync: feedback needed for {version}")
}

fn render_answer_options(is_bump: bool) -> String {
    let relax =
        if is_bump { "" } else { "* `relax`: the code works with the release unchanged; widen the range\n" };
    format!(
        "\nAnswer with a comment that begins with\n\n{relax}* `bump`: the code must be ported to this \
            release\n* `skip`: leave this release out\n\nOnly answers of people with write access count. \
            Any other answer lets the next run try again.\n"
    )
}

/// Returns the title and the body of the question that a job asks while its circuit breaker blocks further
/// runs.
pub(super) fn tripped_breaker_question(
    subject: ReleaseSubject<'_>,
    breaker: &JobBreaker,
) -> (String, String) {
    let ReleaseSubject { job_name: job, package, version, .. } = subject;
    let reason = match breaker.trip().map(|open| open.reason) {
        Some(breaker::JobTripReason::Streak) => {
            let (_, streak) = breaker.failure_counts();
            format!(
                "{streak} runs in a row failed, across all releases: no more runs start until someone \
                 answers."
            )
        }
        Some(breaker::JobTripReason::Target) | None => format!(
            "Following {} to {} failed repeatedly: no more runs start until someone answers, or until the \
                release or the manifest changes.",
            escape_text(package),
            code_span(version)
        ),
    };
    let mut text = format!("{reason}\n\n| When (UTC) | Release | What happened |\n|---|---|---|\n");
    for failure in breaker.recent_failures() {
        let at = jiff::Timestamp::from_millisecond(failure.failed_at.0).unwrap_or_default();
        text += &format!(
            "| {} | {} | {} |\n",
            at.strftime("%Y-%m-%d %H:%M"),
            if failure.version.is_empty() {
                "not known".to_owned()
            } else {
                render_table_cell(&failure.version)
            },
            escape_text(&failure.reason).replace('|', "\\|")
        );
    }
    text += &format!(
        "\nFix the cause, then answer here to start one more run. Or run this command on Truing's \
        machine: {}. Only answers of people with write access count.\n",
        code_span(&format!("truing breaker reset sync/{job}"))
    );
    (question_title(job, version), text)
}

/// Returns the comment which says that a release has to wait, because a person is using the pull request.
pub(super) fn waiting_release_comment(subject: ReleaseSubject<'_>, reason: &str) -> String {
    format!(
        "{} {} is out and requires changes in the code. The port waits for this pull request, because {}.\n",
        escape_text(subject.package),
        code_span(subject.version),
        escape_text(reason)
    )
}

/// Returns a title and a body with a table of a job's last runs, newest first.
pub(super) fn render_recent_runs(job: &str, records: &[SyncRecord]) -> (String, String) {
    let count = |kinds: &[RunOutcome]| {
        records.iter().filter(|one| kinds.contains(&one.detail.result.run_outcome())).count()
    };
    let (well, tried) =
        (count(&[RunOutcome::Done]), count(&[RunOutcome::Done, RunOutcome::Partial, RunOutcome::Failed]));
    let mut text = format!(
        "The last {} runs of {}, updated after each run: of {tried} runs with work to do, {well} did the \
            work or asked a person.\n\n| Ended (UTC) | Release | Result | Why | Turns | Cost \
            |\n|---|---|---|---|---|---|\n",
        records.len(),
        code_span(job)
    );
    for record in records {
        let at = jiff::Timestamp::from_millisecond(record.ended_at.0).unwrap_or_default();
        let reason =
            line::clean_line(record.detail.exit_reason.lines().next().unwrap_or_default(), MAX_REASON_CHARS);
        let pull_url = record.detail.pull.as_ref().map(|pull| pull.url.as_str());
        text += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            at.strftime("%Y-%m-%d %H:%M"),
            record.detail.target_release.as_deref().map(render_table_cell).unwrap_or_default(),
            escape_text(&record.detail.result.as_str().replace('_', " ")),
            escape_text_around_links(&reason, pull_url.as_slice()).replace('|', "\\|"),
            record.turns(),
            record.cost_text()
        );
    }
    (format!("{job} sync: results of the last runs"), text)
}

/// Returns the comment which says that a question no longer needs an answer.
/// `pull_url` is the address of a pull request that the reason names. It stays a link.
pub(super) fn question_settled_comment(reason: &str, pull_url: Option<&str>) -> String {
    let reason = escape_text_around_links(reason, pull_url.as_slice());
    format!("An answer is no longer needed: {reason}.\n")
}

/// Explains why a branch cannot be pushed, and how an operator can solve the problem.
pub(super) fn explain_push_refusal(reason: PushRefusal) -> &'static str {
    match reason {
        PushRefusal::ProtectedBranch => {
            "because a rule of the repository protects the branch: let this account push to the branch, or \
                give the job another `branch`"
        }
        PushRefusal::MissingPermission => {
            "because this account lacks the permission: let the account write contents (and workflows, if \
            a workflow changes), see docs/github.md"
        }
        PushRefusal::HookOrUnknown => {
            "because a check of the repository refuses the push: fix the problem that the check reports"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{closed_draft_text, question_settled_comment};

    #[test]
    fn address_of_a_pull_request_stays_a_link() {
        let url = "http://forge.example/acme/ours/pull/5";
        let comment = question_settled_comment(&format!("*it* is in {url}"), Some(url));
        assert_eq!(comment, format!("An answer is no longer needed: \\*it\\* is in {url}.\n"));
        let foreign = question_settled_comment("see http://elsewhere.example", None);
        assert!(!foreign.contains("http://"), "{foreign}");
        let text = closed_draft_text(&format!("Finished in {url}"), "body");
        assert_eq!(text, format!("Finished in {url}.\n\nbody"));
    }
}
