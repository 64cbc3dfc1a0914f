//! Bots that review, and their scripted steps.

use std::collections::VecDeque;

use crate::forge::state::pulls::FakeReviewVerdict;

/// A bot that reviews when it is requested.
#[derive(Clone, Debug, Default)]
pub struct FakeBot {
    /// Account of the bot, `…[bot]`.
    pub login: String,
    /// Author of its comments on lines, if that differs, as Copilot's does. A review request for this name
    /// succeeds and has no effect.
    pub alias: Option<String>,
    /// Complete text of a comment that triggers it. A comment with other text does not.
    pub trigger: Option<String>,
    /// Steps of the bot, one each time that it is triggered; after the last it does nothing.
    pub steps: VecDeque<BotStep>,
}

/// The actions of a bot when it is triggered. An empty step does nothing.
#[derive(Clone, Debug, Default)]
pub struct BotStep {
    /// True if it adds the reaction `eyes` to the comment that triggered it.
    pub eyes: bool,
    /// Review of the head that it posts.
    pub review: Option<BotReview>,
    /// Name and conclusion of a check run that it creates; without a conclusion it is still running.
    pub check: Option<(String, Option<String>)>,
}

/// A review of a bot.
#[derive(Clone, Debug)]
pub struct BotReview {
    /// Verdict of the review.
    pub state: FakeReviewVerdict,
    pub body: String,
    /// Comments of the review: file, line at the head, text.
    pub comments: Vec<(String, u32, String)>,
}
