//! Passes deliveries, without a network, to the routes of a service whose background loops do not run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;
use truing_fakes::forge::FakeDelivery;
use truing_forge::webhook::HookSecret;
use truing_service::{ServiceContext, ingress};

/// Passes a delivery to the routes of the service.
pub(crate) async fn hand_over(
    context: &Arc<ServiceContext>,
    (forge, secret): (&str, &str),
    delivery: &FakeDelivery,
) -> StatusCode {
    let secrets = BTreeMap::from([(forge.to_owned(), HookSecret::new(secret.as_bytes()))]);
    let looked = Arc::new(AtomicI64::new(0));
    let settings = ingress::IngressSettings::new(secrets);
    let routes = ingress::routes(context.clone(), settings, looked, Duration::from_secs(2), false);
    let mut request = Request::post(format!("/webhooks/{forge}"));
    for (name, value) in delivery.headers(secret) {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(delivery.body.clone())).unwrap();
    routes.main.oneshot(request).await.unwrap().status()
}
