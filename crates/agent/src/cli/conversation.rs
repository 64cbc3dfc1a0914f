//! A run whose conversation the `claude` program holds: each of its requests is a turn, each call that it makes over MCP
//! one that the model has wanted.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use truing_core::ledger::TokenUsage;
use truing_core::line::clean;
use truing_model::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, ToolDefinition};

use super::relay::{ProgramMessage, RelayReply};
use super::wire;
use crate::mcp::{McpTool, ToolHints};
use crate::native::turns::{RunTurns, TurnOutcome};
use crate::native::{AgentRun, AgentRunEnd, CallOutput, ReportForm, RunBrief};
use crate::schema::{MAX_NAME_CHARS, REPORT};

/// What the program is told as the model's last words.
const OVER: &str = "The run is over.";
/// How long it may take to end by itself then.
const ENDS: Duration = Duration::from_secs(10);

/// What every tool of a run is told to be. None is said to read alone, whatever it does: calls of such tools the program
/// makes all at once, in no order, and an edit needs the one before it.
pub(super) const HINTS: ToolHints =
    ToolHints { read_only: false, destructive: false, idempotent: false, open_world: false };

/// The run.
pub(super) struct CliConversation<'a, F, J> {
    turns: RunTurns<'a, F, J>,
    model: &'a str,
    /// Its end, as soon as there is one.
    over: Option<AgentRunEnd>,
    /// What the last answer's report was found to be.
    wrong: Option<String>,
    /// What its calls of tools that there are none of come to: the program tells the model so in words of its own.
    unknown: BTreeMap<String, CallOutput>,
    /// Calls of the last answer that came back.
    called: usize,
    /// Answers that the program was given.
    told: usize,
    /// What it was told that they took.
    counted: TokenUsage,
    /// Messages of the conversation that the program has, with its last answer. The run's own has more in between:
    /// what it said to the model without the program.
    known: usize,
}

impl<'a, F: ReportForm, J: Fn(&F) -> Option<String>> CliConversation<'a, F, J> {
    pub(super) fn new(turns: RunTurns<'a, F, J>, brief: &'a RunBrief) -> Self {
        Self {
            turns,
            model: &brief.model,
            over: None,
            wrong: None,
            unknown: BTreeMap::new(),
            called: 0,
            told: 0,
            counted: TokenUsage::default(),
            known: 0,
        }
    }

    /// The tools of the run.
    pub(super) fn offers(&self) -> Vec<McpTool> {
        let offer = |tool: &ToolDefinition| McpTool {
            name: tool.name.clone(),
            title: tool.name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
            output_schema: None,
            hints: HINTS,
        };
        self.turns.tools().iter().map(offer).collect()
    }

    /// Answers everything that the program says, until the run is over and the program had time to end. `start` is its
    /// place in the queue, until it has said something. The run is over, too, if it asks nothing `within` its time.
    pub(super) async fn held(
        &mut self,
        mut said: mpsc::Receiver<ProgramMessage>,
        start: Option<OwnedSemaphorePermit>,
        within: Duration,
    ) {
        let mut start = start;
        let latest = Instant::now() + within;
        let mut has_asked = false;
        while self.over.is_none() {
            let next = if has_asked { Ok(said.recv().await) } else { timeout_at(latest, said.recv()).await };
            let Ok(next) = next else {
                let why = format!("claude has not asked the model within {} s", within.as_secs_f32());
                self.over = Some(AgentRunEnd::Failed(why));
                // It has nothing to end in order.
                return;
            };
            let Some(said) = next else { break };
            drop(start.take());
            has_asked |= matches!(said, ProgramMessage::Ask { .. });
            self.hear(said).await;
        }
        let rest = async {
            while let Some(said) = said.recv().await {
                self.hear(said).await;
            }
        };
        // Nothing depends on it any more.
        let _ = timeout(ENDS, rest).await;
    }

    /// Has the run ended by itself?
    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// How the run ended: as it says itself, or else so.
    pub(super) async fn ended(self, end: AgentRunEnd) -> AgentRun<F> {
        self.turns.ended(self.over.unwrap_or(end)).await
    }

    async fn hear(&mut self, said: ProgramMessage) {
        // Whoever is not there any more needs no answer.
        match said {
            ProgramMessage::Ask { body, subagent, back } => {
                drop(back.send(self.asked(&body, subagent).await));
            }
            ProgramMessage::Call { name, input, back } => drop(back.send(self.called(&name, &input).await)),
        }
    }

    /// A request: one turn, or as many as pass without a call.
    async fn asked(&mut self, body: &[u8], subagent: Option<String>) -> RelayReply {
        let asked = match wire::read(body) {
            Ok(asked) => asked,
            Err(what) => return RelayReply::Refused(what),
        };
        if let Some(agent) = subagent {
            self.turns.count_denial(&format!("agent {agent}"));
            return RelayReply::Refused("this run has no agents but itself".to_owned());
        }
        if asked.model != self.model {
            let other = clean(&asked.model, MAX_NAME_CHARS);
            return RelayReply::Refused(format!("this run may not use the model `{other}`"));
        }
        if self.over.is_none() && !asked.tools.iter().any(|name| name == REPORT) {
            return RelayReply::Refused("the tools of this run are not connected".to_owned());
        }
        let said = match &self.over {
            Some(_) => None,
            None => self.turn(asked.messages).await,
        };
        match (said, &self.over) {
            (Some(said), _) => self.answer(&said, asked.streams),
            (None, Some(AgentRunEnd::Refused(why))) => RelayReply::Refused(why.to_string()),
            (None, Some(_) | None) => {
                let last =
                    ModelMessage { role: MessageRole::Assistant, content: vec![MessageBlock::text(OVER)] };
                self.answer(&last, asked.streams)
            }
        }
    }

    /// Asks the model until it wants calls to be made, or the run is over.
    async fn turn(&mut self, messages: Vec<ModelMessage>) -> Option<ModelMessage> {
        let known = std::mem::replace(&mut self.known, messages.len() + 1);
        if known > 0 && messages.len() > known {
            let mut new: Vec<ModelMessage> = messages.into_iter().skip(known).collect();
            self.answer_unknown(&mut new);
            self.turns.told(new);
        } else {
            self.turns.renew(messages);
        }
        self.over = self.turns.repaired(self.wrong.take());
        while self.over.is_none() {
            match self.turns.step().await {
                TurnOutcome::Again => {}
                TurnOutcome::Over(end) => self.over = Some(end),
                TurnOutcome::Calls { said, wrong } => {
                    self.unknown = self.turns.unknown(&said).await;
                    self.turns.push_said(said.clone());
                    (self.wrong, self.called) = (wrong, 0);
                    return Some(said);
                }
            }
        }
        None
    }

    fn answer_unknown(&self, messages: &mut [ModelMessage]) {
        for block in messages.iter_mut().flat_map(|message| &mut message.content) {
            if let MessageBlock::Known(KnownBlock::ToolResult { tool_use_id, content, is_error, .. }) = block
                && let Some(output) = self.unknown.get(tool_use_id)
            {
                (*content, *is_error) = (output.text.clone(), output.is_error);
            }
        }
    }

    /// An answer for the program, with all that was counted since the one before: its own cap on money adds that up.
    fn answer(&mut self, said: &ModelMessage, streams: bool) -> RelayReply {
        self.told += 1;
        let id = format!("msg_{:08}", self.told);
        let counted = std::mem::replace(&mut self.counted, self.turns.usage());
        let usage = self.counted.minus(&counted);
        RelayReply::Said { body: wire::told(said, (&id, self.model), &usage, streams), streams }
    }

    /// A call of the last answer.
    async fn called(&mut self, name: &str, input: &Value) -> CallOutput {
        let (at, wrong) = (self.called, self.wrong.clone());
        self.called += 1;
        self.turns.call(name, input, at, wrong.as_deref()).await
    }
}
