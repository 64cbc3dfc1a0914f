//! `/help`: one comment with the commands that are served on a pull request, for a person who may write there.

use std::sync::Arc;

use truing_core::effect::Effect;
use truing_core::id::Topic;
use truing_core::markdown;
use truing_core::port::{Ids as _, UserRequest, WriteGate, Writer};
use truing_core::publish::Producer;
use truing_forge::effects::{EffectError, Effects};

use super::Unserved;
use super::judge::By;
use crate::{Forges as _, Parts, ServiceContext};

/// Commands of reviews: the first line of a comment, and what it does.
const REVIEW: [(&str, &str); 6] = [
    ("/review", "reviews the head now, even if nothing changed; a pause ends"),
    ("/review pause", "no reviews until `/review resume`"),
    ("/review resume", "reviews continue, and include what happened meanwhile"),
    ("/dismiss REASON", "in reply to the comment of a finding: dismisses it until its code changes"),
    ("/dismiss ID REASON", "the same anywhere; the summary shows the ids"),
    ("/undismiss", "in reply to the comment of a finding, or with its ID: takes a dismissal back"),
];
/// Commands that need a model.
const CONVERGE: [(&str, &str); 3] = [
    ("/converge", "audits and fixes until an audit finds nothing; never merges"),
    ("/converge stop", "ends that run before its next step"),
    ("/audit", "audits the head once and posts a review; fixes nothing"),
];

/// Answers, once for each person and pull request: an answer that is there is not repeated. None: it is answered; else the reason
/// why it never will be.
///
/// # Errors
/// [`Unserved`]: it is to be tried again.
pub(super) async fn answer<P: Parts>(
    context: &ServiceContext<P>,
    told: &UserRequest,
    repo: &str,
    by: &By,
) -> Result<Option<String>, Unserved> {
    if let Some(engaged) = context.switch().await.engaged() {
        return Ok(Some(format!("the kill switch is on, by {}", engaged.by)));
    }
    let gate = context.gate();
    let writing: Arc<dyn WriteGate> = Arc::new(gate.clone());
    let client = context.forges.pull(&context.ids.run(), &told.pr, repo, Producer::Review, &writing);
    let Some(client) = client else { return Ok(Some("its forge is not configured".to_owned())) };
    let effects = Effects {
        forge: &client,
        log: &context.store,
        gate: &gate,
        clock: &context.clock,
        writer: Writer { key: told.pr.key(), producer: Producer::Review, token: None },
        watch: &context.watch,
    };
    let asker = by.account.as_ref().map_or(by.login.as_str(), |account| account.as_str());
    let topic = Topic::new(format!("help/{asker}"));
    let body = body(&by.login, context.converging.as_ref().err().map(String::as_str));
    match effects.perform(&Effect::Comment { topic, body }).await {
        Ok(_) => Ok(None),
        Err(EffectError::Settling { .. }) => Err(Unserved::NotYet),
        Err(EffectError::Store(error)) => Err(error.into()),
        // Other commands do not wait for it: whoever still wants it asks again.
        Err(
            error @ (EffectError::Withheld { .. }
            | EffectError::Refused(_)
            | EffectError::Unanswered { .. }
            | EffectError::Git(_)),
        ) => Ok(Some(error.to_string())),
    }
}

/// The answer. `why_not`: the reason why runs that converge are not served.
fn body(login: &str, why_not: Option<&str>) -> String {
    let row = |(line, what): &(&str, &str)| format!("| `{line}` | {what} |\n");
    let mut rows: String = REVIEW.iter().map(row).collect();
    if why_not.is_none() {
        rows += &CONVERGE.iter().map(row).collect::<String>();
    }
    let end = why_not
        .map(|why| format!("\n`/converge` and `/audit` are not served here: {}.\n", markdown::plain(why)));
    format!(
        "Commands for {}, each as the first line of a comment:\n\n| First line | What happens |\n|---|---|\n{rows}{}",
        markdown::code(login),
        end.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Asked;

    #[test]
    fn every_command_that_is_shown_is_one_and_those_of_a_model_need_one() {
        let rows = REVIEW.iter().chain(&CONVERGE);
        for (line, _) in rows {
            let said = line.replace("ID", "1:0a1b").replace("REASON", "because");
            assert!(Asked::parse(&said).is_some(), "{line}");
        }
        let (all, some) = (body("ada", None), body("ada", Some("no model")));
        assert!(all.contains("| `/converge` |") && !all.contains("not served"), "{all}");
        assert!(!some.contains("| `/converge` |") && some.contains("not served"), "{some}");
    }
}
