//! Compares each request to the fake forge, and each response, with the published API description of the real
//! forge. A difference fails the test. A write without the id of a review run also fails the test.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use truing_contract::{ExchangePart, ForgeContract};
use truing_fakes::forge::{ApiExchange, ExchangeObserver, FakeForge, FakeForgeOptions, ForgeFlavour};

/// Prefix of violations that report a difference from the published API description.
const UNLIKE: &str = "unlike what is published: ";
/// Suffix of violations that report a write without the id of a run.
const UNNAMED: &str = " without X-Review-Id";

/// GitHub's published API description.
static GITHUB: LazyLock<ForgeContract> = LazyLock::new(|| ForgeContract::github().unwrap());
/// The published API descriptions of Bitbucket Cloud and Bitbucket Data Center, or `None` if the file is
/// missing.
static CLOUD: LazyLock<Option<ForgeContract>> = LazyLock::new(|| ForgeContract::bitbucket_cloud().unwrap());
static DATA_CENTER: LazyLock<Option<ForgeContract>> =
    LazyLock::new(|| ForgeContract::bitbucket_data_center().unwrap());

struct Published {
    flavour: ForgeFlavour,
    /// Another observer that also checks each exchange.
    also: Option<Arc<dyn ExchangeObserver>>,
}

impl Published {
    fn differences(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        let ApiExchange { method, target, request, response: answer } = *exchange;
        let contract = match self.flavour {
            ForgeFlavour::GitHub => Some(&*GITHUB),
            ForgeFlavour::Cloud => CLOUD.as_ref(),
            ForgeFlavour::DataCenter => DATA_CENTER.as_ref(),
        };
        let Some(contract) = contract else { return Vec::new() };
        let found = contract.check(&truing_contract::WireExchange {
            method,
            target,
            request_body: request,
            response: answer,
        });
        // Atlassian's description contains few rejections. For a rejection, only the body is checked, and
        // only if it is JSON.
        let is_refused =
            self.flavour != ForgeFlavour::GitHub && answer.is_some_and(|(status, _)| status >= 300);
        let is_json = answer.and_then(|(_, json)| json).is_some();
        let counts = |part: ExchangePart| match part {
            ExchangePart::Request | ExchangePart::Status(_) => !is_refused,
            ExchangePart::ResponseBody(_) => !is_refused || is_json,
        };
        let found = found.into_iter().filter(|violation| counts(violation.part));
        found.map(|violation| format!("{UNLIKE}{violation}")).collect()
    }
}

impl ExchangeObserver for Published {
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        let others = self.also.iter().flat_map(|also| also.observe_exchange(exchange));
        self.differences(exchange).into_iter().chain(others).collect()
    }
}

/// The email address of our Bitbucket Cloud account, with whose API token the tests log in.
pub(crate) const EMAIL: &str = "truing@example.com";

/// A fake forge whose exchanges are compared with the published API description.
pub(crate) struct Watched(FakeForge);

impl Watched {
    pub(crate) async fn start(options: FakeForgeOptions) -> Self {
        Self::start_as(ForgeFlavour::GitHub, options).await
    }

    /// Starts a forge of this kind.
    pub(crate) async fn start_as(flavour: ForgeFlavour, options: FakeForgeOptions) -> Self {
        let published = Published { flavour, also: options.observer };
        let options = FakeForgeOptions { observer: Some(Arc::new(published)), ..options };
        Self(FakeForge::start_as(flavour, options).await.unwrap())
    }
}

impl Deref for Watched {
    type Target = FakeForge;

    fn deref(&self) -> &FakeForge {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut wrong = self.0.violations();
        wrong.retain(|violation| violation.starts_with(UNLIKE) || violation.ends_with(UNNAMED));
        wrong.dedup();
        assert!(std::thread::panicking() || wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
