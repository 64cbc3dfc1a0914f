//! Simulated bots that review, and the scripted steps of these bots.

use std::collections::VecDeque;

use crate::forge::state::pulls::FakeReviewVerdict;

/// A simulated bot that reviews on request.
#[derive(Clone, Debug, Default)]
pub struct FakeBot {
    /// Account of the bot, `…[bot]`.
    pub login: String,
    /// Author of the bot's line comments, if the author differs from `login`, as for Copilot. A request for a
    /// review by this name succeeds, but has no effect.
    pub line_comment_author: Option<String>,
    /// Complete text of a comment that triggers the bot. Other comments do not trigger the bot.
    pub trigger_text: Option<String>,
    /// Steps of the bot. Each trigger runs one step; after the last step, a trigger has no effect.
    pub steps: VecDeque<BotStep>,
}

/// The actions of a bot after one trigger. An empty step does nothing.
#[derive(Clone, Debug, Default)]
pub struct BotStep {
    /// True if the bot adds the reaction `eyes` to the comment that triggered the bot.
    pub adds_eyes_reaction: bool,
    /// Review of the head that the bot posts.
    pub review: Option<BotReview>,
    /// Name and conclusion of a check run that the bot creates. A check run without a conclusion is still
    /// running.
    pub check: Option<(String, Option<String>)>,
}

/// A review of a bot.
#[derive(Clone, Debug)]
pub struct BotReview {
    /// Verdict of the review.
    pub verdict: FakeReviewVerdict,
    pub body: String,
    /// Comments of the review: the file, the line at the head, and the text.
    pub comments: Vec<(String, u32, String)>,
}
