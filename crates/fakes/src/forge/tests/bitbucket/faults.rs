//! Tests of simulated faults at both kinds of Bitbucket.

use serde_json::Value;

use super::*;
use crate::forge::{ForgeFault, ForgeFaultKind};

#[tokio::test]
async fn faults_come_in_the_form_of_each() {
    for site in Site::both().await {
        let path = site.pull();
        let ask = async |kind: ForgeFaultKind| {
            site.forge.add_fault(ForgeFault::on_call("GET", &path, kind));
            let response = site.send("GET", &path, Value::Null).await.unwrap();
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (retry, location) = (header("retry-after"), header("location"));
            (response.status().as_u16(), retry, location, response.text().await.unwrap())
        };
        for status in [400, 401, 403, 404, 409, 429, 500, 503, 555] {
            let (seen, retry, _, body) = ask(ForgeFaultKind::Status(status, None)).await;
            assert_eq!((seen, retry), (status, None));
            let body: Value = serde_json::from_str(&body).unwrap();
            let words =
                if site.is_cloud() { &body["error"]["message"] } else { &body["errors"][0]["message"] };
            assert!(words.is_string(), "{status}: {body}");
        }
        assert_eq!(ask(ForgeFaultKind::Status(429, Some(7))).await.1.as_deref(), Some("7"));
        assert_eq!(ask(ForgeFaultKind::SecondaryLimit(None)).await.0, 429);
        let (status, retry, ..) = ask(ForgeFaultKind::PrimaryLimit(60)).await;
        assert_eq!((status, retry.is_none()), (429, site.is_cloud()), "Cloud does not say until when");
        assert!(ask(ForgeFaultKind::Html(502)).await.3.contains("<html>"));
        let (status, _, location, _) =
            ask(ForgeFaultKind::Redirect(302, "http://127.0.0.1:1/x".into())).await;
        assert_eq!((status, location.as_deref()), (302, Some("http://127.0.0.1:1/x")));
        let cut = ask(ForgeFaultKind::Truncated).await;
        assert!(cut.0 == 200 && cut.3.starts_with('{') && serde_json::from_str::<Value>(&cut.3).is_err());
        assert!(site.forge.has_no_faults());
    }
}

#[tokio::test]
async fn what_was_done_is_done_whatever_the_answer_says() {
    for site in Site::both().await {
        let path = format!("{}/comments", site.pull());
        for kind in [
            ForgeFaultKind::StatusAfterCall(503),
            ForgeFaultKind::LostResponse,
            ForgeFaultKind::DropConnection,
            ForgeFaultKind::Status(500, None),
        ] {
            site.forge.add_fault(ForgeFault::on_call("POST", &path, kind.clone()));
            let answer = site.send("POST", &path, site.words(&format!("{kind:?}"))).await;
            assert_ne!(answer.map(|answer| answer.status().as_u16()).unwrap_or(0), 201, "{kind:?}");
        }
        let mut texts = site.texts().await;
        texts.sort();
        assert_eq!(texts, ["LostResponse", "StatusAfterCall(503)"]);
    }
}

#[tokio::test]
async fn stale_lists_and_heads_show_what_is_new_late() {
    for site in Site::both().await {
        site.forge.set_stale_list_reads(2);
        site.done(201, "POST", &format!("{}/comments", site.pull()), site.words("new")).await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(site.texts().await.len());
        }
        assert_eq!(seen, [0, 0, 1]);
        site.forge.set_stale_head_reads(1);
        let old = site.shop.tip("feature").await.unwrap();
        let new = site.shop.push("feature", CommitBuilder::new("x").write("x", "1")).await.unwrap();
        for expected in [&old, &new] {
            let pull = site.get(&site.pull()).await;
            let head = if site.is_cloud() {
                &pull["source"]["commit"]["hash"]
            } else {
                &pull["fromRef"]["latestCommit"]
            };
            assert!(expected.starts_with(head.as_str().unwrap()), "{head}");
        }
    }
}

#[tokio::test]
async fn a_list_may_lead_to_itself() {
    for site in Site::both().await {
        let path = site.talk();
        site.forge.add_fault(ForgeFault::on_call("GET", &path, ForgeFaultKind::SelfLinkedPage));
        let list = site.get(&path).await;
        let next = if site.is_cloud() {
            list["next"].as_str().map(|next| next.ends_with(&path))
        } else {
            Some(list["nextPageStart"] == 0)
        };
        assert_eq!(next, Some(true), "{list}");
    }
}

#[tokio::test]
async fn a_limit_is_answered_by_429_and_other_hours_have_calls_again() {
    for site in Site::both().await {
        site.forge.set_rate_limit(1);
        site.get(&site.pull()).await;
        assert_eq!(site.ask("GET", &site.pull(), Value::Null).await.0, 429);
    }
}

#[tokio::test]
async fn only_known_logins_call_and_unknown_calls_are_violations() {
    for site in Site::both().await {
        let url = format!("{}{}", site.forge.base_url(), site.pull());
        let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
        assert_eq!(status(site.client.get(&url)).await, 401);
        assert_eq!(status(site.client.get(&url).bearer_auth("wrong")).await, 401);
        let by_name = status(site.client.get(&url).basic_auth(REVIEWER, Some(TOKEN))).await;
        assert_eq!(by_name, if site.is_cloud() { 401 } else { 200 }, "app passwords are gone");
        let by_mail = status(site.client.get(&url).basic_auth("t@example.invalid", Some(TOKEN))).await;
        assert_eq!(by_mail, if site.is_cloud() { 200 } else { 401 });
        for path in ["approve", "merge"] {
            let (status, _) =
                site.ask("POST", &format!("{}/{path}", site.pull()), serde_json::json!({})).await;
            assert_eq!(status, 404);
        }
        let known: Vec<_> = site.forge.violations();
        assert_eq!(known.iter().filter(|what| what.starts_with("no such call")).count(), 2, "{known:?}");
    }
}
