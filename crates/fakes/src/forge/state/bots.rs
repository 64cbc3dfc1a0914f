//! Bots that review, and what they will do.

use std::collections::VecDeque;

use crate::forge::state::pulls::FakeReviewVerdict;

/// A bot that reviews when it is asked.
#[derive(Clone, Debug, Default)]
pub struct FakeBot {
    /// Its account, `…[bot]`.
    pub login: String,
    /// The author of its comments on lines, where that is another one, as Copilot's is. Asking this name for
    /// a review is answered with success and does nothing.
    pub alias: Option<String>,
    /// The whole text of a comment that wakes it. Nothing else in the comment.
    pub trigger: Option<String>,
    /// Its acts, one each time that it is woken; then none.
    pub steps: VecDeque<BotStep>,
}

/// The acts of a bot once it is woken. Empty: it stays silent.
#[derive(Clone, Debug, Default)]
pub struct BotStep {
    /// It looks at the comment that woke it: the reaction `eyes`.
    pub eyes: bool,
    /// It reviews the head.
    pub review: Option<BotReview>,
    /// It makes a check run of this name, with this conclusion; without one it is still at work.
    pub check: Option<(String, Option<String>)>,
}

/// A review of a bot.
#[derive(Clone, Debug)]
pub struct BotReview {
    /// Its text.
    pub state: FakeReviewVerdict,
    /// Its text.
    pub body: String,
    /// Its comments: file, line at the head, text.
    pub comments: Vec<(String, u32, String)>,
}
