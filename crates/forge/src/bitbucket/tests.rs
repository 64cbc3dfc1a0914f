//! Tests of the requests that the clients of both kinds of Bitbucket send, and of the handling of responses.
//! The response bodies are copies of real responses. Other tests use a stateful fake of a whole forge.

use std::sync::Arc;

use serde_json::{Value, json};
use truing_core::effect::Effect;
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{AccountId, CommentId, FindingId, PrId, Sha, ThreadId, TimeSpan, Topic, UnixMillis};
use truing_core::port::{
    AuthorAccount, CommentKind, EffectOutcome, ForgeError, ForgeRead as _, ForgeWrite as _, InlineDraft,
    PrState, PullComment, PullDraft,
};
use truing_core::publish::{
    CommentProducer, CommentRights, CommentSubject, DesiredStatus, StatusState, ThreadState,
};
use truing_git::SecretString;

use super::*;
use crate::capability::MarkerSyntax;
use crate::forge_server::ForgeServer as _;
use crate::listing::CachedListing;
use crate::marker::MarkerKeys;
use crate::remote::CommitOptions;
use crate::testing::{
    CANARY, ManualClock, Request, ScriptedHttpReply, Server, open_gate_permit, test_timeouts,
};

mod cloud;
mod data_center;
mod errors;
mod permissions;
mod webhooks;

const HEAD: &str = "1111111111111111111111111111111111111111";
const BASE: &str = "2222222222222222222222222222222222222222";
const UUID: &str = "{0f3a9c56-0000-4000-8000-000000000001}";
const ME: &str = "{0f3a9c56-0000-4000-8000-00000000000a}";
/// Id of Truing's account at Data Center.
const ME_DC: u64 = 42;

fn pr(repository: &str) -> PrId {
    PrId { forge: "bitbucket".into(), repository: repository.into(), number: 7 }
}

fn keys() -> MarkerKeys {
    MarkerKeys::new(b"test key", &[]).with_marker_syntax(MarkerSyntax::LinkReference)
}

fn options(server: &Server) -> BitbucketOptions {
    BitbucketOptions {
        name: "bitbucket".into(),
        api_url: server.url("/base"),
        git_url: server.url("/git"),
        token: SecretString::new(CANARY),
        email: None,
        account_uuid: None,
        workspaces: Vec::new(),
        previous_accounts: vec!["{0f3a9c56-0000-4000-8000-0000000000ff}".into()],
        command_accounts: Vec::new(),
        marker_keys: keys(),
        settle_delay: TimeSpan::seconds(30),
        commits: CommitOptions::default(),
    }
}

fn hand() -> ManualClock {
    ManualClock::new(UnixMillis(1_795_161_600_000))
}

fn cloud(server: &Server) -> BitbucketCloud {
    BitbucketCloud::with_timeouts(options(server), test_timeouts(), Arc::new(hand())).unwrap()
}

fn center(server: &Server) -> BitbucketDataCenter {
    BitbucketDataCenter::with_timeouts(options(server), test_timeouts(), Arc::new(hand())).unwrap()
}

fn pull(server: &Server) -> BitbucketCloudClient {
    cloud(server).client(&pr(UUID), "acme/demo", CommentProducer::Review).with_permit(&open_gate_permit())
}

fn pull_dc(server: &Server) -> BitbucketDataCenterClient {
    center(server).client(&pr("101"), "ACME/demo", CommentProducer::Review).with_permit(&open_gate_permit())
}

fn ok(body: &Value) -> ScriptedHttpReply {
    ScriptedHttpReply::new(200, body.to_string())
}

fn finding(id: &str) -> CommentSubject {
    CommentSubject::Finding(FindingId::new(id))
}

fn head() -> Sha {
    Sha::parse(HEAD).unwrap()
}

fn lines(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| request.line.clone()).collect()
}

fn draft(start_line: u32, end_line: u32, side: DiffSide) -> InlineDraft {
    let place = CodeLocation { path: "src/a.py".into(), side, start_line, end_line };
    InlineDraft { location: place, item: finding("1:aa-0"), body: "Fix it.".into() }
}

fn status() -> DesiredStatus {
    DesiredStatus {
        sha: head(),
        state: StatusState::Failure,
        description: "2 findings block".into(),
        check: truing_core::publish::CheckContent::default(),
    }
}

#[test]
fn names_of_repositories_have_two_parts() {
    for right in ["acme/demo", "ACME/demo.js", "~user/slug", "a/b_c-d"] {
        assert!(super::address::is_repository_name(right), "{right}");
    }
    for wrong in ["", "acme", "acme/", "/demo", "a/b/c", "a/..", "a b/c", "~/slug", "a/~b", "a/b?c"] {
        assert!(!super::address::is_repository_name(wrong), "{wrong}");
    }
}

#[test]
fn a_credential_is_in_no_address_and_in_no_debug_text() {
    let options = BitbucketOptions {
        name: "bitbucket".into(),
        api_url: "https://me:hush@api.example.com/2.0".parse().unwrap(),
        git_url: "https://example.com".parse().unwrap(),
        token: SecretString::new(CANARY),
        email: Some("me@example.com".into()),
        account_uuid: None,
        workspaces: Vec::new(),
        previous_accounts: Vec::new(),
        command_accounts: Vec::new(),
        marker_keys: keys(),
        settle_delay: TimeSpan::seconds(30),
        commits: CommitOptions::default(),
    };
    let debug = format!("{options:?}");
    assert!(!debug.contains(CANARY), "{debug}");
    let error = BitbucketCloud::new(options, Arc::new(hand())).unwrap_err().to_string();
    assert!(error.contains("api.example.com") && !error.contains("hush"), "{error}");
}
