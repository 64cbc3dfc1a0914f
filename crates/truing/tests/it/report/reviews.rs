//! Tests of reviews in the report. All formats contain the same numbers, local reviews are shown separately,
//! and findings are counted.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity, fingerprint,
};
use truing_core::id::{CommentId, FencingToken, FindingId, RunId, Sha, SlotKey};
use truing_core::outcome::{ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime};
use truing_core::port::{
    ComputedReview, PullRevision, RunReference, RunStore as _, SlotDescription, SlotStore as _,
};
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment};
use truing_loops::machine::SystemClock;
use truing_store::Store;

use super::{EVIL, report};

fn finding(id: &str, rule: &str, source: FindingSource, status: FindingStatus) -> Finding {
    let place = CodeLocation { path: "a.py".into(), side: DiffSide::New, start_line: 3, end_line: 3 };
    Finding {
        id: FindingId::new(id),
        fingerprint: fingerprint(rule, &place.path, id),
        raw: RawFinding {
            location: place.clone(),
            severity: Severity::P1,
            category: DefectCategory::F,
            rule: rule.into(),
            title: "Title".into(),
            body: "Body".into(),
            snippet: id.into(),
            code: Default::default(),
            suggestion: None,
            source,
            specialists: Vec::new(),
        },
        old_path: None,
        anchor: AnchorKind::Inline,
        comment_location: place,
        status,
        surrounding_lines: None,
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}

/// Returns the finding as one that these specialists reported.
fn of_specialists(mut finding: Finding, specialists: &[&str]) -> Finding {
    finding.raw.specialists = specialists.iter().map(|name| (*name).to_owned()).collect();
    finding
}

/// Stores a review with this outcome and these findings; the first finding has a comment.
async fn store_review(
    store: &Store,
    (key, token): (&str, u64),
    kind: ReviewOutcomeKind,
    findings: Vec<Finding>,
) {
    let (now, sha) = (store.now().await.unwrap(), Sha::parse(&"a".repeat(40)).unwrap());
    let revision = PullRevision { head: sha.clone(), base: sha };
    let run = RunReference {
        id: RunId::new(format!("v{token}")),
        key: SlotKey::new(key),
        token: FencingToken(token),
    };
    store.begin_run(&run, &revision, now).await.unwrap();
    let ended = ReviewOutcome { kind, reason: None, next_attempt_at: None, runtime: ReviewRuntime::Native };
    let detail = ReviewDetail::new(Some(revision.head), revision.base, ended);
    let mut outcome = ReviewRecord::new(run.id.clone(), run.key.clone(), detail, now);
    outcome.model = Some("claude-sonnet-5-5".into());
    let first = findings.first().map(|finding| CommentSubject::Finding(finding.id.clone()));
    let desired = first
        .iter()
        .map(|item| DesiredComment { subject: item.clone(), ..DesiredComment::for_summary("text".into()) });
    let desired = desired.collect();
    let computed = ComputedReview {
        producer: CommentProducer::Review,
        findings,
        desired_comments: desired,
        status: None,
        record: outcome.clone(),
    };
    store.store_computed_review(&run, &computed).await.unwrap();
    if let Some(item) = first {
        store.store_comments(&run, CommentProducer::Review, &[(item, CommentId::new("1"))]).await.unwrap();
    }
    store.mark_published(&run, &outcome).await.unwrap();
}

/// Stores 28 served reviews, one of them partial and one skipped, and three local reviews, one of them
/// failed.
async fn store_sample_reviews(file: &Path) {
    let store = Store::open(file, Arc::new(SystemClock)).unwrap();
    for number in 1..=28 {
        let kind = match number {
            27 => ReviewOutcomeKind::Partial,
            28 => ReviewOutcomeKind::Skipped,
            _ => ReviewOutcomeKind::Reviewed,
        };
        let key = format!("pr/github/1/{number}");
        let fixed = FindingStatus::Fixed(Sha::parse(&"a".repeat(40)).unwrap());
        let findings = match number {
            1 => vec![
                finding("f1", "core/merge-conflict", FindingSource::Rule, fixed),
                finding("f2", "ruff/E501", FindingSource::Tool, FindingStatus::Dismissed("no".into())),
            ],
            2 => vec![
                of_specialists(
                    finding("f3", "agent/bounds", FindingSource::Agent, FindingStatus::Open),
                    &["shipped:security-reviewer", "repo:payments"],
                ),
                finding("f4", EVIL, FindingSource::Rule, FindingStatus::Suppressed("so".into())),
            ],
            _ => Vec::new(),
        };
        store_review(&store, (&key, number), kind, findings).await;
        let (name, url) =
            (format!("acme/shop#{number}"), format!("https://github.com/acme/shop/pull/{number}"));
        store
            .store_descriptions(&[(SlotKey::new(key), SlotDescription { name, url, head: None })])
            .await
            .unwrap();
    }
    let open = finding("f5", "core/debugger", FindingSource::Rule, FindingStatus::Open);
    store_review(&store, ("local/home/me/tool", 101), ReviewOutcomeKind::Reviewed, Vec::new()).await;
    store_review(&store, ("local/home/me/tool", 102), ReviewOutcomeKind::Reviewed, vec![open]).await;
    store_review(&store, ("local/home/me/other", 103), ReviewOutcomeKind::Failed, Vec::new()).await;
}

fn report_in_format(folder: &Path, format: &str) -> String {
    let (exit, out, err) = report(folder, &["--format", format]);
    assert_eq!((exit, err.as_str()), (0, ""), "{format}");
    out
}

#[tokio::test]
async fn all_formats_print_the_same_percentages_and_tell_local_reviews_apart() {
    let folder = tempfile::tempdir().unwrap();
    store_sample_reviews(&folder.path().join("t.db")).await;
    // Of 28 served reviews, 26 succeeded, which is 92.9 %. Of the 27 reviews that were not skipped, this is
    // 96.3 %. Local reviews do not count in either number.
    for format in ["text", "markdown", "html"] {
        let text = report_in_format(folder.path(), format);
        let at =
            |part: &str| text.find(part).unwrap_or_else(|| panic!("{format}: {part} is missing: {text}"));
        let local = at(if format == "text" { "3 local reviews ended" } else { "Local reviews" });
        for served in ["92.9 %", "3.6 %", "96.3 %"] {
            assert!(at(served) < local && text.rfind(served).unwrap() < local, "{format}: {served}");
        }
        assert!(text.rfind("66.7 %").unwrap() > local, "{format}: {text}");
        assert!(!text.contains("90.3 %"), "{format}: both together are no number: {text}");
    }
    let json: Value = serde_json::from_str(&report_in_format(folder.path(), "json")).unwrap();
    let (served, local) = (&json["reviews"], &json["local_reviews"]);
    assert_eq!(
        (&served["runs"], &served["attempts"], &served["success"]),
        (&28.into(), &27.into(), &0.963.into())
    );
    assert_eq!(
        (&local["runs"], &local["attempts"], &local["success"]),
        (&3.into(), &3.into(), &0.667.into())
    );
    let table = report_in_format(folder.path(), "csv");
    let mut table = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(table.headers().unwrap().iter().next_back(), Some("origin"));
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let count =
        |origin: &str, kind: &str| rows.iter().filter(|row| (&row[24], &row[4]) == (origin, kind)).count();
    assert_eq!(
        (count("served", "reviewed"), count("served", "skipped"), count("local", "failed")),
        (26, 1, 1)
    );
    assert_eq!(rows.len(), 31);
}

#[tokio::test]
async fn findings_are_told_by_what_became_of_them() {
    let folder = tempfile::tempdir().unwrap();
    store_sample_reviews(&folder.path().join("t.db")).await;
    let json: Value = serde_json::from_str(&report_in_format(folder.path(), "json")).unwrap();
    let findings = &json["reviews"]["findings"];
    let counts = ["found", "posted", "open", "fixed", "dismissed", "suppressed", "outside"];
    let numbers = |row: &Value| counts.map(|name| row[name].as_u64().unwrap());
    assert_eq!(numbers(findings), [4, 2, 1, 1, 1, 1, 0]);
    assert_eq!(findings["by_rule"].as_array().unwrap().len(), 4);
    for (by, id) in [("by_tool", "ruff"), ("by_model", "claude-sonnet-5-5"), ("by_repository", "acme/shop")] {
        assert_eq!(findings[by].as_array().unwrap().len(), 1, "{by}: {findings}");
        assert_eq!(findings[by][0]["id"], id, "{by}: {findings}");
    }
    let specialists = findings["by_specialist"].as_array().unwrap();
    let named: Vec<(&str, [u64; 7])> =
        specialists.iter().map(|row| (row["id"].as_str().unwrap(), numbers(row))).collect();
    let counts_of_each = [1, 1, 1, 0, 0, 0, 0];
    assert_eq!(
        named,
        [("repo:payments", counts_of_each), ("shipped:security-reviewer", counts_of_each)],
        "a finding of two specialists counts for each of them"
    );
    assert_eq!(json["local_reviews"]["findings"]["by_specialist"].as_array().unwrap().len(), 0);
    assert_eq!(numbers(&json["local_reviews"]["findings"]), [1, 1, 1, 0, 0, 0, 0]);
    assert_eq!(json["local_reviews"]["findings"]["by_repository"][0]["id"], "home/me/tool");
    let text = report_in_format(folder.path(), "text");
    assert!(text.lines().all(|line| line.chars().count() <= 80) && !text.contains('\u{1b}'), "{text}");
    for format in ["text", "markdown", "html"] {
        let text = report_in_format(folder.path(), format);
        for part in [
            "core/merge-conflict",
            "suppressed",
            "acme/shop",
            "claude-sonnet-5-5",
            "shipped:security-reviewer",
        ] {
            assert!(text.contains(part), "{format}: {part} is missing:\n{text}");
        }
        if format != "text" {
            assert!(!text.replace("\\<", "").contains("<script"), "{format}:\n{text}");
        }
    }
}

#[tokio::test]
async fn a_page_is_titled_by_the_machine_and_the_time() {
    let folder = tempfile::tempdir().unwrap();
    store_sample_reviews(&folder.path().join("t.db")).await;
    let page = report_in_format(folder.path(), "html");
    let title =
        regex::Regex::new(r"<title>(Truing( at [^<]+)?, \d{4}-\d{2}-\d{2} to \d{4}-\d{2}-\d{2})</title>");
    let title = title.unwrap().captures(&page).expect("a title")[1].to_owned();
    assert!(page.contains(&format!("<h1>{title}</h1>")), "{title}");
    let markdown = report_in_format(folder.path(), "markdown");
    assert!(markdown.starts_with("# Truing"), "{markdown}");
    for loads in ["<script", "src=", "url(", "@import", "<link", "<img"] {
        assert!(!page.contains(loads), "{loads}");
    }
}
