//! Handles fixes that a model proposes, after a check that each fix can be applied. These fixes are separate
//! from the fixes of rules and linters. Each fix is shown as a diff, and is applied only if a person agrees.

use std::io::{BufRead as _, IsTerminal as _};

use truing_core::finding::{Finding, RawFinding};
use truing_loops::fix::{ProposedFix, UnappliedSuggestion};
use truing_loops::text::format_count;

use super::fix::render_plan;
use super::text::visible_text;
use crate::cli::output::OutputPrinter;

/// Maximum size of an answer in bytes. Longer answers are never valid.
const MAX_ANSWER_BYTES: u64 = 1 << 10;

/// The user's consent to fixes of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FixConsent {
    /// All fixes are applied, because `--yes` was given.
    Always,
    /// A person at a terminal is asked about each fix.
    Interactive,
    /// No fix is applied, because there is no terminal on which to ask.
    Never,
}

impl FixConsent {
    /// Returns the consent: `Always` with `--yes`, else `Interactive` if stdin and stderr are a terminal,
    /// else `Never`.
    pub(super) fn from_flag(yes: bool) -> Self {
        Self::from_flag_and_terminal(yes, std::io::stdin().is_terminal() && std::io::stderr().is_terminal())
    }

    fn from_flag_and_terminal(yes: bool, is_terminal: bool) -> Self {
        match (yes, is_terminal) {
            (true, _) => Self::Always,
            (false, true) => Self::Interactive,
            (false, false) => Self::Never,
        }
    }
}

/// An answer to one question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ConsentAnswer {
    Yes,
    No,
    /// Rejects this fix and all later fixes.
    Quit,
}

impl ConsentAnswer {
    /// Parses a line of input. The end of the input (`None`) means quit. An unknown answer means no.
    fn from_line(line: Option<&str>) -> Self {
        match line.map(|line| line.trim().to_ascii_lowercase()).as_deref() {
            Some("y" | "yes") => Self::Yes,
            Some("q" | "quit") | None => Self::Quit,
            Some(_) => Self::No,
        }
    }
}

/// Returns the findings whose fixes are to be applied. Each fix is printed with its diff, regardless of the
/// consent.
pub(super) async fn ask_consent(
    proposed_fixes: Vec<ProposedFix>,
    consent: FixConsent,
    output: OutputPrinter,
) -> Vec<Finding> {
    if proposed_fixes.is_empty() {
        return Vec::new();
    }
    if consent == FixConsent::Never {
        proposed_fixes.iter().for_each(|offer| output.print_lines(render_proposed_fix(offer)));
        let fixes = format_count(proposed_fixes.len(), "fix");
        output.print_even_if_quiet(format_args!(
            "not applied: {fixes} proposed by the model. To decide about each, run the command on a \
                terminal; to apply all, add --yes\n"
        ));
        return Vec::new();
    }
    // The user may take long to answer. The answer is therefore read in a blocking thread, so that the
    // command can be interrupted during the wait.
    let deciding = tokio::task::spawn_blocking(move || {
        let read = || {
            let mut line = String::new();
            let mut input = std::io::Read::take(std::io::stdin().lock(), MAX_ANSWER_BYTES);
            matches!(input.read_line(&mut line), Ok(1..)).then_some(line)
        };
        confirm_proposed_fixes(proposed_fixes, consent, |text| output.print_even_if_quiet(text), read)
    });
    deciding.await.unwrap_or_default()
}

/// Returns the entry for a model's fix that is not applied for lack of consent.
pub(super) fn declined_suggestion(raw: &RawFinding) -> UnappliedSuggestion {
    let reason = "a model proposes this fix: accept the fix on a terminal, or with --yes".to_owned();
    UnappliedSuggestion {
        path: raw.location.path.clone(),
        line: raw.location.start_line,
        rule: raw.rule.clone(),
        reason,
    }
}

/// Prints each proposal. If the consent is interactive, asks whether to apply each proposal.
fn confirm_proposed_fixes(
    proposed_fixes: Vec<ProposedFix>,
    consent: FixConsent,
    mut print: impl FnMut(&str),
    mut read: impl FnMut() -> Option<String>,
) -> Vec<Finding> {
    let mut agreed = Vec::new();
    for offer in proposed_fixes {
        print(&render_proposed_fix(&offer));
        let answer = if consent == FixConsent::Always {
            ConsentAnswer::Yes
        } else {
            print("apply this fix? [y: yes, n: no, q: no to this and all others] ");
            ConsentAnswer::from_line(read().as_deref())
        };
        match answer {
            ConsentAnswer::Yes => agreed.push(offer.finding),
            ConsentAnswer::No => {}
            ConsentAnswer::Quit => break,
        }
    }
    agreed
}

/// Formats the proposal and its diff.
fn render_proposed_fix(offer: &ProposedFix) -> String {
    let raw = &offer.finding.raw;
    let (title, path) = (visible_text(&raw.title), visible_text(&raw.location.path.to_string()));
    let (severity, line) = (raw.severity.as_str(), raw.location.start_line);
    format!("proposed by the model: {severity} {title} ({path}:{line})\n{}", render_plan(&offer.plan))
}

#[cfg(test)]
mod tests {
    use truing_loops::fix::{FixPlan, FixedFile};

    use super::*;
    use crate::cli::review::sample_finding::sample_finding;

    fn offer(line: u32) -> ProposedFix {
        let change =
            FixedFile { path: "a.py".into(), old: "x = 1\n".into(), new: "x = 2\n".into(), fix_count: 1 };
        let plan = FixPlan { changes: vec![change], unapplied: vec![] };
        ProposedFix { finding: sample_finding(&format!("1:a-{line}"), "a.py", line), plan }
    }

    /// Returns the lines of the findings whose fixes are applied, and the number of questions that were
    /// asked.
    fn decide_with_answers(consent: FixConsent, answers: &[&str]) -> (Vec<u32>, usize, String) {
        let (mut answers, mut asked, mut text) = (answers.iter(), 0, String::new());
        let agreed = confirm_proposed_fixes(
            vec![offer(1), offer(2), offer(3)],
            consent,
            |told| text.push_str(told),
            || {
                asked += 1;
                answers.next().map(|answer| format!("{answer}\n"))
            },
        );
        (agreed.iter().map(|finding| finding.raw.location.start_line).collect(), asked, text)
    }

    #[test]
    fn a_person_decides_on_each_and_silence_means_no() {
        for (answers, lines, asked) in [
            (&["y", "n", "YES"][..], vec![1, 3], 3),
            (&["", "maybe", "y y"], vec![], 3),
            (&["y", "q"], vec![1], 2),
            (&["y"], vec![1], 2),
            (&[], vec![], 1),
        ] {
            let (made, count, _) = decide_with_answers(FixConsent::Interactive, answers);
            assert_eq!((made, count), (lines, asked), "{answers:?}");
        }
    }

    #[test]
    fn with_the_flag_all_are_made_and_nobody_is_asked() {
        let (made, asked, text) = decide_with_answers(FixConsent::Always, &[]);
        assert_eq!((made, asked), (vec![1, 2, 3], 0));
        assert!(text.contains("proposed by the model: P1 Swallowed error (a.py:2)\n"), "{text}");
        assert!(text.contains("-x = 1") && text.contains("+x = 2"), "{text}");
    }

    #[tokio::test]
    async fn where_nobody_can_be_asked_none_is_made() {
        assert_eq!(FixConsent::from_flag_and_terminal(false, false), FixConsent::Never);
        assert_eq!(FixConsent::from_flag_and_terminal(false, true), FixConsent::Interactive);
        assert_eq!(
            (FixConsent::from_flag_and_terminal(true, false), FixConsent::from_flag_and_terminal(true, true)),
            (FixConsent::Always, FixConsent::Always)
        );
        let output = OutputPrinter::new(crate::cli::CliFormat::Text, true, 0, crate::cli::ColorWhen::Never);
        assert_eq!(ask_consent(vec![offer(1)], FixConsent::Never, output).await, []);
    }
}
