//! Apps and installations in GitHub's format.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::forge::github::json::{format_time, node_id};
use crate::forge::state::ForgeInstance;
use crate::forge::state::apps::{DEFAULT_INSTALLATION_PERMISSIONS, FakeInstallation, RegisteredApp};

impl ForgeInstance {
    /// Returns an App (`integration`).
    pub(crate) fn registered_app_json(&self, id: u64, app: &RegisteredApp) -> Value {
        let permissions: BTreeMap<_, _> = DEFAULT_INSTALLATION_PERMISSIONS.iter().copied().collect();
        json!({
            "id": id, "slug": app.slug, "node_id": node_id("App", id), "name": app.slug, "description": null,
            "owner": self.user_json("acme"), "external_url": format!("{}/about", self.base_url),
            "html_url": format!("{}/apps/{}", self.base_url, app.slug),
            "created_at": format_time(app.created_at),
            "updated_at": format_time(app.created_at), "permissions": permissions,
            "events": ["pull_request", "issue_comment"],
        })
    }

    /// Returns the App whose account has this login; null if no App has this account.
    pub(crate) fn account_app_json(&self, login: &str) -> Value {
        let slug = login.strip_suffix("[bot]").unwrap_or(login);
        let found = self.apps.apps.iter().find(|(_, app)| app.slug == slug);
        found.map_or(Value::Null, |(id, app)| self.registered_app_json(*id, app))
    }

    /// Returns an installation (`installation`).
    pub(crate) fn installation_json(&self, id: u64, installation: &FakeInstallation) -> Value {
        let (base, slug) =
            (&self.base_url, self.apps.apps.get(&installation.app_id).map_or("", |app| &app.slug));
        json!({
            "id": id, "app_id": installation.app_id, "app_slug": slug,
                "account": self.user_json(&installation.owner),
            "target_id": self.accounts.get(&installation.owner), "target_type": "Organization",
            "repository_selection": "all", "single_file_name": null,
            "access_tokens_url": format!("{base}/app/installations/{id}/access_tokens"),
            "repositories_url": format!("{base}/installation/repositories"),
            "html_url": format!("{base}/organizations/{}/settings/installations/{id}", installation.owner),
            "permissions": installation.permissions, "events": ["pull_request", "issue_comment"],
            "created_at": format_time(installation.created_at),
            "updated_at": format_time(installation.created_at),
            "suspended_at": installation.suspended_at.map(format_time), "suspended_by": null,
        })
    }
}
