//! Renders the answer to `/help`: one comment with the commands that are available on a pull request. Only an
//! author with write access gets the answer.

use truing_core::effect::Effect;
use truing_core::id::Topic;
use truing_core::markdown;

/// Commands for reviews. Each entry contains the first line of the comment, and the command's effect.
const REVIEW_COMMANDS: [(&str, &str); 6] = [
    ("/review", "reviews the head now, even if nothing changed; ends a pause"),
    ("/review pause", "pauses reviews until `/review resume`"),
    ("/review resume", "resumes reviews, and includes the changes that were made during the pause"),
    ("/dismiss REASON", "in reply to the comment of a finding: dismisses it until its code changes"),
    (
        "/dismiss ID REASON",
        "in any comment: dismisses the finding with this ID until its code changes; the summary shows \
        the IDs",
    ),
    ("/undismiss", "in reply to a finding's comment, or with the finding's ID: withdraws the dismissal"),
];
/// The command that allows more money, on servers that ask for approval of spending.
const SPEND_COMMAND: (&str, &str) =
    ("/spend", "allows models to spend the same amount again on this pull request, and reviews the head");
/// Commands that start converge runs. `converge.askers` limits who may use these commands.
const CONVERGE_COMMANDS: [(&str, &str); 2] = [
    (
        "/converge",
        "audits the pull request and fixes the findings until an audit finds nothing; never merges",
    ),
    ("/audit", "audits the head once and posts a review; fixes nothing"),
];
/// The command that ends a converge run. Everyone with write access may use this command.
const STOP_COMMAND: (&str, &str) = ("/converge stop", "stops the converge run before its next step");

/// Permission of one account to start converge runs on a pull request.
#[derive(Clone, Copy)]
pub(super) enum ConvergePermission<'a> {
    Granted,
    /// The account is not in `converge.askers`.
    NotAnAsker,
    /// The server serves no converge runs, for this reason.
    NotServed(&'a str),
}

/// Returns the answer: one comment for each account, or for each login if the account is unknown.
/// `asks_for_approval` is true if the server asks for approval of spending.
pub(super) fn help_comment(
    account: &str,
    login: &str,
    permission: ConvergePermission<'_>,
    asks_for_approval: bool,
) -> Effect {
    Effect::Comment {
        topic: Topic::new(format!("help/{account}")),
        body: render_help_text(login, permission, asks_for_approval),
    }
}

/// Renders the text of the answer.
fn render_help_text(login: &str, permission: ConvergePermission<'_>, asks_for_approval: bool) -> String {
    let row = |(line, what): &(&str, &str)| format!("| `{line}` | {what} |\n");
    let mut rows: String = REVIEW_COMMANDS.iter().map(row).collect();
    if asks_for_approval {
        rows += &row(&SPEND_COMMAND);
    }
    let end = match permission {
        ConvergePermission::Granted => {
            rows.extend(CONVERGE_COMMANDS.iter().chain([&STOP_COMMAND]).map(row));
            String::new()
        }
        ConvergePermission::NotAnAsker => {
            rows += &row(&STOP_COMMAND);
            "\nOnly accounts in `converge.askers` may use `/converge` and `/audit`.\n".to_owned()
        }
        ConvergePermission::NotServed(reason) => {
            let reason = markdown::escape_text(reason);
            format!("\n`/converge` and `/audit` are not available here: {reason}.\n")
        }
    };
    format!(
        "Commands for {}, each as the first line of a comment:\n\n| First line | What happens \
         |\n|---|---|\n{rows}{end}",
        markdown::code_span(login),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comment_commands::UserCommand;

    #[test]
    fn every_command_that_is_shown_is_one_and_those_of_a_model_need_one() {
        let rows = REVIEW_COMMANDS.iter().chain([&SPEND_COMMAND, &STOP_COMMAND]).chain(&CONVERGE_COMMANDS);
        for (line, _) in rows {
            let said = line.replace("ID", "1:0a1b").replace("REASON", "because");
            assert!(UserCommand::parse(&said).is_some(), "{line}");
        }
        let all = render_help_text("ada", ConvergePermission::Granted, true);
        let some = render_help_text("ada", ConvergePermission::NotServed("no model"), false);
        assert!(all.contains("| `/spend` |") && !some.contains("/spend"), "{all}");
        assert!(all.contains("| `/converge` |") && !all.contains("not available"), "{all}");
        assert!(!some.contains("| `/converge` |") && some.contains("not available"), "{some}");
    }

    #[test]
    fn an_account_that_may_not_converge_sees_only_how_to_stop_a_run() {
        let text = render_help_text("ada", ConvergePermission::NotAnAsker, false);
        assert!(text.contains("| `/converge stop` |") && text.contains("`converge.askers`"), "{text}");
        assert!(!text.contains("| `/converge` |") && !text.contains("| `/audit` |"), "{text}");
    }
}
