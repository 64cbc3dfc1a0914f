//! What the model says, request by request, as a readable file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::play::{KnownBug, PromptRole, ScriptedBehaviour, ScriptedFix};

/// The key that is accepted if a script names none.
pub const KEY: &str = "fake-model-key";

/// A script. As TOML:
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
/// A model of the converge loop, who finds a planted line as long as it is there:
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
/// A request gets the first answer that is not used up and that its conditions meet.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelScript {
    /// The credentials that are accepted, as `x-api-key` or as a bearer token.
    #[serde(default = "default_keys")]
    pub keys: Vec<String>,
    /// Each credential plays the script from its beginning: for runs that go on side by side.
    #[serde(default)]
    pub each_key: bool,
    /// Carry out every instruction that is planted in a request before anything else (see
    /// [`super::FakeModel`]).
    #[serde(default)]
    pub obedient: bool,
    /// The answers, in order.
    #[serde(default, rename = "answer")]
    pub answers: Vec<ScriptedAnswer>,
}

fn default_keys() -> Vec<String> {
    vec![KEY.to_owned()]
}

impl Default for ModelScript {
    fn default() -> Self {
        Self { keys: default_keys(), each_key: false, obedient: false, answers: Vec::new() }
    }
}

/// One answer.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// For which requests.
    #[serde(default)]
    pub when: AnswerCondition,
    /// For so many of them; 0: for all.
    #[serde(default = "one")]
    pub times: u32,
    /// What is said, in order.
    #[serde(default)]
    pub blocks: Vec<AnswerBlock>,
    /// More text, after the blocks.
    #[serde(default)]
    pub text: String,
    /// How often that text is repeated.
    #[serde(default = "one")]
    pub repeat: u32,
    /// What it does by what it is shown; the blocks then follow.
    #[serde(default)]
    pub play: Option<ScriptedBehaviour>,
    /// JSON to be said as text, after the blocks and the text.
    #[serde(default)]
    pub json: Option<Value>,
    /// Why it stops; none: `tool_use` if it calls a tool, else `end_turn`.
    #[serde(default)]
    pub stop: Option<String>,
    /// What is counted; none: a token for each four bytes.
    #[serde(default)]
    pub usage: Option<ScriptedUsage>,
    /// Is more counted than the request allows?
    #[serde(default)]
    pub overruns: bool,
    /// What goes wrong.
    #[serde(default)]
    pub fault: Option<ModelFault>,
}

fn one() -> u32 {
    1
}

impl Default for ScriptedAnswer {
    fn default() -> Self {
        Self {
            when: AnswerCondition::default(),
            times: 1,
            blocks: Vec::new(),
            text: String::new(),
            repeat: 1,
            play: None,
            json: None,
            stop: None,
            usage: None,
            overruns: false,
            fault: None,
        }
    }
}

/// Which requests an answer is for: those that meet all that is given.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerCondition {
    /// The model that is asked.
    #[serde(default)]
    pub model: Option<String>,
    /// The credential.
    #[serde(default)]
    pub key: Option<String>,
    /// Headers, by name in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Text anywhere in the body.
    #[serde(default)]
    pub contains: Option<String>,
    /// Who is asked, in the converge loop.
    #[serde(default)]
    pub role: Option<PromptRole>,
    /// Is it the first request of its run, or not?
    #[serde(default)]
    pub fresh: Option<bool>,
    /// Texts that all stand in the system prompt, wherever its lines end.
    #[serde(default)]
    pub system: Vec<String>,
    /// Texts that all stand in the first message, in the same way.
    #[serde(default)]
    pub first: Vec<String>,
}

/// A piece of an answer.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AnswerBlock {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// Thinking, with its signature.
    Thinking {
        /// The words.
        thinking: String,
        /// What has to go back unchanged.
        #[serde(default = "default_signature")]
        signature: String,
    },
    /// Thinking that is not shown.
    RedactedThinking {
        /// What has to go back unchanged.
        data: String,
    },
    /// A tool is called.
    ToolUse {
        /// The tool.
        name: String,
        /// Its input.
        #[serde(default)]
        input: Value,
        /// Its input as it is written, be it JSON or not; none: `input`.
        #[serde(default)]
        json: Option<String>,
    },
}

fn default_signature() -> String {
    "c2lnbmF0dXJl".to_owned()
}

/// Tokens, in disjoint buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedUsage {
    /// Of the prompt, beside caches.
    #[serde(default)]
    pub input: u64,
    /// Of the answer. Never more than the request allows: then the answer stops there, with `max_tokens`.
    #[serde(default)]
    pub output: u64,
    /// Read from a cache.
    #[serde(default)]
    pub cache_read: u64,
    /// Written to a cache for five minutes.
    #[serde(default)]
    pub cache_write_5m: u64,
    /// Written to a cache for an hour.
    #[serde(default)]
    pub cache_write_1h: u64,
}

/// What goes wrong.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelFault {
    /// A refusal.
    Status {
        /// The HTTP status.
        status: u16,
        /// The error's type; empty: that of the status.
        #[serde(default, rename = "type")]
        error: String,
        /// Its words.
        #[serde(default)]
        message: String,
        /// Headers, such as `retry-after`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// The connection ends before any answer.
    Reset,
    /// The connection ends in the middle of what follows this place.
    Cut {
        /// Where.
        after: StreamPlace,
    },
    /// An error is sent after this place, in the stream.
    Error {
        /// Where.
        after: StreamPlace,
        /// The error's type.
        #[serde(rename = "type")]
        error: String,
        /// Its words.
        #[serde(default)]
        message: String,
    },
    /// An event that is no JSON follows this place.
    BadJson {
        /// Where.
        after: StreamPlace,
    },
    /// 200 with nothing.
    Empty,
    /// 200 with a page for people.
    Html,
    /// The answer, this late.
    Slow {
        /// In milliseconds.
        millis: u64,
    },
    /// The answer, with a wait before each event.
    Drip {
        /// In milliseconds.
        millis: u64,
    },
    /// Nothing more after this place, and the connection stays.
    Stall {
        /// Where.
        after: StreamPlace,
    },
    /// Text without end.
    Endless,
    /// Pings without end, after the start.
    Pings {
        /// Between two of them, in milliseconds.
        millis: u64,
    },
}

/// A place in a stream: after the first event of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamPlace {
    /// Before anything.
    Headers,
    /// The start of the message.
    Start,
    /// A piece of text.
    Text,
    /// A piece of a tool's input.
    ToolJson,
    /// The end of a block.
    Block,
    /// The reason to stop, before the end.
    Stop,
}

/// Why a script cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the model's script cannot be read: {0}")]
pub struct ScriptError(#[from] toml::de::Error);

impl ModelScript {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`], with the line.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        Ok(toml::from_str(text)?)
    }

    /// A script of these answers.
    pub fn of(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self { answers: answers.into_iter().collect(), ..Self::default() }
    }
}

impl ScriptedAnswer {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// One call of a tool.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        let block = AnswerBlock::ToolUse { name: name.into(), input, json: None };
        Self { blocks: vec![block], ..Self::default() }
    }

    /// Auditors of changes and fixes who know of these bugs, from here on.
    pub fn audits(bugs: impl IntoIterator<Item = KnownBug>) -> [Self; 2] {
        let play = ScriptedBehaviour::Audit { bugs: bugs.into_iter().collect(), silent: Vec::new() };
        [PromptRole::Audit, PromptRole::Check].map(|role| Self::played(play.clone()).by(role).times(0))
    }

    /// A fixer who knows to mend these, from here on.
    pub fn fixes(mends: impl IntoIterator<Item = ScriptedFix>) -> Self {
        Self::played(ScriptedBehaviour::Fix { mends: mends.into_iter().collect() })
            .by(PromptRole::Fix)
            .times(0)
    }

    /// A writer of descriptions, from here on.
    pub fn describes(summary: impl Into<String>) -> Self {
        let play = ScriptedBehaviour::Describe { summary: summary.into(), loses: false };
        Self::played(play).by(PromptRole::Describe).times(0)
    }

    /// What depends on what the request shows.
    pub fn played(play: ScriptedBehaviour) -> Self {
        Self { play: Some(play), ..Self::default() }
    }

    /// Something that goes wrong.
    pub fn fault(fault: ModelFault) -> Self {
        Self { text: "some words".to_owned(), fault: Some(fault), ..Self::default() }
    }

    /// A refusal with this status.
    pub fn status(status: u16) -> Self {
        let (error, message, headers) = Default::default();
        Self::fault(ModelFault::Status { status, error, message, headers })
    }

    /// For so many requests; 0: for all.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// For these requests alone.
    #[must_use]
    pub fn when(mut self, when: AnswerCondition) -> Self {
        self.when = when;
        self
    }

    /// For requests to this one alone.
    #[must_use]
    pub fn by(mut self, role: PromptRole) -> Self {
        self.when.role = Some(role);
        self
    }

    /// With so many tokens of the answer, whatever the request allows.
    #[must_use]
    pub fn overrun(self, output: u64) -> Self {
        Self { overruns: true, ..self.usage(100, output) }
    }

    /// With this count.
    #[must_use]
    pub fn usage(mut self, input: u64, output: u64) -> Self {
        self.usage = Some(ScriptedUsage { input, output, ..ScriptedUsage::default() });
        self
    }

    /// With this reason to stop.
    #[must_use]
    pub fn stop(mut self, stop: impl Into<String>) -> Self {
        self.stop = Some(stop.into());
        self
    }

    /// Everything that is said to a request, in order.
    pub(super) fn said(&self, body: &Value) -> Vec<AnswerBlock> {
        let mut blocks = self.play.as_ref().map(|play| play.said(body)).unwrap_or_default();
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
        assert_eq!(script.keys, [KEY]);
        assert_eq!(script.answers[0].said(&Value::Null).len(), 2);
        assert_eq!(
            script.answers[1].said(&Value::Null),
            [AnswerBlock::Text { text: r#"{"findings":[]}"#.into() }]
        );
        assert_eq!(script.answers[1].fault, Some(ModelFault::Cut { after: StreamPlace::ToolJson }));
    }

    #[test]
    fn a_word_that_means_nothing_is_an_error() {
        for text in ["[[answer]]\ntxt = 1", "[[answer]]\nfault = { kind = \"sleep\" }", "answers = []"] {
            assert!(ModelScript::parse(text).is_err(), "{text}");
        }
    }
}
