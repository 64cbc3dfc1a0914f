//! Scripts of the fake model: human-readable files that define the model's answers, request by request.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::scripted_behaviour::{KnownBug, PromptRole, ScriptedBehaviour, ScriptedFix};

/// Credential that is accepted if the script lists no credentials.
pub const DEFAULT_API_KEY: &str = "fake-model-key";

/// A script. Example in TOML:
///
/// ```toml
/// [[answer]]
/// blocks = [{ type = "tool_use", name = "read", input = { path = "a.py" } }]
///
/// [[answer]]
/// when = { contains = "def pay" }
/// json = { findings = [] }
/// usage = { input = 1200, output = 300 }
///
/// [[answer]]
/// times = 0 # every request from here on
/// fault = { kind = "status", status = 529, type = "overloaded_error" }
/// ```
///
/// Example of a model for the converge loop, which reports a planted line as long as the file contains this
/// line:
///
/// ```toml
/// [[answer]]
/// when = { role = "audit" }
/// times = 0
/// play = { kind = "audit", bugs = [{ path = "a.py", line = "return a - b", title = "It subtracts" }] }
///
/// [[answer]]
/// when = { role = "fix" }
/// times = 0
/// [answer.play]
/// kind = "fix"
/// [[answer.play.mends]]
/// title = "It subtracts"
/// calls = [{ tool = "edit", input = { path = "a.py", old = "a - b", new = "a + b" } }]
/// ```
///
/// A request gets the first answer that is not used up and whose condition the request meets.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelScript {
    /// Credentials that are accepted, as `x-api-key` or as a bearer token.
    #[serde(default = "default_keys")]
    pub keys: Vec<String>,
    /// Tokens of subscriptions that are accepted, as a bearer token of a request by `claude`.
    #[serde(default)]
    pub oauth_tokens: Vec<String>,
    /// True if the answers of the script are counted separately for each credential. Parallel runs use
    /// separate credentials.
    #[serde(default)]
    pub each_key: bool,
    /// True if the model first follows every instruction in a request's texts, as a compromised model would.
    #[serde(default)]
    pub obedient: bool,
    #[serde(default, rename = "answer")]
    pub answers: Vec<ScriptedAnswer>,
}

fn default_keys() -> Vec<String> {
    vec![DEFAULT_API_KEY.to_owned()]
}

impl Default for ModelScript {
    fn default() -> Self {
        Self {
            keys: default_keys(),
            oauth_tokens: Vec::new(),
            each_key: false,
            obedient: false,
            answers: Vec::new(),
        }
    }
}

/// One answer of a script.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// Condition that a request must meet.
    #[serde(default)]
    #[serde(rename = "when")]
    pub condition: AnswerCondition,
    /// Number of requests that get this answer; 0 for all matching requests.
    #[serde(default = "default_times")]
    pub times: u32,
    /// Blocks of the answer, in order.
    #[serde(default)]
    pub blocks: Vec<AnswerBlock>,
    /// Text of an additional block, after `blocks`.
    #[serde(default)]
    pub text: String,
    /// Number of times that `text` is repeated.
    #[serde(default = "default_times")]
    pub repeat: u32,
    /// Behaviour that depends on the request. `blocks` are sent after the behaviour's blocks.
    #[serde(default)]
    pub play: Option<ScriptedBehaviour>,
    /// JSON that is sent as text, after `blocks` and `text`.
    #[serde(default)]
    pub json: Option<Value>,
    /// Stop reason; `None` means `tool_use` if the answer calls a tool, otherwise `end_turn`.
    #[serde(default)]
    pub stop: Option<String>,
    /// Token counts; `None` means one token for each four bytes.
    #[serde(default)]
    pub usage: Option<ScriptedUsage>,
    /// True if the answer may report more output tokens than the request allows.
    #[serde(default)]
    pub overruns: bool,
    /// Headers of the response, such as those about the limits of a subscription.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Fault of the answer.
    #[serde(default)]
    pub fault: Option<ModelFault>,
}

fn default_times() -> u32 {
    1
}

impl Default for ScriptedAnswer {
    fn default() -> Self {
        Self {
            condition: AnswerCondition::default(),
            times: 1,
            blocks: Vec::new(),
            text: String::new(),
            repeat: 1,
            play: None,
            json: None,
            stop: None,
            usage: None,
            overruns: false,
            headers: BTreeMap::new(),
            fault: None,
        }
    }
}

/// The condition of an answer: a request must meet every given field.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerCondition {
    /// Model in the request.
    #[serde(default)]
    pub model: Option<String>,
    /// Credential of the request.
    #[serde(default)]
    pub key: Option<String>,
    /// Headers, by name in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Text anywhere in the body.
    #[serde(default)]
    pub contains: Option<String>,
    /// Role of the converge loop for which the request is made.
    #[serde(default)]
    pub role: Option<PromptRole>,
    /// True for the first request of a run, false for later requests.
    #[serde(default)]
    #[serde(rename = "fresh")]
    pub is_first_request: Option<bool>,
    /// Texts that must all occur in the system prompt. Line breaks count as spaces.
    #[serde(default)]
    pub system: Vec<String>,
    /// Texts that must all occur in the first message. Line breaks count as spaces.
    #[serde(default)]
    #[serde(rename = "first")]
    pub first_message: Vec<String>,
}

/// A block of an answer.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AnswerBlock {
    Text {
        text: String,
    },
    /// Thinking with a signature.
    Thinking {
        /// Text of the thinking.
        thinking: String,
        /// Signature that must be sent back unchanged.
        #[serde(default = "default_signature")]
        signature: String,
    },
    /// Thinking whose text is hidden.
    RedactedThinking {
        /// Data that must be sent back unchanged.
        data: String,
    },
    ToolUse {
        /// Name of the tool.
        name: String,
        #[serde(default)]
        input: Value,
        /// Input as literal text, which may be invalid JSON. With `None`, `input` is sent.
        #[serde(default)]
        json: Option<String>,
    },
}

fn default_signature() -> String {
    "c2lnbmF0dXJl".to_owned()
}

/// Token counts of an answer. Each token is counted in only one of the fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedUsage {
    /// Tokens of the prompt that were not read from a cache and not written to a cache.
    #[serde(default)]
    pub input: u64,
    /// Tokens of the answer. If the number exceeds the limit of the request, the answer stops at the limit
    /// with `max_tokens`.
    #[serde(default)]
    pub output: u64,
    /// Tokens read from a cache.
    #[serde(default)]
    pub cache_read: u64,
    /// Tokens written to a cache for five minutes.
    #[serde(default)]
    pub cache_write_5m: u64,
    /// Tokens written to a cache for an hour.
    #[serde(default)]
    pub cache_write_1h: u64,
}

/// A fault of an answer.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelFault {
    /// An error response with this status.
    Status {
        status: u16,
        /// Type of the error. If the type is empty, the status determines the type.
        #[serde(default, rename = "type")]
        error: String,
        #[serde(default)]
        message: String,
        /// Headers of the response, such as `retry-after`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// The connection is closed before any part of the answer is sent.
    Reset,
    /// The connection is closed in the middle of the event after this position.
    #[serde(rename = "cut")]
    Truncated {
        /// Position of the fault in the stream.
        after: StreamPosition,
    },
    /// An error is sent in the stream after this position.
    Error {
        /// Position of the fault in the stream.
        after: StreamPosition,
        #[serde(rename = "type")]
        error: String,
        #[serde(default)]
        message: String,
    },
    /// An event that is not JSON is sent after this position.
    BadJson {
        /// Position of the fault in the stream.
        after: StreamPosition,
    },
    /// Status 200 with an empty body.
    #[serde(rename = "empty")]
    EmptyBody,
    /// Status 200 with an HTML page for people.
    Html,
    /// The answer is sent after a delay.
    Slow {
        /// Delay of the answer in milliseconds.
        millis: u64,
    },
    /// The answer is sent with a delay before each event.
    Drip {
        /// Delay of each event in milliseconds.
        millis: u64,
    },
    /// Nothing is sent after this position, and the connection stays open.
    Stall {
        /// Position of the fault in the stream.
        after: StreamPosition,
    },
    /// The answer is a text that never ends.
    Endless,
    /// After the start of the message, pings are sent forever.
    Pings {
        /// Time between two pings, in milliseconds.
        millis: u64,
    },
}

/// A position in a stream: before the first event (`Headers`), or after the first event of a certain kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamPosition {
    /// Before the first event.
    Headers,
    /// After the start of the message.
    Start,
    /// After the first piece of text.
    Text,
    /// After the first piece of a tool's input.
    ToolJson,
    /// After the first end of a block.
    Block,
    /// After the event with the stop reason, which precedes the last event.
    Stop,
}

/// The error of an invalid script.
#[derive(Debug, thiserror::Error)]
#[error("the model's script cannot be read: {0}")]
pub struct ScriptError(#[from] toml::de::Error);

impl ModelScript {
    /// Parses a script from TOML.
    ///
    /// # Errors
    /// [`ScriptError`], which names the line.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        Ok(toml::from_str(text)?)
    }

    /// Returns a script of these answers.
    pub fn from_answers(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self { answers: answers.into_iter().collect(), ..Self::default() }
    }
}

impl ScriptedAnswer {
    /// Returns an answer with this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Returns an answer with one tool call.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        let block = AnswerBlock::ToolUse { name: name.into(), input, json: None };
        Self { blocks: vec![block], ..Self::default() }
    }

    /// Returns two answers that report these bugs: one for auditors of changes, one for auditors of fixes.
    /// Each answer applies to any number of requests.
    pub fn for_auditors(bugs: impl IntoIterator<Item = KnownBug>) -> [Self; 2] {
        let play = ScriptedBehaviour::Audit { bugs: bugs.into_iter().collect(), silent: Vec::new() };
        [PromptRole::Audit, PromptRole::Check]
            .map(|role| Self::from_behaviour(play.clone()).for_role(role).times(0))
    }

    /// Returns the answer of a fixer that makes these fixes. The answer applies to any number of requests.
    pub fn for_fixer(fixes: impl IntoIterator<Item = ScriptedFix>) -> Self {
        Self::from_behaviour(ScriptedBehaviour::Fix { mends: fixes.into_iter().collect() })
            .for_role(PromptRole::Fix)
            .times(0)
    }

    /// Returns the answer of a writer of descriptions. The answer applies to any number of requests.
    pub fn for_describer(summary: impl Into<String>) -> Self {
        let play = ScriptedBehaviour::Describe { summary: summary.into(), loses: false };
        Self::from_behaviour(play).for_role(PromptRole::Describe).times(0)
    }

    /// Returns an answer that depends on the request.
    pub fn from_behaviour(behaviour: ScriptedBehaviour) -> Self {
        Self { play: Some(behaviour), ..Self::default() }
    }

    /// Returns an answer with this fault.
    pub fn fault(fault: ModelFault) -> Self {
        Self { text: "some words".to_owned(), fault: Some(fault), ..Self::default() }
    }

    /// Returns an error response with this status.
    pub fn status(status: u16) -> Self {
        let (error, message, headers) = Default::default();
        Self::fault(ModelFault::Status { status, error, message, headers })
    }

    /// Uses the answer for this many requests; 0 for all matching requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Limits the answer to requests that meet this condition.
    #[must_use]
    pub fn with_condition(mut self, condition: AnswerCondition) -> Self {
        self.condition = condition;
        self
    }

    /// Limits the answer to requests for this role.
    #[must_use]
    pub fn for_role(mut self, role: PromptRole) -> Self {
        self.condition.role = Some(role);
        self
    }

    /// Sets the number of output tokens, which may exceed the limit of the request.
    #[must_use]
    pub fn with_overrun(self, output: u64) -> Self {
        Self { overruns: true, ..self.usage(100, output) }
    }

    /// Sets the token counts of the answer.
    #[must_use]
    pub fn usage(mut self, input: u64, output: u64) -> Self {
        self.usage = Some(ScriptedUsage { input, output, ..ScriptedUsage::default() });
        self
    }

    /// Sets the stop reason.
    #[must_use]
    pub fn with_stop_reason(mut self, stop_reason: impl Into<String>) -> Self {
        self.stop = Some(stop_reason.into());
        self
    }

    /// Returns all blocks of the answer to a request, in order.
    pub(super) fn answer_blocks(&self, body: &Value) -> Vec<AnswerBlock> {
        let mut blocks = self.play.as_ref().map(|play| play.answer_blocks(body)).unwrap_or_default();
        blocks.extend(self.blocks.iter().cloned());
        let repeat = usize::try_from(self.repeat).unwrap_or(usize::MAX);
        let text = Some(self.text.repeat(repeat)).filter(|text| !text.is_empty());
        let json = self.json.as_ref().map(Value::to_string);
        blocks.extend(text.into_iter().chain(json).map(|text| AnswerBlock::Text { text }));
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_it_means() {
        let script = ModelScript::parse(
            r#"
            [[answer]]
            blocks = [
                { type = "thinking", thinking = "hm" },
                { type = "tool_use", name = "read", input = { path = "a.py" } },
            ]
            [[answer]]
            when = { model = "m", headers = { x-run = "1" } }
            times = 0
            json = { findings = [] }
            usage = { input = 7, cache_write_1h = 2 }
            fault = { kind = "cut", after = "tool_json" }
            "#,
        )
        .unwrap();
        assert_eq!(script.keys, [DEFAULT_API_KEY]);
        assert_eq!(script.answers[0].answer_blocks(&Value::Null).len(), 2);
        assert_eq!(
            script.answers[1].answer_blocks(&Value::Null),
            [AnswerBlock::Text { text: r#"{"findings":[]}"#.into() }]
        );
        assert_eq!(script.answers[1].fault, Some(ModelFault::Truncated { after: StreamPosition::ToolJson }));
    }

    #[test]
    fn a_word_that_means_nothing_is_an_error() {
        for text in ["[[answer]]\ntxt = 1", "[[answer]]\nfault = { kind = \"sleep\" }", "answers = []"] {
            assert!(ModelScript::parse(text).is_err(), "{text}");
        }
    }
}
