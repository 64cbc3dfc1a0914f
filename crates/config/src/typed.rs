//! Typed access to settings by their keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use truing_core::instruction::PathInstruction;
use truing_core::money::MicroUsd;
use truing_core::port::HaltPolicy;
use truing_core::price::{DeclaredPrice, TokenRate};
use truing_core::severity::RuleSeverity;
use truing_core::tier::{Tier, TierConfig};

use super::keys::COMMITS_BY_API;
use super::login;
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::secret::SecretSource;
use super::value::{self, ConfigValue};
use super::{EffectiveSetting, ForgeConfig, ForgeKind, StoreConfig, StoreLocationConfig, table_mismatch};

/// Typed access to settings. The table of keys guarantees that each used path exists and has the requested
/// kind. A test verifies this guarantee.
pub(super) struct TypedSettings<'a>(pub(super) &'a BTreeMap<String, EffectiveSetting>);

impl TypedSettings<'_> {
    pub(super) fn setting(&self, path: &str) -> Result<&EffectiveSetting, ConfigError> {
        self.0.get(path).ok_or_else(|| table_mismatch(path))
    }

    pub(super) fn get<T>(
        &self,
        path: &str,
        extract: impl FnOnce(&ConfigValue) -> Option<T>,
    ) -> Result<T, ConfigError> {
        extract(&self.setting(path)?.value).ok_or_else(|| table_mismatch(path))
    }

    pub(super) fn duration(&self, path: &str) -> Result<Duration, ConfigError> {
        self.get(
            path,
            |value| if let ConfigValue::Duration(length, _) = value { Some(*length) } else { None },
        )
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, path: &str) -> Result<T, ConfigError> {
        self.get(path, |value| {
            if let ConfigValue::Integer(number) = value { T::try_from(*number).ok() } else { None }
        })
    }

    pub(super) fn address(&self, path: &str) -> Result<SocketAddr, ConfigError> {
        self.get(path, |value| if let ConfigValue::Address(address) = value { Some(*address) } else { None })
    }

    pub(super) fn address_if_any(&self, path: &str) -> Result<Option<SocketAddr>, ConfigError> {
        if self.setting(path)?.value == ConfigValue::Unset { Ok(None) } else { self.address(path).map(Some) }
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, ConfigError> {
        self.get(
            path,
            |value| if let ConfigValue::StringList(items) = value { Some(items.clone()) } else { None },
        )
    }

    /// Returns the rules that select the tier of a review: the operator's rules, and the rules of the
    /// repository's own file if it was read.
    pub(super) fn tiers(&self) -> Result<TierConfig, ConfigError> {
        let tier = |path: &str| {
            let is_set = self.setting(path)?.value != ConfigValue::Unset;
            if is_set { self.choice(path, Tier::from_name).map(Some) } else { Ok(None) }
        };
        let (default, at) = match (tier("review.tier")?, self.boolean("review.specialists")?) {
            (Some(tier), _) => (tier, "review.tier"),
            (None, true) => (Tier::Deep, "review.specialists"),
            (None, false) => (Tier::Settled, "review.tier"),
        };
        let rules = self.get("review.for", |value| {
            if let ConfigValue::Tiers(rules) = value { Some(rules.clone()) } else { None }
        })?;
        Ok(TierConfig {
            default_tier: default,
            config_key: at.to_owned(),
            max_tier: tier("review.most")?,
            rules,
        })
    }

    pub(super) fn instructions(&self, path: &str) -> Result<Vec<PathInstruction>, ConfigError> {
        self.get(
            path,
            |value| if let ConfigValue::Instructions(all) = value { Some(all.clone()) } else { None },
        )
    }

    pub(super) fn commands(&self, path: &str) -> Result<Vec<Vec<String>>, ConfigError> {
        self.get(path, |value| if let ConfigValue::Commands(all) = value { Some(all.clone()) } else { None })
    }

    pub(super) fn id_table(&self, path: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        self.get(path, |value| if let ConfigValue::NamedIds(ids) = value { Some(ids.clone()) } else { None })
    }

    pub(super) fn severities(&self, path: &str) -> Result<BTreeMap<String, Vec<RuleSeverity>>, ConfigError> {
        self.get(
            path,
            |value| if let ConfigValue::RuleSeverities(all) = value { Some(all.clone()) } else { None },
        )
    }

    pub(super) fn networks(&self, path: &str) -> Result<Vec<IpNet>, ConfigError> {
        self.list(path)?
            .iter()
            .map(|item| value::parse_network(item).ok_or_else(|| table_mismatch(path)))
            .collect()
    }

    pub(super) fn url(&self, path: &str) -> Result<String, ConfigError> {
        self.get(path, |value| if let ConfigValue::Url(url) = value { Some(url.clone()) } else { None })
    }

    pub(super) fn url_if_any(&self, path: &str) -> Result<Option<String>, ConfigError> {
        if self.setting(path)?.value == ConfigValue::Unset { Ok(None) } else { self.url(path).map(Some) }
    }

    /// Returns true if a configuration file, or a variable or flag of Truing, sets a key of `[model]`.
    /// Variables of other programs do not count, because a model must not cause costs only because another
    /// program is configured.
    pub(super) fn sets_model_key(&self) -> bool {
        let all = self.0.range("model.".to_owned()..).take_while(|(path, _)| path.starts_with("model."));
        // Keys of `[model.NAME]` do not count, because such a model is used only where another key names it.
        all.filter(|(path, _)| path.matches('.').count() == 1).any(|(_, setting)| match setting.origin {
            ValueOrigin::Default | ValueOrigin::ForeignVariable(_) => false,
            ValueOrigin::Repository { .. }
            | ValueOrigin::Operator { .. }
            | ValueOrigin::Variable(_)
            | ValueOrigin::Flag(_) => true,
        })
    }

    pub(super) fn boolean(&self, path: &str) -> Result<bool, ConfigError> {
        self.get(path, |value| if let ConfigValue::Flag(yes) = value { Some(*yes) } else { None })
    }

    pub(super) fn text(&self, path: &str) -> Result<String, ConfigError> {
        self.get(path, |value| if let ConfigValue::Text(name) = value { Some(name.clone()) } else { None })
    }

    pub(super) fn text_if_any(&self, path: &str) -> Result<Option<String>, ConfigError> {
        self.get_if_any(
            path,
            |value| if let ConfigValue::Text(name) = value { Some(name.clone()) } else { None },
        )
    }

    pub(super) fn choice<T>(
        &self,
        path: &str,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.get(path, |value| if let ConfigValue::Choice(word) = value { meaning(word) } else { None })
    }

    pub(super) fn secret(&self, path: &str) -> Result<Option<SecretSource>, ConfigError> {
        self.get_if_any(path, |value| {
            if let ConfigValue::Secret(secret) = value { Some(secret.clone()) } else { None }
        })
    }

    pub(super) fn secrets(&self, path: &str) -> Result<Vec<SecretSource>, ConfigError> {
        self.get(path, |value| if let ConfigValue::Secrets(all) = value { Some(all.clone()) } else { None })
    }

    pub(super) fn secret_table(&self, path: &str) -> Result<BTreeMap<String, SecretSource>, ConfigError> {
        let all = self.get_if_any(path, |value| {
            if let ConfigValue::SecretTable(all) = value { Some(all.clone()) } else { None }
        })?;
        Ok(all.unwrap_or_default())
    }

    /// Returns the location of the store, and the folder for data of this machine only.
    pub(super) fn store(&self) -> Result<StoreConfig, ConfigError> {
        let [url, records] = ["store.url", "store.records"].map(|key| self.setting(key));
        let (url, records) = (&url?.value, &records?.value);
        let place = match (url, records) {
            (ConfigValue::DatabasePath(file), _) => Some(StoreLocationConfig::File(file.clone())),
            (ConfigValue::Secret(slots), ConfigValue::Secret(records)) => {
                let passwords = [self.secret("store.password")?, self.secret("store.records_password")?];
                Some(StoreLocationConfig::Servers {
                    slots_url: slots.clone(),
                    records_url: records.clone(),
                    passwords,
                })
            }
            (_, _) => None,
        };
        Ok(StoreConfig { location: place, local_data_folder: self.path("store.folder")? })
    }

    /// Returns the value of an optional key, or `None` if the key is unset.
    pub(super) fn get_if_any<T>(
        &self,
        path: &str,
        extract: impl FnOnce(&ConfigValue) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        if self.setting(path)?.value == ConfigValue::Unset {
            Ok(None)
        } else {
            self.get(path, extract).map(Some)
        }
    }

    pub(super) fn usd(&self, path: &str) -> Result<MicroUsd, ConfigError> {
        self.get(path, |value| if let ConfigValue::Usd(money, _) = value { Some(*money) } else { None })
    }

    pub(super) fn usd_if_any(&self, path: &str) -> Result<Option<MicroUsd>, ConfigError> {
        self.get_if_any(
            path,
            |value| if let ConfigValue::Usd(money, _) = value { Some(*money) } else { None },
        )
    }

    /// Returns a model's price. A price for prompts and a price for responses are required.
    pub(super) fn price(&self, name: &str) -> Result<DeclaredPrice, ConfigError> {
        let rate = |key: &str| {
            let money = self.usd_if_any(&format!("price.{name}.{key}"))?;
            Ok::<_, ConfigError>(money.map(TokenRate::from_money_per_million))
        };
        let missing =
            |what| ConfigError::from(ConfigProblem::Price { name: name.to_owned(), missing_part: what });
        Ok(DeclaredPrice {
            input: rate("input")?.ok_or_else(|| missing("a prompt"))?,
            output: rate("output")?.ok_or_else(|| missing("an answer"))?,
            cache_read: rate("cache_read")?,
            cache_write_5m: rate("cache_write_5m")?,
            cache_write_1h: rate("cache_write_1h")?,
        })
    }

    /// Returns true if the key is set by any source.
    pub(super) fn is_set(&self, path: &str) -> bool {
        let Self(settings) = self;
        settings.get(path).is_some_and(|setting| setting.origin != ValueOrigin::Default)
    }

    /// Returns the lowest-precedence origin among the values that are set in a section. `prefix` is the
    /// section's path followed by a dot.
    pub(super) fn first_set_origin(&self, prefix: &str) -> Option<ValueOrigin> {
        let all = self.0.range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix));
        all.map(|(_, setting)| &setting.origin)
            .filter(|origin| **origin != ValueOrigin::Default)
            .min()
            .cloned()
    }

    pub(super) fn path(&self, path: &str) -> Result<Option<PathBuf>, ConfigError> {
        self.get_if_any(
            path,
            |value| if let ConfigValue::Path(path) = value { Some(path.clone()) } else { None },
        )
    }

    pub(super) fn forge(&self, name: &str) -> Result<ForgeConfig, ConfigError> {
        let path = |key: &str| format!("forge.{name}.{key}");
        let needed = |key: &str| self.secret(&path(key))?.ok_or_else(|| table_mismatch(&path(key)));
        let kind = self.choice(&path("kind"), ForgeKind::from_word)?;
        let api_url = self.url(&path("api_url"))?;
        let git_url = self.url_if_any(&path("git_url"))?.unwrap_or_else(|| format!("{api_url}/scm"));
        let (email, account) = (self.text_if_any(&path("email"))?, self.text_if_any(&path("account"))?);
        Ok(ForgeConfig {
            kind,
            api_url,
            git_url,
            login: login::read_login(self, name, kind, email.as_deref(), account.as_deref())?,
            email,
            account,
            previous_accounts: login::former_accounts(self, name, kind)?,
            command_accounts: login::command_accounts(self, name, kind)?,
            webhook_secret: needed("webhook_secret")?,
            halt_policy: self.get_if_any(&path("halted"), |value| {
                if let ConfigValue::Choice(word) = value { halt_policy(word) } else { None }
            })?,
            marker_key: self.secret(&path("marker_key"))?,
            previous_marker_keys: self.secrets(&path("previous_marker_keys"))?,
            visibility_delay: self.duration(&path("settle"))?,
            repositories: self.list(&path("repositories"))?,
            config_branches: self.list(&path("config_branches"))?,
            commits_by_api: self.commits_by_api(&path("commits"), kind)?,
            signing_key: self.secret(&path("sign.ssh_key"))?,
        })
    }
}

impl TypedSettings<'_> {
    /// Returns true if `forge.NAME.commits` selects the forge's API, which only GitHub has.
    fn commits_by_api(&self, key: &str, kind: ForgeKind) -> Result<bool, ConfigError> {
        let by_api = self.choice(key, |word| Some(word == COMMITS_BY_API))?;
        if !by_api || kind == ForgeKind::Github {
            return Ok(by_api);
        }
        let requirement = "`api` is possible only at GitHub; `sign.ssh_key` signs commits at every forge";
        Err(ConfigProblem::BadValue {
            origin: self.setting(key)?.origin.clone(),
            key: key.to_owned(),
            requirement: requirement.to_owned(),
        }
        .into())
    }
}

/// Returns the webhook policy that a value of `forge.NAME.halted` denotes.
fn halt_policy(word: &str) -> Option<HaltPolicy> {
    match word {
        "refuse" => Some(HaltPolicy::Refuse),
        "mark" => Some(HaltPolicy::Mark),
        _ => None,
    }
}
