use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use truing_core::agent::MAX_OUTPUT_BYTES;
use truing_core::ledger::{BudgetLevel, BudgetLevelKind, TokenUsage};
use truing_core::money::MicroUsd;
use truing_model::gateway::{ModelAnswer, ModelError};
use truing_model::messages::{
    KnownBlock, MessageBlock, MessageRole, ModelMessage, ModelRequest, StopReason, ToolDefinition,
};

use super::*;
use crate::runtime::AgentRuntime;
use crate::schema::REPORT_TOOL;

/// Returns the scripted response of a model to one request.
type Reply = Box<dyn Fn(&ModelRequest) -> Result<(Vec<Value>, StopReason), ModelError> + Send + Sync>;

/// A model that replies from a script and records the requests.
struct Scripted {
    replies: Vec<Reply>,
    asked: Mutex<Vec<ModelRequest>>,
    usage: TokenUsage,
    cost: u64,
    paid: AtomicU64,
    slow: Duration,
}

impl Scripted {
    fn new(replies: Vec<Reply>) -> Self {
        let usage = TokenUsage { input: 100, output: 10, ..TokenUsage::default() };
        Self {
            replies,
            asked: Mutex::default(),
            usage,
            cost: 1000,
            paid: AtomicU64::new(0),
            slow: Duration::ZERO,
        }
    }

    fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl LanguageModel for Scripted {
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        tokio::time::sleep(self.slow).await;
        let at = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        // A call costs money even if it gets no response.
        self.paid.fetch_add(self.cost, Ordering::Relaxed);
        let reply = self.replies.get(at).or(self.replies.last()).unwrap();
        let (content, stop) = reply(request)?;
        let content = content.into_iter().map(|block| serde_json::from_value(block).unwrap()).collect();
        Ok(ModelAnswer {
            message: ModelMessage { role: MessageRole::Assistant, content },
            stop,
            usage: self.usage,
            cost: MicroUsd(self.cost),
            model: "m-1".into(),
            served_by: None,
            request_id: String::new(),
        })
    }

    async fn cost(&self) -> MicroUsd {
        MicroUsd(self.paid.load(Ordering::Relaxed))
    }
}

/// A model whose responses name these fallback models as their authors, in this order. `None` names no
/// fallback model.
struct FallbackScript(Scripted, [Option<&'static str>; 3]);

#[async_trait]
impl LanguageModel for FallbackScript {
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let answer = self.0.request_answer(request).await?;
        let served_by = self.1.get(self.0.asked().len() - 1).copied().flatten().map(str::to_owned);
        Ok(ModelAnswer { served_by, ..answer })
    }

    async fn cost(&self) -> MicroUsd {
        self.0.cost().await
    }
}

/// Tools that answer every call with `text` and count the calls.
#[derive(Default)]
struct RecordingTools {
    text: String,
    called: AtomicU32,
    /// True if every call is denied.
    deny: bool,
}

#[async_trait]
impl RunTools for RecordingTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: String::new(),
            input_schema: json!({ "type": "object" }),
            cache_control: None,
        };
        vec![tool("read"), tool("grep")]
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        self.called.fetch_add(1, Ordering::Relaxed);
        let text = format!("{name} {input}: {}", self.text);
        ToolCallOutput { text, is_error: self.deny, is_denied: self.deny }
    }
}

fn says(content: Value, stop: StopReason) -> Reply {
    let content = content.as_array().unwrap().clone();
    Box::new(move |_| Ok((content.clone(), stop)))
}

fn refuses(reason: fn() -> ModelError) -> Reply {
    Box::new(move |_| Err(reason()))
}

fn use_of(id: &str, name: &str, input: Value) -> Value {
    json!({ "type": "tool_use", "id": id, "name": name, "input": input })
}

fn reads() -> Reply {
    says(json!([use_of("t", "read", json!({ "path": "a" }))]), StopReason::ToolUse)
}

fn found(title: &str) -> Value {
    json!({ "path": "a", "start_line": 1, "severity": "P1", "category": "F", "title": title,
        "body": "b", "excerpt": "e" })
}

fn reports(title: &str, more: bool) -> Reply {
    let input = json!({ "findings": [found(title)], "more": more });
    says(json!([use_of("r", REPORT_TOOL, input)]), StopReason::ToolUse)
}

fn brief() -> AgentRunInput {
    AgentRunInput { model: "m".into(), system_prompt: "be good".into(), review_text: "look".into() }
}

async fn ran(model: &Scripted, limits: RunLimits) -> AgentRunResult {
    run(model, &RecordingTools::default(), &brief(), &limits).await
}

fn titles(ran: &AgentRunResult) -> Vec<&str> {
    ran.report.findings.iter().map(|item| item.title.as_str()).collect()
}

fn results(message: &ModelMessage) -> Vec<(String, String, bool)> {
    let result = |block: &MessageBlock| match block {
        MessageBlock::Known(KnownBlock::ToolResult { tool_use_id, content, is_error, .. }) => {
            Some((tool_use_id.clone(), content.clone(), *is_error))
        }
        MessageBlock::Known(KnownBlock::Text { .. } | KnownBlock::ToolUse { .. })
        | MessageBlock::Other(_) => None,
    };
    message.content.iter().filter_map(result).collect()
}

fn last_words(request: &ModelRequest) -> String {
    let last = request.messages.last().unwrap().content.last().unwrap();
    let MessageBlock::Known(KnownBlock::Text { text, .. }) = last else { panic!("{last:?}") };
    text.clone()
}

#[tokio::test]
async fn parallel_calls_are_answered_in_one_message_and_a_report_ends_the_run() {
    let calls = json!([
        { "type": "thinking", "thinking": "hm", "signature": "s" },
        { "type": "text", "text": "looking" },
        use_of("1", "read", json!({ "path": "a" })),
        use_of("2", "grep", json!({ "for": "b" })),
    ]);
    let model = Scripted::new(vec![says(calls.clone(), StopReason::ToolUse), reports("one", false)]);
    let ran = ran(&model, RunLimits::default()).await;
    assert!(ran.end.is_complete(), "{:?}", ran.end);
    assert_eq!((ran.turns, ran.cost, ran.usage.input), (2, MicroUsd(2000), 200));
    assert_eq!((titles(&ran), ran.model.as_str()), (vec!["one"], "m-1"));
    assert_eq!(ran.tool_calls, [("grep".to_owned(), 1), ("read".to_owned(), 1)].into());
    let [_, asked] = model.asked().try_into().unwrap();
    let [_, said, answered] = asked.messages.as_slice() else { panic!("{asked:?}") };
    assert_eq!(serde_json::to_value(&said.content).unwrap(), calls, "thinking goes back as it came");
    let expected = [
        ("1".to_owned(), "read {\"path\":\"a\"}: ".to_owned(), false),
        ("2".to_owned(), "grep {\"for\":\"b\"}: ".to_owned(), false),
    ];
    assert_eq!(results(answered), expected);
}

#[tokio::test]
async fn all_who_have_answered_are_named_once() {
    for (by, expected) in [
        ([None; 3], "m-1"),
        ([Some("b"); 3], "m-1 (fallback b)"),
        ([Some("b"), None, None], "m-1 (fallback b), then m-1"),
        ([None, Some("b"), None], "m-1, then m-1 (fallback b)"),
    ] {
        let model = FallbackScript(Scripted::new(vec![reads(), reads(), reports("one", false)]), by);
        let ran = run(&model, &RecordingTools::default(), &brief(), &RunLimits::default()).await;
        assert_eq!((ran.turns, ran.model.as_str()), (3, expected), "{by:?}");
    }
}

#[tokio::test]
async fn findings_add_up_over_several_reports() {
    let model = Scripted::new(vec![reports("one", true), reads(), reports("two", false)]);
    let ran = ran(&model, RunLimits::default()).await;
    assert!(ran.end.is_complete());
    assert_eq!((titles(&ran), ran.turns), (vec!["one", "two"], 3));
}

#[tokio::test]
async fn endless_calls_end_at_the_turn_limit_and_the_last_turn_asks_for_what_there_is() {
    let model = Scripted::new(vec![reads()]);
    let ended = ran(&model, RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Turns)), "{:?}", ended.end);
    assert_eq!((ended.turns, model.asked().len()), (25, 25));
    let told: Vec<bool> = model
        .asked()
        .iter()
        .map(|asked| serde_json::to_string(asked).unwrap().contains("This is your last turn"))
        .collect();
    assert_eq!(told.iter().position(|told| *told), Some(24));

    let obeys: Reply = Box::new(|request| {
        let last = serde_json::to_string(request).unwrap().contains("This is your last turn");
        if last { reports("late", false)(request) } else { reads()(request) }
    });
    let model = Scripted::new(vec![obeys]);
    let ended = ran(&model, RunLimits { turns: 3, ..RunLimits::default() }).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Turns)), "what had to stop early is not whole");
    assert_eq!((ended.turns, titles(&ended)), (3, vec!["late"]));
}

#[tokio::test]
async fn a_run_of_one_turn_can_be_whole() {
    let limits = RunLimits { turns: 1, ..RunLimits::default() };
    assert!(ran(&Scripted::new(vec![reports("one", false)]), limits).await.end.is_complete());
    let model = Scripted::new(vec![reads()]);
    assert!(matches!(ran(&model, limits).await.end, AgentRunEnd::Limit(RunLimit::Turns)));
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn prose_is_asked_about_once_and_an_empty_message_is_never_whole() {
    for stop in [StopReason::EndTurn, StopReason::ToolUse, StopReason::StopSequence] {
        for content in [
            json!([]),
            json!([{ "type": "text", "text": "All good!" }]),
            json!([{ "type": "text", "text": " " }]),
        ] {
            let model = Scripted::new(vec![says(content.clone(), stop), reports("one", false)]);
            let mended = ran(&model, RunLimits::default()).await;
            assert!(mended.end.is_complete());
            assert_eq!((mended.turns, titles(&mended)), (2, vec!["one"]));
            assert!(last_words(&model.asked()[1]).contains("Call the tool `report`"));

            let model = Scripted::new(vec![says(content.clone(), stop)]);
            let ended = ran(&model, RunLimits::default()).await;
            assert!(matches!(ended.end, AgentRunEnd::InvalidReport(_)), "{stop:?} {content} {:?}", ended.end);
            assert_eq!(ended.turns, 2);
        }
    }
}

#[tokio::test]
async fn a_report_off_schema_is_answered_as_a_failed_call_once() {
    let wrong =
        || says(json!([use_of("r", REPORT_TOOL, json!({ "verdict": "approve" }))]), StopReason::ToolUse);
    let model = Scripted::new(vec![wrong(), reports("one", false)]);
    assert!(ran(&model, RunLimits::default()).await.end.is_complete());
    let answered = results(model.asked()[1].messages.last().unwrap());
    assert!(answered[0].2 && answered[0].1.contains("findings"), "{answered:?}");
    let ended = ran(&Scripted::new(vec![wrong()]), RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::InvalidReport(_)));
}

#[tokio::test]
async fn a_tool_that_is_not_offered_is_denied_told_and_counted() {
    let bash =
        || says(json!([use_of("1", "bash", json!({})), use_of("2", "read", json!({}))]), StopReason::ToolUse);
    let model = Scripted::new(vec![bash(), reports("one", false)]);
    let told = RecordingTools::default();
    let ended = run(&model, &told, &brief(), &RunLimits::default()).await;
    assert!(ended.end.is_complete());
    assert_eq!(ended.denials, [("bash".to_owned(), 1)].into());
    assert_eq!(told.called.load(Ordering::Relaxed), 1);
    let answered = results(model.asked()[1].messages.last().unwrap());
    assert!(answered[0].2 && answered[0].1.starts_with("denied"), "{answered:?}");

    let many: Vec<Value> = (0..20).map(|n| use_of(&n.to_string(), "bash", json!({}))).collect();
    let model = Scripted::new(vec![says(json!(many), StopReason::ToolUse)]);
    let ended = ran(&model, RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Calls)), "{:?}", ended.end);
    assert_eq!((ended.denials["bash"], ended.turns), (60, 4));
}

#[tokio::test]
async fn what_a_tool_denies_is_counted_and_ends_a_run_that_asks_for_nothing_else() {
    let many: Vec<Value> = (0..20).map(|n| use_of(&n.to_string(), "read", json!({}))).collect();
    let model = Scripted::new(vec![says(json!(many), StopReason::ToolUse)]);
    let told = RecordingTools { deny: true, ..RecordingTools::default() };
    let ended = run(&model, &told, &brief(), &RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Calls)), "{:?}", ended.end);
    assert_eq!((ended.denials["read"], ended.turns), (60, 4));
}

#[tokio::test]
async fn calls_beyond_what_one_answer_may_make_are_not_made() {
    let many: Vec<Value> =
        (0..MAX_CALLS_PER_RESPONSE + 3).map(|n| use_of(&n.to_string(), "read", json!({}))).collect();
    let model = Scripted::new(vec![says(json!(many), StopReason::ToolUse), reports("one", false)]);
    let told = RecordingTools::default();
    run(&model, &told, &brief(), &RunLimits::default()).await;
    assert_eq!(told.called.load(Ordering::Relaxed) as usize, MAX_CALLS_PER_RESPONSE);
    assert_eq!(results(model.asked()[1].messages.last().unwrap()).len(), MAX_CALLS_PER_RESPONSE + 3);
}

#[tokio::test]
async fn every_stop_has_its_end() {
    let text = || json!([{ "type": "text", "text": "part" }]);
    let declined = ran(&Scripted::new(vec![says(text(), StopReason::Refusal)]), RunLimits::default()).await;
    assert!(matches!(declined.end, AgentRunEnd::Declined) && declined.turns == 1);

    let model = Scripted::new(vec![says(text(), StopReason::PauseTurn), reports("one", false)]);
    assert!(ran(&model, RunLimits::default()).await.end.is_complete());
    assert_eq!(
        model.asked()[1].messages.last().unwrap().role,
        MessageRole::Assistant,
        "goes on where it was"
    );
    let paused = ran(&Scripted::new(vec![says(text(), StopReason::PauseTurn)]), RunLimits::default()).await;
    assert!(matches!(paused.end, AgentRunEnd::Limit(RunLimit::Turns)));

    let model = Scripted::new(vec![says(text(), StopReason::MaxTokens), reports("one", false)]);
    assert!(ran(&model, RunLimits::default()).await.end.is_complete());
    assert!(last_words(&model.asked()[1]).contains("cut off"));
    let model = Scripted::new(vec![says(json!([use_of("1", "read", json!({}))]), StopReason::MaxTokens)]);
    let cut = ran(&model, RunLimits::default()).await;
    assert!(matches!(cut.end, AgentRunEnd::ResponseTooLong));
    assert_eq!(cut.turns, 3);
    assert!(cut.tool_calls.is_empty(), "a call that was cut off is not made");

    let full =
        ran(&Scripted::new(vec![says(text(), StopReason::ModelContextWindowExceeded)]), RunLimits::default())
            .await;
    assert!(matches!(full.end, AgentRunEnd::ContextExceeded));
}

#[tokio::test]
async fn what_was_reported_before_a_refusal_is_kept() {
    fn level(kind: BudgetLevelKind) -> BudgetLevel {
        BudgetLevel { kind, key: "k".into(), period: String::new(), limit: MicroUsd(1) }
    }
    let budget: fn() -> ModelError = || ModelError::Budget { level: level(BudgetLevelKind::Review) };
    let model = Scripted::new(vec![reports("one", true), refuses(budget)]);
    let ended = ran(&model, RunLimits::default()).await;
    assert!(ended.end.to_string().starts_with("budget"), "{}", ended.end);
    assert_eq!((titles(&ended), ended.turns), (vec!["one"], 1));
    let down = ran(
        &Scripted::new(vec![refuses(|| ModelError::Halted(truing_core::port::HaltReason::KillSwitch))]),
        RunLimits::default(),
    )
    .await;
    assert!(matches!(down.end, AgentRunEnd::ModelFailed(ModelError::Halted(_))));
}

#[tokio::test]
async fn money_that_is_nearly_out_asks_for_the_findings() {
    let model = Scripted::new(vec![reads()]);
    let ended = ran(&model, RunLimits { max_cost: Some(MicroUsd(5500)), ..RunLimits::default() }).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Money)));
    assert_eq!((ended.turns, ended.cost), (5, MicroUsd(5000)));
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_asks_first_and_then_ends_what_hangs() {
    let mut model = Scripted::new(vec![reads()]);
    model.slow = Duration::from_secs(60);
    let ended = ran(&model, RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Time)));
    assert_eq!(ended.turns, 18, "asked to conclude after 17 minutes");

    let mut hangs = Scripted::new(vec![reports("one", true)]);
    hangs.slow = Duration::from_secs(19 * 60);
    let began = tokio::time::Instant::now();
    let ended = ran(&hangs, RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::Limit(RunLimit::Time)));
    assert_eq!(began.elapsed(), DEFAULT_TIME_LIMIT);
    assert_eq!(titles(&ended), ["one"], "what was reported before it hung counts");
}

#[tokio::test]
async fn the_conversation_stays_within_the_context_and_says_what_was_taken_out() {
    let mut model = Scripted::new(vec![reads()]);
    model.usage = TokenUsage { input: 30, ..TokenUsage::default() };
    let told = RecordingTools { text: "x".repeat(30_000), ..RecordingTools::default() };
    let limits = RunLimits { turns: 12, context_tokens: 20_000, ..RunLimits::default() };
    let ended = run(&model, &told, &brief(), &limits).await;
    assert_eq!(ended.trimmed_results, 0, "the provider counts little, so there is room");

    let reply: Reply = Box::new(|request| {
        let bytes = serde_json::to_string(request).unwrap().len();
        assert!(bytes / 3 < 20_000, "{bytes}");
        reads()(request)
    });
    let mut model = Scripted::new(vec![reply]);
    model.usage = TokenUsage { input: 11_000, ..TokenUsage::default() };
    let ended = run(&model, &told, &brief(), &limits).await;
    assert!(ended.trimmed_results > 0);
    let last = model.asked().pop().unwrap();
    let all: Vec<String> = last.messages.iter().flat_map(results).map(|(_, text, _)| text).collect();
    assert!(all[0].contains("bytes of output were taken out"), "{}", all[0]);
    assert!(all.last().unwrap().contains("xxx"), "the newest is never taken out");
}

#[tokio::test]
async fn a_request_that_is_too_long_is_tried_once_more_without_old_results() {
    let too_long: fn() -> ModelError = || ModelError::TooLong { message: String::new() };
    let told = RecordingTools { text: "x".repeat(3000), ..RecordingTools::default() };
    let model = Scripted::new(vec![reads(), reads(), refuses(too_long), reports("one", false)]);
    let ended = run(&model, &told, &brief(), &RunLimits::default()).await;
    assert!(ended.end.is_complete());
    assert_eq!(ended.trimmed_results, 1);
    let model = Scripted::new(vec![reads(), refuses(too_long)]);
    let ended = run(&model, &told, &brief(), &RunLimits::default()).await;
    assert!(matches!(ended.end, AgentRunEnd::ContextExceeded));
}

#[tokio::test]
async fn at_most_four_places_are_marked_to_be_cached() {
    let model = Scripted::new(vec![reads(), reads(), reads(), reports("one", false)]);
    ran(&model, RunLimits::default()).await;
    for asked in model.asked() {
        let marks = serde_json::to_string(&asked).unwrap().matches("cache_control").count();
        assert!((3..=4).contains(&marks), "{marks}");
        assert!(asked.tools.last().unwrap().cache_control.is_some());
        let last = serde_json::to_value(asked.messages.last().unwrap()).unwrap();
        assert_eq!(last["content"].as_array().unwrap().last().unwrap()["cache_control"]["type"], "ephemeral");
    }
}

#[tokio::test]
async fn output_is_bounded_and_says_so() {
    let told = RecordingTools { text: "é".repeat(5 << 20), ..RecordingTools::default() };
    let model = Scripted::new(vec![reads(), reports("one", false)]);
    run(&model, &told, &brief(), &RunLimits { context_tokens: 1 << 30, ..RunLimits::default() }).await;
    let answered = results(model.asked()[1].messages.last().unwrap());
    assert!(answered[0].1.len() < MAX_OUTPUT_BYTES + 100);
    assert!(answered[0].1.contains("[cut: "));
}

/// Findings of a report. If the report is rejected, these findings are dropped, and the findings of the next
/// report replace them.
#[derive(Default)]
struct ReplacedFindings(UncheckedFindings);

impl ReportSchema for ReplacedFindings {
    const RETRY_MESSAGE: &str = UncheckedFindings::RETRY_MESSAGE;
    const CUT_OFF_MESSAGE: &str = UncheckedFindings::CUT_OFF_MESSAGE;
    const LAST_TURN_MESSAGE: &str = UncheckedFindings::LAST_TURN_MESSAGE;

    fn tool() -> ToolDefinition {
        UncheckedFindings::tool()
    }

    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String> {
        <UncheckedFindings as ReportSchema>::parse_tool_input(input).map(|(items, more)| (Self(items), more))
    }

    fn parse_text(text: &str) -> Option<(Self, bool)> {
        <UncheckedFindings as ReportSchema>::parse_text(text).map(|(items, more)| (Self(items), more))
    }

    fn accept_report(&mut self, more: Self) {
        ReportSchema::accept_report(&mut self.0, more.0);
    }

    fn acceptance_message(&self) -> String {
        self.0.acceptance_message()
    }
}

fn replaced(ran: &AgentRunResult<ReplacedFindings>) -> Vec<&str> {
    ran.report.0.findings.iter().map(|item| item.title.as_str()).collect()
}

#[tokio::test]
async fn a_report_that_does_not_hold_is_told_once_and_then_taken_as_it_is() {
    let judge = |items: &ReplacedFindings| {
        let is_good = items.0.findings.iter().all(|item| item.title == "good");
        (!is_good).then(|| "findings[0]: it is not believed".to_owned())
    };
    let judged = async |replies| {
        let model = Scripted::new(replies);
        let ran = AgentRuntime::Native
            .run_with_report_check(&model, &RecordingTools::default(), &brief(), &RunLimits::default(), judge)
            .await;
        (ran, model.asked())
    };
    let (ran, asked) = judged(vec![reports("bad", false), reports("good", false)]).await;
    assert_eq!((replaced(&ran), ran.turns, ran.end.is_complete()), (vec!["good"], 2, true));
    let answer = ("r".to_owned(), "findings[0]: it is not believed".to_owned(), true);
    assert_eq!(results(&asked[1].messages[2]), [answer]);
    assert_eq!(last_words(&asked[1]), ReplacedFindings::RETRY_MESSAGE);
    let (ran, _) = judged(vec![reports("bad", false), reports("worse", false)]).await;
    assert_eq!((replaced(&ran), ran.turns), (vec!["worse"], 2), "the caller judges again");
    // A report that the model sends in several calls is judged only after the last call. A report that the
    // model writes as plain text is judged, too.
    let (ran, _) = judged(vec![reports("bad", true), reports("good", false), reports("good", false)]).await;
    assert_eq!((replaced(&ran), ran.turns), (vec!["good"], 3));
    let written = json!([{ "type": "text", "text": json!({ "findings": [found("bad")] }).to_string() }]);
    let (ran, asked) = judged(vec![says(written, StopReason::EndTurn), reports("good", false)]).await;
    assert_eq!((replaced(&ran), ran.turns), (vec!["good"], 2));
    let told = serde_json::to_string(asked[1].messages.last().unwrap()).unwrap();
    assert!(told.contains("it is not believed"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn findings_stand_though_their_report_was_objected_to_and_nothing_follows() {
    let judge = |_: &UncheckedFindings| Some("a verdict is missing".to_owned());
    let model = Scripted::new(vec![
        reports("found", false),
        Box::new(|_| Err(ModelError::SpendCap { message: "none".to_owned() })),
    ]);
    let ran = AgentRuntime::Native
        .run_with_report_check(&model, &RecordingTools::default(), &brief(), &RunLimits::default(), judge)
        .await;
    assert_eq!((titles(&ran), ran.turns, ran.end.is_complete()), (vec!["found"], 1, true));
}
