//! Simulates the actions of people on issues and labels.

use crate::forge::error::FakeError;
use crate::forge::operations::issues::{create_missing_labels, open_issue, set_label};
use crate::forge::operations::pulls::pull_mut;
use crate::forge::state::event::PullChange;
use crate::forge::state::issues::StoredIssue;
use crate::forge::user_actions::FakeRepo;
use crate::forge::view::{IssueView, issue_view};

impl FakeRepo {
    /// Opens an issue as a person and returns its number.
    pub async fn open_issue(
        &self,
        author: &str,
        title: &str,
        body: &str,
        label: &str,
    ) -> Result<u64, FakeError> {
        let (author, title, body) = (author.to_owned(), title.to_owned(), body.to_owned());
        let labels = vec![label.to_owned()];
        self.with_repository(move |world, repo| Ok(open_issue(world, repo, &author, &title, &body, labels)))
            .await
    }

    /// Sets or removes a label of a pull request as a person.
    pub async fn set_label(
        &self,
        number: u64,
        label: &str,
        is_added: bool,
        actor: &str,
    ) -> Result<(), FakeError> {
        let (label, actor) = (label.to_owned(), actor.to_owned());
        self.with_repository(move |world, repo| {
            world.ensure_account(&actor);
            create_missing_labels(world, repo, std::slice::from_ref(&label));
            if set_label(world, pull_mut(repo, number)?, &actor, &label, is_added) {
                world.record_change(repo, number, &actor, PullChange::LabelChanged { label, is_added })?;
            }
            Ok(())
        })
        .await
    }

    /// Closes or reopens an issue as a person.
    pub async fn set_issue_open(&self, number: u64, open: bool, actor: &str) -> Result<(), FakeError> {
        let actor = actor.to_owned();
        self.with_issue(number, move |now, issue| {
            issue.open = open;
            issue.close_event = (!open).then_some((now, actor));
            issue.state_reason = Some(if open { "reopened" } else { "not_planned" }.to_owned());
        })
        .await
    }

    /// Locks an issue: only accounts with write access can comment there.
    pub async fn lock_issue(&self, number: u64) -> Result<(), FakeError> {
        self.with_issue(number, |_, issue| issue.locked = true).await
    }

    /// Changes an issue's text as a person.
    pub async fn edit_issue(&self, number: u64, body: &str) -> Result<(), FakeError> {
        let body = body.to_owned();
        self.with_issue(number, move |_, issue| issue.body = body).await
    }

    /// Removes all labels from an issue.
    pub async fn unlabel_issue(&self, number: u64) -> Result<(), FakeError> {
        self.with_issue(number, |_, issue| issue.labels.clear()).await
    }

    /// Deletes an issue as an administrator.
    pub async fn delete_issue(&self, number: u64) -> Result<(), FakeError> {
        let missing = move || FakeError::Missing(format!("issue {number}"));
        self.with_repository(move |_, repo| repo.issues.remove(&number).map(drop).ok_or_else(missing)).await
    }

    /// Returns an issue with all its comments.
    pub async fn issue(&self, number: u64) -> Result<IssueView, FakeError> {
        let mut all = self.issues().await?;
        let at = all.iter().position(|issue| issue.number == number);
        at.map(|at| all.swap_remove(at)).ok_or_else(|| FakeError::Missing(format!("issue {number}")))
    }

    /// Returns every existing issue, oldest first.
    pub async fn issues(&self) -> Result<Vec<IssueView>, FakeError> {
        self.with_repository(|_, repo| Ok(repo.issues.values().map(issue_view).collect())).await
    }

    async fn with_issue(
        &self,
        number: u64,
        change: impl FnOnce(i64, &mut StoredIssue) + Send + 'static,
    ) -> Result<(), FakeError> {
        self.with_repository(move |world, repo| {
            let missing = || FakeError::Missing(format!("issue {number}"));
            let issue = repo.issues.get_mut(&number).ok_or_else(missing)?;
            issue.updated_at = world.now();
            change(world.now(), issue);
            Ok(())
        })
        .await
    }
}
