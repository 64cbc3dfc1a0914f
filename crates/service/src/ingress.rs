//! Receives webhooks. Verifies the signature of each webhook over its raw body, and marks the slot that the
//! webhook concerns. No other content of a webhook is trusted.
//!
//! Some webhooks are refused before the body is read: webhooks from a source above its rate limit, and
//! webhooks for a forge that is not configured. Webhooks with a malformed signature, a wrong content type or
//! a too large announced length are also refused before the body is read. All other checks are made while the
//! body arrives (`body`). The acknowledgement is sent after the mark is durable
//! ([`mark_batches`](super::mark_batches)).

mod body;
mod bounds;
pub(super) mod listen;
mod rate;
mod refusal;
mod refusal_sampler;
mod source;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ipnet::IpNet;
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};
use truing_core::id::{PrId, UnixMillis};
use truing_core::port::{
    ForgeKind, HaltPolicy, RequestOrigin, SlotDescription, SlotMark, StoreCheckError, StoreError,
};
use truing_core::slot::LoopKind;
use truing_core::switch::RepositoryRef;
use truing_forge::ForgeServer;
use truing_forge::capability::RejectedDeliveryConsequence;
use truing_forge::delivery::parse_delivery;
use truing_forge::webhook::{
    CheckRerun, DeliveryHeaders, HookSecret, RerunTarget, WebhookComment, WebhookEvent, WebhookLabel,
    extract_form_payload,
};

pub use self::bounds::{ConnectionLimits, MAX_BODY_BYTES};
use self::listen::PeerAddress;
pub use self::listen::{MAX_HEADER_BYTES, MAX_HEADERS};
use self::rate::{RateLimitExceeded, RateLimiter};
use self::refusal::DeliveryRefusal;
use self::refusal_sampler::RefusalSampler;
use super::comment_commands::{self, UserCommand};
use super::context::ServiceContext;
use super::mark_batches::{MarkError, MarkQueue};
use super::status::WorkStatus;

/// Default limit of deliveries per second from one source.
pub const DEFAULT_RATE_LIMIT: u32 = 5000;
/// If the scheduler's last read of the slots is at least this old, the scheduler counts as stopped. The limit
/// is five poll intervals if they are longer.
const SCHEDULER_STALE_AGE: Duration = Duration::from_secs(30);
/// Timeout of the operations that `/readyz` tries.
const READINESS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which a response of `/readyz` or `/metrics` is reused for other requests.
const RESPONSE_CACHE_TTL: Duration = Duration::from_secs(1);
/// Largest number of characters of a delivery's id in the log. GitHub's ids have 36 characters.
const MAX_DELIVERY_ID_CHARS: usize = 64;

/// The settings of webhook processing.
#[derive(Clone, Debug)]
pub struct IngressSettings {
    /// The webhook secret of each forge.
    pub secrets: BTreeMap<String, HookSecret>,
    /// For each forge, the configured response to deliveries while the kill switch is on. For a forge without
    /// an entry, the default of the forge's kind applies.
    pub halt_policies: BTreeMap<String, HaltPolicy>,
    /// Networks of proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Limit of deliveries per second from one source; 0: no limit.
    pub rate_limit: u32,
    /// Limits of connections and bodies.
    pub bounds: ConnectionLimits,
}

impl IngressSettings {
    /// Creates settings with these secrets. All other settings have their defaults.
    pub fn new(secrets: BTreeMap<String, HookSecret>) -> Self {
        let (halted, bounds) = (BTreeMap::new(), ConnectionLimits::default());
        Self {
            secrets,
            halt_policies: halted,
            trusted_proxies: Vec::new(),
            rate_limit: DEFAULT_RATE_LIMIT,
            bounds,
        }
    }
}

struct IngressState {
    context: Arc<ServiceContext>,
    settings: IngressSettings,
    rate_limiter: RateLimiter,
    refusal_sampler: RefusalSampler,
    /// Memory limit for all bodies together: one permit for each byte.
    body_memory_permits: Arc<Semaphore>,
    marks: MarkQueue,
    /// Time at which the scheduler last read the slots, in Unix milliseconds.
    slots_read_at: Arc<AtomicI64>,
    poll_interval: Duration,
    /// Result of the operations that `/readyz` tried last.
    operations_result: CachedResponse<Result<(), StoreCheckError>>,
    /// The queue in the last verbose response of `/readyz`.
    work_status: CachedResponse<WorkStatus>,
    /// The last response of `/metrics`.
    metrics_response: CachedResponse<String>,
}

type SharedIngress = State<Arc<IngressState>>;

/// The routes of the service, one router for each listener.
pub struct IngressRoutes {
    /// Routes of the address at which webhooks arrive.
    pub main: Router,
    /// The route of `/metrics`, if `/metrics` has a separate listener. Otherwise this router is empty.
    pub metrics: Router,
}

/// Creates the routes of the service. If `has_metrics_listener` is true, `/metrics` gets a separate router.
/// Starts the task that marks slots. The task ends when the routes are dropped.
pub fn routes(
    context: Arc<ServiceContext>,
    settings: IngressSettings,
    slots_read_at: Arc<AtomicI64>,
    poll_interval: Duration,
    has_metrics_listener: bool,
) -> IngressRoutes {
    let ingress = IngressState {
        marks: MarkQueue::start(context.clone()),
        rate_limiter: RateLimiter::new(settings.rate_limit),
        refusal_sampler: RefusalSampler::default(),
        body_memory_permits: Arc::new(Semaphore::new(settings.bounds.max_body_memory_bytes)),
        context,
        settings,
        slots_read_at,
        poll_interval,
        operations_result: CachedResponse::new(),
        work_status: CachedResponse::new(),
        metrics_response: CachedResponse::new(),
    };
    let main = Router::new()
        .route("/webhooks/{name}", post(webhook))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    let metrics = Router::new().route("/metrics", get(metrics));
    let (main, metrics) =
        if has_metrics_listener { (main, metrics) } else { (main.merge(metrics), Router::new()) };
    let state = Arc::new(ingress);
    IngressRoutes { main: main.with_state(state.clone()), metrics: metrics.with_state(state) }
}

/// Responds with 202 once the mark is durable or if nothing has to be marked. Otherwise responds as
/// [`DeliveryRefusal`] defines, and logs the refusal.
async fn webhook(
    State(ingress): SharedIngress,
    forge_name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // If the forge name in the path is not valid UTF-8, the name is left empty. No forge has an empty name.
    let name = forge_name.map_or_else(|_| String::new(), |Path(name)| name);
    let peer =
        request.extensions().get::<PeerAddress>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let source = source::client_address(peer, request.headers(), &ingress.settings.trusted_proxies);
    let began = Instant::now();
    let limited = ingress.rate_limiter.take_token(source, began).err();
    let server = ingress.context.forges.servers().get(&name);
    // For an unknown forge, the delivery id is empty, because the name of its header depends on the kind of
    // forge.
    let delivery = server.map(|server| delivery_id(server.kind(), request.headers())).unwrap_or_default();
    let taken = match limited {
        Some(RateLimitExceeded { wait, .. }) => {
            Err(DeliveryRefusal::RateLimited { seconds: wait.as_secs() + 1 })
        }
        None => ingress.accept_delivery(&name, request).await,
    };
    let metrics = &ingress.context.metrics;
    let refusal = match taken {
        Ok(answer) => {
            let result = if answer["status"] == "accepted" { "accepted" } else { "ignored" };
            metrics.record_webhook(result, began.elapsed());
            tracing::debug!(forge = name, %source, delivery, key = answer["key"].as_str(),
                "delivery {result}");
            return (StatusCode::ACCEPTED, Json(answer)).into_response();
        }
        Err(refusal) => refusal,
    };
    metrics.record_webhook(refusal.metric_label(), began.elapsed());
    let silenced = server.is_some_and(|server| {
        server.capability().rejected_delivery_consequence == RejectedDeliveryConsequence::HookSuspended
    });
    let answer = match silenced && refusal.is_store_failure() {
        true => {
            let body = json!({ "status": "ignored", "what": "the store is unreachable: the sweep will find \
                                                             open pull requests" });
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
        false => refusal.to_response(),
    };
    let may_tell = limited.is_none_or(|limited| limited.should_log);
    if let Some(left_out) =
        may_tell.then(|| ingress.refusal_sampler.sample_refusal(refusal.metric_label(), began)).flatten()
    {
        let status = answer.status().as_u16();
        let left_out = (left_out > 0).then_some(left_out);
        tracing::warn!(forge = name, %source, delivery, status, left_out, reason = %refusal,
            "delivery not taken");
    }
    answer
}

impl IngressState {
    /// Processes one delivery, and returns the response body.
    async fn accept_delivery(
        &self,
        forge_name: &str,
        request: Request,
    ) -> Result<serde_json::Value, DeliveryRefusal> {
        let (parts, body) = request.into_parts();
        let headers = parts.headers;
        let unknown = || DeliveryRefusal::UnknownForge(visible_ascii(forge_name, MAX_DELIVERY_ID_CHARS));
        let secret = self.settings.secrets.get(forge_name).ok_or_else(unknown)?;
        let server = self.context.forges.servers().get(forge_name).ok_or_else(unknown)?;
        let halt_response = self.settings.halt_policies.get(forge_name).copied();
        let (kind, halted) = (
            server.kind(),
            halt_response
                .unwrap_or_else(|| default_halt_policy(server.capability().rejected_delivery_consequence)),
        );
        let DeliveryHeaders { event, signature, .. } = DeliveryHeaders::read(kind, &headers);
        let check = signature
            .and_then(|signature| secret.begin_check(signature))
            .map_err(DeliveryRefusal::BadSignature)?;
        let is_form = is_form(&headers)?;
        let body =
            body::read_verified_body(body, check, &self.settings.bounds, &self.body_memory_permits).await?;

        let hook = if is_form {
            extract_form_payload(&body.bytes).and_then(|json| parse_delivery(kind, event, forge_name, &json))
        } else {
            parse_delivery(kind, event, forge_name, &body.bytes)
        };
        drop(body);
        match hook.map_err(DeliveryRefusal::Unparsable)? {
            WebhookEvent::Ping => Ok(json!({ "status": "pong" })),
            WebhookEvent::Ignored { event_name } => Ok(json!({ "status": "ignored", "what": event_name })),
            WebhookEvent::Comment(WebhookComment { repo, .. })
            | WebhookEvent::Pull { repo, .. }
            | WebhookEvent::Rerun(CheckRerun { repo, .. })
            | WebhookEvent::Label(WebhookLabel { repo, .. })
                if !self.context.repository_filter.admits_repository(forge_name, &repo) =>
            {
                Ok(json!({ "status": "ignored",
                        "what": format!("{repo} is not in forge.{forge_name}.repositories") }))
            }
            WebhookEvent::Comment(comment) => self.accept_comment(comment, halted).await,
            WebhookEvent::Rerun(rerun) => self.accept_rerun(forge_name, rerun, halted).await,
            WebhookEvent::Label(label) => self.accept_label(label, halted).await,
            WebhookEvent::Pull { pr, name, url, head, .. } => {
                let key = pr.key();
                let described = SlotDescription { name, url, head };
                let mark = SlotMark { key: key.clone(), description: described, loop_kind: LoopKind::Review };
                self.marks.mark(mark, halted).await.map_err(DeliveryRefusal::NotMarked)?;
                Ok(json!({ "status": "accepted", "key": key }))
            }
        }
    }

    /// Records a comment that looks like a command. The command is served later, because the forge waits only
    /// ten seconds for the response.
    async fn accept_comment(
        &self,
        comment: WebhookComment,
        halt_policy: HaltPolicy,
    ) -> Result<serde_json::Value, DeliveryRefusal> {
        if UserCommand::parse(&comment.body).is_none() {
            return Ok(json!({ "status": "ignored", "what": "a comment that is not a command" }));
        }
        let origin = RequestOrigin::Comment { kind: comment.kind, id: comment.id };
        self.store_requests(&[comment.pr], &comment.repo, &origin, halt_policy).await
    }

    /// Records a label, if the label starts converge runs.
    async fn accept_label(
        &self,
        label: WebhookLabel,
        halt_policy: HaltPolicy,
    ) -> Result<serde_json::Value, DeliveryRefusal> {
        let converging = match &self.context.converge_setup {
            Ok(converging) => converging,
            Err(why) => return Ok(json!({ "status": "ignored", "what": format!("a label: {why}") })),
        };
        let wanted = converging.config().label.as_ref();
        if wanted.is_none_or(|wanted| !wanted.eq_ignore_ascii_case(&label.name)) {
            return Ok(json!({ "status": "ignored", "what": "a label that does not start a converge run" }));
        }
        let origin = RequestOrigin::Label { name: label.name };
        self.store_requests(&[label.pr], &label.repo, &origin, halt_policy).await
    }

    /// Records a request for a rerun, if the button belongs to a check of Truing.
    async fn accept_rerun(
        &self,
        forge: &str,
        rerun: CheckRerun,
        halt_policy: HaltPolicy,
    ) -> Result<serde_json::Value, DeliveryRefusal> {
        let ignored = |subject: &str| Ok(json!({ "status": "ignored", "what": subject }));
        if self.context.forges.servers().get(forge).and_then(ForgeServer::app_id_for_checks)
            != Some(rerun.app_id)
        {
            return ignored("a check of another app");
        }
        let pulls = match rerun.target {
            RerunTarget::Pull(pr) => vec![pr],
            // The payload does not contain pull requests from forks. Pull requests are therefore found from
            // the heads that Truing has reviewed.
            RerunTarget::Head(head) => {
                let pulls = self.context.store.pulls_reviewed_at(forge, &rerun.repository_id, &head).await;
                pulls.map_err(|error| DeliveryRefusal::NotMarked(MarkError::Store(error)))?
            }
        };
        if pulls.is_empty() {
            return ignored("a commit that was not reviewed");
        }
        let origin = RequestOrigin::Check { account: rerun.account, login: rerun.login };
        self.store_requests(&pulls, &rerun.repo, &origin, halt_policy).await
    }

    /// Records a command. While a kill switch is on for the repository, `halt_policy` determines whether the
    /// delivery is refused.
    async fn store_requests(
        &self,
        pulls: &[PrId],
        repo: &str,
        origin: &RequestOrigin,
        halt_policy: HaltPolicy,
    ) -> Result<serde_json::Value, DeliveryRefusal> {
        // A refused command is not lost: the next sweep finds the comment, and a label can be set again. A
        // command that arrives just before the switch is on only marks a slot. No run begins while the switch
        // is on.
        let keys = pulls.iter().flat_map(|pull| RepositoryRef::from_key(&pull.key()).keys).collect();
        let repository = RepositoryRef { keys, ..RepositoryRef::from_name(repo) };
        if halt_policy == HaltPolicy::Refuse
            && self.context.kill_switches().await.switch_for(&repository).is_some()
        {
            return Err(DeliveryRefusal::NotMarked(MarkError::KillSwitch));
        }
        let heard = comment_commands::store_requests(&*self.context.store, pulls, repo, origin).await;
        heard.map_err(|error| DeliveryRefusal::NotMarked(MarkError::Store(error)))?;
        Ok(json!({ "status": "accepted", "key": pulls.first().map(PrId::key) }))
    }
}

/// Returns the default response to deliveries while the kill switch is on. The default depends on the
/// consequence of a refusal at the forge.
fn default_halt_policy(consequence: RejectedDeliveryConsequence) -> HaltPolicy {
    match consequence {
        RejectedDeliveryConsequence::DeliveryLost => HaltPolicy::Refuse,
        RejectedDeliveryConsequence::HookSuspended => HaltPolicy::Mark,
    }
}

/// Returns true if the body is a form. A body without a type counts as JSON.
fn is_form(headers: &HeaderMap) -> Result<bool, DeliveryRefusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(false) };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(false)
    } else if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(true)
    } else {
        Err(DeliveryRefusal::UnsupportedMediaType)
    }
}

/// Returns the id that the forge gave to the delivery. The id is empty if the forge sends none.
fn delivery_id(kind: ForgeKind, headers: &HeaderMap) -> String {
    visible_ascii(DeliveryHeaders::read(kind, headers).id, MAX_DELIVERY_ID_CHARS)
}

/// Removes all characters but visible ASCII, and returns at most `max_chars` characters.
fn visible_ascii(text: &str, max_chars: usize) -> String {
    text.chars().filter(char::is_ascii_graphic).take(max_chars).collect()
}

/// Responds with 200 while the scheduler reads the slots regularly, otherwise with 503.
async fn healthz(State(ingress): SharedIngress) -> Response {
    // The absolute difference is used because the clock may be set forward or back. After a change of the
    // clock, the next read of the slots is recorded in the new time.
    let age = ingress.context.clock.now().0.abs_diff(ingress.slots_read_at.load(Ordering::Relaxed));
    let stale = SCHEDULER_STALE_AGE.max(ingress.poll_interval * 5).as_millis();
    if u128::from(age) > stale {
        let since = json!({"status": "scheduler_stopped", "ms_since_last_look": age});
        return json_response(StatusCode::SERVICE_UNAVAILABLE, since);
    }
    json_response(StatusCode::OK, json!({"status": "ok"}))
}

/// Responds with 200 if the store does what webhooks and reviews need, otherwise with 503 and the name of the
/// operation that failed. Only the log contains the error with its address. A draining service accepts no
/// connections, so its `/readyz` does not respond. With `?verbose`, the response also contains the state of
/// the kill switch, the numbers of parked and unreadable slots, and the state of the forges that this
/// process's sweep found.
async fn readyz(State(ingress): SharedIngress, RawQuery(query): RawQuery) -> Response {
    // The existence of the database file is checked at each request. The operations are tried at most once
    // per [`RESPONSE_CACHE_TTL`].
    let tried = async {
        let in_place = ingress.context.store.check_store_file();
        in_place.map_err(|error| StoreCheckError::new("find the database file", error))?;
        ingress.operations_result.get_or_refresh(ingress.context.store.check_operations()).await
    };
    let failed = match tokio::time::timeout(READINESS_TIMEOUT, tried).await {
        Ok(Ok(())) if query.as_deref() == Some("verbose") => {
            let collected = ingress.context.metrics.collect_work_status();
            let work = ingress.work_status.get_or_refresh(collected).await;
            return json_response(StatusCode::OK, json!(ingress.context.status(work).await));
        }
        Ok(Ok(())) => return json_response(StatusCode::OK, json!({"status": "ready"})),
        Ok(Err(failed)) => failed,
        Err(_) => {
            let seconds = READINESS_TIMEOUT.as_secs();
            let silent = StoreError::Unavailable(format!("the store has not answered within {seconds} s"));
            StoreCheckError::new("get an answer", silent)
        }
    };
    tracing::error!(error = %failed, "not ready");
    let body = json!({"error": "store_unavailable", "operation": failed.operation});
    json_response(StatusCode::SERVICE_UNAVAILABLE, body)
}

/// A response that is reused for all requests within [`RESPONSE_CACHE_TTL`]. Frequent requests therefore put
/// no load on the store.
struct CachedResponse<T>(Mutex<Option<(Instant, T)>>);

impl<T: Clone> CachedResponse<T> {
    fn new() -> Self {
        Self(Mutex::new(None))
    }

    async fn get_or_refresh(&self, new_response: impl Future<Output = T>) -> T {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, answer)) if at.elapsed() < RESPONSE_CACHE_TTL => answer.clone(),
            Some(_) | None => {
                let answer = new_response.await;
                *last = Some((Instant::now(), answer.clone()));
                answer
            }
        }
    }
}

/// Responds with all counters and gauges in Prometheus's text format.
async fn metrics(State(ingress): SharedIngress) -> Response {
    let looked = UnixMillis(ingress.slots_read_at.load(Ordering::Relaxed));
    let text = ingress.metrics_response.get_or_refresh(ingress.context.scrape(looked)).await;
    ([(CONTENT_TYPE, super::metrics::CONTENT_TYPE)], text).into_response()
}

fn json_response(status: StatusCode, body: serde_json::Value) -> Response {
    (status, Json(body)).into_response()
}
