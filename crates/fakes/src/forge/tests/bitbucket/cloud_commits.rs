//! Tests of Cloud's statuses, reports and annotations.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_status_of_one_key_is_overwritten() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let head = site.shop.tip("feature").await.unwrap();
    let path = format!("commit/{}/statuses", &head[..12]);
    let status = |state: &str| json!({"key": "truing-1", "state": state, "url": "http://x/1", "name": "Truing", "description": "d", "refname": "feature"});
    for state in ["INPROGRESS", "SUCCESSFUL"] {
        let made = site.done(201, "POST", &format!("{path}/build"), status(state)).await;
        assert_eq!(made["state"], state);
    }
    site.shop.create_check_run(&head, "ci", "unit", Some("failure")).await.unwrap();
    let list = site.get(&path).await;
    let states: Vec<_> =
        list["values"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["SUCCESSFUL", "FAILED"]);
    assert_eq!(site.get(&format!("{path}/build/truing-1")).await["name"], "Truing");
    for bad in [json!({"key": "k", "state": "DONE", "url": "u"}), json!({"state": "FAILED", "url": "u"})] {
        assert_eq!(site.ask("POST", &format!("{path}/build"), bad).await.0, 400);
    }
    assert_eq!(site.ask("POST", "commit/1234567/statuses/build", status("FAILED")).await.0, 404);
    let kept = &site.shop.pull(1).await.unwrap().statuses[&head];
    assert_eq!((kept.len(), kept[0].state.as_str(), kept[0].context.as_str()), (2, "success", "truing-1"));
}

#[tokio::test]
async fn reports_have_bounds_and_equal_annotations_take_each_others_place() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let head = site.shop.tip("feature").await.unwrap();
    let path = format!("commit/{head}/reports/truing-1");
    let annotations = format!("{path}/annotations");
    let one = |id: usize| json!({"external_id": id.to_string(), "annotation_type": "BUG", "path": "src/a.py", "line": 10, "summary": "Hm.", "severity": "HIGH"});
    assert_eq!(site.ask("POST", &annotations, json!([one(1)])).await.0, 404, "no report yet");
    let report = |data: usize| {
        let data = vec![json!({"title": "t", "type": "NUMBER", "value": 1}); data];
        json!({"title": "Truing", "details": "d", "report_type": "BUG", "reporter": "truing", "result": "FAILED", "data": data})
    };
    let (status, refused) = site.ask("PUT", &path, report(11)).await;
    assert_eq!((status, refused["code"].as_u64()), (400, Some(400)), "a form of their own: {refused}");
    assert_eq!(site.done(200, "PUT", &path, report(10)).await["external_id"], "truing-1");
    let many = |from: usize, count: usize| (from..from + count).map(one).collect::<Value>();
    let (status, refused) = site.ask("POST", &annotations, many(0, 101)).await;
    assert!(status == 400 && refused["message"].as_str().unwrap().contains("100 annotations"), "{refused}");
    for part in 0..10 {
        site.done(200, "POST", &annotations, many(part * 100, 100)).await;
    }
    site.done(200, "POST", &annotations, many(0, 100)).await;
    assert_eq!(site.get(&annotations).await["size"], 1000, "the same again");
    assert_eq!(site.ask("POST", &annotations, many(1000, 1)).await.0, 400);
    let mut long = one(1);
    long["summary"] = "x".repeat(451).into();
    assert_eq!(site.ask("POST", &annotations, json!([long])).await.0, 400);
    let kept = site.shop.pull(1).await.unwrap().reports;
    assert_eq!((kept.len(), kept[0].annotations.len(), kept[0].creator.as_str()), (1, 1000, REVIEWER));
    site.done(204, "DELETE", &path, Value::Null).await;
    assert_eq!(site.ask("GET", &path, Value::Null).await.0, 404);
}
