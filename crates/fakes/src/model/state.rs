//! The server's state: the position in the script, the log of requests, and the bills.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::events::PreparedAnswer;
use super::script::{AnswerBlock, AnswerCondition, ModelFault, ModelScript, ScriptedAnswer, ScriptedUsage};
use super::{compromised_model, scripted_behaviour};

/// Maximum number of logged requests. When the log is full, the oldest request is dropped.
pub const MAX_LOGGED_CALLS: usize = 20_000;
/// Number of bytes that are counted as one token.
const BYTES_PER_TOKEN: usize = 4;

#[derive(Clone, PartialEq, Debug)]
pub struct LoggedModelCall {
    /// Position in the order of arrival, counted from 1.
    pub number: u64,
    /// HTTP method; always `POST`.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark.
    pub query: String,
    /// All headers, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body as JSON; a body that is not JSON is a string.
    pub body: Value,
    /// Status of the response; `None` until the response is sent.
    pub status: Option<u16>,
    /// Blocks of the model's answer, if no fault occurs.
    pub answer_blocks: Vec<AnswerBlock>,
}

/// The bill of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestUsage {
    /// Number of the request.
    pub number: u64,
    /// Name of the model that answered.
    pub model: String,
    /// Billed tokens: the tokens of the prompt, and of the sent part of the answer.
    pub usage: ScriptedUsage,
    /// True if the complete answer was sent.
    pub is_complete: bool,
}

/// The answer for a request.
pub(super) struct PickedAnswer {
    pub(super) answer: PreparedAnswer,
    /// Headers of the response.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) fault: Option<ModelFault>,
}

/// The state that the server and its handle share.
pub(super) struct FakeModelShared {
    state: Mutex<FakeModelState>,
    /// Number of the request to stall; the flag is true after this request has arrived.
    stalled_request: watch::Sender<(Option<u64>, bool)>,
}

struct FakeModelState {
    script: ModelScript,
    /// Number of times that each answer was sent, by credential. If all credentials share the counts, the
    /// map's only key is the empty text.
    answer_use_counts: BTreeMap<String, Vec<u32>>,
    /// Previous script, the counts of the previous script's answers, and the number of the last request
    /// before the script was replaced. Requests up to this number use the previous script, so an aborted
    /// request uses up no answer of the new script.
    previous_script: Option<(ModelScript, BTreeMap<String, Vec<u32>>, u64)>,
    request_count: u64,
    log: std::collections::VecDeque<LoggedModelCall>,
    bills: BTreeMap<u64, RequestUsage>,
    violations: Vec<String>,
    /// Number of answers that have stalled. An answer is counted once the connection has written all data
    /// before the stall.
    stalled_answer_count: u64,
}

impl FakeModelShared {
    pub(super) fn new(script: ModelScript) -> Self {
        let state = FakeModelState {
            script,
            answer_use_counts: BTreeMap::new(),
            previous_script: None,
            request_count: 0,
            log: Default::default(),
            bills: BTreeMap::new(),
            violations: Vec::new(),
            stalled_answer_count: 0,
        };
        Self { state: Mutex::new(state), stalled_request: watch::Sender::default() }
    }

    fn lock_state(&self) -> MutexGuard<'_, FakeModelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stall_request(&self, request_number: u64) {
        self.stalled_request.send_replace((Some(request_number), false));
    }

    pub(super) fn resume(&self) {
        self.stalled_request.send_replace((None, false));
    }

    /// Waits until the stalled request may continue.
    pub(super) async fn wait_until_resumed(&self, number: u64) {
        // Waiting cannot fail, because the sender exists as long as this state.
        let _ = self.stalled_request.subscribe().wait_for(|(nth, _)| *nth != Some(number)).await;
    }

    pub(super) async fn wait_until_stalled(&self) {
        // Waiting cannot fail, because the sender exists as long as this state.
        let _ = self.stalled_request.subscribe().wait_for(|(_, is_there)| *is_there).await;
    }

    /// Returns true if this request is stalled.
    pub(super) fn is_stalled(&self, number: u64) -> bool {
        self.stalled_request.send_if_modified(|(nth, is_there)| {
            *is_there |= *nth == Some(number);
            *is_there
        });
        self.stalled_request.borrow().0 == Some(number)
    }

    pub(super) fn set_script(&self, script: ModelScript) {
        let mut state = self.lock_state();
        let before = std::mem::replace(&mut state.script, script);
        let given = std::mem::take(&mut state.answer_use_counts);
        state.previous_script = Some((before, given, state.request_count));
    }

    pub(super) fn knows_oauth_token(&self, token: &str) -> bool {
        self.lock_state().script.oauth_tokens.iter().any(|known| known == token)
    }

    pub(super) fn knows_key(&self, key: &str) -> bool {
        self.lock_state().script.keys.iter().any(|known| known == key)
    }

    pub(super) fn log_request(&self, head: &Parts, body: &Bytes) -> u64 {
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let body = serde_json::from_slice(body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
        let mut state = self.lock_state();
        state.request_count += 1;
        let number = state.request_count;
        if state.log.len() == MAX_LOGGED_CALLS {
            state.log.pop_front();
        }
        state.log.push_back(LoggedModelCall {
            number,
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body,
            status: None,
            answer_blocks: Vec::new(),
        });
        number
    }

    pub(super) fn record_status(&self, number: u64, status: u16) {
        self.update_log_entry(number, |logged| logged.status = Some(status));
    }

    fn update_log_entry(&self, number: u64, update: impl FnOnce(&mut LoggedModelCall)) {
        if let Some(logged) = self.lock_state().log.iter_mut().rev().find(|logged| logged.number == number) {
            update(logged);
        }
    }

    pub(super) fn record_violation(&self, number: u64, violation: &str) {
        self.lock_state().violations.push(format!("request {number}: {violation}"));
    }

    pub(super) fn count_tokens(&self, body: &Value) -> u64 {
        prompt_tokens(body)
    }

    pub(super) fn request_log(&self) -> Vec<LoggedModelCall> {
        self.lock_state().log.iter().cloned().collect()
    }

    pub(super) fn bills(&self) -> Vec<RequestUsage> {
        self.lock_state().bills.values().cloned().collect()
    }

    pub(super) fn clear_violations(&self) {
        self.lock_state().violations.clear();
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.lock_state().violations.clone()
    }

    pub(super) fn stalled_answer_count(&self) -> u64 {
        self.lock_state().stalled_answer_count
    }

    /// Counts an answer that has stalled and sends nothing more.
    pub(super) fn record_stalled_answer(&self) {
        self.lock_state().stalled_answer_count += 1;
    }

    /// Sets the bill of a request to the output tokens of the part that was sent so far.
    pub(super) fn record_bill(
        &self,
        number: u64,
        answer: &PreparedAnswer,
        output_tokens: u64,
        is_complete: bool,
    ) {
        let usage = ScriptedUsage { output: output_tokens, ..answer.usage };
        let bill = RequestUsage { number, model: answer.model.clone(), usage, is_complete };
        self.lock_state().bills.insert(number, bill);
    }

    /// Returns the answer for a request, and counts this answer as used once more.
    pub(super) fn pick_answer(
        &self,
        key: &str,
        headers: &HeaderMap,
        body: &Value,
        number: u64,
    ) -> Option<PickedAnswer> {
        let picked = self.next_answer(key, headers, body, number)?;
        self.update_log_entry(number, |logged| logged.answer_blocks.clone_from(&picked.answer.blocks));
        Some(picked)
    }

    fn next_answer(&self, key: &str, headers: &HeaderMap, body: &Value, number: u64) -> Option<PickedAnswer> {
        let mut state = self.lock_state();
        let FakeModelState { script, answer_use_counts: given_counts, previous_script: before, .. } =
            &mut *state;
        let (script, given_counts) = match before {
            Some((script, given_counts, last)) if number <= *last => (script, given_counts),
            Some(_) | None => (script, given_counts),
        };
        if script.obedient {
            let orders = compromised_model::find_instructions(body);
            if !orders.is_empty() {
                let answer = ScriptedAnswer { blocks: orders, ..ScriptedAnswer::default() };
                let answer = prepare_answer(&answer, body, number);
                return Some(PickedAnswer { answer, headers: BTreeMap::new(), fault: None });
            }
        }
        let whose = if script.each_key { key.to_owned() } else { String::new() };
        let given_counts = given_counts.entry(whose).or_default();
        given_counts.resize(script.answers.len(), 0);
        let (answer, given_counts) =
            script.answers.iter().zip(given_counts).find(|(answer, given_counts)| {
                (answer.times == 0 || **given_counts < answer.times)
                    && meets_condition(&answer.condition, key, headers, body)
            })?;
        *given_counts = given_counts.saturating_add(1);
        Some(PickedAnswer {
            answer: prepare_answer(answer, body, number),
            headers: answer.headers.clone(),
            fault: answer.fault.clone(),
        })
    }
}

fn meets_condition(condition: &AnswerCondition, key: &str, headers: &HeaderMap, body: &Value) -> bool {
    let AnswerCondition {
        model,
        key: wanted,
        contains,
        role,
        is_first_request: fresh,
        system,
        first_message: first,
        ..
    } = condition;
    let has =
        |(name, value): (&String, &String)| headers.get(name).is_some_and(|found| found == value.as_str());
    model.as_ref().is_none_or(|model| body["model"] == model.as_str())
        && wanted.as_ref().is_none_or(|wanted| wanted == key)
        && condition.headers.iter().all(has)
        && contains.as_ref().is_none_or(|text| value_contains(body, text))
        && role.is_none_or(|role| role.matches_request(body))
        && fresh.is_none_or(|fresh| fresh == scripted_behaviour::is_first_request(body))
        && prompt_contains(&body["system"], system)
        && prompt_contains(&body["messages"][0]["content"], first)
}

/// Returns true if a prompt contains all these texts. The blocks of the prompt are joined to one text, and
/// each run of white space counts as one space.
fn prompt_contains(content: &Value, expected_texts: &[String]) -> bool {
    let blocks = content.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
    let text = fold_spaces(&content.as_str().into_iter().chain(blocks).collect::<Vec<_>>().join(" "));
    expected_texts.iter().all(|expected_texts| text.contains(&fold_spaces(expected_texts)))
}

fn fold_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn value_contains(value: &Value, expected_text: &str) -> bool {
    match value {
        Value::String(text) => text.contains(expected_text),
        Value::Array(values) => values.iter().any(|value| value_contains(value, expected_text)),
        Value::Object(fields) => fields.values().any(|value| value_contains(value, expected_text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the answer with its token counts. The output tokens are limited to the request's maximum, unless
/// the script allows the answer to exceed the maximum.
fn prepare_answer(answer: &ScriptedAnswer, body: &Value, number: u64) -> PreparedAnswer {
    let blocks = answer.answer_blocks(body);
    let calls = blocks.iter().any(|block| matches!(block, AnswerBlock::ToolUse { .. }));
    let mut stop =
        answer.stop.clone().unwrap_or_else(|| if calls { "tool_use" } else { "end_turn" }.to_owned());
    let mut usage = answer.usage.unwrap_or_else(|| ScriptedUsage {
        input: prompt_tokens(body),
        output: estimate_tokens(blocks.iter().map(block_size).sum()),
        ..ScriptedUsage::default()
    });
    let most = body["max_tokens"].as_u64().unwrap_or(u64::MAX);
    if usage.output > most && !answer.overruns {
        usage.output = most;
        stop = "max_tokens".to_owned();
    }
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    PreparedAnswer { id: format!("msg_{number:06}"), model, blocks, stop_reason: stop, usage }
}

fn prompt_tokens(body: &Value) -> u64 {
    let parts = ["system", "messages", "tools"].map(|field| body[field].to_string().len());
    estimate_tokens(parts.iter().sum())
}

fn estimate_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX).max(1)
}

fn block_size(block: &AnswerBlock) -> usize {
    match block {
        AnswerBlock::Text { text } => text.len(),
        AnswerBlock::Thinking { thinking, .. } => thinking.len(),
        AnswerBlock::RedactedThinking { data } => data.len(),
        AnswerBlock::ToolUse { name, input, json } => {
            name.len() + json.as_ref().map_or_else(|| input.to_string().len(), String::len)
        }
    }
}
