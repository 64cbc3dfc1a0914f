//! Tests all timeouts for the parts of a response, with simulated time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::client::{ChunkStream, ProviderTimeouts, read_answer};
use crate::retry::{FailedAttempt, FailureCause};
use crate::stream::CompleteResponse;
use crate::wire::WireFormat;

/// A stream of chunks, each after a delay in seconds. After the last chunk, the stream sends nothing and
/// stays open.
struct DelayedChunks(VecDeque<(u64, String)>);

impl ChunkStream for DelayedChunks {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, String> {
        match self.0.pop_front() {
            Some((seconds, piece)) => {
                sleep(Duration::from_secs(seconds)).await;
                Ok(Some(Bytes::from(piece)))
            }
            None => std::future::pending().await,
        }
    }
}

fn event(value: serde_json::Value) -> String {
    format!("data: {value}\n\n")
}

fn start() -> String {
    event(json!({"type": "message_start", "message": {}}))
}

fn ping() -> String {
    event(json!({"type": "ping"}))
}

fn text() -> [String; 2] {
    [
        event(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event(
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}),
        ),
    ]
}

/// Returns the result, and the seconds that it took.
async fn play(pieces: Vec<(u64, String)>) -> (Result<CompleteResponse, FailedAttempt>, u64) {
    let patience = ProviderTimeouts {
        response_start: Duration::from_secs(45),
        chunk_interval: Duration::from_secs(60),
        progress_interval: Duration::from_secs(180),
        total: Duration::from_secs(900),
        ..ProviderTimeouts::default()
    };
    let began = Instant::now();
    let result = read_answer(
        &mut DelayedChunks(pieces.into()),
        &WireFormat::Messages,
        &patience,
        began + patience.response_start,
        |_| (),
    )
    .await;
    (result, began.elapsed().as_secs())
}

fn seen(result: Result<CompleteResponse, FailedAttempt>) -> FailureCause {
    result.unwrap_err().cause
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_begin_in_time() {
    let (result, seconds) = play(Vec::new()).await;
    assert_eq!((seen(result), seconds), (FailureCause::NoResponse, 45));
    let (result, seconds) = play(vec![(44, start())]).await;
    assert_eq!((seen(result), seconds), (FailureCause::Truncated, 44 + 60));
}

#[tokio::test(start_paused = true)]
async fn pings_are_waited_for_but_not_for_ever() {
    let pings = (0..100).map(|_| (50, ping()));
    let (result, seconds) = play([(0, start())].into_iter().chain(pings).collect()).await;
    assert_eq!((seen(result), seconds), (FailureCause::Truncated, 180));
}

#[tokio::test(start_paused = true)]
async fn no_answer_takes_longer_than_any_may() {
    let [block, more] = text();
    let drip = (0..1000).map(|_| (10, more.clone()));
    let (result, seconds) = play([(0, start()), (0, block)].into_iter().chain(drip).collect()).await;
    assert_eq!((seen(result), seconds), (FailureCause::TotalTimeout, 900));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_that_goes_on_is_one() {
    let [block, more] = text();
    let end = [
        event(json!({"type": "content_block_stop", "index": 0})),
        event(
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}),
        ),
        event(json!({"type": "message_stop"})),
    ];
    let pieces = [start(), block, more, ping()].into_iter().chain(end).map(|piece| (40, piece));
    let (result, seconds) = play(pieces.collect()).await;
    assert_eq!((result.unwrap().message.content.len(), seconds), (1, 7 * 40));
}
