//! Tests of reading lists page by page.

use super::*;
use crate::github::tests::github;
use crate::testing::{ScriptedHttpReply, Server};

async fn list(
    replies: impl IntoIterator<Item = ScriptedHttpReply>,
) -> (Vec<u64>, Result<(), ForgeError>, usize) {
    let server = Server::new(replies).await;
    let mut items = Vec::new();
    let each = |item: u64| items.push(item);
    let result = github(&server).read_pages(TokenScope::App, "listing", server.url("/x?page=1"), each).await;
    (items, result, server.requests().len())
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let page = |body: &'static str, link: &str| ScriptedHttpReply::new(200, body).header("link", link);
    let pages = [
        page("[1,2]", r#"</x?page=2>; rel="next", </x?page=3>; rel="last""#),
        page("[]", r#"</x?page=3>; rel="next""#),
        page("[3]", r#"</x?page=1>; rel="first""#),
    ];
    assert_eq!(list(pages).await, (vec![1, 2, 3], Ok(()), 3));
}

#[tokio::test]
async fn a_list_that_leads_astray_is_an_error_not_an_end() {
    let page = |link: &str| ScriptedHttpReply::new(200, "[1]").header("link", link);
    let cases = [
        (vec![page(r#"<https://elsewhere.example/x>; rel="next""#)], "https://elsewhere.example", 1),
        (vec![page(r#"<https://127.0.0.1/x>; rel="next""#)], "on another server", 1),
        (vec![page(r#"<http://[>; rel="next""#)], "address is invalid", 1),
        (vec![page(r#"</x?page=1>; rel="next""#)], "form a loop", 1),
        (vec![page(r#"</y>; rel="next""#), page(r#"</x?page=1>; rel="next""#)], "form a loop", 2),
        (vec![page(r#"</y>; rel="next""#), ScriptedHttpReply::new(500, "")], "status 500", 2),
        (vec![page(r#"</y>; rel="next""#), ScriptedHttpReply::new(200, "{}")], "not as expected", 2),
    ];
    for (pages, expected, requests) in cases {
        let (_, result, sent) = list(pages).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(sent, requests, "{error}");
    }
    let endless = (0..=MAX_PAGES).map(|at| page(&format!(r#"</x?at={at}>; rel="next""#)));
    let (items, result, sent) = list(endless).await;
    assert!(result.unwrap_err().to_string().contains("more than 100 pages"));
    assert_eq!((items.len(), sent), (MAX_PAGES, MAX_PAGES));
}
