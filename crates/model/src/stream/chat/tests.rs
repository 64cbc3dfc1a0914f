//! Tests streams in the formats that different Chat Completions servers send.

use serde_json::{Value, json};
use truing_core::ledger::TokenUsage;

use crate::messages::{KnownBlock, MessageBlock, StopReason};
use crate::stream::{
    AnswerAccumulator, CompleteResponse, INVALID_JSON_FIELD, StreamError, StreamFormat, StreamProgress,
};

/// Returns a stream of chunks with these deltas, an end reason and the usage.
fn stream(deltas: &[Value], reason: &str, usage: Value) -> String {
    let mut text = String::new();
    let mut say = |choice: Value, usage: &Value| {
        let choices = if choice.is_null() { json!([]) } else { json!([choice]) };
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "model": "m-1", "choices": choices, "usage": usage});
        text.push_str(&format!("data: {chunk}\n\n"));
    };
    for delta in deltas {
        say(json!({"index": 0, "delta": delta, "finish_reason": null}), &Value::Null);
    }
    say(json!({"index": 0, "delta": {}, "finish_reason": reason}), &Value::Null);
    if !usage.is_null() {
        say(Value::Null, &usage);
    }
    text + "data: [DONE]\n\n"
}

fn read(text: &str) -> Result<CompleteResponse, StreamError> {
    let mut fold = AnswerAccumulator::new(StreamFormat::Chat);
    fold.push(text.as_bytes())?;
    fold.finish()
}

fn usage() -> Value {
    json!({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "prompt_tokens_details": {"cached_tokens": 40}})
}

fn call(id: &str, name: &str, input: Value) -> MessageBlock {
    MessageBlock::Known(KnownBlock::ToolUse { id: id.into(), name: name.into(), input })
}

#[test]
fn text_is_an_answer_with_what_it_used_whatever_the_pieces() {
    let text = stream(
        &[json!({"role": "assistant", "content": ""}), json!({"content": "Hel"}), json!({"content": "lo"})],
        "stop",
        usage(),
    );
    let whole = read(&text).unwrap();
    assert_eq!(
        (whole.message.content.as_slice(), whole.stop_reason),
        ([MessageBlock::text("Hello")].as_slice(), StopReason::EndTurn)
    );
    assert_eq!(whole.model, "m-1");
    let used = TokenUsage { input: 60, output: 7, cache_read: 40, cache_write_5m: 0, cache_write_1h: 0 };
    assert_eq!(whole.usage, Some(used));
    for size in [1, 7, 64] {
        let mut fold = AnswerAccumulator::new(StreamFormat::Chat);
        let progress = text.as_bytes().chunks(size).map(|piece| fold.push(piece).unwrap()).last();
        assert_eq!(
            (progress, fold.finish().unwrap()),
            (Some(StreamProgress::Complete), whole.clone()),
            "{size}"
        );
    }
}

#[test]
fn calls_of_tools_are_put_together_however_a_server_numbers_them() {
    let pieces = [
        json!({"content": "Let me see."}),
        json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"path\":"}}]}),
        json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "list", "arguments": "{}"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"x\"}"}}]}),
    ];
    let expected = [
        MessageBlock::text("Let me see."),
        call("a", "read", json!({"path": "x"})),
        call("b", "list", json!({})),
    ];
    let answer = read(&stream(&pieces, "tool_calls", usage())).unwrap();
    assert_eq!(
        (answer.message.content.as_slice(), answer.stop_reason),
        (expected.as_slice(), StopReason::ToolUse)
    );

    // Each chunk contains a complete tool call that deviates from OpenAI's format. For example, both calls
    // have the same index or id, or no id, or the arguments are an object.
    let object = json!({"path": "x"});
    for (first, second, ids) in [
        (json!({"index": 0, "id": "a"}), json!({"index": 0, "id": "b"}), ["a", "b"]),
        (json!({"id": "a"}), json!({"id": "b"}), ["a", "b"]),
        (json!({}), json!({}), ["call-0", "call-1"]),
        (json!({"index": 0, "id": "a"}), json!({"index": 1, "id": "a"}), ["a", "a-1"]),
        (json!({"id": ""}), json!({"id": ""}), ["call-0", "call-1"]),
    ] {
        let whole = |mut call: Value, name: &str, arguments: Value| {
            call["function"] = json!({"name": name, "arguments": arguments});
            json!({"tool_calls": [call]})
        };
        let text = object.to_string();
        let pieces = [whole(first.clone(), "read", object.clone()), whole(second, "list", json!(text))];
        let expected = [call(ids[0], "read", object.clone()), call(ids[1], "list", object.clone())];
        let answer = read(&stream(&pieces, "stop", Value::Null)).unwrap();
        assert_eq!(
            (answer.message.content.as_slice(), answer.stop_reason),
            (expected.as_slice(), StopReason::ToolUse),
            "{first}"
        );
        assert_eq!(answer.usage, None, "nothing was counted");
    }
}

#[test]
fn arguments_that_are_no_object_go_back_to_the_model() {
    for (arguments, kept) in [("{\"a\":", "{\"a\":"), ("[1]", "[1]")] {
        let pieces = [
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "read", "arguments": arguments}}]}),
        ];
        let answer = read(&stream(&pieces, "tool_calls", usage())).unwrap();
        let expected = call("a", "read", json!({INVALID_JSON_FIELD: kept}));
        assert_eq!(answer.message.content, [expected]);
    }
}

#[test]
fn reasons_to_stop_have_their_own_names() {
    for (reason, expected) in [
        ("stop", Ok(StopReason::EndTurn)),
        ("length", Ok(StopReason::MaxTokens)),
        ("content_filter", Ok(StopReason::Refusal)),
        (
            "tool_calls",
            Err(StreamError::Contradiction("the answer stopped to call a tool, but names no tool")),
        ),
        ("abort", Err(StreamError::UnknownStopReason("abort".into()))),
    ] {
        let answer = read(&stream(&[json!({"content": "x"})], reason, usage()));
        assert_eq!(answer.map(|answer| answer.stop_reason), expected, "{reason}");
    }
    let refused = read(&stream(&[json!({"refusal": "I will not."})], "stop", usage())).unwrap();
    assert_eq!(
        (refused.message.content.as_slice(), refused.stop_reason),
        ([MessageBlock::text("I will not.")].as_slice(), StopReason::Refusal)
    );
}

#[test]
fn thoughts_count_and_are_not_kept() {
    for thought in [
        json!({"reasoning_content": "0123456789"}),
        json!({"reasoning": "0123456789"}),
        json!({"reasoning": "0123456789", "reasoning_content": "0123456789"}),
        json!({"reasoning": "0123456789", "reasoning_content": null}),
    ] {
        let mut fold = AnswerAccumulator::new(StreamFormat::Chat);
        let text = stream(&[thought, json!({"content": "x"})], "stop", Value::Null);
        let (first, rest) = text.split_at(text.find("\n\n").unwrap() + 2);
        assert_eq!(fold.push(first.as_bytes()), Ok(StreamProgress::Advanced), "thinking is progress");
        assert_eq!(fold.usage_so_far().content_bytes, 10);
        fold.push(rest.as_bytes()).unwrap();
        assert_eq!(fold.finish().unwrap().message.content, [MessageBlock::text("x")]);
    }
}

#[test]
fn a_stream_that_is_no_whole_answer_is_none() {
    let whole = stream(&[json!({"content": "x"})], "stop", usage());
    let ends = whole.find("data: [DONE]").unwrap();
    assert_eq!(
        read(&whole[..ends]).unwrap().usage.map(|usage| usage.output),
        Some(7),
        "closed without a last event"
    );
    let reason = whole.find("\"finish_reason\":\"stop\"").unwrap();
    let cut = whole[..reason].rfind("data: ").unwrap();
    assert_eq!(read(&whole[..cut]), Err(StreamError::Truncated));
    assert_eq!(read("data: [DONE]\n\n"), Err(StreamError::Truncated));
    assert_eq!(
        read(&format!("{}data: [DONE] \n\n", &whole[..cut])),
        Err(StreamError::Truncated),
        "no reason to stop"
    );
    assert_eq!(read(""), Err(StreamError::EmptyStream));
    assert_eq!(read("<!doctype html>"), Err(StreamError::Html));
    assert_eq!(read(r#"{"error": {"message": "no"}}"#), Err(StreamError::NotAStream));
    assert!(matches!(read("data: {\n\n"), Err(StreamError::Damaged(_))));
    let nameless = [json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]})];
    assert_eq!(
        read(&stream(&nameless, "tool_calls", usage())),
        Err(StreamError::Contradiction("the answer calls a tool without a name"))
    );
    let error = r#"data: {"error": {"message": "Overloaded", "type": "server_error", "code": 503}}"#;
    let expected = StreamError::ProviderError { kind: "server_error".into(), message: "Overloaded".into() };
    assert_eq!(read(&format!("{error}\n\n")), Err(expected));
}

#[test]
fn usage_may_come_with_any_chunk_and_the_last_counts() {
    let text = concat!(
        "data: \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            \
            {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n",
        "data: \
            {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"y\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n",
        ": OPENROUTER PROCESSING\n\n",
        "data: [DONE]\n\n",
    );
    let answer = read(text).unwrap();
    assert_eq!(
        answer.usage,
        Some(TokenUsage { input: 5, output: 2, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 })
    );
    let half = text.replace("\"prompt_tokens\":5,", "");
    assert_eq!(read(&half).unwrap().usage, None, "half a count is none");
    let last = text.replace(
        "\"prompt_tokens\":5,\"completion_tokens\":2",
        "\"prompt_tokens\":0,\"completion_tokens\":0",
    );
    assert_eq!(read(&last).unwrap().usage.map(|usage| usage.output), Some(1), "the last whole count stays");
}

#[test]
fn a_count_is_believed_only_where_it_can_be_one() {
    let count = |usage: Value| read(&stream(&[json!({"content": "x"})], "stop", usage)).unwrap().usage;
    for wrong in [
        json!({"prompt_tokens": 0, "completion_tokens": 7}),
        json!({"prompt_tokens": 100, "completion_tokens": 0}),
        json!({"prompt_tokens": -1, "completion_tokens": 7}),
        json!({"prompt_tokens": "100", "completion_tokens": 7}),
        json!([100, 7]),
        json!("none"),
    ] {
        assert_eq!(count(wrong.clone()), None, "{wrong}");
    }
    let decimal = count(json!({"prompt_tokens": 100.0, "completion_tokens": 6.5})).unwrap();
    assert_eq!((decimal.input, decimal.output), (100, 7));
}

#[test]
fn a_chunk_without_a_choice_does_not_begin_the_answer() {
    let filter = r#"data: {"model": "", "choices": [], "prompt_filter_results": []}"#;
    let text = stream(&[json!({"content": "x"})], "stop", usage());
    assert_eq!(read(&format!("{filter}\n\n{text}")).unwrap().model, "m-1");
}

#[test]
fn a_call_may_be_announced_before_its_name() {
    let piece = |function: Value| json!({"tool_calls": [{"index": 0, "id": "a", "function": function}]});
    let pieces =
        [piece(json!({"name": "", "arguments": ""})), piece(json!({"name": "read", "arguments": "{}"}))];
    let answer = read(&stream(&pieces, "tool_calls", usage())).unwrap();
    assert_eq!(answer.message.content, [call("a", "read", json!({}))]);
}

#[test]
fn thoughts_and_written_caches_are_counted_wherever_a_server_has_them() {
    let count = |usage: Value| {
        let answer = read(&stream(&[json!({"content": "x"})], "stop", usage)).unwrap();
        answer.usage.unwrap()
    };
    let in_total = json!({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 157});
    assert_eq!(count(in_total).output, 57);
    let details = json!({"cached_tokens": 60, "cache_write_tokens": 30});
    let written =
        count(json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": details}));
    assert_eq!((written.input, written.cache_read, written.cache_write_5m), (10, 60, 30));
    let wrong = json!({"cached_tokens": 900, "cache_write_tokens": 30});
    let wrong = count(json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": wrong}));
    assert_eq!((wrong.input, wrong.cache_read, wrong.cache_write_5m), (0, 100, 0));
}
