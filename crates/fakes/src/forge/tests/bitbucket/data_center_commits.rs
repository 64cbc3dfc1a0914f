//! Tests of Data Center's builds, reports and annotations.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_build_of_one_key_is_overwritten() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let head = site.shop.tip("feature").await.unwrap();
    let path = format!("commits/{head}/builds");
    let build = |state: &str| json!({"key": "truing-1", "state": state, "url": "http://x/1", "name": "Truing", "description": "d", "ref": "refs/heads/feature"});
    for state in ["INPROGRESS", "SUCCESSFUL"] {
        site.done(204, "POST", &path, build(state)).await;
        assert_eq!(site.get(&format!("{path}?key=truing-1")).await["state"], state);
    }
    site.shop.create_check_run(&head, "ci", "unit", None).await.unwrap();
    let all = site.get(&format!("/rest/build-status/latest/commits/{head}")).await;
    let states: Vec<_> =
        all["values"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["INPROGRESS", "SUCCESSFUL"], "newest first");
    assert_eq!(site.ask("GET", &path, Value::Null).await.0, 400, "of one key");
    assert_eq!(site.ask("GET", &format!("{path}?key=none"), Value::Null).await.0, 404);
    let short = format!("commits/{}/builds", &head[..12]);
    assert_eq!(site.ask("POST", &short, build("FAILED")).await.0, 404, "all digits are needed");
    for bad in [json!({"key": "k", "state": "FAILED"}), json!({"key": "k", "state": "STOPPED", "url": "u"})] {
        assert_eq!(site.ask("POST", &path, bad).await.0, 400);
    }
}

#[tokio::test]
async fn a_build_has_a_parent_and_older_servers_have_no_call_for_it() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let head = site.shop.tip("feature").await.unwrap();
    let path = format!("commits/{head}/builds");
    let build =
        |parent: String| json!({"key": "truing-1", "state": "FAILED", "url": "http://x/1", "parent": parent});
    assert_eq!(site.ask("POST", &path, build("p".repeat(1025))).await.0, 400);
    site.done(204, "POST", &path, build("truing".into())).await;
    assert_eq!(site.get(&format!("{path}?key=truing-1")).await["parent"], "truing");
    for (version, sets, shows) in [("7.14.0", 204, 200), ("7.13.9", 204, 404), ("7.3.2", 404, 404)] {
        site.forge.set_version(version);
        let set = site.ask("POST", &path, build("truing".into())).await.0;
        let shown = site.ask("GET", &format!("{path}?key=truing-1"), Value::Null).await.0;
        assert_eq!((set, shown), (sets, shows), "{version}");
    }
}

#[tokio::test]
async fn one_annotation_too_many_rejects_all_and_equal_ones_are_more() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let head = site.shop.tip("feature").await.unwrap();
    let path = format!("/rest/insights/latest/projects/acme/repos/shop/commits/{head}/reports/truing");
    let annotations = format!("{path}/annotations");
    let report = |data: usize| {
        let data = vec![json!({"title": "t", "type": "NUMBER", "value": 1}); data];
        json!({"title": "Truing", "details": "d", "result": "FAIL", "reporter": "truing", "data": data})
    };
    assert_eq!(site.ask("PUT", &path, report(7)).await.0, 400);
    assert_eq!(site.ask("PUT", &path, json!({"title": "t", "result": "FAILED", "data": []})).await.0, 400);
    assert_eq!(site.done(200, "PUT", &path, report(6)).await["key"], "truing");
    let one = json!({"externalId": "1", "path": "src/a.py", "line": 10, "message": "Hm.", "severity": "HIGH", "type": "BUG"});
    let many = |count: usize| json!({"annotations": vec![one.clone(); count]});
    site.done(204, "POST", &annotations, many(999)).await;
    assert_eq!(site.ask("POST", &annotations, many(2)).await.0, 400);
    site.done(204, "POST", &annotations, many(1)).await;
    let all = site.get(&annotations).await;
    assert_eq!(all["annotations"].as_array().unwrap().len(), 1000);
    let mut critical = one.clone();
    critical["severity"] = "CRITICAL".into();
    site.done(204, "DELETE", &annotations, Value::Null).await;
    assert_eq!(site.ask("POST", &annotations, json!({"annotations": [critical]})).await.0, 400);
    site.forge.register_token("other", "ann");
    let answer = site.client.put(format!("{}{path}", site.forge.base_url())).bearer_auth("other");
    let answer = answer.body(report(0).to_string()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401, "only who made it");
    let none = format!("{path}-none");
    assert_eq!(site.ask("GET", &none, Value::Null).await.0, 404);
}
