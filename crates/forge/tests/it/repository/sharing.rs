//! Tests two processes that call the same forge with the same login. If one process hits a rate limit, the
//! other process sends no call until the limit ends.

use std::sync::Arc;

use truing_core::port::ForgeError;
use truing_fakes::common::FakeSharedState;
use truing_fakes::forge::{ForgeFaultKind, ForgeFlavour};
use truing_forge::ForgeServer as _;

use super::site::{Site, SystemTestClock, TOKEN, server};

/// Returns true if the error is a rate limit with a remaining wait of 30 to 90 seconds.
fn is_limited(error: &ForgeError) -> bool {
    matches!(error, ForgeError::RateLimited { wait, .. } if (30_000..=90_000).contains(&wait.0))
}

#[tokio::test]
async fn a_secondary_limit_that_one_process_has_met_is_obeyed_by_the_other_without_a_call() {
    for flavour in [ForgeFlavour::GitHub, ForgeFlavour::Cloud, ForgeFlavour::DataCenter] {
        let site = Site::of(flavour).await;
        site.forge.register_token("ghs_canary_other", "ann");
        let common = FakeSharedState::new(Arc::new(SystemTestClock));
        let process =
            |token: &str| server(&site.forge, token).with_shared_rate_limits(Some(Arc::new(common.clone())));
        let (one, other, stranger) = (process(TOKEN), process(TOKEN), process("ghs_canary_other"));
        site.fault("", "", ForgeFaultKind::SecondaryLimit(Some(90)));
        let met = one.repository("acme/shop").await.unwrap_err();
        assert!(is_limited(&met), "{met}");

        let calls = site.forge.request_log().len();
        let met = other.repository("acme/shop").await.unwrap_err();
        assert!(is_limited(&met), "{met}");
        assert_eq!(site.forge.request_log().len(), calls, "{flavour:?}");
        // The limit does not apply to another login, so its call is sent; the response to that call does not
        // matter.
        let _ = stranger.repository("acme/shop").await;
        assert!(site.forge.request_log().len() > calls, "{flavour:?}");
        let names = common.names();
        assert!(names.iter().all(|name| !name.contains("canary")), "{names:?}");
    }
}
