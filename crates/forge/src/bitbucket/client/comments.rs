//! Recognises Truing's comments on a pull request, and reads the subject of each comment. Creates, changes
//! and deletes comments; no comment is created twice.

use std::collections::{BTreeMap, HashSet};

use truing_core::id::{CommentId, Sha, ThreadId, Topic, UnixMillis};
use truing_core::port::{
    ConversationComment, EffectOutcome, ForgeError, InlineDraft, LineComment, ReviewThread,
};
use truing_core::publish::{
    CommentProducer, CommentRights, CommentSubject, ForgeThread, ObservedComment, ThreadState,
};

use super::super::address::rejected_error;
use super::super::calls::{BitbucketApi, BitbucketComment, DiffPlace, NewBitbucketComment, ThreadResolution};
use super::super::login::{BitbucketAccountKind, BitbucketAccounts, to_actor};
use super::BitbucketClient;
use crate::body::with_marker;
use crate::marker::{MarkerMatch, disable_markers, normalize_text, split_marker};

/// Converts the number of a comment to a comment id.
pub(super) fn comment_id(number: u64) -> CommentId {
    CommentId::new(number.to_string())
}

/// Parses the number of a comment from its id.
pub(super) fn parse_comment_number(purpose: &str, comment: &CommentId) -> Result<u64, ForgeError> {
    let wrong = |_| rejected_error(purpose, "the comment id is not a number, so it is not from this forge");
    comment.as_str().parse().map_err(wrong)
}

/// Returns the number of the comment that began a thread. The id of the thread is this number.
pub(super) fn first_comment_number(purpose: &str, thread: &ThreadId) -> Result<u64, ForgeError> {
    parse_comment_number(purpose, &CommentId::new(thread.as_str()))
}

/// Returns the state of the thread that a comment began.
fn forge_thread(
    accounts: &BitbucketAccounts<'_>,
    first_comment: u64,
    resolution: &ThreadResolution,
) -> ForgeThread {
    let state = match resolution {
        ThreadResolution::Open => ThreadState::Open,
        // A thread that a former account of Truing resolved counts as resolved by others.
        ThreadResolution::ResolvedBy(Some(user))
            if accounts.account_kind(user) == Some(BitbucketAccountKind::Current) =>
        {
            ThreadState::ResolvedByUs
        }
        ThreadResolution::ResolvedBy(_) => ThreadState::ResolvedByOthers,
    };
    ForgeThread { id: ThreadId::new(first_comment.to_string()), state }
}

/// Returns true if a text that was read from the forge equals a text to be sent.
pub(super) fn is_same_text(actual_text: &str, expected_text: &str) -> bool {
    normalize_text(actual_text) == normalize_text(&disable_markers(expected_text))
}

impl<C: BitbucketApi> BitbucketClient<C> {
    async fn list_comments(&self, purpose: &str, number: u64) -> Result<Vec<BitbucketComment>, ForgeError> {
        self.api.list_comments(purpose, &self.repo, number).await
    }

    /// Returns the subject of a text according to its marker, the text without the marker, and a flag. The
    /// flag is true if one of the configured keys signed the marker. Returns `None` if the marker is not for
    /// this pull request, or not for this producer.
    fn find_marked_subject(&self, text: &str) -> Option<(CommentSubject, String, bool)> {
        match self.marker_keys().find_marker(&self.id, text) {
            MarkerMatch::Verified { producer, item, body } if producer == self.producer => {
                Some((item, body, true))
            }
            MarkerMatch::UnknownKey { producer, item, body, .. } if producer == self.producer => {
                Some((item, body, false))
            }
            MarkerMatch::Verified { .. }
            | MarkerMatch::UnknownKey { .. }
            | MarkerMatch::Forged
            | MarkerMatch::NoMarker => None,
        }
    }

    pub(super) async fn list_own_comments(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        let what = self.describe_pull_operation("listing the comments");
        let number = |(item, comment): &(CommentSubject, CommentId)| {
            Ok((parse_comment_number(&what, comment)?, item.clone()))
        };
        let recorded_comments = recorded_comments
            .iter()
            .map(number)
            .collect::<Result<BTreeMap<u64, CommentSubject>, ForgeError>>()?;
        let accounts = self.accounts().await?;
        let mut notes = self.list_comments(&what, self.id.number).await?;
        let seen: HashSet<u64> = notes.iter().map(|note| note.id).collect();
        for id in recorded_comments.keys().filter(|id| !seen.contains(id)) {
            let what = self.describe_pull_operation(&format!("reading comment {id}"));
            match self.api.load_comment(&what, &self.repo, (self.id.number, *id)).await {
                Ok(note) => notes.push(note),
                Err(ForgeError::NotFound { .. }) => {} // A person deleted it.
                Err(error) => return Err(error),
            }
        }
        let there = notes.iter().filter(|note| !note.is_deleted);
        let answered: HashSet<u64> = there.clone().filter_map(|note| note.parent).collect();
        let ours = there.filter(|note| note.parent.is_none()).filter_map(|note| {
            let whose = accounts.account_kind(note.author.as_ref()?)?;
            let (item, body, is_known) =
                match (self.find_marked_subject(&note.description), recorded_comments.get(&note.id)) {
                    // The records contain this comment, so its subject is known even if an unknown key signed
                    // the marker.
                    (Some((_, body, false)), Some(item)) => (item.clone(), body, true),
                    // An edit may have removed the marker of a known comment.
                    (None, Some(item)) => (item.clone(), normalize_text(&note.description), true),
                    (marked, _) => marked?,
                };
            let hold = match (is_known, whose) {
                (false, _) => CommentRights::UnknownKey,
                (true, BitbucketAccountKind::Former) => CommentRights::FormerAccount,
                (true, BitbucketAccountKind::Current) => CommentRights::CurrentAccount,
            };
            let thread = note.begins_thread().then(|| forge_thread(&accounts, note.id, &note.resolution));
            let has_replies = answered.contains(&note.id);
            let (id, created) = (comment_id(note.id), note.created_at);
            let line = note.location.as_ref().filter(|on| !on.is_outdated).and_then(|on| on.line);
            Some(ObservedComment {
                id,
                subject: item,
                body,
                line,
                thread,
                has_replies,
                created,
                rights: hold,
            })
        });
        Ok(ours.collect())
    }

    pub(super) async fn find_comment_subject(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError> {
        if let Some((item, _)) = recorded_comments.iter().find(|(_, one)| one == comment) {
            return Ok(Some(item.clone()));
        }
        let accounts = self.accounts().await?;
        let what = self.describe_pull_operation(&format!("reading comment {comment}"));
        let id = parse_comment_number(&what, comment)?;
        let note = self.api.load_comment(&what, &self.repo, (self.id.number, id)).await?;
        let is_ours = accounts.is_own_account(note.author.as_ref());
        Ok(self.find_marked_subject(&note.description).filter(|_| is_ours).map(|(item, ..)| item))
    }

    pub(super) async fn list_threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        let what = self.describe_pull_operation("reading the threads");
        let accounts = self.accounts().await?;
        let notes = self.list_comments(&what, self.id.number).await?;
        Ok(self.group_into_threads(&accounts, &notes))
    }

    /// Groups the comments on the diff into threads, in the order in which the threads began. If a thread's
    /// first comment was deleted, the next comment counts as the first.
    pub(super) fn group_into_threads(
        &self,
        accounts: &BitbucketAccounts<'_>,
        comments: &[BitbucketComment],
    ) -> Vec<ReviewThread> {
        let mut threads: BTreeMap<u64, ReviewThread> = BTreeMap::new();
        for note in comments {
            let Some(on) = &note.location else { continue };
            let thread = threads.entry(note.first_comment).or_insert_with(|| ReviewThread {
                thread: None,
                outdated: on.is_outdated,
                path: on.path.clone(),
                comments: Vec::new(),
            });
            if note.parent.is_none() {
                thread.thread = Some(forge_thread(accounts, note.id, &note.resolution));
                thread.outdated = on.is_outdated;
            }
            if !note.is_deleted {
                thread.comments.push(self.convert_line_comment(accounts, note));
            }
        }
        threads.into_values().filter(|thread| !thread.comments.is_empty()).collect()
    }

    fn convert_line_comment(
        &self,
        accounts: &BitbucketAccounts<'_>,
        comment: &BitbucketComment,
    ) -> LineComment {
        let author = to_actor(accounts, comment.author.as_ref());
        let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
        let (topic, body) = self.read_verified_topic(self.id.number, is_ours, &comment.description);
        let reviewed = match self.marker_keys().find_marker(&self.id, &comment.description) {
            MarkerMatch::Verified {
                producer: CommentProducer::Review,
                item: CommentSubject::Finding(id),
                ..
            } if is_ours => Some(Topic::for_finding(&id)),
            MarkerMatch::Verified { .. }
            | MarkerMatch::UnknownKey { .. }
            | MarkerMatch::Forged
            | MarkerMatch::NoMarker => None,
        };
        let on = comment.location.as_ref();
        LineComment {
            id: comment_id(comment.id),
            url: comment.url.clone(),
            review: None,
            author,
            commit: on.and_then(|on| on.commit.clone()),
            line: on.filter(|on| !on.is_outdated).and_then(|on| on.line),
            created: comment.created_at,
            body,
            topic,
            finding_topic: reviewed,
        }
    }

    /// Appends the marker of a topic to a text. `number` is the pull request that contains the comment; for
    /// the description of a pull request, the number is 0.
    pub(super) fn add_topic_marker(&self, number: u64, topic: &Topic, text: &str) -> String {
        with_marker(text, &self.marker_keys().sign_topic(&self.marker_pull_id(number), self.producer, topic))
    }

    /// Appends the marker of a subject to a text.
    fn add_subject_marker(&self, subject: &CommentSubject, text: &str) -> String {
        with_marker(text, &self.marker_keys().sign(&self.id, self.producer, subject))
    }

    pub(super) async fn find_comments_with_text(
        &self,
        text: &str,
    ) -> Result<Vec<ConversationComment>, ForgeError> {
        let what = self.describe_pull_operation("looking for comments with this text");
        let accounts = self.accounts().await?;
        let notes = self.list_comments(&what, self.id.number).await?.into_iter();
        let is = |note: &BitbucketComment| {
            note.location.is_none() && !note.is_deleted && note.description.trim() == text.trim()
        };
        Ok(notes.filter(is).map(|note| conversation_comment(&accounts, &note)).collect())
    }

    /// Returns Truing's latest comment with exactly this text if it was created at or after `since` by the
    /// forge's clock.
    pub(super) async fn find_exact_comment(
        &self,
        text: &str,
        since: UnixMillis,
    ) -> Result<Option<ConversationComment>, ForgeError> {
        // Some forges report times in whole seconds. `since` is rounded down to a second, so that all forges
        // behave alike.
        let since = UnixMillis(since.0.div_euclid(1000) * 1000);
        let mut comment = self.find_comments_with_text(text).await?.into_iter();
        let ours = |comment: &ConversationComment| {
            comment.author.as_ref().is_some_and(|author| author.is_own_account) && comment.created >= since
        };
        Ok(comment.rfind(ours))
    }

    pub(super) async fn ensure_exact_comment(
        &self,
        text: &str,
        since: UnixMillis,
    ) -> Result<ConversationComment, ForgeError> {
        if let Some(existing) = self.find_exact_comment(text, since).await? {
            return Ok(existing);
        }
        let accounts = self.accounts().await?;
        let what = self.describe_pull_operation("triggering a reviewer");
        let new = NewBitbucketComment { description: text, parent: None, location: None };
        let note = self.api.create_comment(&what, &self.repo, self.id.number, new).await?;
        Ok(conversation_comment(&accounts, &note))
    }

    /// Returns Truing's first comment on this topic in the conversation, if the comment has this text;
    /// otherwise `None`.
    pub(super) async fn find_topic_comment_with_text(
        &self,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let what = self.describe_pull_operation("looking for a comment by Truing");
        let found = self.find_own_comment(&what, self.id.number, topic).await?;
        Ok(found.filter(|(_, text, _)| is_same_text(text, body)).map(|(id, ..)| comment_id(id)))
    }

    /// Returns Truing's first comment on a topic in a conversation: its number, its text, and the kind of
    /// account that wrote it (current or former).
    async fn find_own_comment(
        &self,
        purpose: &str,
        number: u64,
        topic: &Topic,
    ) -> Result<Option<(u64, String, BitbucketAccountKind)>, ForgeError> {
        let accounts = self.accounts().await?;
        let notes = self.list_comments(purpose, number).await?;
        let talk = notes.iter().filter(|note| note.location.is_none() && !note.is_deleted);
        let mut ours = talk.filter_map(|note| {
            let whose = accounts.account_kind(note.author.as_ref()?)?;
            let (about, text) = self.read_verified_topic(number, true, &note.description);
            (about.as_ref() == Some(topic)).then_some((note.id, text, whose))
        });
        Ok(ours.next())
    }

    pub(super) async fn upsert_comment(&self, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        let what = self.describe_pull_operation("looking for a comment by Truing");
        let Some((id, text, whose)) = self.find_own_comment(&what, self.id.number, topic).await? else {
            return self.create_comment(self.id.number, topic, body).await;
        };
        // A comment of our former account cannot be edited by our present account.
        if whose == BitbucketAccountKind::Current && !is_same_text(&text, body) {
            self.rewrite_comment(id, &self.add_topic_marker(self.id.number, topic, body)).await?;
        }
        Ok(comment_id(id))
    }

    /// Creates a comment on a topic in the conversation of a pull request.
    async fn create_comment(&self, number: u64, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        let what = self.describe_repository_operation(&format!("commenting in {number}"));
        let text = self.add_topic_marker(number, topic, body);
        let new = NewBitbucketComment { description: &text, parent: None, location: None };
        Ok(comment_id(self.api.create_comment(&what, &self.repo, number, new).await?.id))
    }

    pub(super) async fn rewrite_comment(&self, id: u64, text: &str) -> Result<(), ForgeError> {
        let what = self.describe_pull_operation(&format!("rewriting comment {id}"));
        self.api.edit_comment(&what, &self.repo, (self.id.number, id), text).await
    }

    /// Returns Truing's reply on this topic in the thread that begins with `first_comment`.
    pub(super) async fn find_thread_reply(
        &self,
        purpose: &str,
        first_comment: &CommentId,
        topic: &Topic,
    ) -> Result<Option<CommentId>, ForgeError> {
        let first_comment = parse_comment_number(purpose, first_comment)?;
        let accounts = self.accounts().await?;
        let notes = self.list_comments(purpose, self.id.number).await?;
        let mut answers =
            notes.iter().filter(|note| note.first_comment == first_comment && note.id != first_comment);
        let found = answers.find(|note| {
            let is_ours = accounts.is_own_account(note.author.as_ref());
            !note.is_deleted
                && self.read_verified_topic(self.id.number, is_ours, &note.description).0.as_ref()
                    == Some(topic)
        });
        Ok(found.map(|note| comment_id(note.id)))
    }

    pub(super) async fn ensure_thread_reply(
        &self,
        first_comment: &CommentId,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let what = self.describe_pull_operation(&format!("answering comment {first_comment}"));
        if let Some(comment) = self.find_thread_reply(&what, first_comment, topic).await? {
            return Ok(comment);
        }
        let text = self.add_topic_marker(self.id.number, topic, body);
        let new = NewBitbucketComment {
            description: &text,
            parent: Some(parse_comment_number(&what, first_comment)?),
            location: None,
        };
        Ok(comment_id(self.api.create_comment(&what, &self.repo, self.id.number, new).await?.id))
    }

    pub(super) async fn create_summary(&self, body: &str) -> Result<EffectOutcome, ForgeError> {
        let what = self.describe_pull_operation("posting the summary");
        let text = self.add_subject_marker(&CommentSubject::Summary, body);
        let new = NewBitbucketComment { description: &text, parent: None, location: None };
        let made = self.api.create_comment(&what, &self.repo, self.id.number, new).await?;
        Ok(EffectOutcome::Comments(vec![(CommentSubject::Summary, comment_id(made.id))]))
    }

    /// Creates the comments of findings, with one call for each comment. If a call fails after an earlier
    /// call succeeded, the comments that were created are returned. The next plan then contains the missing
    /// comments again.
    pub(super) async fn create_finding_comments(
        &self,
        commit: &Sha,
        comments: &[InlineDraft],
    ) -> Result<EffectOutcome, ForgeError> {
        let what = self.describe_pull_operation("posting a comment on the diff");
        let mut made = Vec::with_capacity(comments.len());
        for draft in comments {
            match self.create_diff_comment(&what, DiffPlace::Lines(commit, &draft.location), draft).await {
                Ok(comment) => made.push((draft.item.clone(), comment)),
                Err(_) if !made.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(EffectOutcome::Comments(made))
    }

    pub(super) async fn create_file_comment(
        &self,
        commit: &Sha,
        draft: &InlineDraft,
    ) -> Result<EffectOutcome, ForgeError> {
        let what = self.describe_pull_operation("posting a comment on a file");
        let made = self.create_diff_comment(&what, DiffPlace::File(commit, &draft.location), draft).await?;
        Ok(EffectOutcome::Comments(vec![(draft.item.clone(), made)]))
    }

    async fn create_diff_comment(
        &self,
        purpose: &str,
        diff_place: DiffPlace<'_>,
        draft: &InlineDraft,
    ) -> Result<CommentId, ForgeError> {
        let text = self.add_subject_marker(&draft.item, &draft.body);
        let new = NewBitbucketComment { description: &text, parent: None, location: Some(diff_place) };
        Ok(comment_id(self.api.create_comment(purpose, &self.repo, self.id.number, new).await?.id))
    }

    /// Returns Truing's comments on these subjects; `None` if there are none.
    pub(super) async fn find_own_comments_on_subjects(
        &self,
        subjects: &[&CommentSubject],
    ) -> Result<Option<EffectOutcome>, ForgeError> {
        let seen = self.list_own_comments(&[]).await?.into_iter();
        let ours = seen
            .filter(|seen| seen.rights == CommentRights::CurrentAccount && subjects.contains(&&seen.subject));
        let shown: Vec<_> = ours.map(|seen| (seen.subject, seen.id)).collect();
        Ok((!shown.is_empty()).then_some(EffectOutcome::Comments(shown)))
    }

    pub(super) async fn update_comment(
        &self,
        subject: &CommentSubject,
        comment: &CommentId,
        body: &str,
    ) -> Result<(), ForgeError> {
        let id = parse_comment_number(&self.describe_pull_operation("rewriting a comment"), comment)?;
        self.rewrite_comment(id, &self.add_subject_marker(subject, body)).await
    }

    /// Returns the text of a comment, including its marker; `None` if the comment no longer exists.
    async fn read_comment_text(&self, comment: &CommentId) -> Result<Option<String>, ForgeError> {
        let what = self.describe_pull_operation(&format!("reading comment {comment}"));
        let id = parse_comment_number(&what, comment)?;
        match self.api.load_comment(&what, &self.repo, (self.id.number, id)).await {
            Ok(note) => Ok(Some(note.description).filter(|_| !note.is_deleted)),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns true if this comment has this text, apart from the marker.
    pub(super) async fn comment_has_text(&self, comment: &CommentId, text: &str) -> Result<bool, ForgeError> {
        Ok(self
            .read_comment_text(comment)
            .await?
            .is_some_and(|read| is_same_text(&split_marker(&read).0, text)))
    }

    /// Returns true if this comment no longer exists.
    pub(super) async fn is_comment_deleted(&self, comment: &CommentId) -> Result<bool, ForgeError> {
        Ok(self.read_comment_text(comment).await?.is_none())
    }

    pub(super) async fn delete_comment(&self, comment: &CommentId) -> Result<(), ForgeError> {
        let what = self.describe_pull_operation(&format!("deleting comment {comment}"));
        let id = parse_comment_number(&what, comment)?;
        self.api.delete_comment(&what, &self.repo, (self.id.number, id)).await
    }

    pub(super) async fn set_thread_resolved(
        &self,
        thread: &ThreadId,
        resolved: bool,
    ) -> Result<(), ForgeError> {
        let doing = if resolved { "resolving" } else { "reopening" };
        let what = self.describe_pull_operation(&format!("{doing} the thread {thread}"));
        let first = first_comment_number(&what, thread)?;
        self.api.set_thread_resolved(&what, &self.repo, self.id.number, first, resolved).await
    }

    /// Returns true if this thread is open; `None` if the thread does not exist.
    pub(super) async fn is_thread_open(&self, thread: &ThreadId) -> Result<Option<bool>, ForgeError> {
        let what = self.describe_pull_operation(&format!("reading the thread {thread}"));
        let first = first_comment_number(&what, thread)?;
        match self.api.load_comment(&what, &self.repo, (self.id.number, first)).await {
            Ok(note) => Ok(Some(note.resolution == ThreadResolution::Open)),
            Err(ForgeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns Truing's newest comment in a conversation if it has this topic and text; otherwise `None`.
    pub(super) async fn find_newest_if_matching(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let what =
            self.describe_repository_operation(&format!("looking for a comment by Truing in {number}"));
        let accounts = self.accounts().await?;
        let notes = self.list_comments(&what, number).await?;
        let talk = notes.iter().filter(|note| note.location.is_none() && !note.is_deleted);
        let newest = talk.filter_map(|note| {
            let is_ours = accounts.is_own_account(note.author.as_ref());
            let (about, text) = self.read_verified_topic(number, is_ours, &note.description);
            Some((note.id, about?, text))
        });
        let newest = newest.last().filter(|(_, about, text)| about == topic && is_same_text(text, body));
        Ok(newest.map(|(id, ..)| comment_id(id)))
    }

    /// Creates a comment if Truing's newest comment in the conversation does not have this topic and text.
    pub(super) async fn ensure_newest_comment(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        match self.find_newest_if_matching(number, topic, body).await? {
            Some(comment) => Ok(comment),
            None => self.create_comment(number, topic, body).await,
        }
    }

    /// Returns the number of a comment; `None` if the comment no longer exists. Returns an error if our
    /// current account did not write the comment, or if the comment's marker does not name this conversation.
    async fn verify_own_comment(
        &self,
        purpose: &str,
        number: u64,
        comment: &CommentId,
    ) -> Result<Option<u64>, ForgeError> {
        let id = parse_comment_number(purpose, comment)?;
        let accounts = self.accounts().await?;
        let note = match self.api.load_comment(purpose, &self.repo, (number, id)).await {
            Ok(note) if note.is_deleted => return Ok(None),
            Ok(note) => note,
            Err(ForgeError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The current account cannot change a comment by a former account.
        let whose = note.author.as_ref().and_then(|user| accounts.account_kind(user));
        let (topic, _) =
            self.read_topic(number, whose == Some(BitbucketAccountKind::Current), &note.description);
        if topic.is_some() && note.location.is_none() {
            Ok(Some(id))
        } else {
            Err(foreign_object_error(purpose))
        }
    }

    pub(super) async fn delete_own_comment(
        &self,
        number: u64,
        comment: &CommentId,
    ) -> Result<(), ForgeError> {
        let what = self.describe_repository_operation(&format!("deleting comment {comment} in {number}"));
        let Some(id) = self.verify_own_comment(&what, number, comment).await? else { return Ok(()) };
        self.api.delete_comment(&what, &self.repo, (number, id)).await
    }

    /// Returns true if this comment no longer exists. Returns an error if Truing did not write it.
    pub(super) async fn is_own_comment_deleted(
        &self,
        number: u64,
        comment: &CommentId,
    ) -> Result<bool, ForgeError> {
        let what = self.describe_repository_operation(&format!("looking for comment {comment} in {number}"));
        Ok(self.verify_own_comment(&what, number, comment).await?.is_none())
    }
}

fn conversation_comment(accounts: &BitbucketAccounts<'_>, comment: &BitbucketComment) -> ConversationComment {
    ConversationComment {
        id: comment_id(comment.id),
        author: to_actor(accounts, comment.author.as_ref()),
        created: comment.created_at,
    }
}

/// Returns the error for changing a comment or pull request that Truing did not create.
pub(super) fn foreign_object_error(purpose: &str) -> ForgeError {
    rejected_error(purpose, "Truing did not write this text: the author or the marker is not Truing's")
}
