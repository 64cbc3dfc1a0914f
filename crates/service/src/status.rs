//! What a running server is connected to, sees and lacks, for `/readyz?verbose` and `truing status`.

use serde_json::{Value, json};

use super::{Forges as _, Parts, ServiceContext};

impl<P: Parts> ServiceContext<P> {
    /// The state of each forge, what is swept of it, and the kill switch. It names no repository: whoever reaches the server may ask.
    pub(super) async fn status(&self) -> Value {
        let swept = self.swept.all();
        let forges = self.forges.servers().keys().map(|name| {
            let of_forge = || swept.iter().filter(|swept| swept.forge == *name);
            json!({
                "name": name,
                "state": self.swept.health(name).map_or("not_asked", |health| health.as_str()),
                "repositories": of_forge().count(),
                "open_pull_requests": of_forge().map(|swept| swept.open).sum::<usize>(),
            })
        });
        json!({
            "status": "ready",
            "version": env!("CARGO_PKG_VERSION"),
            "kill_switch": self.switch().await.engaged().is_some(),
            "leaves_existing": self.repositories.leaves_existing(),
            "forges": forges.collect::<Vec<_>>(),
        })
    }
}
