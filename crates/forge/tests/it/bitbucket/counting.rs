//! Tests of the number of calls that a review requires. Cloud allows a thousand calls per hour.

use truing_core::effect::Effect;
use truing_core::port::{EffectOutcome, ForgeRead as _};
use truing_core::publish::{CheckAnnotation, CheckContent, DesiredStatus, StatusState};
use truing_fakes::repo::CommitBuilder;
use truing_forge::RepositoryClient;

use super::reading::{finding, make, tip};
use crate::repository::site::{Calls as _, Site};

/// Number of findings of the review.
const FINDINGS: u32 = 30;

/// Returns the number of API calls so far.
fn calls(site: &Site) -> usize {
    site.forge.request_log().iter().filter(|call| !call.path.contains("/git-")).count()
}

async fn set_status(site: &Site, open: &RepositoryClient) {
    let annotation = |line: u32| {
        let draft = finding(&line.to_string(), line);
        CheckAnnotation { location: draft.location, title: "Wrong".into(), message: draft.body, blocks: true }
    };
    let check =
        CheckContent { annotations: (1..=FINDINGS).map(annotation).collect(), ..CheckContent::default() };
    let (sha, state, description) = (tip(site).await, StatusState::Failure, "30 findings".into());
    make(open, Effect::Status(DesiredStatus { sha, state, description, check })).await;
}

#[tokio::test]
async fn a_first_review_takes_a_call_for_each_finding_and_a_few_more() {
    for (site, number, open) in Site::bitbuckets().await {
        let before = calls(&site);
        let head = open.pull_request().await.unwrap().revision.head;
        assert_eq!(open.producer_comments(&[]).await.unwrap(), []);
        let read = calls(&site) - before;
        make(&open, Effect::Summary { body: "30 findings.".into() }).await;
        let said = calls(&site);
        for line in 1..=FINDINGS {
            let comments = vec![finding(&line.to_string(), line)];
            make(&open, Effect::Findings { commit: head.clone(), comments }).await;
        }
        let placed = calls(&site) - said;
        let rest = calls(&site);
        set_status(&site, &open).await;
        let status = calls(&site) - rest;
        // The calls at Cloud read the pull request, both hashes, Truing's account and the comments. The calls
        // at Data Center read the pull request, the version, Truing's account and the activities.
        assert_eq!(read, if site.is_cloud() { 5 } else { 4 });
        // Data Center requires the kind of each line. The client reads the kind from Data Center's diff, with
        // one more call.
        assert_eq!(placed, if site.is_cloud() { 30 } else { 31 });
        // The calls delete the old report, and create the new report, its annotations and the build status.
        // At Data Center, the client first reads the build statuses of other pull requests with this commit.
        assert_eq!(status, if site.is_cloud() { 4 } else { 5 });
        assert_eq!(calls(&site) - before, if site.is_cloud() { 40 } else { 41 });
        let view = site.shop.pull(number).await.unwrap();
        assert_eq!((view.inline_comments().count(), view.reports[0].annotations.len()), (30, 30));
    }
}

#[tokio::test]
async fn a_push_that_moves_five_findings_takes_none_for_them() {
    for (site, _, open) in Site::bitbuckets().await {
        let head = tip(&site).await;
        for line in 31..=35 {
            let comments = vec![finding(&line.to_string(), line)];
            make(&open, Effect::Findings { commit: head.clone(), comments }).await;
        }
        let first = open.producer_comments(&[]).await.unwrap();
        let known: Vec<_> = first.iter().map(|seen| (seen.subject.clone(), seen.id.clone())).collect();
        let lines: String =
            std::iter::once("new\n".to_owned()).chain((1..=40).map(|n| format!("line {n}\n"))).collect();
        site.shop.push("feature", CommitBuilder::new("Move").write("a.txt", lines)).await.unwrap();
        let before = calls(&site);
        open.pull_request().await.unwrap();
        let mut moved = open.producer_comments(&known).await.unwrap();
        assert!(moved.iter().zip(32..).all(|(seen, line)| seen.line == Some(line)), "the forge moves them");
        moved.iter_mut().zip(&first).for_each(|(seen, before)| seen.line = before.line);
        assert_eq!(moved, first, "each keeps its comment");
        // The calls read the pull request and the comments. At Cloud, the calls also read the full hash of
        // the new head and, the first time, of the base.
        assert_eq!(calls(&site) - before, if site.is_cloud() { 4 } else { 2 });
        let there: Vec<_> =
            open.threads().await.unwrap().iter().map(|thread| thread.comments[0].line).collect();
        assert_eq!(there, (32..=36).map(Some).collect::<Vec<_>>(), "the forge moves them");
        let before = calls(&site);
        set_status(&site, &open).await;
        assert_eq!(calls(&site) - before, if site.is_cloud() { 4 } else { 5 });
    }
}

#[tokio::test]
async fn what_is_known_is_not_asked_for_again() {
    for (site, _, open) in Site::bitbuckets().await {
        let made = open.pull_request().await.unwrap();
        open.producer_comments(&[]).await.unwrap();
        let before = calls(&site);
        assert_eq!(open.pull_request().await.unwrap(), made);
        open.producer_comments(&[]).await.unwrap();
        assert_eq!(calls(&site) - before, 2, "the pull request and its comments");
        let summary = Effect::Summary { body: "x".into() };
        let performed = open.make(&summary).await.unwrap();
        assert!(matches!(performed, EffectOutcome::Comments(_)));
        assert_eq!(calls(&site) - before, 3);
    }
}
