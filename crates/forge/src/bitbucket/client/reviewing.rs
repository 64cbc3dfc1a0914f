//! Reviews of ours: one for each audit, whatever answer was lost and whatever place is refused. Neither Bitbucket has an
//! object for a review: it is a comment with the audit's marker, which is made last, and a comment for each finding.

use std::collections::HashMap;

use truing_core::id::{CommentId, ReviewId, Topic};
use truing_core::port::{
    AuditMark, ForgeError, LineComment, LineDraft, PostedReview, ReviewDraft, ReviewEvent, ReviewState,
    ReviewThread,
};
use truing_core::publish::ThreadState;

use super::super::calls::{BitbucketApi, BitbucketComment, NewBitbucketComment};
use super::super::login::{BitbucketAccountKind, BitbucketAccounts};
use super::BitbucketClient;
use super::notes::comment_id;

/// A thread of ours.
struct BitbucketOwnThread {
    /// The comment that began it.
    id: CommentId,
    /// Its page.
    url: String,
    is_open: bool,
}

/// The threads of ours on the diff, by topic: of several the newest that is open, else the newest.
fn own(threads: &[ReviewThread]) -> HashMap<Topic, BitbucketOwnThread> {
    let mut own: HashMap<Topic, BitbucketOwnThread> = HashMap::new();
    for thread in threads {
        let is_open = is_open(thread);
        let Some(first) = thread.comments.first() else { continue };
        let Some(topic) = first.topic.clone() else { continue };
        if is_open || !own.get(&topic).is_some_and(|known| known.is_open) {
            own.insert(topic, BitbucketOwnThread { id: first.id.clone(), url: first.url.clone(), is_open });
        }
    }
    own
}

fn is_open(thread: &ReviewThread) -> bool {
    thread.thread.as_ref().is_none_or(|known| known.state == ThreadState::Open)
}

/// The page of an open thread in which a review of ours shows the finding, at its lines. The same words may stand in a
/// file twice: elsewhere it is another one.
fn shown<'a>(threads: &'a [ReviewThread], finding: &LineDraft) -> Option<&'a str> {
    let LineDraft { place, topic, .. } = finding;
    let is_here = |first: &&LineComment| {
        let is_there = |line: u32| (place.start_line..=place.end_line).contains(&line);
        first.reviewed.as_ref() == Some(topic) && first.line.is_some_and(is_there)
    };
    let path = place.path.to_string();
    let open = threads.iter().filter(|thread| is_open(thread) && thread.path == path);
    open.filter_map(|thread| thread.comments.first()).find(is_here).map(|first| first.url.as_str())
}

/// The comments of a draft's findings, in its order.
fn of(draft: &ReviewDraft, there: &HashMap<Topic, CommentId>) -> Vec<(Topic, CommentId)> {
    let topics = draft.findings.iter().map(|finding| &finding.topic);
    topics.filter_map(|topic| Some((topic.clone(), there.get(topic)?.clone()))).collect()
}

impl<C: BitbucketApi> BitbucketClient<C> {
    pub(super) async fn send_review(&self, draft: &ReviewDraft) -> Result<PostedReview, ForgeError> {
        let what = self.what(&format!("posting the review of audit {}", draft.mark.audit));
        let accounts = self.accounts().await?;
        let notes = self.calls.notes(&what, &self.repo, self.id.number).await?;
        let threads = self.threads_of(&accounts, &notes);
        let own = own(&threads);
        let mut there: HashMap<Topic, CommentId> =
            own.iter().map(|(topic, own)| (topic.clone(), own.id.clone())).collect();
        if let Some(posted) = self.posted(&accounts, &notes, draft, &there) {
            return Ok(posted);
        }
        // What was resolved and is found again is shown again. An open thread is where people talk of it.
        let page = |finding: &LineDraft| {
            let own = own.get(&finding.topic).filter(|own| own.is_open).map(|own| own.url.as_str());
            own.or_else(|| shown(&threads, finding))
        };
        let open: Vec<(&LineDraft, &str)> =
            draft.findings.iter().filter_map(|finding| Some((finding, page(finding)?))).collect();
        // Who is stopped in between finds what is there already.
        let new: Vec<&LineDraft> = draft.findings.iter().filter(|finding| page(finding).is_none()).collect();
        let places: Vec<_> =
            new.iter().map(|finding| (&finding.place, &finding.topic, finding.body.as_str())).collect();
        // The review's text says what a comment cannot.
        let mut refused = Vec::new();
        for (finding, said) in new.into_iter().zip(self.say_all_on(&what, &draft.mark.commit, &places).await?)
        {
            match said {
                Ok(comment) => drop(there.insert(finding.topic.clone(), comment)),
                Err(_) => refused.push(finding),
            }
        }
        self.decide(&what, &accounts, draft).await?;
        let text = draft.text(&refused, &open, self.most());
        let text = self.marked(self.id.number, &draft.mark.topic(), &text);
        let new = NewBitbucketComment { text: &text, parent: None, on: None };
        let made = self.calls.create_note(&what, &self.repo, self.id.number, new).await?;
        Ok(PostedReview::Review { id: ReviewId::new(made.id.to_string()), comments: of(draft, &there) })
    }

    /// Says that changes are needed, where the review does, or no longer. Where the forge refuses it, the review is a comment.
    async fn decide(
        &self,
        what: &str,
        accounts: &BitbucketAccounts<'_>,
        draft: &ReviewDraft,
    ) -> Result<(), ForgeError> {
        let (number, commit) = (self.id.number, &draft.mark.commit);
        let decided = match draft.event {
            ReviewEvent::Comment => return Ok(()),
            ReviewEvent::RequestChanges => {
                let pull = self.read_pull(what, number).await?;
                // Nobody decides on their own pull request.
                if accounts.is_ours(pull.author.as_ref()) {
                    return Ok(());
                }
                self.calls.want_changes(what, &self.repo, number, commit).await
            }
            ReviewEvent::Withdraw => {
                let pull = self.read_pull(what, number).await?;
                let stands = pull.reviewers.iter().any(|one| {
                    one.state == Some(ReviewState::ChangesRequested)
                        && accounts.whose(&one.user) == Some(BitbucketAccountKind::Present)
                });
                // Of another head nothing is known.
                if !stands || pull.head.commit != *commit {
                    return Ok(());
                }
                self.calls.withdraw_changes(what, &self.repo, number, commit).await
            }
        };
        match decided {
            // The head is another by now, or the forge takes no verdict: what was found is said all the same.
            Err(ForgeError::Rejected { .. } | ForgeError::Stale { .. }) => Ok(()),
            decided => decided,
        }
    }

    /// The review, if it is there.
    pub(super) async fn sent_review(&self, draft: &ReviewDraft) -> Result<Option<PostedReview>, ForgeError> {
        let what = self.what(&format!("looking for the review of audit {}", draft.mark.audit));
        let accounts = self.accounts().await?;
        let notes = self.calls.notes(&what, &self.repo, self.id.number).await?;
        let own = own(&self.threads_of(&accounts, &notes));
        let there = own.into_iter().map(|(topic, own)| (topic, own.id)).collect();
        Ok(self.posted(&accounts, &notes, draft, &there))
    }

    fn posted(
        &self,
        accounts: &BitbucketAccounts<'_>,
        notes: &[BitbucketComment],
        draft: &ReviewDraft,
        there: &HashMap<Topic, CommentId>,
    ) -> Option<PostedReview> {
        let talk = notes.iter().filter(|note| note.on.is_none() && !note.is_deleted);
        let mut marked = talk.filter(|note| {
            let is_ours = accounts.is_ours(note.author.as_ref());
            let (topic, _) = self.verified(self.id.number, is_ours, &note.text);
            topic
                .and_then(|topic| AuditMark::read(&topic))
                .is_some_and(|mark| mark.is_same_audit(&draft.mark))
        });
        marked.next().map(|note| PostedReview::Review {
            id: ReviewId::new(note.id.to_string()),
            comments: of(draft, there),
        })
    }

    /// The comment that has all of a review, or the review itself, if one is there.
    pub(super) async fn said_review(&self, draft: &ReviewDraft) -> Result<Option<PostedReview>, ForgeError> {
        // Both have the audit's marker and are comments: whichever is there says what was found.
        let posted = self.sent_review(draft).await?;
        Ok(posted.map(|posted| match posted {
            PostedReview::Review { id, comments } if comments.is_empty() => match id.as_str().parse() {
                Ok(number) => PostedReview::Comment(comment_id(number)),
                Err(_) => PostedReview::Review { id, comments },
            },
            posted @ (PostedReview::Review { .. } | PostedReview::Comment(_)) => posted,
        }))
    }

    pub(super) async fn say_review(&self, draft: &ReviewDraft) -> Result<PostedReview, ForgeError> {
        if let Some(posted) = self.said_review(draft).await? {
            return Ok(posted);
        }
        let text = draft.whole(self.most());
        Ok(PostedReview::Comment(self.say_once(&draft.mark.topic(), &text).await?))
    }

    /// The longest text.
    fn most(&self) -> usize {
        self.calls.row().bounds(self.settle_delay()).body
    }
}
