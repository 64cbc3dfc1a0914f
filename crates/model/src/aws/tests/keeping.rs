//! Tests that valid keys are kept and are renewed early by one call at a time. Also tests that keys are
//! replaced after a service refuses them.

use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use truing_fakes::aws::{AUDIENCE, FakeAws, web_identity_token};

use super::{Place, ROLE, STS_LOGGED, given, keys, later};

#[tokio::test]
async fn keys_are_fetched_anew_before_they_end() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(now, 60));
    assert_eq!(keys(&chain, now).await, Ok(given(1)));
    assert_eq!(keys(&chain, later(now, 54)).await, Ok(given(1)));
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(now, 120));
    assert_eq!(keys(&chain, later(now, 56)).await, Ok(given(2)));
    assert_eq!(keys(&chain, later(now, 114)).await, Ok(given(2)));
    assert_eq!(place.aws.request_log().len(), 2);
}

#[tokio::test]
async fn many_calls_at_once_fetch_once() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    let ask = |now| {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let chain = chain.clone();
            calls.spawn(async move { keys(&chain, now).await });
        }
        calls.join_all()
    };
    assert_eq!(ask(now).await, vec![Ok(given(1)); 20]);
    // While one call renews the keys early, the other calls may still use the current keys.
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(now, 120));
    let all = ask(later(now, 56)).await;
    assert!(all.iter().all(|keys| [Ok(given(1)), Ok(given(2))].contains(keys)), "{all:?}");
    assert_eq!(place.aws.request_log(), [STS_LOGGED; 2]);
    // If the service refuses the request, simultaneous calls together send only one request.
    place.aws.change_behaviour(|aws| aws.denied_roles = vec![ROLE.to_owned()]);
    assert!(ask(later(now, 121)).await.iter().all(Result::is_err));
    assert_eq!(place.aws.request_log().len(), 3);
}

#[tokio::test]
async fn keys_that_are_still_valid_outlast_a_failed_fetch() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(now, 60));
    assert_eq!(keys(&chain, now).await, Ok(given(1)));
    // The role is revoked in the middle of a run.
    place.aws.change_behaviour(|aws| aws.denied_roles = vec![ROLE.to_owned()]);
    for seconds in [0, 1, 30] {
        assert_eq!(keys(&chain, later(now, 56) + Duration::from_secs(seconds)).await, Ok(given(1)));
    }
    assert_eq!(place.aws.request_log().len(), 2, "it is not asked again at once");
    let fault = keys(&chain, later(now, 61)).await.unwrap_err();
    assert!(fault.message.contains(ROLE), "{fault:?}");
    assert_eq!(keys(&chain, later(now, 61)).await, Err(fault));
    assert_eq!(place.aws.request_log().len(), 3);
    // The role is granted again.
    place.aws.change_behaviour(|aws| (aws.denied_roles, aws.keys_expire_at) = (Vec::new(), later(now, 200)));
    assert_eq!(keys(&chain, later(now, 62)).await, Ok(given(2)));
}

#[tokio::test]
async fn keys_that_end_soon_after_a_failed_fetch_are_not_missed_for_the_rest_of_its_pause() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(now, 60));
    assert_eq!(keys(&chain, now).await, Ok(given(1)));
    place.aws.change_behaviour(|aws| aws.forced_status = Some(503));
    assert_eq!(keys(&chain, later(now, 59) + Duration::from_secs(30)).await, Ok(given(1)));
    place.aws.change_behaviour(|aws| (aws.forced_status, aws.keys_expire_at) = (None, later(now, 120)));
    assert_eq!(keys(&chain, later(now, 60)).await, Ok(given(2)));
}

#[tokio::test]
async fn a_token_is_read_at_each_fetch() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    assert_eq!(keys(&chain, now).await, Ok(given(1)));
    // The token's file is overwritten with an expired token, and then with a valid token.
    let path = place.write("token", &web_identity_token("pod-1", AUDIENCE, -1));
    assert!(keys(&place.chain(), now).await.is_err());
    place.write("token", &web_identity_token("pod-1", AUDIENCE, 3600));
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(now, 180));
    assert_eq!(keys(&chain, later(now, 70)).await, Ok(given(2)));
    // Without the token's file, the chain sends no request.
    std::fs::remove_file(&path).unwrap();
    let fault = keys(&chain, later(now, 181)).await.unwrap_err();
    assert!(fault.message.contains(path.to_str().unwrap()), "{fault:?}");
    assert_eq!(place.aws.request_log().len(), 3, "without a token nobody is asked");
}

#[tokio::test]
async fn keys_that_a_service_calls_expired_are_replaced_once() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    let first = keys(&chain, now).await.unwrap();
    assert_eq!(chain.replacement_keys(&first, &|| now).await, Ok(Some(given(2))));
    // Another call that used the first keys gets the keys that already replaced them.
    assert_eq!(chain.replacement_keys(&first, &|| now).await, Ok(Some(given(2))));
    assert_eq!(place.aws.request_log().len(), 2);
    // If the chain can return only the same keys, it returns `None`, because a retry would fail again.
    let place = place.with("AWS_ACCESS_KEY_ID", "AKIDFIRST").with("AWS_SECRET_ACCESS_KEY", "a-fixed-secret");
    let chain = place.chain();
    let fixed = keys(&chain, now).await.unwrap();
    assert_eq!(chain.replacement_keys(&fixed, &|| now).await, Ok(None));
}

#[tokio::test]
async fn a_clock_that_is_set_back_ends_the_pause_after_a_failure() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.change_behaviour(|aws| aws.denied_roles = vec![ROLE.to_owned()]);
    assert!(keys(&chain, later(now, 180)).await.is_err());
    place.aws.change_behaviour(|aws| aws.denied_roles = Vec::new());
    assert!(keys(&chain, later(now, 180)).await.is_err(), "it is paused");
    assert_eq!(keys(&chain, now).await, Ok(given(1)));
}

#[tokio::test]
async fn the_time_is_read_after_keys_came_and_after_another_call_had_its_turn() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    let late = || if place.aws.request_log().is_empty() { now } else { later(now, 56) };
    // The first call fetches keys. The second call waits for these keys, which must then be renewed because
    // `late` is 56 minutes later.
    let (first, second) = tokio::join!(keys(&chain, now), chain.keys(&late));
    assert_eq!((first, second), (Ok(given(1)), Ok(given(2))));

    let place = Place::new().await.with_web_identity();
    let late = || if place.aws.request_log().is_empty() { now } else { later(now, 61) };
    let fault = place.chain().keys(&late).await.unwrap_err();
    assert!(fault.message.contains("expired credentials"), "{fault:?}");
}

#[tokio::test]
async fn a_service_that_was_away_is_asked_again_after_a_second() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.change_behaviour(|aws| aws.forced_status = Some(503));
    let fault = keys(&chain, now).await.unwrap_err();
    assert!(fault.is_transient, "{fault:?}");
    place.aws.change_behaviour(|aws| aws.forced_status = None);
    assert_eq!(keys(&chain, now).await, Err(fault));
    assert_eq!(keys(&chain, now + Duration::from_secs(1)).await, Ok(given(1)));
}

#[tokio::test]
async fn metadata_that_gave_keys_before_is_away_and_not_missing() {
    let place = Place::new().await.with_metadata();
    let (chain, now) = (place.chain(), SystemTime::now());
    assert_eq!(keys(&chain, now).await, Ok(given(1)));
    let Place { aws, folder, variables } = place;
    let others = Place { aws: FakeAws::start().await.unwrap(), folder, variables };
    drop(aws);
    let fault = keys(&chain, later(now, 61)).await.unwrap_err();
    assert!(fault.is_transient && fault.message.contains("an instance's metadata at"), "{fault:?}");
    // If the metadata service has never returned keys to this chain, the machine may not be an EC2 instance,
    // so the fault is permanent.
    let fault = keys(&others.chain(), now).await.unwrap_err();
    assert!(!fault.is_transient, "{fault:?}");
}
