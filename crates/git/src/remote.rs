//! The remote of a mirror: its address and the credentials for it.

use std::path::Path;
use std::sync::Arc;

use truing_core::loopback::is_loopback;
use truing_core::secret::SecretString;
use url::Url;

use crate::GitError;
use crate::commit_draft::CommitApi;

/// A repository that a mirror may fetch from, and that commits may be pushed to. The constructors validate
/// the address and the header, so a fetch does not check them again.
#[derive(Clone, Debug)]
pub struct Remote {
    url: Url,
    authorization: Option<SecretString>,
    commit_api: Option<Arc<dyn CommitApi>>,
    signing_key: Option<SecretString>,
}

impl Remote {
    /// Creates a remote that is accessed over https; http is accepted only on loopback. `authorization` is
    /// the value of the `Authorization` header, as in `Basic …`.
    ///
    /// # Errors
    /// [`GitError::BadRemote`] for other schemes, for URLs with a user, password, query or fragment (they
    /// would appear in argument lists and logs), and for a header with control characters.
    pub fn new(url: &str, authorization: Option<SecretString>) -> Result<Self, GitError> {
        let bad = |remote: String, reason| GitError::BadRemote { remote, reason };
        let Ok(url) = Url::parse(url) else {
            return Err(bad("(not a URL)".into(), "it is not a URL"));
        };
        let remote = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(remote, "a URL must not contain a user or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad(remote, "a URL must not contain a query or a fragment"));
        }
        match url.scheme() {
            "https" => {}
            "http" if url.host_str().is_some_and(is_loopback) => {}
            "http" => return Err(bad(remote, "http is allowed only for loopback addresses")),
            _ => return Err(bad(remote, "only https is allowed")),
        }
        if authorization.as_ref().is_some_and(|secret| secret.expose().chars().any(char::is_control)) {
            return Err(bad(remote, "the authorization header contains a control character"));
        }
        Ok(Self { url, authorization, commit_api: None, signing_key: None })
    }

    /// Creates a remote for a repository on this machine, by its absolute path.
    ///
    /// # Errors
    /// [`GitError::BadRemote`] for a path that is not absolute.
    pub fn from_local_path(path: &Path) -> Result<Self, GitError> {
        let refused = |()| GitError::BadRemote {
            remote: path.display().to_string(),
            reason: "the path of a local remote must be absolute",
        };
        let url = Url::from_file_path(path).map_err(refused)?;
        Ok(Self { url, authorization: None, commit_api: None, signing_key: None })
    }

    /// Sets the API that creates commits in place of pushes. Commits that it cannot represent are pushed.
    #[must_use]
    pub fn with_commit_api(self, commit_api: Option<Arc<dyn CommitApi>>) -> Self {
        Self { commit_api, ..self }
    }

    /// Sets the private SSH key, in OpenSSH's format, that signs commits before they are pushed.
    #[must_use]
    pub fn with_signing_key(self, signing_key: Option<SecretString>) -> Self {
        Self { signing_key, ..self }
    }

    pub(crate) fn commit_api(&self) -> Option<&dyn CommitApi> {
        self.commit_api.as_deref()
    }

    pub(crate) fn signing_key(&self) -> Option<&SecretString> {
        self.signing_key.as_ref()
    }

    /// Returns the URL, which never contains a credential.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the only protocol that a fetch from this remote may use.
    pub(crate) fn protocol(&self) -> &str {
        self.url.scheme()
    }

    /// Returns the secret header value.
    pub(crate) fn authorization(&self) -> Option<&SecretString> {
        self.authorization.as_ref()
    }

    /// Formats git's configuration key for sending the header to this host only.
    pub(crate) fn header_config(&self) -> Option<String> {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let secret = self.authorization.as_ref()?;
        let origin = self.url.origin().ascii_serialization();
        Some(format!(
            "[http \"{}/\"]\n\textraHeader = \"Authorization: {}\"\n",
            quoted(&origin),
            quoted(secret.expose())
        ))
    }
}

/// Removes password, query and fragment from a remote's URL for display. For ssh, the user is kept, because
/// it is part of the address.
pub(crate) fn without_credentials(text: &str) -> String {
    let Some(mut url) = Url::parse(text).ok().filter(Url::has_host) else {
        // The text is not a URL: it is a path, or has the form `git@host:path`. A colon before the `@`
        // probably separates a user name from a password, so both are removed.
        return match text.split_once('@') {
            Some((user, rest)) if user.contains(':') => rest.to_owned(),
            Some(_) | None => text.to_owned(),
        };
    };
    let stripped = url.set_password(None).is_ok() && (url.scheme() == "ssh" || url.set_username("").is_ok());
    if !stripped && (url.password().is_some() || !url.username().is_empty()) {
        return format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    }
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let remote = Remote::new("https://h/x.git", Some(SecretString::new("Bearer canary-12345"))).unwrap();
        let printed = format!("{remote:?} {:#?} {}", remote, SecretString::new("canary-12345"));
        assert!(!printed.contains("canary"), "{printed}");
        assert_eq!(SecretString::new("Bearer canary-12345").redact_from("got canary-12345!"), "got ***!");
    }

    #[test]
    fn only_safe_urls_are_remotes() {
        for good in
            ["https://github.com/a/b.git", "http://127.0.0.1:8080/a", "http://[::1]/a", "http://localhost/a"]
        {
            assert_eq!(Remote::new(good, None).unwrap().url(), good);
        }
        for bad in [
            "http://example.com/a",
            "http://localhost.example.com/a",
            "https://user@example.com/a",
            "https://user:canary@example.com/a",
            "https://example.com/a?token=canary",
            "https://example.com/a#canary",
            "ssh://git@example.com/a",
            "git@example.com:a",
            "file:///etc",
            "ext::sh -c canary",
            "--upload-pack=canary",
            "",
        ] {
            let error = Remote::new(bad, None).unwrap_err();
            assert!(error.is_wrong_input() && !error.to_string().contains("canary"), "{bad}: {error}");
        }
        assert!(Remote::new("https://h/a", Some(SecretString::new("x\nProxy: y"))).is_err());
        assert!(Remote::from_local_path(Path::new("relative")).is_err());
    }

    #[test]
    fn the_header_is_bound_to_the_host() {
        let remote = Remote::new("https://h:8443/x.git", Some(SecretString::new(r#"Basic a"b\c"#))).unwrap();
        assert_eq!(
            remote.header_config().unwrap(),
            "[http \"https://h:8443/\"]\n\textraHeader = \"Authorization: Basic a\\\"b\\\\c\"\n"
        );
    }

    #[test]
    fn shown_urls_hold_no_credentials() {
        for (url, shown) in [
            ("https://u:p@h/a.git", "https://h/a.git"),
            ("https://token@h/a.git?private_token=x#y", "https://h/a.git"),
            ("ssh://git:p@h/a", "ssh://git@h/a"),
            ("git@h:a/b.git", "git@h:a/b.git"),
            ("oauth2:token@h/a.git", "h/a.git"),
            ("/srv/a b", "/srv/a b"),
            ("../a", "../a"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
