//! What came since the last review, whose findings are on record, shown or not: compared in the mirror, for the
//! summary, for recognising findings in files that were renamed, and for those that left the change. It is an
//! addition: what cannot be told is left out, and never fails a review.

use truing_core::finding::Finding;
use truing_core::id::Sha;
use truing_core::increment::{Increment, Renames, Tally, leave, new_lines};
use truing_core::port::Revision;
use truing_diff::parse;
use truing_git::{GitError, Mirror};

use super::reading::Change;

/// The head that was reviewed last, compared with this one.
#[derive(Debug)]
pub struct Compared {
    /// What this one has that the other had not; none if both are the same.
    pub increment: Option<Increment>,
    /// Git's diff from that head to this one.
    diff: Vec<u8>,
}

impl Compared {
    /// Does not call fixed what only left the change.
    pub fn leave(&self, gone: &mut [Finding], known: &[Finding], change: &Change) {
        leave(gone, known, &parse(&change.diff).files, &parse(&self.diff).files);
    }
}

/// Compares with the revision whose findings are known; none if there was none, or it is not known any more. Learns
/// the files' names of then.
pub async fn compare(
    mirror: &Mirror,
    change: &Change,
    head: &Sha,
    before: Option<&Revision>,
    renames: &mut Renames,
) -> Option<Compared> {
    let before = before?;
    if before.head == *head {
        return Some(Compared { increment: None, diff: Vec::new() });
    }
    match since(mirror, change, head, before, renames).await {
        Ok(compared) => compared,
        Err(error) => {
            tracing::warn!(%error, since = %before.head, "what came since cannot be told");
            None
        }
    }
}

async fn since(
    mirror: &Mirror,
    change: &Change,
    head: &Sha,
    before: &Revision,
    renames: &mut Renames,
) -> Result<Option<Compared>, GitError> {
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
    Ok(Some(Compared { increment: Some(Increment { since, history, lines, findings }), diff }))
}
