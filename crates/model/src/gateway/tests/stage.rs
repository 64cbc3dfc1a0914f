//! What the tests play on: a fake provider, a ledger in memory, a gateway between them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use truing_core::id::{Millis, RunId};
use truing_core::ledger::{Ask, Drawn, Known, Level, LevelKind, Purse, ReservationId, Reserved, Usage};
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, Common, Gate, HaltReason, Ledger, StoreError};
use truing_core::secret::Secret;
#[cfg(feature = "aws")]
use truing_fakes::model::{AWS_KEY_ID, AWS_REGION, aws_secret_key};
use truing_fakes::model::{FakeModel, KEY, Script};

use crate::gateway::{Gateway, Patience, Session};
use crate::messages::{Block, Message, Request, Role};
use crate::price::Prices;
use crate::provider::{Login, Provider};

/// A model with a price that differs by the kind of token.
pub(super) const MODEL: &str = "claude-opus-5-5";

/// A way to ask a provider: what holds of one holds of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// The Messages API.
    Messages,
    /// Amazon Bedrock, with a bearer token.
    #[cfg(feature = "aws")]
    Bedrock,
    /// The same, with signed requests.
    #[cfg(feature = "aws")]
    Signed,
    /// Chat Completions with a key.
    Chat,
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Messages => "Messages API",
            #[cfg(feature = "aws")]
            Self::Bedrock => "Bedrock, bearer token",
            #[cfg(feature = "aws")]
            Self::Signed => "Bedrock, signed",
            Self::Chat => "Chat Completions",
        })
    }
}

impl Way {
    pub(super) const ALL: &[Self] = &[
        Self::Messages,
        #[cfg(feature = "aws")]
        Self::Bedrock,
        #[cfg(feature = "aws")]
        Self::Signed,
        Self::Chat,
    ];

    pub(super) fn sends_its_key(self) -> bool {
        match self {
            Self::Messages | Self::Chat => true,
            #[cfg(feature = "aws")]
            Self::Bedrock => true,
            #[cfg(feature = "aws")]
            Self::Signed => false,
        }
    }

    /// The fake provider, asked in this way.
    pub(super) fn to(self, model: &FakeModel) -> Provider {
        match self {
            Self::Messages => Provider::new(model.url(), Login::Key(Secret::new(KEY))).unwrap(),
            Self::Chat => {
                let chat = crate::wire::chat::ChatWire::new("localhost", None, None).unwrap();
                let provider = Provider::new(&format!("{}/v1", model.url()), Login::Bearer(Secret::new(KEY)));
                provider.unwrap().with_wire(crate::wire::Wire::Chat(chat))
            }
            #[cfg(feature = "aws")]
            Self::Bedrock => bedrock(model, Login::Bearer(Secret::new(KEY))),
            #[cfg(feature = "aws")]
            Self::Signed => {
                let keys = crate::aws::AwsKeys {
                    key_id: AWS_KEY_ID.to_owned(),
                    secret_key: Secret::new(aws_secret_key()),
                    session_token: None,
                };
                signed(model, crate::aws::KeySource::Fixed(keys))
            }
        }
    }
}

/// Amazon Bedrock, with requests that are signed by keys of this source.
#[cfg(feature = "aws")]
pub(super) fn signed(model: &FakeModel, keys: crate::aws::KeySource) -> Provider {
    let (service, region) = (crate::aws::Service::Bedrock, AWS_REGION.to_owned());
    bedrock(model, Login::Aws(crate::aws::AwsLogin { service, region, keys }))
}

#[cfg(feature = "aws")]
fn bedrock(model: &FakeModel, login: Login) -> Provider {
    let bedrock = crate::wire::bedrock::Bedrock::new(AWS_REGION, &BTreeMap::new()).unwrap();
    Provider::new(model.url(), login).unwrap().with_wire(crate::wire::Wire::Bedrock(bedrock))
}

/// What all providers charge.
pub(super) fn prices() -> Prices {
    let mut prices = Prices::builtin().unwrap();
    prices.extend(Prices::bedrock().unwrap());
    prices
}

/// A ledger of one level.
#[derive(Clone)]
pub(super) struct Book(Arc<Mutex<Pages>>);

pub(super) struct Pages {
    pub(super) limit: u64,
    pub(super) asked: Vec<Ask>,
    pub(super) open: BTreeMap<i64, u64>,
    pub(super) settled: Vec<(u64, Known)>,
    pub(super) is_broken: bool,
}

impl Book {
    pub(super) fn of(limit: u64) -> Self {
        let (asked, open, settled) = Default::default();
        Self(Arc::new(Mutex::new(Pages { limit, asked, open, settled, is_broken: false })))
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Pages) -> T) -> T {
        read(&mut self.0.lock().unwrap())
    }

    pub(super) fn spent(&self) -> u64 {
        self.read(|pages| pages.settled.iter().map(|(cost, _)| cost).sum())
    }

    pub(super) fn settled(&self) -> Vec<(u64, Known)> {
        self.read(|pages| pages.settled.clone())
    }

    pub(super) fn open(&self) -> usize {
        self.read(|pages| pages.open.len())
    }
}

#[async_trait]
impl Ledger for Book {
    async fn reserve(&self, purse: &Purse, ask: &Ask) -> Result<Reserved, StoreError> {
        let spent = self.spent();
        self.read(|pages| {
            if pages.is_broken {
                return Err(StoreError::Unavailable("no disk".into()));
            }
            pages.asked.push(*ask);
            let left = pages.limit - spent - pages.open.values().sum::<u64>();
            if left < ask.least.0 {
                return Ok(Reserved::Refused { level: purse.levels[0].clone(), left: MicroUsd(left) });
            }
            let (id, amount) = (pages.asked.len() as i64, left.min(ask.most.0));
            pages.open.insert(id, amount);
            Ok(Reserved::Granted { id: ReservationId(id), amount: MicroUsd(amount) })
        })
    }

    async fn settle(&self, id: ReservationId, cost: MicroUsd, known: Known) -> Result<MicroUsd, StoreError> {
        self.read(|pages| {
            if let Some(amount) = pages.open.remove(&id.0) {
                assert!(known == Known::Metered || cost.0 <= amount, "{cost:?} of {amount}");
                pages.settled.push((cost.0, known));
            }
            Ok(cost)
        })
    }

    async fn look(&self, _: &[Level]) -> Result<Vec<Drawn>, StoreError> {
        Err(StoreError::Unavailable("the gateway does not look".into()))
    }

    async fn drawn(&self) -> Result<Vec<Drawn>, StoreError> {
        Err(StoreError::Unavailable("the gateway does not look".into()))
    }
}

/// A clock that a test sets.
#[derive(Default)]
pub(super) struct Wall(Mutex<i64>);

impl Wall {
    pub(super) fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(millis)))
    }

    pub(super) fn later(&self, millis: i64) {
        *self.0.lock().unwrap() += millis;
    }
}

impl Clock for Wall {
    fn now(&self) -> Millis {
        Millis(*self.0.lock().unwrap())
    }
}

/// A kill switch.
#[derive(Clone, Debug)]
pub(super) struct Switch(pub(super) Arc<AtomicBool>);

#[async_trait]
impl Gate for Switch {
    async fn ask(&self) -> Result<(), HaltReason> {
        if self.0.load(Ordering::SeqCst) { Ok(()) } else { Err(HaltReason::KillSwitch) }
    }
}

pub(super) struct Stage {
    pub(super) model: FakeModel,
    pub(super) book: Book,
    pub(super) wall: Arc<Wall>,
    pub(super) switch: Switch,
    pub(super) gateway: Gateway,
}

/// As patient as tests may be: three tries, quickly.
pub(super) fn patience() -> Patience {
    Patience {
        tries: 3,
        wait: Duration::from_millis(1),
        // Below the shortest `retry-after` that is to end a call at once.
        begin: Duration::from_secs(40),
        ..Patience::default()
    }
}

impl Stage {
    /// A provider that plays this script, and ten dollars.
    pub(super) async fn new(script: Script) -> Self {
        Self::with(script, 10_000_000, patience()).await
    }

    pub(super) async fn with(script: Script, limit: u64, patience: Patience) -> Self {
        Self::by(Way::Messages, script, limit, patience).await
    }

    pub(super) async fn by(way: Way, script: Script, limit: u64, patience: Patience) -> Self {
        let model = FakeModel::start(script).await.unwrap();
        let (book, wall) = (Book::of(limit), Wall::at(1_800_000_000_000));
        let gateway =
            Gateway::new(way.to(&model), prices(), Arc::new(book.clone()), (wall.clone(), None), patience)
                .unwrap();
        Self { model, book, wall, switch: Switch(Arc::new(AtomicBool::new(true))), gateway }
    }

    /// The gateway of one more process, with what it keeps in common with others.
    pub(super) fn process(&self, common: Arc<dyn Common>) -> Gateway {
        let (prices, wall) = (prices(), self.wall.clone());
        let patience = Patience { tries: 1, ..patience() };
        Gateway::new(
            Way::Messages.to(&self.model),
            prices,
            Arc::new(self.book.clone()),
            (wall, Some(common)),
            patience,
        )
        .unwrap()
    }

    pub(super) fn session(&self) -> Session {
        self.session_by(&self.gateway)
    }

    pub(super) fn session_by(&self, gateway: &Gateway) -> Session {
        let level = Level {
            kind: LevelKind::Review,
            key: "k".into(),
            period: String::new(),
            limit: MicroUsd(self.book.read(|pages| pages.limit)),
        };
        let purse = Purse { run: RunId::new("run-1"), levels: vec![level] };
        gateway.session(
            purse,
            [MODEL.to_owned(), "claude-unpriced".to_owned()],
            Arc::new(self.switch.clone()),
        )
    }

    /// What the provider billed, at the price table's rates: whole answers, and those that were cut.
    pub(super) fn billed(&self) -> (u64, u64) {
        let prices = prices();
        let (mut whole, mut cut) = (0, 0);
        for bill in self.model.bills() {
            let usage = Usage {
                input: bill.usage.input,
                output: bill.usage.output,
                cache_read: bill.usage.cache_read,
                cache_write_5m: bill.usage.cache_write_5m,
                cache_write_1h: bill.usage.cache_write_1h,
            };
            let cost = prices.of(&bill.model).unwrap().cost(&usage).0;
            *(if bill.is_complete { &mut whole } else { &mut cut }) += cost;
        }
        (whole, cut)
    }

    pub(super) fn requests(&self) -> usize {
        let ends = ["/v1/messages", "/invoke-with-response-stream", "/v1/chat/completions"];
        let asks = |path: &str| ends.iter().any(|end| path.ends_with(end));
        self.model.log().iter().filter(|logged| asks(&logged.path)).count()
    }
}

pub(super) fn user(text: &str) -> Message {
    Message { role: Role::User, content: vec![Block::text(text)] }
}

pub(super) fn request(messages: &[Message]) -> Request {
    Request {
        model: MODEL.into(),
        max_tokens: 4000,
        system: vec![Block::text("You review code.")],
        messages: messages.to_vec(),
        tools: Vec::new(),
        tool_choice: None,
        thinking: None,
        output_config: None,
    }
}
