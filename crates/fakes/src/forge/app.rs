//! GitHub Apps: their logins, where they are installed, and the tokens of installations, which are for some
//! repositories, some permissions and one hour.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::forge::calls::{Answer, Page};
use crate::forge::json::time;
use crate::forge::routes::{Call, Reply};
use crate::forge::state::{Repository, State, World, node_id};
use crate::forge::{FakeError, FakeForge};

/// How long a token lasts, in seconds.
const TOKEN_LIFE: i64 = 3600;
/// How long after now a login may end, in seconds.
const LOGIN_LIFE: i64 = 600;
/// Bytes in front of PKCS #1 in a PKCS #8 of 2048 bits.
const PKCS8_FRAME: usize = 26;
/// What an installation grants unless a test says otherwise: what reviews need.
const GRANTED: &[(&str, &str)] = &[
    ("checks", "write"),
    ("contents", "read"),
    ("issues", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "write"),
];

/// A GitHub App, as its owner knows it.
#[derive(Clone, Debug)]
pub struct App {
    /// Its number.
    pub id: u64,
    /// Its name in addresses; `{slug}[bot]` is its account.
    pub slug: String,
    /// Its private key, in the form that GitHub gives out.
    pub private_key: String,
}

/// All apps, what they are installed for, and the tokens that are out.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    registered: BTreeMap<u64, Registered>,
    installations: BTreeMap<u64, Installation>,
    issued: BTreeMap<String, Issued>,
    /// Tokens that were ever given out.
    tokens: u64,
}

#[derive(Debug)]
struct Registered {
    slug: String,
    public_key: Vec<u8>,
    created: i64,
}

#[derive(Debug)]
struct Installation {
    app: u64,
    owner: String,
    permissions: BTreeMap<String, String>,
    suspended: Option<i64>,
    created: i64,
}

#[derive(Clone, Debug)]
struct Issued {
    login: String,
    pass: Pass,
    expires: i64,
}

/// What a token is good for.
#[derive(Clone, Debug, Default)]
pub(crate) enum Pass {
    /// Everything that its account may.
    #[default]
    Account,
    /// To speak as the App itself.
    App(u64),
    /// For an installation, perhaps for a part of it.
    Installation {
        /// Whose repositories.
        owner: String,
        /// Only these of them.
        only: Option<BTreeSet<u64>>,
        permissions: BTreeMap<String, String>,
    },
}

impl Pass {
    /// Is this call for such a token at all?
    pub(crate) fn may_call(&self, path: &str) -> Result<(), Reply> {
        let as_app = path == "/app" || path.starts_with("/app/") || path.ends_with("/installation");
        let no_json_web_token = || Reply::error(401, "A JSON web token could not be decoded", Value::Null);
        match self {
            Self::App(_) if as_app => Ok(()),
            Self::App(_) => Err(Reply::error(401, "Bad credentials", Value::Null)),
            Self::Account | Self::Installation { .. } if as_app => Err(no_json_web_token()),
            Self::Installation { .. } if path == "/user" || path.starts_with("/user/") => Err(forbidden()),
            Self::Account | Self::Installation { .. } => Ok(()),
        }
    }

    /// Is it a person's, or the one of a bot that is used as one?
    pub(crate) fn is_account(&self) -> bool {
        matches!(self, Self::Account)
    }

    /// Does it show this repository?
    pub(crate) fn sees(&self, repo: &Repository) -> bool {
        match self {
            Self::Account | Self::App(_) => true,
            Self::Installation { owner, only, .. } => {
                *owner == repo.owner && only.as_ref().is_none_or(|only| only.contains(&repo.id))
            }
        }
    }

    /// May it make this call of a repository that the path names?
    pub(crate) fn admits(&self, repo: &Repository, call: &Call) -> Result<(), Reply> {
        if !self.sees(repo) {
            return Err(Reply::not_found());
        }
        let mut parts = call.path.split('/').skip(1);
        let tail: Vec<&str> = match parts.next() {
            Some("repositories") => parts.skip(1).collect(),
            Some(_) | None => parts.skip(2).collect(),
        };
        let names: &[&str] = match tail.as_slice() {
            [] | ["collaborators" | "rules", ..] | ["installation"] => &["metadata"],
            ["pulls", ..] => &["pull_requests"],
            ["issues", ..] => &["issues", "pull_requests"],
            ["statuses", ..] | ["commits", _, "statuses" | "status"] => &["statuses"],
            ["check-runs" | "check-suites", ..] | ["commits", _, "check-runs"] => &["checks"],
            [_, ..] => &["contents"],
        };
        let write = call.method != "GET";
        if names.iter().any(|name| self.holds(name, write)) { Ok(()) } else { Err(forbidden()) }
    }

    /// Has it this permission?
    pub(crate) fn holds(&self, name: &str, write: bool) -> bool {
        match self {
            Self::Account | Self::App(_) => true,
            Self::Installation { permissions, .. } => {
                permissions.get(name).is_some_and(|level| !write || level == "write")
            }
        }
    }
}

fn forbidden() -> Reply {
    Reply::error(403, "Resource not accessible by integration", Value::Null)
}

impl World {
    /// Whose token it is, and what it is good for.
    pub(crate) fn bearer(&self, token: &str) -> Option<(String, Pass)> {
        if let Some(login) = self.tokens.get(token) {
            return Some((login.clone(), Pass::Account));
        }
        if let Some(issued) = self.apps.issued.get(token) {
            return (self.now() < issued.expires).then(|| (issued.login.clone(), issued.pass.clone()));
        }
        let app = self.app_of(token)?;
        Some((format!("{}[bot]", self.apps.registered.get(&app)?.slug), Pass::App(app)))
    }

    /// The App that signed this login, if it is one and is valid now.
    fn app_of(&self, login: &str) -> Option<u64> {
        let (signed, signature) = login.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (header, claims) = (read(header)?, read(claims)?);
        let issuer = &claims["iss"];
        let app = issuer.as_u64().or_else(|| issuer.as_str()?.parse().ok())?;
        let key = &self.apps.registered.get(&app)?.public_key;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        key.verify(signed.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let (from, to, now) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?, self.now());
        (header["alg"] == "RS256" && from <= now && now < to && to <= now + LOGIN_LIFE).then_some(app)
    }

    fn one_app_json(&self, id: u64, app: &Registered) -> Value {
        let permissions: BTreeMap<_, _> = GRANTED.iter().copied().collect();
        json!({
            "id": id, "slug": app.slug, "node_id": node_id("App", id), "name": app.slug, "description": null,
            "owner": self.user_json("acme"), "external_url": format!("{}/about", self.base_url),
            "html_url": format!("{}/apps/{}", self.base_url, app.slug), "created_at": time(app.created),
            "updated_at": time(app.created), "permissions": permissions,
            "events": ["pull_request", "issue_comment"],
        })
    }

    /// The App that has this account; null if none has.
    pub(crate) fn app_json(&self, login: &str) -> Value {
        let slug = login.strip_suffix("[bot]").unwrap_or(login);
        let found = self.apps.registered.iter().find(|(_, app)| app.slug == slug);
        found.map_or(Value::Null, |(id, app)| self.one_app_json(*id, app))
    }

    fn installation_json(&self, id: u64, one: &Installation) -> Value {
        let (base, slug) = (&self.base_url, self.apps.registered.get(&one.app).map_or("", |app| &app.slug));
        json!({
            "id": id, "app_id": one.app, "app_slug": slug, "account": self.user_json(&one.owner),
            "target_id": self.accounts.get(&one.owner), "target_type": "Organization",
            "repository_selection": "all", "single_file_name": null,
            "access_tokens_url": format!("{base}/app/installations/{id}/access_tokens"),
            "repositories_url": format!("{base}/installation/repositories"),
            "html_url": format!("{base}/organizations/{}/settings/installations/{id}", one.owner),
            "permissions": one.permissions, "events": ["pull_request", "issue_comment"],
            "created_at": time(one.created), "updated_at": time(one.created),
            "suspended_at": one.suspended.map(time), "suspended_by": null,
        })
    }
}

// -------------------------------------------------------------------------------------------------- calls

/// The App that calls.
fn caller(call: &Call) -> Result<u64, Reply> {
    match call.pass {
        Pass::App(app) => Ok(app),
        Pass::Account | Pass::Installation { .. } => Err(Reply::not_found()),
    }
}

/// `GET /app`.
pub(crate) fn app(state: &mut State, call: &Call) -> Answer {
    let (id, world) = (caller(call)?, &state.world);
    let app = world.apps.registered.get(&id).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, world.one_app_json(id, app)))
}

/// `GET /app/installations`.
pub(crate) fn installations(state: &mut State, call: &Call) -> Answer {
    let (app, world) = (caller(call)?, &state.world);
    let all: Vec<_> = world.apps.installations.iter().filter(|(_, one)| one.app == app).collect();
    let page = Page::of(call);
    let shown = page.cut(&all).iter().map(|(id, one)| world.installation_json(**id, one)).collect();
    Ok(page.reply(world, call, all.len(), shown))
}

/// `GET /repos/{owner}/{repo}/installation`, and by the repository's id.
pub(crate) fn installation(state: &mut State, call: &Call) -> Answer {
    let app = caller(call)?;
    let owner = match call.params.get("id") {
        Some(_) => {
            let id = call.number("id")?;
            let repo = state.repos.values().find(|repo| repo.id == id).ok_or_else(Reply::not_found)?;
            repo.owner.clone()
        }
        None => state.repo(call)?.1.owner.clone(),
    };
    let world = &state.world;
    let found = world.apps.installations.iter().find(|(_, one)| one.app == app && one.owner == owner);
    let (id, one) = found.ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, world.installation_json(*id, one)))
}

/// `POST /app/installations/{id}/access_tokens`: for all of it, or for what the body narrows it to.
pub(crate) fn access_token(state: &mut State, call: &Call) -> Answer {
    let (app, id) = (caller(call)?, call.number("id")?);
    let world = &state.world;
    let found = world.apps.installations.get(&id).filter(|one| one.app == app);
    let one = found.ok_or_else(Reply::not_found)?;
    if one.suspended.is_some() {
        return Err(Reply::error(403, "This installation has been suspended", Value::Null));
    }
    let empty = Vec::new();
    let list = |name: &str| call.body[name].as_array().unwrap_or(&empty);
    let mut only = BTreeSet::new();
    let own = |repo: &&Repository| repo.owner == one.owner;
    for wanted in list("repository_ids").iter().chain(list("repositories")) {
        let is = |repo: &&Repository| {
            wanted.as_u64() == Some(repo.id)
                || wanted.as_str().is_some_and(|name| name.eq_ignore_ascii_case(&repo.name))
        };
        let repo = state.repos.values().filter(own).find(is).ok_or_else(|| {
            let words = "There is at least one repository that does not exist or is not accessible to the parent installation.";
            Reply::error(422, words, Value::Null)
        })?;
        only.insert(repo.id);
    }
    let only = (!only.is_empty()).then_some(only);
    let mut permissions = one.permissions.clone();
    if let Some(wanted) = call.body["permissions"].as_object() {
        permissions.clear();
        for (name, level) in wanted {
            let level = level.as_str().unwrap_or_default();
            let granted =
                one.permissions.get(name).is_some_and(|granted| granted == "write" || granted == level);
            if !granted {
                let words = "The permissions requested are not granted to this installation.";
                return Err(Reply::error(422, words, Value::Null));
            }
            permissions.insert(name.clone(), level.to_owned());
        }
    }
    let login = format!("{}[bot]", world.apps.registered.get(&app).map_or("", |app| &app.slug));
    let pass =
        Pass::Installation { owner: one.owner.clone(), only: only.clone(), permissions: permissions.clone() };
    let shown: Vec<Value> = state
        .repos
        .values()
        .filter(|repo| only.as_ref().is_some_and(|only| only.contains(&repo.id)))
        .map(|repo| world.repository_json(repo))
        .collect();
    let expires = world.now() + TOKEN_LIFE;
    let apps = &mut state.world.apps;
    apps.tokens += 1;
    let token = token_text(app, apps.tokens);
    apps.issued.insert(token.clone(), Issued { login, pass, expires });
    let mut body = json!({
        "token": token, "expires_at": time(expires), "permissions": permissions,
        "repository_selection": if only.is_some() { "selected" } else { "all" },
    });
    if let (Some(body), true) = (body.as_object_mut(), only.is_some()) {
        body.insert("repositories".into(), shown.into());
    }
    Ok(Reply::json(201, body))
}

/// Long, and each of another length.
fn token_text(app: u64, count: u64) -> String {
    let pieces = 3 + count % 3;
    let digests = (0..pieces).map(|piece| Sha512::digest(format!("{app} {count} {piece}")));
    let words: Vec<String> = digests.map(|digest| BASE64_URL_SAFE_NO_PAD.encode(digest)).collect();
    format!("ghs_{app}_{}", words.join("."))
}

/// `GET /users/{login}`.
pub(crate) fn account(state: &mut State, call: &Call) -> Answer {
    let login = call.param("login");
    if !state.world.accounts.contains_key(login) {
        return Err(Reply::not_found());
    }
    Ok(Reply::json(200, state.world.viewer_json(login)))
}

// ------------------------------------------------------------------------------------------------- people

impl FakeForge {
    /// Registers an App.
    pub fn app(&self, slug: &str) -> Result<App, FakeError> {
        let failed = |_| FakeError::Refused("no key could be made for the App".into());
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        let text = BASE64_STANDARD.encode(der.as_ref().get(PKCS8_FRAME..).unwrap_or_default());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
        let private_key =
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
        let world = &mut self.shared.lock().world;
        world.account(&format!("{slug}[bot]"));
        let (id, created) = (world.id(), world.now());
        let public_key = pair.public_key().as_ref().to_vec();
        world.apps.registered.insert(id, Registered { slug: slug.to_owned(), public_key, created });
        Ok(App { id, slug: slug.to_owned(), private_key })
    }

    /// Installs it for all repositories of an owner, with what reviews need; the installation's number.
    pub fn install(&self, app: &App, owner: &str) -> u64 {
        let world = &mut self.shared.lock().world;
        world.account(owner);
        let (id, created) = (world.id(), world.now());
        let permissions = GRANTED.iter().map(|(name, level)| ((*name).into(), (*level).into())).collect();
        let one =
            Installation { app: app.id, owner: owner.to_owned(), permissions, suspended: None, created };
        world.apps.installations.insert(id, one);
        id
    }

    /// Gives an installation a permission, or another level of it.
    pub fn grant(&self, installation: u64, permission: &str, level: &str) {
        let world = &mut self.shared.lock().world;
        if let Some(one) = world.apps.installations.get_mut(&installation) {
            one.permissions.insert(permission.to_owned(), level.to_owned());
        }
    }

    /// Takes a permission from an installation.
    pub fn ungrant(&self, installation: u64, permission: &str) {
        let world = &mut self.shared.lock().world;
        if let Some(one) = world.apps.installations.get_mut(&installation) {
            one.permissions.remove(permission);
        }
    }

    /// Switches an installation off: it gives out no tokens, and those that are out do not work.
    pub fn suspend(&self, installation: u64) {
        let world = &mut self.shared.lock().world;
        let now = world.now();
        if let Some(one) = world.apps.installations.get_mut(&installation) {
            one.suspended = Some(now);
        }
        world.apps.issued.clear();
    }

    /// Lets all tokens of installations end now.
    pub fn end_tokens(&self) {
        self.shared.lock().world.apps.issued.clear();
    }

    /// The tokens of installations that are out.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.lock().world.apps.issued.keys().cloned().collect()
    }
}
