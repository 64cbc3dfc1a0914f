//! Every exchange with the fake forge is compared with what GitHub publishes; a difference fails the test.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use truing_contract::Contract;
use truing_fakes::forge::{Exchange, FakeForge, Options, Witness};

/// How the violations begin that are differences.
const UNLIKE: &str = "unlike GitHub: ";

/// What GitHub publishes.
static GITHUB: LazyLock<Contract> = LazyLock::new(|| Contract::github().unwrap());

struct Published {
    /// Somebody else who looks.
    also: Option<Arc<dyn Witness>>,
}

impl Witness for Published {
    fn saw(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let others = self.also.iter().flat_map(|also| also.saw(exchange));
        let Exchange { method, target, request, answer } = *exchange;
        let found = GITHUB.check(&truing_contract::Exchange { method, target, request, answer });
        found.into_iter().map(|violation| format!("{UNLIKE}{violation}")).chain(others).collect()
    }
}

/// A forge whose exchanges are compared.
pub(crate) struct Watched(FakeForge);

impl Watched {
    pub(crate) async fn start(options: Options) -> Self {
        let published = Published { also: options.witness };
        let options = Options { witness: Some(Arc::new(published)), ..options };
        Self(FakeForge::start(options).await.unwrap())
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
