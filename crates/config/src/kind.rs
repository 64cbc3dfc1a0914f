//! Kinds of values.

use std::time::Duration;

/// The kind of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
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
    /// A table of headers of HTTP, each with the place of its secret.
    Headers,
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
    /// Names of rules, each `PACK/RULE`.
    Rules,
    /// A table of rules' names, each with a severity.
    Severities,
    /// Names of things elsewhere, such as packages.
    Names,
    /// Accounts' ids and names.
    Accounts,
    /// Words of these.
    Words(&'static [&'static str]),
    /// Places on the internet, `host:port`.
    Hosts,
    /// Folders' paths.
    Folders,
    /// A command: a program and its arguments; or none.
    Command,
    /// Commands: each a program and its arguments.
    Commands,
    /// The name of a format in which tools print diagnostics.
    Format,
    /// Exit codes of a program, one at least.
    Codes,
    /// A table of names, each with an id.
    Ids,
    /// Rules for the tier of reviews, as tables.
    Tiers,
    /// Instructions to reviews, as tables.
    Instructions,
    /// Networks: addresses, or the first of so many with a common prefix (`10.0.0.0/8`).
    Networks,
}

impl ValueKind {
    /// May its value be kept where secrets are?
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Sink(_) | Self::Store(_))
    }

    /// A value of this kind, for messages.
    pub(crate) fn sample(self) -> &'static str {
        match self {
            Self::Store(schemes) if schemes.contains(&"sqlite") => "\"sqlite:/var/lib/truing/truing.db\"",
            Self::Store(_) => "\"postgres://truing@127.0.0.1/truing\"",
            Self::Address => "\"127.0.0.1:8080\"",
            Self::Integer(..) => "4",
            Self::Duration(..) => "\"15s\"",
            Self::Choice { .. } => "\"rules\"",
            Self::Flag => "true",
            Self::Url => "\"https://api.github.com\"",
            Self::Endpoint => "\"https://mcp.example.org/mcp\"",
            Self::Name => "\"claude-sonnet-5-5\"",
            Self::Program => "\"/usr/local/bin/claude\"",
            Self::Model => "\"other\"",
            Self::Email => "\"reviewer@example.com\"",
            Self::Account => "\"{0f3a9c56-0000-4000-8000-000000000001}\"",
            Self::Text => "\"Follow {{package}}\"",
            Self::Cron => "\"0 10 * * MON\"",
            Self::Repository => "\"acme/shop\"",
            Self::Branch => "\"truing/sync\"",
            Self::Folder => "\"/etc/truing/rules\"",
            Self::File => "\"/etc/truing/model_prices.json\"",
            Self::Usd(_) => "2.50",
            Self::Secret => "{ env = \"VARIABLE\" }",
            Self::Secrets => "[{ env = \"VARIABLE\" }]",
            Self::Headers => "{ \"X-API-Key\" = { env = \"VARIABLE\" } }",
            Self::Sink(_) => "\"https://hooks.example.org/…\" or { env = \"VARIABLE\" }",
            Self::Globs => "[\"vendor/**\"]",
            Self::Pairs => "[\"botocore/=aiobotocore/\"]",
            Self::Repositories => "[\"owner/*\"]",
            Self::Packs => "[\"core\"]",
            Self::Rules => "[\"core/rust-dbg\"]",
            Self::Severities => "{ \"core/rust-dbg\" = \"P2\" }",
            Self::Names => "[\"boto3\"]",
            Self::Accounts => "[\"583231\"]",
            Self::Networks => "[\"10.0.0.0/8\"]",
            Self::Words(_) => "[\"pypi\"]",
            Self::Hosts => "[\"api.example.org:443\"]",
            Self::Folders => "[\"/opt/toolchain\"]",
            Self::Command => "[\"docs-server\", \"--stdio\"]",
            Self::Commands => "[[\"cargo\", \"test\"]]",
            Self::Format => "\"sarif\"",
            Self::Codes => "[0, 1]",
            Self::Tiers => "[{ repos = [\"acme/*\"], tier = \"rules\" }]",
            Self::Instructions => "[{ paths = [\"src/db/**\"], text = \"Each query has a limit.\" }]",
            Self::Ids => "{ \"claude-sonnet-5-5\" = \"global.anthropic.claude-sonnet-5-5\" }",
        }
    }
}

/// The beginning of a store's address.
pub(crate) fn begins(scheme: &str) -> String {
    if scheme == "sqlite" { "sqlite:".to_owned() } else { format!("{scheme}://") }
}
