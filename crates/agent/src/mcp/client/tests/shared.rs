//! Tests of servers that several models of one run call at the same time. The time in these tests is
//! simulated.

use futures_util::future::join3;
use tokio::time::Instant;

use super::*;

/// Timeout of one call.
const TIME: Duration = Duration::from_secs(30);

fn named(name: &str, way: ServerTransport) -> McpServer {
    McpServer { name: name.into(), timeout: TIME, ..server(way, &["say"]) }
}

/// Returns the result of a call, and its duration in seconds.
async fn timed(tools: &dyn RunTools, tool: &str, word: &str) -> (ToolCallOutput, u64) {
    let begun = Instant::now();
    let output = tools.call(tool, &json!({"word": word})).await;
    (output, begun.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_keeps_no_caller_longer_than_its_time_and_nobody_who_asks_another() {
    let stalls =
        scripted(|method, _| if method == "tools/call" { ScriptedReaction::Nothing } else { well(method) });
    let servers =
        McpServers::start(&[named("slow", stalls), named("docs", scripted(|method, _| well(method)))]).await;
    let tools = servers.combine_with(&OwnTestTools);
    let ((first, first_time), (second, second_time), (other, other_time)) = join3(
        timed(&tools, "mcp__slow__say", "a"),
        timed(&tools, "mcp__slow__say", "b"),
        timed(&tools, "mcp__docs__say", "c"),
    )
    .await;
    assert_eq!((other.text.as_str(), other_time), ("well", 0));
    assert!(first.is_error && second.is_error, "{first:?} {second:?}");
    assert_eq!((first_time, second_time), (30, 30));
    let (after, time) = timed(&tools, "mcp__slow__say", "d").await;
    assert!(after.text.contains("cannot be used any more") && time == 0, "{after:?} {time}");
    assert_eq!(told(&servers.stop().await), ["it did not answer a call of `say` within 30 s"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_those_before_it_within_its_own_time_and_the_server_is_kept() {
    let way = scripted(|method, params| match method {
        "tools/call" => {
            let text = json!({"content": [{"type": "text", "text": params["arguments"]["word"]}]});
            ScriptedReaction::Later(Duration::from_secs(12), text)
        }
        _ => well(method),
    });
    let servers = McpServers::start(&[named("docs", way)]).await;
    let tools = servers.combine_with(&OwnTestTools);
    let tool = "mcp__docs__say";
    let ((a, a_time), (b, b_time), (c, c_time)) =
        join3(timed(&tools, tool, "a"), timed(&tools, tool, "b"), timed(&tools, tool, "c")).await;
    assert_eq!((a.text.as_str(), a_time, b.text.as_str(), b_time), ("a", 12, "b", 24));
    assert!(c.is_error && c.text.contains("was busy with other calls") && c_time == 30, "{c:?} {c_time}");
    // The late response to the previous call must not be used as the response to this call.
    let (d, d_time) = timed(&tools, tool, "d").await;
    assert_eq!((d.text.as_str(), d_time), ("d", 18));
    assert_eq!(servers.stop().await, []);
}
