//! Commands in comments: `/review` and its kin on the first line, by somebody who may write to the repository.
//!
//! | First line | What it does |
//! |---|---|
//! | `/review` | reviews now, also what was reviewed already; ends a pause |
//! | `/review full` | the same, and everything anew |
//! | `/review pause` | no reviews until resumed; a step in progress ends first |
//! | `/review resume` | ends a pause |
//!
//! The line is the command and nothing else: it begins at its first column, words are lower case with spaces or
//! tabs between them, and white space may follow. Everything else is somebody talking. A comment acts at most once,
//! as it reads when it is looked at; editing an old one makes no command of it. Bots and our own account never act.
//!
//! A webhook or the sweep only remembers that there is a comment ([`hear`]); it is read, and its author's permission
//! asked, at the forge and by its ids, when it is served ([`Commands::look`]). It acts in one transaction with the
//! fact that it is served. A comment that cannot be looked at now is looked at again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use truing_core::id::{Millis, Span};
use truing_core::port::{
    Act, Clock, Described, Event, ForgeError, Obeyed, Records, Repository, Slots, StoreError, Told, Watchlist,
};
use truing_core::slot::{Command, Loop};
use truing_forge::github::{Author, GitHub, PullComment};
use truing_forge::webhook::Comment;

use super::pause::Pause;
use super::{Forges, House};

/// Comments served in one look.
const BATCH: usize = 64;
/// How often a command is decided anew because somebody else changed the slot first.
const MAX_TRIES: u32 = 16;
/// A comment that the forge does not show for so long is gone: a new one may be late.
const SETTLED: Span = Span::minutes(2);
/// A comment that could not be decided for so long is given up.
const GIVEN_UP: Span = Span::minutes(24 * 60);
/// A comment that was written so long ago commands nothing any more: whoever tells of it repeats what was heard.
const TOO_OLD: Span = Span::minutes(30 * 24 * 60);
/// For how long served comments are remembered: until they are too old to act again, by any forge's clock.
pub(super) const REMEMBERED: Span = Span::minutes(31 * 24 * 60);
/// The first wait after a failure, doubled by each further one.
const FIRST_WAIT: Span = Span::seconds(15);
/// The longest wait.
const LONGEST_WAIT: Span = Span::minutes(10);

/// What somebody asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A review now.
    Review,
    /// A review now, of everything.
    Full,
    /// No reviews for now.
    Pause,
    /// Reviews again.
    Resume,
}

impl Asked {
    /// The command of a comment's first line, if it is one.
    pub fn parse(body: &str) -> Option<Self> {
        let line = body.split(['\r', '\n']).next().unwrap_or_default();
        if !line.starts_with('/') {
            return None;
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["/review"] => Some(Self::Review),
            ["/review", "full"] => Some(Self::Full),
            ["/review", "pause"] => Some(Self::Pause),
            ["/review", "resume"] => Some(Self::Resume),
            _ => None,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "/review",
            Self::Full => "/review full",
            Self::Pause => "/review pause",
            Self::Resume => "/review resume",
        }
    }

    fn command(self) -> Command {
        match self {
            // A review that is asked for looks at everything, whatever was seen before.
            Self::Review | Self::Full => Command::Request(Loop::Review),
            Self::Pause => Command::Pause,
            Self::Resume => Command::Resume,
        }
    }
}

/// Remembers a comment that a webhook told of, if it looks like a command: durable when this returns. Is it one?
///
/// # Errors
/// [`StoreError`]; then it may not be looked at.
pub async fn hear<S: Slots + Watchlist>(store: &S, comment: &Comment) -> Result<bool, StoreError> {
    if Asked::parse(&comment.body).is_none() {
        return Ok(false);
    }
    let at = store.now().await?;
    let Comment { pr, repo, id, .. } = comment;
    let of = Repository {
        forge: pr.forge.clone(),
        id: pr.repository.clone(),
        name: repo.clone(),
        cursor: at,
        gone: None,
    };
    store.tell(&[Told { pr: pr.clone(), comment: *id, at }], &of, None).await?;
    Ok(true)
}

/// Serves comments for as long as it is polled.
pub async fn run<S, W, R, C, I>(house: Arc<House<S, W, R, C, I>>, poll: Duration)
where
    S: Slots + Records + Watchlist,
    W: Forges,
    C: Clock,
{
    let (mut commands, mut failing) = (Commands::default(), false);
    let mut poll = tokio::time::interval(poll);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        poll.tick().await;
        let looked = commands.look(&house).await;
        if let (Err(error), false) = (&looked, failing) {
            tracing::error!(%error, "commands of comments cannot be served");
        }
        failing = looked.is_err();
    }
}

/// What a comment turns out to be.
enum Verdict {
    /// It acts.
    Obey { asked: Asked, author: Author, url: String },
    /// It does not, for this reason.
    Ignore(String),
    /// The forge does not show it yet.
    NotYet,
}

/// Serves comments, and remembers what has to wait.
#[derive(Debug, Default)]
pub struct Commands {
    /// By forge, and by repository for what is its own (empty: the whole forge).
    waiting: BTreeMap<(String, String), Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    pause: Pause,
    failures: u32,
}

impl Commands {
    /// Serves what waits to be served, in the order of the comments.
    ///
    /// # Errors
    /// [`StoreError`]; what was not served then is served later.
    pub async fn look<S, W, R, C, I>(&mut self, house: &House<S, W, R, C, I>) -> Result<(), StoreError>
    where
        S: Slots + Records + Watchlist,
        W: Forges,
        C: Clock,
    {
        for (forge, github) in house.forges.servers() {
            if self.waits(&(forge.clone(), String::new()), house.clock.now()) {
                continue;
            }
            let unserved = house.store.unserved(forge, BATCH).await?;
            if !unserved.is_empty() {
                self.serve(house, github, unserved).await?;
            }
        }
        Ok(())
    }

    async fn serve<S, W, R, C, I>(
        &mut self,
        house: &House<S, W, R, C, I>,
        github: &GitHub,
        unserved: Vec<Told>,
    ) -> Result<(), StoreError>
    where
        S: Slots + Records + Watchlist,
        C: Clock,
    {
        let store = &house.store;
        let mut repositories: BTreeMap<(String, String), Repository> = BTreeMap::new();
        for told in unserved {
            let all = (told.pr.forge.clone(), String::new());
            let own = (told.pr.forge.clone(), told.pr.repository.clone());
            if self.waits(&own, house.clock.now()) {
                continue; // those of a repository are served in their order
            }
            if repositories.is_empty() {
                let known = store.repositories(&told.pr.forge).await?.into_iter();
                repositories.extend(known.map(|one| ((one.forge.clone(), one.id.clone()), one)));
            }
            let Some(repository) = repositories.get_mut(&own) else {
                ignore(store, &told, "its repository is not known").await?;
                continue;
            };
            let verdict = judge(house, github, &told, repository).await;
            let now = house.clock.now();
            match verdict {
                Ok(Verdict::NotYet) => self.fail(own, now, None, "a comment is not visible yet"),
                Ok(Verdict::Ignore(why)) => {
                    self.came_through([&own, &all]);
                    ignore(store, &told, &why).await?;
                }
                Ok(Verdict::Obey { asked, author, url }) => {
                    self.came_through([&own, &all]);
                    store.remember(std::slice::from_ref(repository)).await?;
                    let name = format!("{}#{}", repository.name, told.pr.number);
                    obey(house, &told, (asked, &author), Described { name, url, head: None }).await?;
                }
                Err(error) if now - told.at > GIVEN_UP => {
                    ignore(store, &told, &format!("given up: {error}")).await?;
                }
                Err(error) => match &error {
                    ForgeError::RateLimited { wait, .. } => {
                        self.fail(all, now, Some(*wait), &error.to_string());
                        return Ok(());
                    }
                    ForgeError::Unauthorized { .. } | ForgeError::Unavailable { .. } => {
                        self.fail(all, now, None, &error.to_string());
                        return Ok(());
                    }
                    ForgeError::Forbidden { .. }
                    | ForgeError::NotFound { .. }
                    | ForgeError::Moved { .. }
                    | ForgeError::Rejected { .. } => self.fail(own, now, None, &error.to_string()),
                },
            }
        }
        Ok(())
    }

    fn waits(&self, what: &(String, String), now: Millis) -> bool {
        self.waiting.get(what).is_some_and(|wait| wait.pause.lasts(now))
    }

    /// Waits, and says so once.
    fn fail(&mut self, what: (String, String), now: Millis, wait: Option<Span>, why: &str) {
        let failures = self.waiting.get(&what).map_or(0, |wait| wait.failures);
        if failures == 0 {
            tracing::warn!(forge = what.0, repository = what.1, "commands of comments wait: {why}");
        }
        let doubled = FIRST_WAIT.0.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT.0);
        let pause = Pause::of(now, wait.unwrap_or(Span(doubled)));
        self.waiting.insert(what, Wait { pause, failures: failures.saturating_add(1) });
    }

    fn came_through(&mut self, both: [&(String, String); 2]) {
        for what in both {
            if self.waiting.remove(what).is_some() {
                tracing::info!(forge = what.0, repository = what.1, "commands of comments are served again");
            }
        }
    }
}

/// Asks the forge what the comment is, and what its author may do.
async fn judge<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    github: &GitHub,
    told: &Told,
    repository: &mut Repository,
) -> Result<Verdict, ForgeError>
where
    C: Clock,
{
    let comment = match find(github, told, repository).await {
        Ok(Some(comment)) if comment.number == told.pr.number => comment,
        Ok(_) => return Ok(Verdict::Ignore("it is not on that pull request".into())),
        Err(ForgeError::NotFound { .. }) if house.clock.now() - told.at < SETTLED => {
            return Ok(Verdict::NotYet);
        }
        Err(ForgeError::NotFound { .. }) => return Ok(Verdict::Ignore("it is gone".into())),
        Err(error) => return Err(error),
    };
    if house.clock.now() - comment.created > TOO_OLD {
        return Ok(Verdict::Ignore("it is too old".into()));
    }
    let Some(asked) = Asked::parse(&comment.body) else {
        return Ok(Verdict::Ignore("it is no command any more".into()));
    };
    let Some(author) = comment.author else { return Ok(Verdict::Ignore("its author is gone".into())) };
    if !author.is_person || github.is_own(&repository.name, &author).await? {
        return Ok(Verdict::Ignore(format!("{} is a bot", author.login)));
    }
    if !github.may_write(&repository.name, &author).await? {
        return Ok(Verdict::Ignore(format!("{} may not write to {}", author.login, repository.name)));
    }
    Ok(Verdict::Obey { asked, author, url: comment.url })
}

/// The comment; where the name of its repository leads elsewhere by now, by the repository's id.
async fn find(
    github: &GitHub,
    told: &Told,
    repository: &mut Repository,
) -> Result<Option<PullComment>, ForgeError> {
    match github.comment(&repository.name, told.comment).await {
        Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => {}
        found => return found,
    }
    repository.name = github.repository_by_id(&told.pr.repository).await?.name;
    github.comment(&repository.name, told.comment).await
}

/// Does what the comment asks for, and remembers that it is served.
async fn obey<S, W, R, C, I>(
    house: &House<S, W, R, C, I>,
    told: &Told,
    (asked, author): (Asked, &Author),
    described: Described,
) -> Result<(), StoreError>
where
    S: Slots + Records + Watchlist,
{
    let (store, key) = (&house.store, told.pr.key());
    // The name first: a slot is of no use to a worker that cannot find its repository.
    store.describe(&[(key.clone(), described)]).await?;
    for _ in 0..MAX_TRIES {
        let now = store.now().await?;
        let Some(slot) = store.load(std::slice::from_ref(&key)).await?.pop() else { break };
        let version = slot.version;
        let decision = match slot.step(asked.command(), &house.limits, now) {
            Ok(decision) => decision,
            Err(refused) => return ignore(store, told, &format!("{}: {refused}", asked.as_str())).await,
        };
        let who = format!("{}@{}", author.login, told.pr.forge);
        let by = format!("comment {} by account {}", told.comment, author.id);
        let mut what = format!("`{}` by {who}", asked.as_str());
        if let Some(note) = decision.note {
            what.push_str(&format!(": {note}"));
        }
        let events = vec![Event { at: now, key: key.clone(), run: None, what }];
        let act = Act::new(&who, asked.as_str(), key.as_str(), &by);
        let obeyed = Obeyed { slot: (version, decision.slot), events, act };
        if store.served(told, Some(&obeyed)).await?.is_ok() {
            tracing::info!(%key, comment = told.comment, by = who, "{}", asked.as_str());
            return Ok(());
        }
    }
    Err(StoreError::Unavailable(format!("{key}: the slot changes faster than it can be committed")))
}

/// Remembers that the comment needs nothing more.
async fn ignore<S: Watchlist>(store: &S, told: &Told, why: &str) -> Result<(), StoreError> {
    tracing::info!(key = %told.pr.key(), comment = told.comment, "a command is not followed: {why}");
    store.served(told, None).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_whole_first_line_and_nothing_like_it() {
        for (body, asked) in [
            ("/review", Some(Asked::Review)),
            ("/review  \t", Some(Asked::Review)),
            ("/review\r\nplease", Some(Asked::Review)),
            ("/review full", Some(Asked::Full)),
            ("/review \t full \n/review pause", Some(Asked::Full)),
            ("/review pause", Some(Asked::Pause)),
            ("/review resume", Some(Asked::Resume)),
            ("", None),
            ("\n/review", None),
            (" /review", None),
            ("\u{a0}/review", None),
            ("> /review", None),
            ("`/review`", None),
            ("/Review", None),
            ("/reviews", None),
            ("/review.", None),
            ("/review fully", None),
            ("/review full now", None),
            ("/review\u{a0}full", None),
            ("/review\u{200b}", None),
            ("/ review", None),
            ("please /review", None),
            ("/converge", None),
            ("/dismiss wrong", None),
        ] {
            assert_eq!(Asked::parse(body), asked, "{body:?}");
        }
        for asked in [Asked::Review, Asked::Full, Asked::Pause, Asked::Resume] {
            assert_eq!(Asked::parse(asked.as_str()), Some(asked));
        }
    }
}
