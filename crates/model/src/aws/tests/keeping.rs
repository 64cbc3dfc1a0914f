//! Keys are kept while they last, fetched early, by one call at a time, and replaced where a service says so.

use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use truing_fakes::aws::{AUDIENCE, web_identity};

use super::{Place, ROLE, STS_LOGGED, given, later};

#[tokio::test]
async fn keys_are_fetched_anew_before_they_end() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.behave(|aws| aws.ends = later(now, 60));
    assert_eq!(chain.keys(now).await, Ok(given(1)));
    assert_eq!(chain.keys(later(now, 54)).await, Ok(given(1)));
    place.aws.behave(|aws| aws.ends = later(now, 120));
    assert_eq!(chain.keys(later(now, 56)).await, Ok(given(2)));
    assert_eq!(chain.keys(later(now, 114)).await, Ok(given(2)));
    assert_eq!(place.aws.log().len(), 2);
}

#[tokio::test]
async fn many_calls_at_once_fetch_once() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.behave(|aws| aws.delay = Duration::from_millis(50));
    let ask = |now| {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let chain = chain.clone();
            calls.spawn(async move { chain.keys(now).await });
        }
        calls.join_all()
    };
    assert_eq!(ask(now).await, vec![Ok(given(1)); 20]);
    // Those who would wait for an early one use what they have.
    place.aws.behave(|aws| aws.ends = later(now, 120));
    let all = ask(later(now, 56)).await;
    assert!(all.iter().all(|keys| [Ok(given(1)), Ok(given(2))].contains(keys)), "{all:?}");
    assert_eq!(place.aws.log(), [STS_LOGGED; 2]);
    // Nor does a service that is down hear from each of them.
    place.aws.behave(|aws| aws.denied = vec![ROLE.to_owned()]);
    assert!(ask(later(now, 121)).await.iter().all(Result::is_err));
    assert_eq!(place.aws.log().len(), 3);
}

#[tokio::test]
async fn keys_that_are_still_valid_outlast_a_failed_fetch() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    place.aws.behave(|aws| aws.ends = later(now, 60));
    assert_eq!(chain.keys(now).await, Ok(given(1)));
    // The role is revoked in the middle of a run.
    place.aws.behave(|aws| aws.denied = vec![ROLE.to_owned()]);
    for seconds in [0, 1, 30] {
        assert_eq!(chain.keys(later(now, 56) + Duration::from_secs(seconds)).await, Ok(given(1)));
    }
    assert_eq!(place.aws.log().len(), 2, "it is not asked again at once");
    let fault = chain.keys(later(now, 61)).await.unwrap_err();
    assert!(fault.contains(ROLE), "{fault}");
    assert_eq!(chain.keys(later(now, 61)).await, Err(fault));
    assert_eq!(place.aws.log().len(), 3);
    // And comes back.
    place.aws.behave(|aws| (aws.denied, aws.ends) = (Vec::new(), later(now, 200)));
    assert_eq!(chain.keys(later(now, 62)).await, Ok(given(2)));
}

#[tokio::test]
async fn a_token_is_read_at_each_fetch() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    assert_eq!(chain.keys(now).await, Ok(given(1)));
    // The first one has ended meanwhile, and another is in the file.
    let path = place.write("token", &web_identity("pod-1", AUDIENCE, -1));
    assert!(place.chain().keys(now).await.is_err());
    place.write("token", &web_identity("pod-1", AUDIENCE, 3600));
    place.aws.behave(|aws| aws.ends = later(now, 180));
    assert_eq!(chain.keys(later(now, 70)).await, Ok(given(2)));
    // And then it is gone.
    std::fs::remove_file(&path).unwrap();
    let fault = chain.keys(later(now, 181)).await.unwrap_err();
    assert!(fault.contains(path.to_str().unwrap()), "{fault}");
    assert_eq!(place.aws.log().len(), 3, "without a token nobody is asked");
}

#[tokio::test]
async fn keys_that_a_service_calls_expired_are_replaced_once() {
    let place = Place::new().await.with_web_identity();
    let (chain, now) = (place.chain(), SystemTime::now());
    let first = chain.keys(now).await.unwrap();
    assert_eq!(chain.instead_of(&first, now).await, Ok(Some(given(2))));
    // Another call that used the first ones finds the second ones.
    assert_eq!(chain.instead_of(&first, now).await, Ok(Some(given(2))));
    assert_eq!(place.aws.log().len(), 2);
    // Where the same comes again there is nothing to try.
    let place = place.with("AWS_ACCESS_KEY_ID", "AKIDFIRST").with("AWS_SECRET_ACCESS_KEY", "a-fixed-secret");
    let chain = place.chain();
    let fixed = chain.keys(now).await.unwrap();
    assert_eq!(chain.instead_of(&fixed, now).await, Ok(None));
}
