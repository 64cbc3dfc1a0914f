//! Texts for heads that are not reviewed, because their tier disables the review.

use truing_core::id::Sha;
use truing_core::line;
use truing_core::markdown::escape_text;
use truing_core::port::PullRequest;
use truing_core::tier::{Tier, TierChoice};

/// Maximum length of a repository's name in a sentence, in characters.
const MAX_REPOSITORY_NAME_CHARS: usize = 120;

/// Returns the reason why a later head is not reviewed, for a pull request that is reviewed only once.
pub fn once_tier_reason(reviewed: &Sha) -> String {
    format!("not reviewed (tier once): commit {} was already reviewed", reviewed.short_sha())
}

/// Returns the reason why a head with the tier `off` is not reviewed.
pub fn off_tier_reason(choice: &TierChoice, pull: &PullRequest) -> String {
    let at = public_rule_location(&choice.origin);
    let what = if choice.is_of_pull {
        format!("not reviewed: {} ({at})", choice.because)
    } else {
        let repository =
            line::clean_line(pull.repository_name().unwrap_or(&pull.name), MAX_REPOSITORY_NAME_CHARS);
        format!("reviews are off for {repository} ({at})")
    };
    match &choice.reason {
        Some(reason) => format!("{what}: {}", line::clean_line(reason, MAX_REPOSITORY_NAME_CHARS)),
        None => what,
    }
}

/// Returns the description of the status of a head that is not reviewed.
pub fn unreviewed_status(choice: &TierChoice) -> String {
    match choice.tier {
        Tier::Once => "not reviewed (once)".to_owned(),
        Tier::Off | Tier::Rules | Tier::Settled | Tier::Deep => format!("not reviewed: {}", choice.because),
    }
}

/// Returns the text of the check of a head that is not reviewed.
pub fn not_reviewed_text(head: &Sha, reason: &str) -> String {
    let ask = "Comment `/review` for a review of this commit.";
    format!("## Truing: not reviewed\n\nCommit `{}`: {}.\n\n{ask}", head.short_sha(), escape_text(reason))
}

/// Removes the folder from the path in a tier rule's location, because pull requests must not show the folder
/// of the operator's configuration.
fn public_rule_location(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or(place)
}

/// Returns the reason why a review used only rules, although a model was available.
pub fn rules_only_reason(choice: &TierChoice) -> String {
    let because = if choice.because.is_empty() { String::new() } else { format!(": {}", choice.because) };
    format!("only rules, because of a tier rule ({}{because})", public_rule_location(&choice.origin))
}
