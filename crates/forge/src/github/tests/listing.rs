//! Tests of lists of comments and threads, and of the account whose comments count as Truing's comments.

use super::*;

#[tokio::test]
async fn the_account_is_asked_for_once_and_threads_only_if_needed() {
    let empty = ok(&json!([]));
    let server = Server::new([me(), empty.clone().repeat_always()]).await;
    let github = github(&server);
    for producer in [CommentProducer::Review, CommentProducer::Mcp] {
        let pull = github.client(&pr(7), "octo/demo", producer).with_permit(&open_gate_permit());
        assert_eq!(pull.producer_comments(&[]).await, Ok(vec![]));
    }
    let requests = server.requests();
    assert_eq!(lines(&requests).iter().filter(|line| **line == "GET /user").count(), 1);
    assert_eq!(requests.len(), 5);
}

#[tokio::test]
async fn a_list_that_breaks_off_is_an_error_never_a_short_list() {
    let page = ok(&json!([])).header("link", r#"</x>; rel="next""#);
    let server = Server::new([me(), page, ScriptedHttpReply::new(500, "")]).await;
    assert!(pull(&server).producer_comments(&[]).await.is_err());
}
