//! Tests of the accumulator with whole, broken and random streams.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A stream with every kind of block and delta, a ping between them, and usage in the API's format.
const EVENTS: [&str; 20] = [
    r#"{"type":"message_start","message":{"id":"m","model":"claude-x","role":"assistant","content":[],"usage":{"input_tokens":10,"output_tokens":1,"cache_read_input_tokens":20,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":3}}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"né"}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"eA=="}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a\nb"}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"😀"}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t1","name":"read","input":{}}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"pa"}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"th\":1}"}}"#,
    r#"{"type":"content_block_stop","index":3}"#,
    r#"{"type":"new_kind_of_event","x":1}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42,"input_tokens":null,"cache_read_input_tokens":null}}"#,
    r#"{"type":"message_stop"}"#,
];

fn whole() -> Vec<u8> {
    EVENTS.iter().flat_map(|event| format!("event: x\ndata: {event}\n\n").into_bytes()).collect()
}

fn fold<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<CompleteResponse, StreamError> {
    let mut fold = AnswerAccumulator::default();
    for piece in pieces {
        fold.push(piece)?;
    }
    fold.finish()
}

/// The same response as Amazon Bedrock sends it.
#[cfg(feature = "aws")]
mod frames {
    use truing_fakes::model::bedrock;

    use super::*;

    fn frames() -> Vec<u8> {
        EVENTS.iter().flat_map(|event| bedrock::event_frame(event.as_bytes())).collect()
    }

    fn fold<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<CompleteResponse, StreamError> {
        let mut fold = AnswerAccumulator::new(StreamFormat::EventStream);
        for piece in pieces {
            fold.push(piece)?;
        }
        fold.finish()
    }

    #[test]
    fn provider_error_names_only_what_the_provider_names() {
        for (kind, message, expected) in [
            ("overloaded_error", "busy", "an error: overloaded_error: busy"),
            ("", "busy", "an error: busy"),
            ("overloaded_error", "", "an error: overloaded_error"),
            ("", "", "an error"),
        ] {
            let error = StreamError::ProviderError { kind: kind.into(), message: message.into() }.to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn they_become_the_same_message_wherever_they_are_cut() {
        let whole = frames();
        let expected = super::fold([super::whole().as_slice()]).unwrap();
        assert_eq!(fold([whole.as_slice()]).unwrap(), expected);
        assert_eq!(fold(whole.chunks(1)).unwrap(), expected);
        for cut in 0..whole.len() {
            let (one, other) = whole.split_at(cut);
            assert_eq!(fold([one, other]).as_ref(), Ok(&expected), "{cut}");
        }
    }

    #[test]
    fn every_end_before_the_end_is_a_cut() {
        let whole = frames();
        for end in 1..whole.len() {
            assert_eq!(fold([&whole[..end]]), Err(StreamError::Truncated), "{end}");
        }
        assert_eq!(fold([]), Err(StreamError::EmptyStream));
    }

    #[test]
    fn every_damaged_byte_is_seen() {
        let whole = frames();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            let told = fold([damaged.as_slice()]);
            let is_told =
                matches!(told, Err(StreamError::Damaged(_) | StreamError::Html | StreamError::EmptyStream));
            assert!(is_told, "{at}: {told:?}");
        }
    }

    #[test]
    fn what_is_no_stream_is_told_apart() {
        assert_eq!(fold([b"<!doctype html><p>".as_slice()]), Err(StreamError::Html));
        assert_eq!(fold([br#"{"message": "no"}"#.as_slice()]), Err(StreamError::NotAStream));
        let start = bedrock::event_frame(EVENTS[0].as_bytes());
        let told = fold([[start.clone(), bedrock::exception_frame("throttlingException", "slow")]
            .concat()
            .as_slice()]);
        let expected =
            StreamError::ProviderError { kind: "throttlingException".into(), message: "slow".into() };
        assert_eq!(told, Err(expected));
        let told = fold([[start, bedrock::event_frame(b"{\"type\": \"mess")].concat().as_slice()]);
        assert!(matches!(told, Err(StreamError::Damaged(_))), "{told:?}");
    }

    #[test]
    fn frames_of_unknown_kinds_are_skipped_wherever_they_stand() {
        let expected = super::fold([super::whole().as_slice()]).unwrap();
        let unknown = [
            bedrock::frame(&[(":event-type", "trace"), (":message-type", "event")], b"{}"),
            bedrock::frame(&[(":message-type", "notice")], b""),
            bedrock::event_frame(br#"{"type":"new_kind_of_event"}"#),
        ];
        for frame in unknown {
            assert_eq!(fold([frame.as_slice(), frames().as_slice(), frame.as_slice()]).unwrap(), expected);
        }
        let untyped = bedrock::frame(&[(":event-type", "chunk")], b"{}");
        assert!(matches!(fold([untyped.as_slice()]), Err(StreamError::BadEvent(_))));
    }

    #[test]
    fn a_frame_without_end_is_not_kept() {
        let mut fold = AnswerAccumulator::new(StreamFormat::EventStream);
        let huge = bedrock::event_frame(&vec![b'x'; MAX_EVENT_BYTES + 128 * 1024]);
        assert_eq!(fold.push(&huge[..100]), Err(StreamError::TooLarge("an event")));
    }

    proptest! {
        #[test]
        fn rubbish_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(fold([bytes.as_slice()]).is_err());
        }
    }
}

/// Returns the result of the whole stream, with one part of its text replaced.
fn with(from: &str, to: &str) -> Result<CompleteResponse, StreamError> {
    let text = String::from_utf8(whole()).unwrap();
    assert!(text.contains(from), "{from}");
    fold([text.replacen(from, to, 1).as_bytes()])
}

#[test]
fn a_stream_becomes_its_message() {
    let complete = fold([whole().as_slice()]).unwrap();
    let content = serde_json::to_value(&complete.message.content).unwrap();
    assert_eq!(
        content,
        json!([
            {"type": "thinking", "thinking": "né", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "eA=="},
            {"type": "text", "text": "a\nb\u{1f600}"},
            {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": 1}},
        ])
    );
    assert_eq!((complete.stop_reason, complete.model.as_str()), (StopReason::ToolUse, "claude-x"));
    let usage = TokenUsage { input: 10, output: 42, cache_read: 20, cache_write_5m: 4, cache_write_1h: 3 };
    assert_eq!(complete.usage, Some(usage));
}

#[test]
fn every_reason_to_stop_is_known_or_an_error() {
    for (reason, stop) in [
        ("end_turn", StopReason::EndTurn),
        ("max_tokens", StopReason::MaxTokens),
        ("stop_sequence", StopReason::StopSequence),
        ("pause_turn", StopReason::PauseTurn),
        ("refusal", StopReason::Refusal),
        ("model_context_window_exceeded", StopReason::ModelContextWindowExceeded),
    ] {
        let complete = with(r#""stop_reason":"tool_use""#, &format!(r#""stop_reason":"{reason}""#));
        assert_eq!(complete.unwrap().stop_reason, stop);
    }
    let unknown = with(r#""stop_reason":"tool_use""#, r#""stop_reason":"lunch""#);
    assert_eq!(unknown, Err(StreamError::UnknownStopReason("lunch".into())));
    let none = with(r#""stop_reason":"tool_use""#, r#""stop_reason":null"#);
    assert!(matches!(none, Err(StreamError::Contradiction(_))), "{none:?}");
}

#[test]
fn input_that_is_no_object_is_told_in_a_form_that_goes_back() {
    for (written, expected) in [
        (r#"th\":1"#, json!({INVALID_JSON_FIELD: "{\"path\":1"})),
        (r#"th\":1}}"#, json!({INVALID_JSON_FIELD: "{\"path\":1}}"})),
    ] {
        let complete = with(r#"th\":1}"#, written).unwrap();
        let last = serde_json::to_value(complete.message.content.last()).unwrap();
        assert_eq!(last["input"], expected);
    }
    // An empty input text counts as an empty object.
    let text = String::from_utf8(whole()).unwrap();
    let empty = text.replace(r#"{\"pa"#, "").replace(r#"th\":1}"#, "");
    let complete = fold([empty.as_bytes()]).unwrap();
    assert_eq!(serde_json::to_value(complete.message.content.last()).unwrap()["input"], json!({}));
}

#[test]
fn every_end_before_the_end_is_a_cut() {
    let whole = whole();
    // Even a stream that lacks only the two line feeds after the last event's data counts as truncated.
    for end in 1..whole.len() - 1 {
        let cut = fold([&whole[..end]]);
        assert_eq!(cut, Err(StreamError::Truncated), "{end}");
    }
    assert_eq!(fold([]), Err(StreamError::EmptyStream));
    assert_eq!(fold([b" \n\n".as_slice()]), Err(StreamError::EmptyStream));
}

#[test]
fn what_is_no_stream_is_told_apart() {
    assert_eq!(fold([b"\n<!doctype html><p>".as_slice()]), Err(StreamError::Html));
    assert_eq!(fold([br#"{"type": "message"}"#.as_slice()]), Err(StreamError::NotAStream));
    assert!(matches!(fold([b"data: {\"type\": \"mess\n\n".as_slice()]), Err(StreamError::Damaged(_))));
    assert!(matches!(
        fold([b"data: {\"type\": \"message_stop\"}\n\n".as_slice()]),
        Err(StreamError::Contradiction(_))
    ));
    let told = fold([br#"data: {"type":"error","error":{"type":"overloaded_error","message":"x"}}

"#
    .as_slice()]);
    assert_eq!(
        told,
        Err(StreamError::ProviderError { kind: "overloaded_error".into(), message: "x".into() })
    );
}

#[test]
fn events_that_contradict_each_other_are_no_answer() {
    for (from, to) in [
        (r#""index":3"#, r#""index":4"#),
        (r#"{"type":"content_block_stop","index":0}"#, r#"{"type":"ping"}"#),
        (r#""type":"text_delta""#, r#""type":"poem_delta""#),
        (r#"{"type":"redacted_thinking","data":"eA=="}"#, "7"),
        (r#"{"type":"text","text":""}"#, r#"{"type":"text","text":7}"#),
    ] {
        let broken = with(from, to);
        assert!(
            matches!(broken, Err(StreamError::Contradiction(_) | StreamError::BadEvent(_))),
            "{from}: {broken:?}"
        );
    }
    let twice = [whole().split(|byte| *byte == b'\n').nth(1).unwrap(), b"\n\n"].concat();
    let broken = fold([twice.as_slice(), twice.as_slice()]);
    assert!(matches!(broken, Err(StreamError::Contradiction(_))), "{broken:?}");
    let no_call = with(r#"{"type":"tool_use","id":"t1","name":"read","input":{}}"#, r#"{"type":"x"}"#);
    assert!(matches!(no_call, Err(StreamError::Contradiction(_))), "{no_call:?}");
}

#[test]
fn a_stream_without_end_is_not_kept() {
    let start = b"data: {\"type\":\"message_start\",\"message\":{}}\n\n".as_slice();
    let block = br#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

"#;
    let more = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x".repeat(1 << 20)}});
    let more = format!("data: {more}\n\n");
    let mut fold = AnswerAccumulator::default();
    fold.push(start).unwrap();
    fold.push(block).unwrap();
    let taken = (0..100).take_while(|_| fold.push(more.as_bytes()).is_ok()).count();
    // The start of the block counts a few bytes towards the limit, so the last delta exceeds the limit.
    assert_eq!(taken, (MAX_CONTENT_BYTES >> 20) - 1);

    let mut fold = AnswerAccumulator::default();
    let taken = (0..1000).take_while(|_| fold.push(&vec![b' '; 1 << 20]).is_ok()).count();
    assert!(taken < 10, "{taken}");
    let mut fold = AnswerAccumulator::default();
    let noise = [b":".as_slice(), &[b'x'; (1 << 20) - 2], b"\n"].concat();
    let taken = (0..1000).take_while(|_| fold.push(&noise).is_ok()).count();
    assert_eq!(taken, MAX_STREAM_BYTES >> 20);
}

#[test]
fn the_cost_is_known_as_it_grows() {
    let mut fold = AnswerAccumulator::default();
    assert_eq!(fold.usage_so_far(), UsageSoFar::default());
    let whole = whole();
    let mut before = 0;
    for byte in &whole[..whole.len() - 1] {
        fold.push(&[*byte]).unwrap();
        let meter = fold.usage_so_far();
        assert!(!meter.is_final && meter.content_bytes >= before);
        assert!(meter.usage.is_none_or(|usage| usage.input == 10 && usage.cache_write_1h == 3));
        before = meter.content_bytes;
    }
    fold.push(b"\n").unwrap();
    assert!(fold.usage_so_far().is_final && before > 20);
}

proptest! {
    /// The same stream results in the same message, however the stream is divided into chunks.
    #[test]
    fn pieces_make_no_difference(cuts in prop::collection::vec(0..3000_usize, 0..40)) {
        let whole = whole();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]);
        prop_assert_eq!(fold(pieces), fold([whole.as_slice()]));
    }

    /// Random bytes result in an error, never in a panic or a response.
    #[test]
    fn rubbish_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(fold([bytes.as_slice()]).is_err());
    }

    /// A damaged stream results in an error or a response, never in a panic. The result does not depend on
    /// the division into chunks.
    #[test]
    fn damage_is_the_same_for_every_cut(at in 0..3000_usize, byte in any::<u8>(), cut in 0..3000_usize) {
        let mut whole = whole();
        let (at, cut) = (at % whole.len(), cut % whole.len());
        whole[at] = byte;
        prop_assert_eq!(fold([&whole[..cut], &whole[cut..]]), fold([whole.as_slice()]));
    }
}
