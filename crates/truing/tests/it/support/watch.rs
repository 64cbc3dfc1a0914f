//! Every exchange with the fake forge is compared with what its kind publishes; a difference fails the test.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use truing_contract::{Contract, Part};
use truing_fakes::forge::{Exchange, FakeForge, Flavour, Options, Witness};

/// How the violations begin that are differences.
const UNLIKE: &str = "unlike ";

/// What GitHub publishes.
static GITHUB: LazyLock<Contract> = LazyLock::new(|| Contract::github().unwrap());
/// What Atlassian publishes, where its documents are at hand.
static CLOUD: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::bitbucket_cloud().unwrap());
static DATA_CENTER: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::bitbucket_data_center().unwrap());

struct Published {
    of: Flavour,
    /// Somebody else who looks.
    also: Option<Arc<dyn Witness>>,
}

impl Witness for Published {
    fn saw(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let others = self.also.iter().flat_map(|also| also.saw(exchange));
        let Exchange { method, target, request, answer } = *exchange;
        let (name, contract) = match self.of {
            Flavour::GitHub => ("GitHub", Some(&*GITHUB)),
            Flavour::Cloud => ("Bitbucket Cloud", CLOUD.as_ref()),
            Flavour::DataCenter => ("Bitbucket Data Center", DATA_CENTER.as_ref()),
        };
        let exchange = truing_contract::Exchange { method, target, request, answer };
        let found = contract.map(|contract| contract.check(&exchange)).unwrap_or_default();
        // Which refusals Atlassian names is no list of all that there are.
        let refused = self.of != Flavour::GitHub && answer.is_some_and(|(status, _)| status >= 300);
        let has_json = answer.is_some_and(|(_, json)| json.is_some());
        let counts = |part: Part| match part {
            Part::Request | Part::Status(_) => !refused,
            Part::Answer(_) => !refused || has_json,
        };
        let found = found.into_iter().filter(|violation| counts(violation.part));
        found.map(|violation| format!("{UNLIKE}{name}: {violation}")).chain(others).collect()
    }
}

/// A forge whose exchanges are compared.
pub(crate) struct Watched(FakeForge);

impl Watched {
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_as(Flavour::GitHub, options).await
    }

    pub(crate) async fn start_as(of: Flavour, options: Options) -> Self {
        let published = Published { of, also: options.witness };
        let options = Options { witness: Some(Arc::new(published)), ..options };
        Self(FakeForge::start_as(of, options).await.unwrap())
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
        let mut unlike = self.0.violations();
        unlike.retain(|violation| violation.starts_with(UNLIKE));
        unlike.dedup();
        assert!(std::thread::panicking() || unlike.is_empty(), "{}", unlike.join("\n"));
    }
}
