//! Simulates reviews by people, and bots that review.

use crate::forge::error::FakeError;
use crate::forge::operations::pulls::pull_mut;
use crate::forge::operations::reviewers::{add_reaction, create_check_run, post_review};
use crate::forge::state::bots::{BotReview, FakeBot};
use crate::forge::state::pulls::FakeReviewVerdict;
use crate::forge::user_actions::FakeRepo;

impl FakeRepo {
    /// Adds a bot that reviews in this repository.
    pub async fn add_bot(&self, bot: FakeBot) -> Result<(), FakeError> {
        self.with_repository(move |world, repo| {
            world.ensure_account(&bot.login);
            repo.bots.push(bot);
            Ok(())
        })
        .await
    }

    /// Reviews a commit of a pull request (by default, the head) as an account, with comments on lines.
    /// Returns the id of the review.
    pub async fn review_lines(
        &self,
        number: u64,
        author: &str,
        commit: Option<&str>,
        review: BotReview,
    ) -> Result<u64, FakeError> {
        let (author, commit) = (author.to_owned(), commit.map(str::to_owned));
        self.with_repository(move |world, repo| {
            pull_mut(repo, number)?;
            let by = (author.as_str(), author.as_str());
            post_review(world, repo, number, by.0, by.1, commit.as_deref(), &review)
                .map_err(FakeError::Refused)
        })
        .await
    }

    /// Reacts to a comment in a conversation: `+1`, `eyes`, …
    pub async fn react(
        &self,
        number: u64,
        comment: u64,
        actor: &str,
        content: &str,
    ) -> Result<(), FakeError> {
        let (actor, content) = (actor.to_owned(), content.to_owned());
        self.with_repository(move |world, repo| {
            add_reaction(world, repo, number, comment, &actor, &content);
            Ok(())
        })
        .await
    }

    /// Creates a check run as an App's account. A check run without a conclusion is still running.
    pub async fn create_check_run(
        &self,
        sha: &str,
        creator: &str,
        name: &str,
        conclusion: Option<&str>,
    ) -> Result<(), FakeError> {
        let (sha, creator, name) = (sha.to_owned(), creator.to_owned(), name.to_owned());
        let conclusion = conclusion.map(str::to_owned);
        self.with_repository(move |world, repo| {
            create_check_run(world, repo, &sha, &creator, &name, conclusion);
            Ok(())
        })
        .await
    }

    /// Reviews a pull request at its head, without comments on its lines.
    pub async fn review(
        &self,
        number: u64,
        author: &str,
        verdict: FakeReviewVerdict,
        body: &str,
    ) -> Result<(), FakeError> {
        let review = BotReview { verdict, body: body.to_owned(), comments: Vec::new() };
        self.review_lines(number, author, None, review).await.map(drop)
    }

    /// Changes the description of a pull request.
    pub async fn set_description(&self, number: u64, body: &str) -> Result<(), FakeError> {
        let body = body.to_owned();
        self.with_repository(move |_, repo| {
            let pull = pull_mut(repo, number)?;
            pull.body = body;
            pull.version += 1;
            Ok(())
        })
        .await
    }
}
