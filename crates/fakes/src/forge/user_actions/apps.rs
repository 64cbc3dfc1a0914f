//! Simulates the actions of an App's owner: registers and installs Apps, and changes their permissions.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::forge::FakeForge;
use crate::forge::error::FakeError;
use crate::forge::state::apps::{
    DEFAULT_INSTALLATION_PERMISSIONS, FakeInstallation, FakeTokenScope, IssuedToken, RegisteredApp, TokenKind,
};

/// Number of bytes that precede the PKCS #1 key in the PKCS #8 encoding of a 2048-bit RSA key.
const PKCS8_HEADER_BYTES: usize = 26;

/// A GitHub App with its private key.
#[derive(Clone, Debug)]
pub struct FakeApp {
    /// Number of the App.
    pub id: u64,
    /// Name of the App in URLs. The account of the App is `{slug}[bot]`.
    pub slug: String,
    /// Private key of the App, in the format in which GitHub issues keys.
    pub private_key: String,
}

impl FakeForge {
    /// Registers an App with a new key.
    pub fn register_app(&self, slug: &str) -> Result<FakeApp, FakeError> {
        let failed = |_| FakeError::Refused("no key could be made for the App".into());
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        let text = BASE64_STANDARD.encode(der.as_ref().get(PKCS8_HEADER_BYTES..).unwrap_or_default());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
        let private_key =
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
        let world = &mut self.shared.lock().forge;
        world.ensure_account(&format!("{slug}[bot]"));
        let (id, created) = (world.next_id(), world.now());
        let public_key = pair.public_key().as_ref().to_vec();
        world.apps.apps.insert(id, RegisteredApp { slug: slug.to_owned(), public_key, created_at: created });
        Ok(FakeApp { id, slug: slug.to_owned(), private_key })
    }

    /// Installs an App for all repositories of an owner, with the permissions that reviews need. Returns the
    /// number of the installation.
    pub fn install(&self, app: &FakeApp, owner: &str) -> u64 {
        let world = &mut self.shared.lock().forge;
        world.ensure_account(owner);
        let (id, created) = (world.next_id(), world.now());
        let permissions = DEFAULT_INSTALLATION_PERMISSIONS
            .iter()
            .map(|(name, level)| ((*name).into(), (*level).into()))
            .collect();
        let one = FakeInstallation {
            app_id: app.id,
            owner: owner.to_owned(),
            permissions,
            suspended_at: None,
            created_at: created,
        };
        world.apps.installations.insert(id, one);
        id
    }

    /// Grants a permission to an installation, or changes the level of a granted permission.
    pub fn grant(&self, installation: u64, permission: &str, level: &str) {
        let world = &mut self.shared.lock().forge;
        if let Some(one) = world.apps.installations.get_mut(&installation) {
            one.permissions.insert(permission.to_owned(), level.to_owned());
        }
    }

    /// Removes a permission from an installation.
    pub fn revoke_permission(&self, installation: u64, permission: &str) {
        let world = &mut self.shared.lock().forge;
        if let Some(one) = world.apps.installations.get_mut(&installation) {
            one.permissions.remove(permission);
        }
    }

    /// Registers a token with this text and only these permissions, for the repositories of an owner. A
    /// second call with the same text replaces the token.
    pub fn register_limited_token(
        &self,
        token: &str,
        kind: TokenKind,
        login: &str,
        owner: &str,
        permissions: &[(&str, &str)],
    ) {
        let world = &mut self.shared.lock().forge;
        world.ensure_account(login);
        let permissions = permissions.iter().map(|(name, level)| ((*name).into(), (*level).into())).collect();
        let pass =
            FakeTokenScope::Installation { kind, owner: owner.to_owned(), repository_ids: None, permissions };
        let issued = IssuedToken { login: login.to_owned(), scope: pass, expires_at: i64::MAX };
        world.apps.valid_tokens.insert(token.to_owned(), issued);
    }

    /// Suspends an installation: the forge issues no more tokens for the installation, and rejects existing
    /// tokens.
    pub fn suspend(&self, installation: u64) {
        let world = &mut self.shared.lock().forge;
        let now = world.now();
        if let Some(one) = world.apps.installations.get_mut(&installation) {
            one.suspended_at = Some(now);
        }
        world.apps.valid_tokens.clear();
    }

    /// Makes all tokens of installations expire now.
    pub fn expire_tokens(&self) {
        self.shared.lock().forge.apps.valid_tokens.clear();
    }

    /// Returns the valid tokens of installations.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.lock().forge.apps.valid_tokens.keys().cloned().collect()
    }
}
