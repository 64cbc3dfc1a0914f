//! Simulates faults with a queue of rules. Each rule defines the calls to which it applies, and the effect on
//! the call or its response.

use std::time::Duration;

/// Method of a rule that applies to every API call that may write.
const ANY_WRITE_METHOD: &str = "anything but GET";

/// A rule for a fault: the fault, and the calls to which the rule applies.
#[derive(Clone, Debug)]
pub struct ForgeFault {
    /// HTTP method; an empty text matches all methods.
    pub method: String,
    /// Prefix of the call's path (without query) or route (`/repos/{owner}/{repo}/pulls`). With a `$` at the
    /// end, the whole path or route must be equal to the text before the `$`.
    pub path: String,
    /// Number of the first matching call that fails, counted from 1.
    pub first_failing_call: u32,
    /// Number of consecutive calls that fail.
    pub failing_call_count: u32,
    pub kind: ForgeFaultKind,
}

/// The kind of a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForgeFaultKind {
    /// The call is not performed. The response has this status and an error in the forge's format, and
    /// `retry-after` in seconds if given.
    Status(u16, Option<u64>),
    /// The call is not performed. The response is 403 (Bitbucket: 429) with the message of a secondary rate
    /// limit, and `retry-after` in seconds if given.
    SecondaryLimit(Option<u64>),
    /// The call is not performed. The response is 403 with `x-ratelimit-remaining: 0` and a reset after this
    /// many seconds. Bitbucket Cloud responds with 429 and without the time of the reset; Data Center with
    /// 429 and `retry-after`.
    PrimaryLimit(u64),
    /// The call is not performed. The response is 403, because the organisation requires single sign-on for
    /// the token. Bitbucket Cloud responds with 403 without a message; Data Center with 401, as for a valid
    /// login without permission.
    SingleSignOn,
    /// The call is not performed. The response is 422 with the reasons in this JSON format. Both kinds of
    /// Bitbucket respond with 400 and have only one format.
    ValidationError(ErrorListFormat),
    /// The call is performed, and the response contains its own URL as the URL of the next page.
    SelfLinkedPage,
    /// The call is not performed. The response is an HTML page with this status, as from a proxy.
    Html(u16),
    /// The call is not performed. The response is a redirect with this status to this URL.
    Redirect(u16, String),
    /// The call is performed, but the body of the response is truncated.
    Truncated,
    /// The call is performed immediately, and the response is sent after this time. If the caller's timeout
    /// is shorter, the caller gets no response although the call was performed.
    Delay(Duration),
    /// The call is not performed: the connection is closed without a response.
    DropConnection,
    /// The call is performed, and then the connection is closed without a response.
    LostResponse,
    /// The call is performed, but the response has this status, as if a server in front of the forge had
    /// timed out.
    StatusAfterCall(u16),
    /// The call is not performed until [`super::FakeForge::release_held_requests`] is called. The caller
    /// waits.
    HeldRequest,
    /// The call is performed immediately, but the response is sent only after
    /// [`super::FakeForge::release_held_requests`] is called.
    HeldResponse,
}

/// The JSON formats in which GitHub returns the reasons of a rejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorListFormat {
    /// A list of strings, as for reviews.
    Strings,
    /// A list of objects, as for most calls.
    Objects,
}

impl ForgeFault {
    /// Makes the `nth` call fail once. All calls are counted, including git's requests.
    pub fn nth_call(nth: u32, kind: ForgeFaultKind) -> Self {
        Self::on_call("", "", kind).nth(nth)
    }

    /// Makes the first call of this method whose path or route begins with `path` fail once.
    pub fn on_call(method: &str, path: &str, kind: ForgeFaultKind) -> Self {
        Self { method: method.into(), path: path.into(), first_failing_call: 1, failing_call_count: 1, kind }
    }

    /// Makes the `nth` API call that may write fail once.
    pub fn nth_write(nth: u32, kind: ForgeFaultKind) -> Self {
        Self::on_call(ANY_WRITE_METHOD, "", kind).nth(nth)
    }

    /// Makes the rule begin at the `nth` matching call.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.first_failing_call = nth.max(1);
        self
    }

    /// Makes the rule apply to this many calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.failing_call_count = times;
        self
    }

    fn matches_call(&self, method: &str, path: &str, route: &str) -> bool {
        let begins = |text: &str| match self.path.strip_suffix('$') {
            Some(whole) => text == whole,
            None => text.starts_with(&self.path),
        };
        let method = match self.method.as_str() {
            "" => true,
            ANY_WRITE_METHOD => method != "GET" && !route.contains("/git-"),
            one => one == method,
        };
        method && (begins(path) || begins(route))
    }
}

/// The active rules, oldest first.
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

    /// Returns the fault of this call. Counts the call for every matching rule. The oldest rule that has
    /// reached its number of calls determines the fault.
    pub(crate) fn take_fault(&mut self, method: &str, path: &str, route: &str) -> Option<ForgeFaultKind> {
        let mut taken = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.matches_call(method, path, route)) {
            if rule.first_failing_call > 1 {
                rule.first_failing_call -= 1;
            } else if taken.is_none() && rule.failing_call_count > 0 {
                rule.failing_call_count -= 1;
                taken = Some(rule.kind.clone());
            }
        }
        self.rules.retain(|rule| rule.failing_call_count > 0);
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
            ForgeFault::on_call("GET", "/repos/a/b/pulls", ForgeFaultKind::Status(500, None)).nth(2).times(2),
        );
        let mut ask = |method| {
            faults.take_fault(method, "/repos/a/b/pulls/1", "/repos/{owner}/{repo}/pulls/{number}").is_some()
        };
        assert_eq!(["GET", "POST", "GET", "GET", "GET"].map(&mut ask), [false, false, true, true, false]);
    }

    #[test]
    fn a_rule_for_writes_counts_no_other_calls() {
        let mut faults = ForgeFaults::default();
        faults.add(ForgeFault::nth_write(2, ForgeFaultKind::DropConnection));
        let mut ask = |method, route| faults.take_fault(method, route, route).is_some();
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
            ForgeFault::on_call("", path, ForgeFaultKind::DropConnection).matches_call("GET", asked, route)
        };
        assert!(meets("/repos/a/b/pulls/1$", "/repos/a/b/pulls/1"));
        assert!(!meets("/repos/a/b/pulls/1$", "/repos/a/b/pulls/12"));
        assert!(meets("/repos/{owner}/{repo}/pulls/{number}$", "/repos/x/y/pulls/3"));
    }
}
