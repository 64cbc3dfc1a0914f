//! Tests of a provider with keys from AWS's credential chain. The first call fetches the keys. The gateway
//! replaces the keys if the provider reports them as expired. Without keys, the call fails with the reason
//! why no keys were found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use truing_core::ledger::CostBasis;
use truing_fakes::aws::{AUDIENCE, FakeAws, web_identity_token};
use truing_fakes::model::{AWS_REGION, ModelFault, ModelScript, ScriptedAnswer as Says};

use super::stage::{MODEL, ProviderCallMethod, Stage, patience, prices, request, signed, user};
use crate::aws::{CredentialChain, CredentialPrograms, KeySource};
use crate::gateway::{LanguageModel as _, ModelAnswer, ModelError, ModelGateway, ProviderTimeouts};

const ROLE: &str = "arn:aws:iam::123456789012:role/reviewer";

/// Returns a gateway with an AWS role, and the folder with the role's token.
async fn process(
    aws: &FakeAws,
    says: Vec<Says>,
    patience: ProviderTimeouts,
) -> (Stage, ModelGateway, TempDir) {
    let stage =
        Stage::by(ProviderCallMethod::Signed, ModelScript::from_answers(says), 10_000_000, patience).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, web_identity_token("pod-1", AUDIENCE, 3600)).unwrap();
    let variables = [
        ("HOME", folder.path().to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", aws.url()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let programs = CredentialPrograms { path: String::new(), is_shell_trusted: false };
    let chain = CredentialChain::new(variables, AWS_REGION, programs).unwrap();
    let provider = signed(&stage.model, KeySource::Chain(chain));
    let ledger = Arc::new(stage.book.clone());
    let gateway = ModelGateway::new(provider, prices(), ledger, stage.wall.clone(), None, patience).unwrap();
    (stage, gateway, folder)
}

/// Sends one request through a gateway with an AWS role.
async fn ask(aws: &FakeAws, says: Vec<Says>) -> (Stage, ModelGateway, Result<ModelAnswer, ModelError>) {
    let (stage, gateway, _folder) = process(aws, says, patience()).await;
    let result = stage.session_by(&gateway).request_answer(&request(&[user("hello")])).await;
    assert_eq!(stage.book.open(), 0, "everything is settled");
    assert_eq!(stage.model.violations(), [""; 0]);
    let shown = format!("{gateway:?} {result:?}");
    assert!(!shown.contains("canary"), "{shown}");
    (stage, gateway, result)
}

fn refusal(error: &str, message: &str, headers: &[(&str, String)]) -> Says {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let headers: BTreeMap<_, _> = headers.collect();
    Says::fault(ModelFault::Status { status: 403, error: error.into(), message: message.into(), headers })
}

#[tokio::test]
async fn one_fetch_opens_many_calls() {
    let aws = FakeAws::start().await.unwrap();
    let (stage, gateway, result) = ask(&aws, vec![Says::text("yes").times(0)]).await;
    assert!(result.is_ok(), "{result:?}");
    assert!(stage.session_by(&gateway).request_answer(&request(&[user("again")])).await.is_ok());
    assert_eq!((stage.requests(), aws.request_log().len()), (2, 1));
}

#[tokio::test]
async fn keys_that_the_provider_calls_expired_are_replaced_and_the_call_is_repeated_once() {
    let expired =
        || refusal("ExpiredTokenException", "The security token included in the request is expired", &[]);
    let aws = FakeAws::start().await.unwrap();
    let (stage, _, result) = ask(&aws, vec![expired(), Says::text("yes")]).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!((stage.requests(), aws.request_log().len()), (2, 2));

    let aws = FakeAws::start().await.unwrap();
    let (stage, _, result) = ask(&aws, vec![expired().times(0)]).await;
    assert!(matches!(result, Err(ModelError::Unauthorized { .. })), "{result:?}");
    assert_eq!((stage.requests(), aws.request_log().len()), (2, 2));
    assert_eq!(stage.book.spent(), 0);
}

#[tokio::test]
async fn without_keys_nothing_is_sent_and_nothing_is_paid() {
    let aws = FakeAws::start().await.unwrap();
    aws.change_behaviour(|aws| aws.denied_roles = vec![ROLE.to_owned()]);
    let (stage, gateway, result) = ask(&aws, vec![Says::text("yes")]).await;
    let words = result.unwrap_err().to_string();
    assert!(words.starts_with("no access to the provider: AWS STS (http://127.0.0.1"), "{words}");
    assert!(words.contains(ROLE), "{words}");
    // A second session of the gateway gets the same error without another request to STS.
    assert!(stage.session_by(&gateway).request_answer(&request(&[user("hello")])).await.is_err());
    assert_eq!((stage.requests(), aws.request_log().len(), stage.book.spent()), (0, 1, 0));
}

#[tokio::test]
async fn a_service_of_keys_that_is_away_is_tried_again_and_leads_to_the_fallback() {
    let aws = FakeAws::start().await.unwrap();
    aws.change_behaviour(|aws| aws.forced_status = Some(503));
    let (stage, gateway, result) = ask(&aws, vec![Says::text("first").times(0)]).await;
    let Err(ModelError::Unavailable { message: what, .. }) = result else { panic!("{result:?}") };
    assert!(what.contains("AWS STS (http://127.0.0.1") && what.contains("503"), "{what}");
    assert_eq!((gateway.retry_count(), stage.requests(), stage.book.spent()), (2, 0, 0));

    let second = Stage::new(ModelScript::from_answers([Says::text("second")])).await;
    let gateway = gateway.with_fallback("second", second.gateway.clone(), MODEL);
    let answer = stage.session_by(&gateway).request_answer(&request(&[user("hello")])).await.unwrap();
    assert!(answer.served_by.is_some(), "{answer:?}");
    assert_eq!((stage.requests(), second.requests()), (0, 1));
}

#[tokio::test]
async fn keys_are_waited_for_no_longer_than_the_beginning_of_an_answer() {
    let aws = FakeAws::start().await.unwrap();
    let expired = || refusal("ExpiredTokenException", "The security token is expired", &[]);
    // On a busy machine, the first answer may begin later than the shorter time allows. The test then repeats
    // the call with twice the time. The AWS client's own time limit, 10 s, must be longer.
    let mut seconds = 2;
    let (patience, stage, gateway, _folder) = loop {
        let patience = ProviderTimeouts { response_start: Duration::from_secs(seconds), ..patience() };
        let (stage, gateway, folder) =
            process(&aws, vec![Says::text("yes"), expired().times(0)], patience).await;
        if stage.session_by(&gateway).request_answer(&request(&[user("hello")])).await.is_ok() {
            break (patience, stage, gateway, folder);
        }
        seconds *= 2;
        assert!(seconds < 10, "no answer begins");
    };
    // From here on, STS does not respond, so neither this gateway nor a new one gets keys.
    aws.change_behaviour(|aws| aws.is_silent = true);
    let (other, first, _folder) = process(&aws, vec![Says::text("yes")], patience).await;
    for (stage, gateway) in [(&stage, gateway), (&other, first)] {
        let result = stage.session_by(&gateway).request_answer(&request(&[user("hello")])).await;
        let Err(ModelError::Unavailable { message: what, .. }) = result else { panic!("{result:?}") };
        assert!(what.contains("did not arrive in time"), "{what}");
    }
    assert_eq!((stage.requests(), other.requests(), other.book.spent()), (2, 0, 0));
}

#[tokio::test]
async fn a_call_that_is_given_up_before_its_keys_came_costs_nothing() {
    let aws = FakeAws::start().await.unwrap();
    aws.change_behaviour(|aws| aws.is_silent = true);
    let (stage, gateway, _folder) = process(&aws, vec![Says::text("yes")], patience()).await;
    let (session, request) = (stage.session_by(&gateway), request(&[user("hello")]));
    tokio::select! {
        _ = session.request_answer(&request) => panic!("there are no keys"),
        () = async {
            while aws.request_log().is_empty() {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    gateway.wait_until_idle().await;
    assert_eq!((stage.requests(), stage.book.settled()), (0, vec![(0, CostBasis::Metered)]));
}

#[tokio::test]
async fn a_clock_that_the_provider_does_not_share_is_named() {
    let aws = FakeAws::start().await.unwrap();
    let date = Timestamp::now() + SignedDuration::from_mins(17);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let words = "Signature expired: 20270101T000000Z is now earlier than 20270101T001200Z";
    let says = refusal("InvalidSignatureException", words, &[("date", date)]);
    let (stage, _, result) = ask(&aws, vec![says.times(0)]).await;
    let said = result.unwrap_err().to_string();
    assert!(said.contains("this machine's clock is 17 minutes behind") && said.contains(words), "{said}");
    assert_eq!(stage.requests(), 1);
}
