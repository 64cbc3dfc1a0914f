//! Kinds of values.

use std::time::Duration;

/// The kind of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An address of one of these schemes, which may be kept where secrets are: `sqlite:PATH`, or a server's URL.
    Store(&'static [&'static str]),
    /// `host:port` to listen on, the host an IP address.
    Address,
    /// A whole number of this range, ends included.
    Integer(i64, i64),
    /// A length of time of this range, ends included.
    Duration(Duration, Duration),
    /// One of `built`; those `planned` have an own error, since documents name them.
    Choice {
        /// The kinds that this version knows.
        built: &'static [&'static str],
        /// The kinds that it does not know yet.
        planned: &'static [&'static str],
    },
    /// Yes or no.
    Flag,
    /// A URL: https, or http to a loopback address.
    Url,
    /// The same, for requests to it alone: it is kept as it is, a slash at its end and a query too.
    Endpoint,
    /// A name without blanks, such as a model's.
    Name,
    /// The UUID of an account, with its braces.
    Account,
    /// A program: a name that is looked for on `PATH`, or a path; one that is not whole starts at the file's folder.
    Program,
    /// The `NAME` of a `[model.NAME]`, or nothing.
    Model,
    /// An e-mail address, or nothing.
    Email,
    /// Words and lines.
    Text,
    /// Where a secret is kept: `{ env = "VARIABLE" }` or `{ file = "PATH" }`, never the secret itself.
    Secret,
    /// Where several secrets are kept.
    Secrets,
    /// A URL that may be a secret, such as a webhook's: written out, or kept where secrets are. Of one of these
    /// schemes; where it is written out, without a password, and shown without its path.
    Sink(&'static [&'static str]),
    /// The times at which something is done again and again: a cron pattern, in UTC.
    Cron,
    /// A repository at a forge, `owner/name`.
    Repository,
    /// A branch, without `refs/heads/`.
    Branch,
    /// A folder's path.
    Folder,
    /// A file's path.
    File,
    /// Dollars, from nothing to this many, with six digits after the point at most.
    Usd(u32),
    /// Globs of files or branches.
    Globs,
    /// Pairs of folders or files, `UPSTREAM=OURS`.
    Pairs,
    /// Globs of repositories' names, `owner/name`.
    Repositories,
    /// Rule packs' names.
    Packs,
    /// Names of things elsewhere, such as packages.
    Names,
    /// Accounts' ids and names.
    Accounts,
    /// Words of these.
    Words(&'static [&'static str]),
    /// Folders' paths.
    Folders,
    /// A command: a program and its arguments; or none.
    Command,
    /// Commands: each a program and its arguments.
    Commands,
    /// Networks: addresses, or the first of so many with a common prefix (`10.0.0.0/8`).
    Networks,
}

impl Kind {
    /// May its value be kept where secrets are?
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Sink(_) | Self::Store(_))
    }
}

/// The beginning of a store's address.
pub(crate) fn begins(scheme: &str) -> String {
    if scheme == "sqlite" { "sqlite:".to_owned() } else { format!("{scheme}://") }
}
