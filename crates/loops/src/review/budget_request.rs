//! Asks people to allow more money for one pull request.

use truing_core::effect::Effect;
use truing_core::id::{Topic, UnixMillis};
use truing_core::markdown;
use truing_core::money::MicroUsd;
use truing_core::port::{ForgeError, PullRequest};
use truing_forge::effects::EffectError;

use super::LeasedReview;
use crate::step_stop_reason::StepStopReason;

impl LeasedReview<'_> {
    /// Posts the comment that asks people to raise the budget above `limit`. Each limit has its own comment.
    /// Returns the time at which to retry if the comment may have been created but is not yet visible.
    pub(super) async fn request_budget_increase(
        &self,
        pull: &PullRequest,
        limit: MicroUsd,
    ) -> Result<Option<UnixMillis>, StepStopReason> {
        let Some(agent) = self.agent else { return Ok(None) };
        let caps = agent.budgets.caps(pull.repository_name());
        let Some(more) = caps.pull_ask else { return Ok(None) };
        match self.effect_executor().perform(&budget_question(limit, more, caps.pull)).await {
            Ok(_) => Ok(None),
            Err(EffectError::Settling { until, .. }) => Ok(Some(until)),
            Err(EffectError::Halted(halt)) => Err(halt.into()),
            Err(EffectError::Store(error)) => Err(error.into()),
            Err(
                EffectError::Refused(error @ ForgeError::RateLimited { .. })
                | EffectError::Unanswered { error, is_last: false },
            ) => {
                Err(StepStopReason::from_forge_error(error, self.clock.now(), self.forge.visibility_delay()))
            }
            Err(
                error @ (EffectError::Refused(_)
                | EffectError::Unanswered { is_last: true, .. }
                | EffectError::Git(_)),
            ) => {
                // This failure is only logged, because the summary also states the limit and the command.
                tracing::warn!(%error, "could not ask on the pull request for a higher budget");
                Ok(None)
            }
        }
    }
}

/// Builds the comment that asks for a higher budget. It states the reached limit, the increase that one
/// answer allows, and the limit that answers cannot raise.
fn budget_question(limit: MicroUsd, increase: MicroUsd, max_limit: Option<MicroUsd>) -> Effect {
    // A forge may interpret text between two dollar signs as a formula.
    let shown = |sum: MicroUsd| markdown::escape_text(&sum.to_string());
    let (limit_shown, increase) = (shown(limit), shown(increase));
    let all = max_limit.map(|max_limit| format!(", up to {} in total", shown(max_limit))).unwrap_or_default();
    let body = format!(
        "## Truing: more money for this pull request?\n\nModels have used up the {limit_shown} that they \
            may spend here without approval (`budget.pr_ask_usd`). Until a person with write access \
            comments `/spend`, only the rules review this pull request.\n\n`/spend` on the first line of a \
            comment allows {increase} more{all}, and reviews the head. A converge run that ended because \
            its budget was used up continues with `/converge`."
    );
    Effect::Comment { topic: budget_question_topic(limit), body }
}

/// Returns the topic of the comment that asks for a budget above this limit.
pub fn budget_question_topic(limit: MicroUsd) -> Topic {
    Topic::new(format!("spend/{}", limit.0))
}
