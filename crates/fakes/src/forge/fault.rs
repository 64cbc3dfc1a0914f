//! Misbehaviour on demand: a queue of rules, each for some calls, and what becomes of the answer.

use std::time::Duration;

/// The method of a rule that meets every call of the API that may write.
const WRITES: &str = "anything but GET";

/// A rule: which calls it meets, and what happens to them.
#[derive(Clone, Debug)]
pub struct ForgeFault {
    /// The method; empty meets all.
    pub method: String,
    /// The beginning of the path (without query) or of its route (`/repos/{owner}/{repo}/pulls`); a last `$`
    /// stands for the end.
    pub path: String,
    /// Which of the calls it meets is the first to suffer, from 1.
    pub nth: u32,
    /// How many suffer, one after another.
    pub times: u32,
    /// What happens.
    pub kind: ForgeFaultKind,
}

/// What happens to a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForgeFaultKind {
    /// Not done: this status with the forge's error form, and `retry-after` in seconds if given.
    Status(u16, Option<u64>),
    /// Not done: 403 with the words of a secondary rate limit (Bitbucket: 429), and `retry-after` in seconds
    /// if given.
    SecondaryLimit(Option<u64>),
    /// Not done: 403, `x-ratelimit-remaining: 0`, reset in so many seconds. Bitbucket Cloud: 429 that does
    /// not say until when; Data Center: 429 and `retry-after`.
    PrimaryLimit(u64),
    /// Not done: 403, because the organisation wants single sign-on for the token. Bitbucket Cloud: 403
    /// without words; Data Center: the 401 of a login that holds and may not.
    SingleSignOn,
    /// Not done: 422, with what is wrong in this form; 400 in their one form at both Bitbuckets.
    Invalid(ReasonForm),
    /// Done, and the answer says that its next page is itself.
    Circle,
    /// Not done: an HTML page with this status, as from a proxy in between.
    Html(u16),
    /// Not done: a redirect with this status to this address.
    Redirect(u16, String),
    /// Done, but the answer's body ends in the middle.
    Truncated,
    /// Done at once, answered after this time: a caller that waits less sees a timeout of a done call.
    Delay(Duration),
    /// Not done: the connection ends without an answer.
    Drop,
    /// Done, and then the connection ends without an answer.
    LostAnswer,
    /// Done, and answered with this status all the same, as when a server in front of the forge gives up.
    DoneStatus(u16),
    /// Not done before [`super::FakeForge::release`]: until then the caller waits.
    Held,
    /// Done at once, and answered after [`super::FakeForge::release`].
    HeldAnswer,
}

/// The forms in which GitHub says what is wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReasonForm {
    /// A list of strings, as of reviews.
    Strings,
    /// A list of objects, as of most calls.
    Objects,
}

impl ForgeFault {
    /// The `nth` call suffers, whatever it is, git's too; once.
    pub fn call(nth: u32, kind: ForgeFaultKind) -> Self {
        Self::once("", "", kind).nth(nth)
    }

    /// The first call of this method whose path or route begins with `path` suffers, once.
    pub fn once(method: &str, path: &str, kind: ForgeFaultKind) -> Self {
        Self { method: method.into(), path: path.into(), nth: 1, times: 1, kind }
    }

    /// The `nth` call of the API that may write suffers, once.
    pub fn write(nth: u32, kind: ForgeFaultKind) -> Self {
        Self::once(WRITES, "", kind).nth(nth)
    }

    /// From the `nth` such call on instead.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = nth.max(1);
        self
    }

    /// So many calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn meets(&self, method: &str, path: &str, route: &str) -> bool {
        let begins = |text: &str| match self.path.strip_suffix('$') {
            Some(whole) => text == whole,
            None => text.starts_with(&self.path),
        };
        let method = match self.method.as_str() {
            "" => true,
            WRITES => method != "GET" && !route.contains("/git-"),
            one => one == method,
        };
        method && (begins(path) || begins(route))
    }
}

/// The rules still in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ForgeFaults {
    rules: Vec<ForgeFault>,
}

impl ForgeFaults {
    pub(crate) fn add(&mut self, fault: ForgeFault) {
        self.rules.push(fault);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What happens to this call. Every rule that meets it counts it; the oldest that is due decides.
    pub(crate) fn take(&mut self, method: &str, path: &str, route: &str) -> Option<ForgeFaultKind> {
        let mut taken = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.meets(method, path, route)) {
            if rule.nth > 1 {
                rule.nth -= 1;
            } else if taken.is_none() && rule.times > 0 {
                rule.times -= 1;
                taken = Some(rule.kind.clone());
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_waits_for_its_call_and_wears_out() {
        let mut faults = ForgeFaults::default();
        faults.add(
            ForgeFault::once("GET", "/repos/a/b/pulls", ForgeFaultKind::Status(500, None)).nth(2).times(2),
        );
        let mut ask = |method| {
            faults.take(method, "/repos/a/b/pulls/1", "/repos/{owner}/{repo}/pulls/{number}").is_some()
        };
        assert_eq!(["GET", "POST", "GET", "GET", "GET"].map(&mut ask), [false, false, true, true, false]);
    }

    #[test]
    fn a_rule_for_writes_counts_no_other_calls() {
        let mut faults = ForgeFaults::default();
        faults.add(ForgeFault::write(2, ForgeFaultKind::Drop));
        let mut ask = |method, route| faults.take(method, route, route).is_some();
        let calls = [
            ("POST", "/graphql"),
            ("GET", "/user"),
            ("POST", "/{owner}/{repo}/git-upload-pack"),
            ("PATCH", "/repos/{owner}/{repo}/issues/comments/{id}"),
            ("POST", "/graphql"),
        ];
        assert_eq!(calls.map(|(method, route)| ask(method, route)), [false, false, false, true, false]);
    }

    #[test]
    fn a_rule_meets_routes_and_whole_paths() {
        let route = "/repos/{owner}/{repo}/pulls/{number}";
        let meets = |path: &str, asked: &str| {
            ForgeFault::once("", path, ForgeFaultKind::Drop).meets("GET", asked, route)
        };
        assert!(meets("/repos/a/b/pulls/1$", "/repos/a/b/pulls/1"));
        assert!(!meets("/repos/a/b/pulls/1$", "/repos/a/b/pulls/12"));
        assert!(meets("/repos/{owner}/{repo}/pulls/{number}$", "/repos/x/y/pulls/3"));
    }
}
