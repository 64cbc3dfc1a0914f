//! What came since the last review: compared in the mirror, for the summary and for recognising findings in files
//! that were renamed. It is an addition: what cannot be told is left out, and never fails a review.

use truing_core::id::Sha;
use truing_core::increment::{Increment, Renames, Tally, new_lines};
use truing_core::port::Revision;
use truing_diff::parse;
use truing_git::{GitError, Mirror};

use super::reading::Change;

/// What the head has that the revision reviewed last had not; none if that was the same head, or is not known
/// any more. Learns the files' names of then.
pub async fn since(
    mirror: &Mirror,
    change: &Change,
    head: &Sha,
    reviewed: Option<&Revision>,
    renames: &mut Renames,
) -> Option<Increment> {
    let before = reviewed.filter(|before| before.head != *head)?;
    match compare(mirror, change, head, before, renames).await {
        Ok(increment) => increment,
        Err(error) => {
            tracing::warn!(%error, since = %before.head, "what came since cannot be told");
            None
        }
    }
}

async fn compare(
    mirror: &Mirror,
    change: &Change,
    head: &Sha,
    before: &Revision,
    renames: &mut Renames,
) -> Result<Option<Increment>, GitError> {
    // A mirror that was made anew has only what is asked for.
    if !(mirror.has(&before.head).await? && mirror.has(&before.base).await?) {
        return Ok(None);
    }
    let diff = mirror.diff(&before.head, head).await?;
    let (whole, part) = (parse(&change.diff), parse(&diff));
    renames.learn(&part.files);
    let lines = new_lines(&whole.files, &part.files);
    let left = mirror.merge_base(&before.base, &before.head).await?.unwrap_or_else(|| before.base.clone());
    let history = mirror.history((&left, &before.head), (&change.base, head)).await.unwrap_or_else(|error| {
        tracing::warn!(%error, since = %before.head, "the commits since cannot be told");
        None
    });
    let (since, findings) = (before.head.clone(), Tally::default());
    Ok(Some(Increment { since, history, lines, findings }))
}
