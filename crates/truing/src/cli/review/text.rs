//! Formats a review as text: each finding with its code, as a compiler prints it, and then the scope of the
//! review.
//!
//! All text from a repository is shown without characters that control a terminal ([`visible_text`]). The
//! shown code is the finding's snippet, from which secrets were removed, and never the file.

// long: all parts of a review's text output, in the order of the output.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use truing_config::REPOSITORY_FILE;
use truing_core::dismissal;
use truing_core::finding::{Finding, FindingStatus, Severity};
use truing_core::id::Sha;
use truing_core::line;
use truing_core::outcome::{ReviewCoverage, ReviewOutcome, ReviewOutcomeKind, WalkthroughLine};
use truing_loops::compare::BaseOrigin;
use truing_loops::fix::is_model_proposal;
use truing_loops::local::{HeadKind, LocalReviewOutcome};
use truing_loops::text::{collect_remarks, format_count, reviewer_line};

use super::shortened_change::{OMISSION_MARK, shorten_change};
use super::unreviewed_files;
use crate::cli::columns::fold_line;

/// Width of text in columns.
const TEXT_COLUMNS: usize = 80;
/// Maximum number of columns before the text of a note: six digits of a line number, and ` = note: `.
const NOTE_INDENT: usize = 15;
/// Maximum number of columns before code: six digits of a line number, and ` | | `.
const CODE_INDENT: usize = 11;
/// Number of characters that are kept before the first secret in a line that must be cut.
const CHARS_BEFORE_SECRET: usize = 40;
/// Maximum number of fixed findings that are listed. Further findings are only counted.
const MAX_LISTED_FIXED_FINDINGS: usize = 10;

/// Maximum number of dismissed findings that are listed.
const MAX_LISTED_DISMISSED_FINDINGS: usize = 5;
const BOLD_STYLE: Style = Style::new().bold();
const FAILURE_STYLE: Style = AnsiColor::Red.on_default().bold();
const SUCCESS_STYLE: Style = AnsiColor::Green.on_default().bold();

/// The commands that a report suggests as next steps.
pub(super) struct SuggestedCommands {
    /// Command that applies the fixes.
    pub(super) fix: String,
    /// Command that lists dismissals.
    pub(super) list_dismissals: String,
    /// Maximum price of a review by a model, and the command for such a review. `None` if this is not
    /// suggested.
    pub(super) model_review: Option<String>,
}

/// Renders the whole text. `head_name` is the user's name for the reviewed commit. `config_source` is the
/// source of the repository's own configuration file, if that file was used.
pub(super) fn render_report(
    review: &LocalReviewOutcome,
    head_name: Option<&str>,
    config_source: Option<&str>,
    commands: &SuggestedCommands,
) -> String {
    let mut text: String =
        review.findings.open.iter().map(|finding| render_finding(finding) + "\n\n").collect();
    let record = &review.record;
    let seconds = record.ended_at.0.saturating_sub(record.started_at.0) as f64 / 1000.0;
    text += &render_headline(
        &record.detail.outcome,
        &record.detail.open_finding_counts,
        &record.detail.coverage,
        seconds,
    );
    text += &render_fixed(&review.findings.fixed).iter().map(|line| fill_paragraph(line)).collect::<String>();
    text += &render_suppressed_count(&review.findings.suppressed)
        .map_or_else(String::new, |line| fill_paragraph(&line));
    text += &render_dismissed_count(&review.findings.dismissed).map_or_else(String::new, |line| {
        fill_paragraph(&format!("{line}; to list: {}", commands.list_dismissals))
    });
    text += &render_dismissed_findings(&review.findings.dismissed)
        .iter()
        .map(|line| fill_paragraph(line))
        .collect::<String>();
    text +=
        &render_fixable(review, &commands.fix).iter().map(|line| fill_paragraph(line)).collect::<String>();
    text += &render_walkthrough(record.detail.walkthrough());
    text += &unreviewed_files::render_coverage_problems(&record.detail.coverage)
        .iter()
        .map(|line| fill_paragraph(line))
        .collect::<String>();
    text += &fill_paragraph(&render_comparison(review, head_name));
    text += &config_source.map_or_else(String::new, |from| fill_paragraph(&self::render_config_source(from)));
    for remark in collect_remarks(record) {
        text += &fill_paragraph(&visible_text(&remark));
    }
    let by = reviewer_line(record);
    // Users paste the suggested command, so it must be on one line. If the line is too long, the command is
    // omitted.
    let reviewers = by.strip_suffix(": no model was called");
    let both = reviewers
        .zip(commands.model_review.as_ref())
        .map(|(reviewers, model)| format!("{reviewers}; {model}"));
    let both = both.filter(|line| line.chars().count() <= TEXT_COLUMNS);
    text + &both.map_or_else(|| fill_paragraph(&by), |line| line + "\n")
}

/// Formats the number of findings by severity.
pub(in crate::cli) fn render_counts(open_counts: &[(Severity, u32)]) -> String {
    let all: u32 = open_counts.iter().map(|(_, count)| count).sum();
    let counts: Vec<String> =
        open_counts.iter().map(|(severity, count)| format!("{count} {}", severity.as_str())).collect();
    match counts.as_slice() {
        [] => "no findings".to_owned(),
        counts => {
            let found = format_count(all, "finding");
            format!("{found} ({})", counts.join(", "))
        }
    }
}

/// Formats the number of files that were reviewed, and of those that were not.
pub(in crate::cli) fn render_file_counts(coverage: &ReviewCoverage, past_verb: &str) -> String {
    let read = format_count(coverage.reviewed.len(), "file");
    match coverage.unread_files().count() {
        0 => format!("{read} {past_verb}"),
        count => format!("{read} {past_verb}, {count} not"),
    }
}

/// Formats a failed result and its reason, wrapped for a terminal.
fn render_failure(label: &str, reason: &str) -> String {
    fold_line("", &format!("{label}: {reason}")).replacen(
        label,
        &format!("{FAILURE_STYLE}{label}{FAILURE_STYLE:#}"),
        1,
    )
}

/// Formats the result in one line.
fn render_headline(
    outcome: &ReviewOutcome,
    open_counts: &[(Severity, u32)],
    coverage: &ReviewCoverage,
    seconds: f64,
) -> String {
    let (style, found) =
        (if open_counts.is_empty() { SUCCESS_STYLE } else { FAILURE_STYLE }, render_counts(open_counts));
    let files = render_file_counts(coverage, "reviewed");
    let reason = visible_text(outcome.reason.as_deref().unwrap_or_default());
    match outcome.kind {
        ReviewOutcomeKind::Reviewed => {
            format!("{style}{found}{style:#}: {files}, in {seconds:.2} s\n")
        }
        ReviewOutcomeKind::Partial => {
            let why = render_failure("the review is incomplete", &reason);
            format!("{style}{found}{style:#}: {files}, in {seconds:.2} s\n{why}")
        }
        ReviewOutcomeKind::Skipped => format!("{BOLD_STYLE}{reason}{BOLD_STYLE:#}\n"),
        ReviewOutcomeKind::Deferred => render_failure("the review is deferred", &reason),
        ReviewOutcomeKind::Failed => render_failure("the review failed", &reason),
    }
}

/// Formats the findings that were fixed since the previous review, each with the lines that show the fix.
fn render_fixed(fixed_findings: &[Finding]) -> Vec<String> {
    let fixed_line = |finding: &Finding| {
        let raw = &finding.raw;
        let (title, path) = (visible_text(&raw.title), visible_text(&raw.location.path.to_string()));
        let shown = finding.evidence.as_ref().map(|shown| match shown.start_line {
            0 => ", its file is deleted".to_owned(),
            line => format!(", shown by {}:{line}", visible_text(&shown.path.to_string())),
        });
        let (severity, line) = (raw.severity.as_str(), raw.location.start_line);
        format!("fixed: {severity} {title} ({path}:{line}){}", shown.unwrap_or_default())
    };
    let mut lines: Vec<String> =
        fixed_findings.iter().take(MAX_LISTED_FIXED_FINDINGS).map(fixed_line).collect();
    lines.extend(
        fixed_findings
            .len()
            .checked_sub(MAX_LISTED_FIXED_FINDINGS)
            .filter(|more| *more > 0)
            .map(|more| format!("fixed: {more} more")),
    );
    lines
}

/// Formats the number of findings that comments suppress.
pub(super) fn render_suppressed_count(suppressed: &[Finding]) -> Option<String> {
    let count = format_count(suppressed.len(), "finding");
    (!suppressed.is_empty()).then(|| format!("{count} suppressed by a comment in the code"))
}

/// Formats the number of findings that people have dismissed.
pub(super) fn render_dismissed_count(dismissed: &[Finding]) -> Option<String> {
    let count = format_count(dismissed.len(), "finding");
    (!dismissed.is_empty()).then(|| format!("{count} dismissed by a person and left out"))
}

/// Lists the most severe dismissed findings, one on each line. The output of a git hook therefore shows which
/// findings were ignored.
fn render_dismissed_findings(dismissed: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        let Finding { raw, status, .. } = finding;
        let (severity, title) = (raw.severity.as_str(), visible_text(&raw.title));
        let (path, line) = (visible_text(&raw.location.path.to_string()), raw.location.start_line);
        let reason =
            if let FindingStatus::Dismissed(reason) = status { visible_text(reason) } else { String::new() };
        format!("left out: {severity} {title} ({path}:{line}): {reason}")
    };
    dismissed.iter().take(MAX_LISTED_DISMISSED_FINDINGS).map(line).collect()
}

/// Formats the number of findings that `--fix` would fix, and the number about which it would ask. If the
/// working tree was not reviewed, returns no lines.
fn render_fixable(review: &LocalReviewOutcome, fix_command: &str) -> Vec<String> {
    if review.head_kind != HeadKind::WorkingTree {
        return Vec::new();
    }
    let fixes = review.findings.open.iter().filter(|finding| finding.raw.suggestion.is_some());
    let (proposed, sure): (Vec<_>, Vec<_>) = fixes.partition(|finding| is_model_proposal(finding));
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    let count_text = |count: usize, description: &str| {
        (count > 0).then(|| format!("{} {} {description}", format_count(count, "finding"), are(count)))
    };
    let sure = count_text(sure.len(), &format!("auto-fixable: {fix_command}"));
    let proposed =
        count_text(proposed.len(), &format!("fixable if you accept the model's proposal: {fix_command}"));
    sure.into_iter().chain(proposed).collect()
}

/// Formats the walkthrough with one line per file.
fn render_walkthrough(lines: &[WalkthroughLine]) -> String {
    let render_line = |line: &WalkthroughLine| {
        fill_paragraph(&format!("- {}: {}", visible_text(&line.path.to_string()), visible_text(&line.text)))
    };
    let lines: String = lines.iter().map(render_line).collect();
    if lines.is_empty() { lines } else { format!("walkthrough, by the model:\n{lines}") }
}

/// Formats the compared commits.
pub(super) fn render_comparison(review: &LocalReviewOutcome, head_name: Option<&str>) -> String {
    let named = |sha: &Sha, name: &str| match sha.as_str().starts_with(name) {
        true => sha.short_sha().to_owned(),
        false => format!("{} ({})", sha.short_sha(), visible_text(name)),
    };
    let reviewed = match (review.head_kind, &review.record.detail.head, head_name) {
        (HeadKind::Commit, Some(sha), Some(name)) => format!("commit {}", named(sha, name)),
        (HeadKind::Commit, Some(sha), None) => format!("commit {}", sha.short_sha()),
        (HeadKind::Index, _, _) => "the index".to_owned(),
        (HeadKind::Diff, _, name) => {
            let name = visible_text(name.unwrap_or_default());
            return match &review.base_origin {
                BaseOrigin::Unborn => {
                    format!("reviewed {name} over the working tree (there is no commit yet)")
                }
                BaseOrigin::Head
                | BaseOrigin::EmptyTree
                | BaseOrigin::NamedRevision(_)
                | BaseOrigin::MergeBase(_)
                | BaseOrigin::LastCommit(_)
                | BaseOrigin::FirstCommit(_) => {
                    format!(
                        "reviewed {name} over the working tree at {} (HEAD)",
                        review.record.detail.base.short_sha()
                    )
                }
            };
        }
        (HeadKind::WorkingTree | HeadKind::Commit, _, _) => "working tree".to_owned(),
    };
    let base = match &review.base_origin {
        against @ (BaseOrigin::FirstCommit(_) | BaseOrigin::EmptyTree | BaseOrigin::Unborn) => {
            format!("nothing ({})", visible_text(&against.to_string()))
        }
        against @ (BaseOrigin::NamedRevision(_)
        | BaseOrigin::MergeBase(_)
        | BaseOrigin::LastCommit(_)
        | BaseOrigin::Head) => named(&review.record.detail.base, &against.to_string()),
    };
    format!("reviewed {reviewed} against {base}")
}

/// Formats the source of the repository's own configuration.
pub(super) fn render_config_source(source: &str) -> String {
    format!("configured by {REPOSITORY_FILE} from {source}")
}

// ---------------------------------------------------------------------------------------------- a finding

/// Renders the code with the finding below it.
pub(in crate::cli) fn render_finding(finding: &Finding) -> String {
    let raw = &finding.raw;
    let level = match raw.severity {
        Severity::P0 | Severity::P1 => Level::ERROR,
        Severity::P2 => Level::WARNING,
    };
    let (whole, rule) = (visible_text(&raw.title), visible_text(&raw.rule));
    // The message of a tool may be too long for a title. The note then contains the whole message.
    let room = TEXT_COLUMNS.saturating_sub(raw.severity.as_str().len() + rule.chars().count() + "[]: ".len());
    let shown = line::truncate_text(whole.clone(), room.max(CHARS_BEFORE_SECRET) - 1);
    let is_cut = shown != whole;
    let title = level.with_name(raw.severity.as_str()).primary_title(shown);
    let title = title.id(rule);
    let path = visible_text(&raw.location.path.to_string());
    let first = usize::try_from(raw.location.start_line).unwrap_or(usize::MAX);
    let code = render_snippet(finding);
    // If the finding is unverified, its code may have changed, so the code is not shown.
    let group = match text_span(&code).filter(|_| finding.unverified.is_none()) {
        Some(span) => title.element(
            Snippet::source(code).path(path).line_start(first).annotation(AnnotationKind::Primary.span(span)),
        ),
        None => title.element(Origin::path(path).line(first)),
    };
    let body = visible_text(raw.body.trim());
    let shown_body = if is_cut && !body.starts_with(&whole) { format!("{whole}\n\n{body}") } else { body };
    let note = Some(shown_body.trim()).filter(|text| !text.is_empty());
    let note = note.map(|text| Level::NOTE.message(wrap_words(text, TEXT_COLUMNS - NOTE_INDENT)));
    let unverified = finding.unverified.map(|why| {
        let text = format!("open, but not verified as still present: {}", why.reason());
        Level::NOTE.message(wrap_words(&text, TEXT_COLUMNS - NOTE_INDENT))
    });
    let group = group
        .elements(note)
        .elements(unverified)
        .element(Level::NOTE.with_name("id").message(visible_text(&dismissal::short_id(&finding.id))));
    let groups: Vec<Group<'_>> = [group].into_iter().chain(suggestion_group(finding)).collect();
    // The lines are already cut to at most `TEXT_COLUMNS` columns. The larger width prevents the renderer
    // from cutting them again.
    Renderer::styled().term_width(2 * TEXT_COLUMNS).render(&groups)
}

/// Returns the suggested change, with long lines shortened. Returns `None` if there is no change, or if the
/// snippet does not contain all lines that it replaces.
fn suggestion_group(finding: &Finding) -> Option<Group<'_>> {
    let raw = &finding.raw;
    let whole_old = visible_text(&raw.snippet);
    let whole_new = visible_text(&raw.suggestion.as_ref()?.replacement);
    let (old, new) = shorten_change(&whole_old, &whole_new, TEXT_COLUMNS - CODE_INDENT);
    // If the omitted parts contain the whole change, there is nothing to show.
    if !is_snippet_complete(finding) || (old == new && whole_old != whole_new) {
        return None;
    }
    let is_shortened = old != whole_old || new != whole_new;
    let first = usize::try_from(raw.location.start_line).ok()?;
    let patch = Patch::new(0..old.len(), new);
    let what = match (is_model_proposal(finding), is_shortened) {
        (true, false) => "fix that the model proposes",
        (true, true) => "fix that the model proposes, shortened",
        (false, false) => "suggested fix",
        (false, true) => "suggested fix, shortened",
    };
    let title = Level::HELP.secondary_title(what);
    Some(title.element(Snippet::source(old).line_start(first).patch(patch)))
}

/// Returns true if the snippet contains all lines of the finding, and no line is cut.
pub(super) fn is_snippet_complete(finding: &Finding) -> bool {
    has_expected_line_count(finding) && !finding.raw.snippet.contains(OMISSION_MARK)
}

/// Returns true if the snippet has as many lines as the finding.
fn has_expected_line_count(finding: &Finding) -> bool {
    let place = &finding.raw.location;
    let expected = place.end_line.saturating_sub(place.start_line).saturating_add(1);
    usize::try_from(expected).is_ok_and(|expected| expected == finding.raw.snippet.split('\n').count())
}

/// Returns the lines of the snippet whose line numbers are known, cut to the maximum width.
///
/// Lines within a secret and lines beyond the maximum are omitted from a snippet. The line before such a gap
/// ends with `…`, unless the gap is at the end of the snippet. Only the lines before the first gap have known
/// line numbers, which are consecutive.
fn render_snippet(finding: &Finding) -> String {
    let raw = &finding.raw;
    let lines: Vec<&str> = raw.snippet.split('\n').collect();
    let known = if has_expected_line_count(finding) {
        lines.len()
    } else if raw.snippet.starts_with(OMISSION_MARK) {
        // If the snippet begins with `…`, its first line may lie within a secret, and no line number is
        // known.
        0
    } else {
        lines.iter().position(|line| line.ends_with(OMISSION_MARK)).map_or(lines.len(), |cut| cut + 1)
    };
    let shown: Vec<String> = lines.iter().take(known).map(|line| fit_line(&visible_text(line))).collect();
    shown.join("\n")
}

/// Returns the range from the first to the last character that is not blank, without a `…` at the end.
/// Returns `None` if all characters are blank.
fn text_span(code: &str) -> Option<Range<usize>> {
    let start = code.find(|c: char| !c.is_whitespace())?;
    let whole = code.trim_end();
    let end = whole.trim_end_matches(OMISSION_MARK).trim_end().len();
    Some(start..if end > start { end } else { whole.len() })
}

/// Cuts a line to the maximum width. Keeps the beginning of the line. If the first secret is beyond the
/// maximum width, keeps the text around that secret.
fn fit_line(line: &str) -> String {
    let most = TEXT_COLUMNS - CODE_INDENT;
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= most {
        return line.to_owned();
    }
    // The first character is skipped, because a `…` there only shows that the beginning of the line was cut.
    let focus = letters.iter().skip(1).position(|letter| *letter == OMISSION_MARK).map_or(0, |at| at + 1);
    let begin = if focus < most { 0 } else { focus.saturating_sub(CHARS_BEFORE_SECRET) };
    let mut cut = String::new();
    if begin > 0 {
        cut.push(OMISSION_MARK);
    }
    cut.extend(letters.iter().skip(begin).take(most - 2));
    if letters.len() > begin + most - 2 && !cut.ends_with(OMISSION_MARK) {
        cut.push(OMISSION_MARK);
    }
    cut
}

// ---------------------------------------------------------------------------------------------- text

/// Wraps a paragraph, and adds a line break at its end. Lines after the first are indented.
pub(super) fn fill_paragraph(paragraph: &str) -> String {
    wrap_words(paragraph, TEXT_COLUMNS - 2).replace('\n', "\n  ") + "\n"
}

/// Wraps text to lines of at most `width` characters. A longer word is not broken.
fn wrap_words(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Escapes text that could control a terminal. Control characters are replaced by their pictures, tabs by
/// blanks, and other invisible characters by escapes. Line feeds are kept.
pub(in crate::cli) fn visible_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push(c),
            '\t' => shown.push_str("    "),
            '\0'..='\u{1f}' => shown.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => shown.push('\u{2421}'),
            other if truing_core::line::is_invisible_char(other) => shown.extend(other.escape_unicode()),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use insta::assert_snapshot;
    use truing_core::finding::{Finding, Severity, SuggestedFix};

    use super::*;
    use crate::cli::review::sample_finding::sample_finding;

    fn finding_at(first: u32, last: u32, snippet: &str) -> Finding {
        let mut finding = sample_finding("1:0123456789abcdef-2", "src/a.py", first);
        finding.raw.location.end_line = last;
        finding.raw.snippet = snippet.into();
        finding
    }

    fn render_plain(finding: &Finding) -> String {
        strip_str(&render_finding(finding)).to_string()
    }

    #[test]
    fn lines_have_their_numbers_as_far_as_these_are_known() {
        let numbers = |finding: &Finding| {
            let plain = render_plain(finding);
            let lines = plain.lines().filter_map(|line| line.split_once(" | "));
            lines.filter_map(|(number, _)| number.trim().parse::<u32>().ok()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&finding_at(9, 11, "a\nb…\nc")), [9, 10, 11]);
        // The snippet is cut at its maximum length.
        assert_eq!(numbers(&finding_at(9, 40, "a\nb\nc")), [9, 10, 11]);
        // The lines within a secret are omitted after the line on which it begins.
        assert_eq!(numbers(&finding_at(9, 40, "a\nMIIE…\nEND")), [9, 10]);
        // The first line is inside a secret.
        assert!(numbers(&finding_at(9, 40, "…tail\nb")).is_empty());
        assert_snapshot!(render_plain(&finding_at(9, 40, "…tail\nb")), @r"
        P1[core/x]: Swallowed error
        --> src/a.py:9
         = note: Say what happened.
         = id: 0123456789-2
        ");
    }

    #[test]
    fn a_suggestion_is_shown_as_a_change_if_all_of_it_can_be() {
        let suggests = |first, last, snippet, replacement: &str| {
            let mut finding = finding_at(first, last, snippet);
            finding.raw.suggestion = Some(SuggestedFix { replacement: replacement.into() });
            render_plain(&finding)
        };
        assert_snapshot!(suggests(9, 9, "    if x is 1:  # \t", "    if x == 1:  # \t"), @r"
        P1[core/x]: Swallowed error
         --> src/a.py:9:5
          |
        9 |     if x is 1:  #     
          |     ^^^^^^^^^^^^^
          |
          = note: Say what happened.
          = id: 0123456789-2
        help: suggested fix
          |
        9 -     if x is 1:  #     
        9 +     if x == 1:  #     
          |
        ");
        assert_snapshot!(suggests(9, 11, "try:\n    f()\nexcept:", "try:\n    f()\nexcept Exception:"), @r"
        P1[core/x]: Swallowed error
          --> src/a.py:9:1
           |
         9 | / try:
        10 | |     f()
        11 | | except:
           | |_______^
           |
           = note: Say what happened.
           = id: 0123456789-2
        help: suggested fix
           |
         9 | try:
        10 |     f()
        11 ~ except Exception:
           |
        ");
        assert_snapshot!(suggests(9, 10, "    dbg!(\n        f());", "    f();"), @r"
        P1[core/x]: Swallowed error
          --> src/a.py:9:5
           |
         9 | /     dbg!(
        10 | |         f());
           | |_____________^
           |
           = note: Say what happened.
           = id: 0123456789-2
        help: suggested fix
           |
         9 -     dbg!(
        10 -         f());
         9 +     f();
           |
        ");
        assert_snapshot!(suggests(9, 9, "    breakpoint()", ""), @r"
        P1[core/x]: Swallowed error
         --> src/a.py:9:5
          |
        9 |     breakpoint()
          |     ^^^^^^^^^^^^
          |
          = note: Say what happened.
          = id: 0123456789-2
        help: suggested fix
          |
        9 -     breakpoint()
          |
        ");
        for (first, last, snippet, replacement) in [(9, 9, "key = 'AKIA…'", "y"), (9, 12, "a\nb", "c")] {
            let shown = suggests(first, last, snippet, replacement);
            assert!(!shown.contains("help"), "{shown}");
        }
    }

    #[test]
    fn a_long_line_and_its_fix_are_shortened_and_the_underline_ends_before_the_omission() {
        let old = "test.only('.bytes() throws on HTTP errors when supported', async t => {";
        let mut finding = finding_at(9, 9, old);
        finding.raw.suggestion = Some(SuggestedFix { replacement: old.replace(".only", "") });
        let shown = render_plain(&finding);
        let kept = "test.only('.bytes() throws on HTTP errors when supported', async t";
        assert!(shown.contains(&format!("9 | {kept} …\n")), "{shown}");
        let underline = shown.lines().find(|line| line.contains('^')).unwrap();
        assert_eq!(underline.matches('^').count(), kept.len(), "{shown}");
        assert!(shown.contains("help: suggested fix, shortened"), "{shown}");
        assert!(shown.contains(&format!("9 - {kept} …\n")), "{shown}");
        assert!(
            shown.contains("9 + test('.bytes() throws on HTTP errors when supported', async t => {\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_finding_worth_knowing_is_a_warning_and_worse_is_an_error() {
        let mut finding = finding_at(1, 1, "x");
        let colour = |finding: &Finding| render_finding(finding).split_once('P').unwrap().0.to_owned();
        let p1 = colour(&finding);
        finding.raw.severity = Severity::P0;
        assert_eq!(colour(&finding), p1);
        finding.raw.severity = Severity::P2;
        assert_ne!(colour(&finding), p1);
    }

    #[test]
    fn everything_fits_80_columns() {
        let key = "AKIA…";
        for line in [
            "x".repeat(400),
            format!("{}{key}{}", "a".repeat(300), "b".repeat(95)),
            format!("{}{key}", "a".repeat(395)),
            format!("…{}{key}{}…", "a".repeat(80), "b".repeat(300)),
            format!("\t\t{key}{}", "é".repeat(300)),
        ] {
            let mut finding = finding_at(999_999, 999_999, &line);
            finding.raw.body = "word ".repeat(100);
            finding.raw.suggestion = Some(SuggestedFix { replacement: "y".repeat(400) });
            let plain = render_plain(&finding);
            let widest = plain.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(TEXT_COLUMNS), "{plain}");
            assert_eq!(plain.contains(key), line.contains(key), "the secret's place is shown: {plain}");
        }
    }

    #[test]
    fn words_are_wrapped_and_long_ones_stay_whole() {
        assert_eq!(wrap_words("a bb ccc\nd", 4), "a bb\nccc\nd");
        assert_eq!(wrap_words("aaaaaa b", 4), "aaaaaa\nb");
        assert_eq!(wrap_words("", 4), "");
    }
}
