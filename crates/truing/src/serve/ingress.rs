//! Ingress: verifies a webhook over its raw body, understands who it is about, and marks that slot. Nothing else
//! in it is believed (spec review-service section 1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, body::Bytes};
use serde_json::json;
use truing_core::port::{Clock, Described, Ids, Reader, Records, Slots};
use truing_core::slot::{Command, Loop};
use truing_forge::webhook::{Hook, parse_github, verify_github};

use super::{Forges, House};
use crate::slots::step;

/// The largest delivery: GitHub sends no more than this.
const MAX_BODY: usize = 25 * 1024 * 1024;
/// After so long without a look at the slots the scheduler counts as stopped; longer where it looks seldom.
const STALE: Duration = Duration::from_secs(30);

struct Ingress<S, W, R, C, I> {
    house: Arc<House<S, W, R, C, I>>,
    secrets: BTreeMap<String, Vec<u8>>,
    /// When the scheduler last looked.
    looked: Arc<AtomicI64>,
    poll: Duration,
}

type Shared<S, W, R, C, I> = State<Arc<Ingress<S, W, R, C, I>>>;

/// The routes of the service.
pub fn router<S, W, R, C, I>(
    house: Arc<House<S, W, R, C, I>>,
    secrets: BTreeMap<String, Vec<u8>>,
    looked: Arc<AtomicI64>,
    poll: Duration,
) -> Router
where
    S: Slots + Records + 'static,
    W: Forges + 'static,
    R: Reader + 'static,
    C: Clock + 'static,
    I: Ids + 'static,
{
    Router::new()
        .route("/webhooks/{name}", post(webhook::<S, W, R, C, I>))
        .route("/healthz", get(healthz::<S, W, R, C, I>))
        .route("/readyz", get(readyz::<S, W, R, C, I>))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(Ingress { house, secrets, looked, poll }))
}

/// 202 once the mark is durable; 401 for a signature that is wrong or missing, 404 for a forge that is not
/// configured, 400 for what cannot be understood, 413 over the size, 503 if the store is down.
async fn webhook<S, W, R, C, I>(
    State(ingress): Shared<S, W, R, C, I>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response
where
    S: Slots + Records,
{
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(secret) = ingress.secrets.get(&name) else {
        return answer(StatusCode::NOT_FOUND, json!({"error": "unknown_forge"}));
    };
    if let Err(unsigned) = verify_github(secret, &body, header("x-hub-signature-256")) {
        tracing::warn!(forge = %name, %unsigned, "delivery refused");
        return answer(StatusCode::UNAUTHORIZED, json!({"error": "bad_signature"}));
    }
    let hook = match parse_github(header("x-github-event").unwrap_or_default(), &name, &body) {
        Ok(hook) => hook,
        Err(bad) => {
            tracing::warn!(forge = %name, %bad, "delivery not understood");
            return answer(
                StatusCode::BAD_REQUEST,
                json!({"error": "bad_payload", "message": bad.to_string()}),
            );
        }
    };
    match hook {
        Hook::Ping => answer(StatusCode::ACCEPTED, json!({"status": "pong"})),
        Hook::Ignored { what } => answer(StatusCode::ACCEPTED, json!({"status": "ignored", "what": what})),
        Hook::Pull { pr, name, url, revision, .. } => {
            let key = pr.key();
            let head = revision.map(|revision| revision.head);
            let store = &ingress.house.store;
            // The name first: a slot is of no use to a worker that cannot find its repository.
            let marked = match store.describe(&[(key.clone(), Described { name, url, head })]).await {
                Ok(()) => {
                    step(store, &key, Command::Event(Loop::Review), &ingress.house.limits).await.map(drop)
                }
                Err(error) => Err(error.into()),
            };
            match marked {
                Ok(()) => answer(StatusCode::ACCEPTED, json!({"status": "accepted", "key": key})),
                Err(error) => {
                    tracing::error!(%key, %error, "delivery not taken");
                    let down = answer(StatusCode::SERVICE_UNAVAILABLE, json!({"error": "store_unavailable"}));
                    ([("retry-after", "5")], down).into_response()
                }
            }
        }
    }
}

/// 200 while the scheduler looks at the slots, else 503.
async fn healthz<S, W, R, C: Clock, I>(State(ingress): Shared<S, W, R, C, I>) -> Response {
    let age = ingress.house.clock.now().0.saturating_sub(ingress.looked.load(Ordering::Relaxed));
    let stale = STALE.max(ingress.poll * 5).as_millis();
    if u128::try_from(age).is_ok_and(|age| age > stale) {
        let since = json!({"status": "scheduler_stopped", "ms_since_last_look": age});
        return answer(StatusCode::SERVICE_UNAVAILABLE, since);
    }
    answer(StatusCode::OK, json!({"status": "ok"}))
}

/// 200 if the store answers, else 503.
async fn readyz<S: Slots, W, R, C, I>(State(ingress): Shared<S, W, R, C, I>) -> Response {
    match ingress.house.store.now().await {
        Ok(_) => answer(StatusCode::OK, json!({"status": "ready"})),
        Err(error) => {
            tracing::error!(%error, "not ready");
            answer(StatusCode::SERVICE_UNAVAILABLE, json!({"error": "store_unavailable"}))
        }
    }
}

fn answer(status: StatusCode, body: serde_json::Value) -> Response {
    (status, Json(body)).into_response()
}
