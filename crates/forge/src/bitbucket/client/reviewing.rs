//! Posts Truing's reviews: exactly one for each audit, even if a response was lost or a comment was rejected.
//! Cloud and Data Center have no review object. A review consists of one comment for each finding, and of a
//! final comment with the marker of the audit.

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
use super::comments::comment_id;

/// A thread that Truing began.
struct BitbucketOwnThread {
    /// Comment that began the thread.
    id: CommentId,
    /// Address of the thread's web page.
    url: String,
    is_open: bool,
}

/// Returns Truing's threads on the diff by topic. If a topic has several threads, the newest open thread is
/// chosen. If no thread is open, the newest thread is chosen.
fn own_threads_by_topic(threads: &[ReviewThread]) -> HashMap<Topic, BitbucketOwnThread> {
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

/// Returns the address of the open thread in which Truing's review loop shows this finding on these lines. A
/// thread on other lines does not count: a file may contain the same text twice, so such a thread may concern
/// another finding.
fn open_thread_url<'a>(threads: &'a [ReviewThread], finding: &LineDraft) -> Option<&'a str> {
    let LineDraft { location: place, topic, .. } = finding;
    let is_here = |first: &&LineComment| {
        let is_there = |line: u32| (place.start_line..=place.end_line).contains(&line);
        first.finding_topic.as_ref() == Some(topic) && first.line.is_some_and(is_there)
    };
    let path = place.path.to_string();
    let open = threads.iter().filter(|thread| is_open(thread) && thread.path == path);
    open.filter_map(|thread| thread.comments.first()).find(is_here).map(|first| first.url.as_str())
}

/// Returns the posted comments on a draft's findings, in the order of the draft.
fn finding_comments(
    draft: &ReviewDraft,
    posted_comments: &HashMap<Topic, CommentId>,
) -> Vec<(Topic, CommentId)> {
    let topics = draft.findings.iter().map(|finding| &finding.topic);
    topics.filter_map(|topic| Some((topic.clone(), posted_comments.get(topic)?.clone()))).collect()
}

impl<C: BitbucketApi> BitbucketClient<C> {
    pub(super) async fn send_review(&self, draft: &ReviewDraft) -> Result<PostedReview, ForgeError> {
        let what = self.describe_pull_operation(&format!("posting the review of audit {}", draft.mark.audit));
        let accounts = self.accounts().await?;
        let notes = self.api.list_comments(&what, &self.repo, self.id.number).await?;
        let threads = self.group_into_threads(&accounts, &notes);
        let own = own_threads_by_topic(&threads);
        let mut there: HashMap<Topic, CommentId> =
            own.iter().map(|(topic, own)| (topic.clone(), own.id.clone())).collect();
        if let Some(posted) = self.find_posted_review(&accounts, &notes, draft, &there) {
            return Ok(posted);
        }
        // If the thread of a finding is open, no new comment is posted, because the discussion continues in
        // that thread. If its thread is resolved, a new comment is posted.
        let page = |finding: &LineDraft| {
            let own = own.get(&finding.topic).filter(|own| own.is_open).map(|own| own.url.as_str());
            own.or_else(|| open_thread_url(&threads, finding))
        };
        let open: Vec<(&LineDraft, &str)> =
            draft.findings.iter().filter_map(|finding| Some((finding, page(finding)?))).collect();
        // If the review was interrupted earlier, the findings already posted have threads in `own` and are
        // not posted again.
        let new: Vec<&LineDraft> = draft.findings.iter().filter(|finding| page(finding).is_none()).collect();
        let places: Vec<_> =
            new.iter().map(|finding| (&finding.location, &finding.topic, finding.body.as_str())).collect();
        // Findings whose comments were rejected are listed in the text of the review.
        let mut refused = Vec::new();
        for (finding, said) in
            new.into_iter().zip(self.post_line_comments(&what, &draft.mark.commit, &places).await?)
        {
            match said {
                Ok(comment) => drop(there.insert(finding.topic.clone(), comment)),
                Err(_) => refused.push(finding),
            }
        }
        self.submit_verdict(&what, &accounts, draft).await?;
        let text = draft.render_text(&refused, &open, self.max_text_length());
        let text = self.add_topic_marker(self.id.number, &draft.mark.topic(), &text);
        let new = NewBitbucketComment { description: &text, parent: None, location: None };
        let made = self.api.create_comment(&what, &self.repo, self.id.number, new).await?;
        Ok(PostedReview::Review {
            id: ReviewId::new(made.id.to_string()),
            comments: finding_comments(draft, &there),
        })
    }

    /// Sets Truing's verdict according to the review: requests changes, withdraws an earlier request, or does
    /// nothing. If the forge rejects the verdict, the review is posted without a verdict.
    async fn submit_verdict(
        &self,
        purpose: &str,
        accounts: &BitbucketAccounts<'_>,
        draft: &ReviewDraft,
    ) -> Result<(), ForgeError> {
        let (number, commit) = (self.id.number, &draft.mark.commit);
        let decided = match draft.event {
            ReviewEvent::Comment => return Ok(()),
            ReviewEvent::RequestChanges => {
                let pull = self.read_pull(purpose, number).await?;
                // An account cannot give a verdict on its own pull request.
                if accounts.is_own_account(pull.author.as_ref()) {
                    return Ok(());
                }
                self.api.request_changes(purpose, &self.repo, number, commit).await
            }
            ReviewEvent::Withdraw => {
                let pull = self.read_pull(purpose, number).await?;
                let stands = pull.reviewers.iter().any(|one| {
                    one.state == Some(ReviewState::ChangesRequested)
                        && accounts.account_kind(&one.user) == Some(BitbucketAccountKind::Current)
                });
                // Truing has not requested changes, or the audited commit is no longer the head.
                if !stands || pull.head.commit != *commit {
                    return Ok(());
                }
                self.api.withdraw_changes(purpose, &self.repo, number, commit).await
            }
        };
        match decided {
            // The head has changed, or the forge does not accept the verdict. The findings are posted without
            // a verdict.
            Err(ForgeError::Rejected { .. } | ForgeError::Stale { .. }) => Ok(()),
            decided => decided,
        }
    }

    /// Returns the posted review of this audit; `None` if it is not posted.
    pub(super) async fn find_sent_review(
        &self,
        draft: &ReviewDraft,
    ) -> Result<Option<PostedReview>, ForgeError> {
        let what =
            self.describe_pull_operation(&format!("looking for the review of audit {}", draft.mark.audit));
        let accounts = self.accounts().await?;
        let notes = self.api.list_comments(&what, &self.repo, self.id.number).await?;
        let own = own_threads_by_topic(&self.group_into_threads(&accounts, &notes));
        let there = own.into_iter().map(|(topic, own)| (topic, own.id)).collect();
        Ok(self.find_posted_review(&accounts, &notes, draft, &there))
    }

    fn find_posted_review(
        &self,
        accounts: &BitbucketAccounts<'_>,
        comments: &[BitbucketComment],
        draft: &ReviewDraft,
        posted_comments: &HashMap<Topic, CommentId>,
    ) -> Option<PostedReview> {
        let talk = comments.iter().filter(|note| note.location.is_none() && !note.is_deleted);
        let mut marked = talk.filter(|note| {
            let is_ours = accounts.is_own_account(note.author.as_ref());
            let (topic, _) = self.read_verified_topic(self.id.number, is_ours, &note.description);
            topic
                .and_then(|topic| AuditMark::from_topic(&topic))
                .is_some_and(|mark| mark.is_same_audit(&draft.mark))
        });
        marked.next().map(|note| PostedReview::Review {
            id: ReviewId::new(note.id.to_string()),
            comments: finding_comments(draft, posted_comments),
        })
    }

    /// Returns the posted review of this audit, or the single comment that contains the whole review; `None`
    /// if both are missing.
    pub(super) async fn find_review_or_comment(
        &self,
        draft: &ReviewDraft,
    ) -> Result<Option<PostedReview>, ForgeError> {
        // One search finds both: the marker of the audit is in the final comment of a review and in a comment
        // with the whole review.
        let posted = self.find_sent_review(draft).await?;
        Ok(posted.map(|posted| match posted {
            PostedReview::Review { id, comments } if comments.is_empty() => match id.as_str().parse() {
                Ok(number) => PostedReview::Comment(comment_id(number)),
                Err(_) => PostedReview::Review { id, comments },
            },
            posted @ (PostedReview::Review { .. } | PostedReview::Comment(_)) => posted,
        }))
    }

    pub(super) async fn post_review_as_comment(
        &self,
        draft: &ReviewDraft,
    ) -> Result<PostedReview, ForgeError> {
        if let Some(posted) = self.find_review_or_comment(draft).await? {
            return Ok(posted);
        }
        let text = draft.render_as_comment(self.max_text_length());
        Ok(PostedReview::Comment(self.upsert_comment(&draft.mark.topic(), &text).await?))
    }

    /// Returns the maximum length of a comment without its marker.
    fn max_text_length(&self) -> usize {
        self.api.forge_capability().publish_limits(self.settle_delay()).max_body_length
    }
}
