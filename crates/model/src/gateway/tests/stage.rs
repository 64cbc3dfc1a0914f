//! The set-up of the tests: a fake provider, a ledger in memory, and a gateway between them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use truing_core::id::{RunId, UnixMillis};
use truing_core::ledger::{
    BudgetLevel, BudgetLevelKind, BudgetUsage, CostBasis, ReservationId, ReservationOutcome,
    ReservationRequest, RunBudget, TokenUsage,
};
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, HaltReason, Ledger, SharedStateStore, StoreError, WriteGate};
use truing_core::secret::SecretString;
#[cfg(feature = "aws")]
use truing_fakes::model::{AWS_KEY_ID, AWS_REGION, aws_secret_key};
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript};

use crate::gateway::{ModelGateway, ModelSession, ProviderTimeouts};
use crate::messages::{MessageBlock, MessageRole, ModelMessage, ModelRequest};
use crate::price::ModelPrices;
use crate::provider::{ModelProvider, ProviderCredentials};

/// A model with a different price for each kind of token.
pub(super) const MODEL: &str = "claude-opus-5-5";

/// An API and a kind of credential for calls to a provider. The tests run with each combination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProviderCallMethod {
    /// The Messages API with a key.
    Messages,
    /// Amazon Bedrock, with a bearer token.
    #[cfg(feature = "aws")]
    Bedrock,
    /// Amazon Bedrock, with signed requests.
    #[cfg(feature = "aws")]
    Signed,
    /// Chat Completions with a key.
    Chat,
}

impl fmt::Display for ProviderCallMethod {
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

impl ProviderCallMethod {
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

    /// Returns a provider that calls the fake with this API and credential.
    pub(super) fn to(self, model: &FakeModel) -> ModelProvider {
        match self {
            Self::Messages => ModelProvider::new(
                model.url(),
                ProviderCredentials::XApiKey(SecretString::new(DEFAULT_API_KEY)),
            )
            .unwrap(),
            Self::Chat => {
                let chat = crate::wire::chat::ChatWire::new("localhost", None, None).unwrap();
                let provider = ModelProvider::new(
                    &format!("{}/v1", model.url()),
                    ProviderCredentials::Bearer(SecretString::new(DEFAULT_API_KEY)),
                );
                provider.unwrap().with_wire(crate::wire::WireFormat::Chat(chat))
            }
            #[cfg(feature = "aws")]
            Self::Bedrock => bedrock(model, ProviderCredentials::Bearer(SecretString::new(DEFAULT_API_KEY))),
            #[cfg(feature = "aws")]
            Self::Signed => {
                let keys = crate::aws::AwsKeys {
                    key_id: AWS_KEY_ID.to_owned(),
                    secret_key: SecretString::new(aws_secret_key()),
                    session_token: None,
                };
                signed(model, crate::aws::KeySource::Static(keys))
            }
        }
    }
}

/// Returns a provider that calls Amazon Bedrock with requests signed by keys of this source.
#[cfg(feature = "aws")]
pub(super) fn signed(model: &FakeModel, keys: crate::aws::KeySource) -> ModelProvider {
    let (service, region) = (crate::aws::AwsService::Bedrock, AWS_REGION.to_owned());
    bedrock(model, ProviderCredentials::Aws(crate::aws::AwsLogin { service, region, keys }))
}

#[cfg(feature = "aws")]
fn bedrock(model: &FakeModel, login: ProviderCredentials) -> ModelProvider {
    let bedrock = crate::wire::bedrock::BedrockWire::new(AWS_REGION, &BTreeMap::new()).unwrap();
    ModelProvider::new(model.url(), login).unwrap().with_wire(crate::wire::WireFormat::Bedrock(bedrock))
}

/// Returns the prices of all providers.
pub(super) fn prices() -> ModelPrices {
    let mut prices = ModelPrices::builtin().unwrap();
    prices.extend(ModelPrices::bedrock().unwrap());
    prices
}

/// A ledger with one budget level.
#[derive(Clone)]
pub(super) struct OneLevelLedger(Arc<Mutex<LedgerState>>);

pub(super) struct LedgerState {
    pub(super) limit: u64,
    pub(super) asked: Vec<ReservationRequest>,
    pub(super) open: BTreeMap<i64, u64>,
    pub(super) settled: Vec<(u64, CostBasis)>,
    pub(super) is_broken: bool,
}

impl OneLevelLedger {
    pub(super) fn of(limit: u64) -> Self {
        let (asked, open, settled) = Default::default();
        Self(Arc::new(Mutex::new(LedgerState { limit, asked, open, settled, is_broken: false })))
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&mut LedgerState) -> T) -> T {
        read(&mut self.0.lock().unwrap())
    }

    pub(super) fn spent(&self) -> u64 {
        self.read(|pages| pages.settled.iter().map(|(cost, _)| cost).sum())
    }

    pub(super) fn settled(&self) -> Vec<(u64, CostBasis)> {
        self.read(|pages| pages.settled.clone())
    }

    pub(super) fn open(&self) -> usize {
        self.read(|pages| pages.open.len())
    }
}

#[async_trait]
impl Ledger for OneLevelLedger {
    async fn reserve(
        &self,
        budget: &RunBudget,
        ask: &ReservationRequest,
    ) -> Result<ReservationOutcome, StoreError> {
        let spent = self.spent();
        self.read(|pages| {
            if pages.is_broken {
                return Err(StoreError::Unavailable("no disk".into()));
            }
            pages.asked.push(*ask);
            let left = pages.limit - spent - pages.open.values().sum::<u64>();
            if left < ask.min_amount.0 {
                return Ok(ReservationOutcome::Refused {
                    level: budget.levels[0].clone(),
                    remaining_amount: MicroUsd(left),
                });
            }
            let (id, amount) = (pages.asked.len() as i64, left.min(ask.max_amount.0));
            pages.open.insert(id, amount);
            Ok(ReservationOutcome::Granted { id: ReservationId(id), amount: MicroUsd(amount) })
        })
    }

    async fn settle_reservation(
        &self,
        id: ReservationId,
        cost: MicroUsd,
        known: CostBasis,
    ) -> Result<MicroUsd, StoreError> {
        self.read(|pages| {
            if let Some(amount) = pages.open.remove(&id.0) {
                assert!(known == CostBasis::Metered || cost.0 <= amount, "{cost:?} of {amount}");
                pages.settled.push((cost.0, known));
            }
            Ok(cost)
        })
    }

    async fn budget_usage(&self, _: &[BudgetLevel]) -> Result<Vec<BudgetUsage>, StoreError> {
        Err(StoreError::Unavailable("the gateway does not look".into()))
    }

    async fn current_usage(&self) -> Result<Vec<BudgetUsage>, StoreError> {
        Err(StoreError::Unavailable("the gateway does not look".into()))
    }
}

/// A clock that a test sets.
#[derive(Default)]
pub(super) struct SettableTestClock(Mutex<i64>);

impl SettableTestClock {
    pub(super) fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(millis)))
    }

    pub(super) fn later(&self, millis: i64) {
        *self.0.lock().unwrap() += millis;
    }
}

impl Clock for SettableTestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(*self.0.lock().unwrap())
    }
}

/// A kill switch that a test turns on.
#[derive(Clone, Debug)]
pub(super) struct TestKillSwitch(pub(super) Arc<AtomicBool>);

#[async_trait]
impl WriteGate for TestKillSwitch {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        if self.0.load(Ordering::SeqCst) { Ok(()) } else { Err(HaltReason::KillSwitch) }
    }
}

pub(super) struct Stage {
    pub(super) model: FakeModel,
    pub(super) book: OneLevelLedger,
    pub(super) wall: Arc<SettableTestClock>,
    pub(super) switch: TestKillSwitch,
    pub(super) gateway: ModelGateway,
}

/// Returns timeouts for tests, with three attempts in quick succession.
pub(super) fn patience() -> ProviderTimeouts {
    ProviderTimeouts {
        max_attempts: 3,
        retry_delay: Duration::from_millis(1),
        // This timeout is less than the shortest `retry-after` in tests of calls that must fail without a
        // wait.
        response_start: Duration::from_secs(40),
        ..ProviderTimeouts::default()
    }
}

impl Stage {
    /// Returns a stage with a budget of ten dollars, and with a provider that plays this script.
    pub(super) async fn new(script: ModelScript) -> Self {
        Self::with(script, 10_000_000, patience()).await
    }

    pub(super) async fn with(script: ModelScript, limit: u64, patience: ProviderTimeouts) -> Self {
        Self::by(ProviderCallMethod::Messages, script, limit, patience).await
    }

    pub(super) async fn by(
        way: ProviderCallMethod,
        script: ModelScript,
        limit: u64,
        patience: ProviderTimeouts,
    ) -> Self {
        let model = FakeModel::start(script).await.unwrap();
        let (book, wall) = (OneLevelLedger::of(limit), SettableTestClock::at(1_800_000_000_000));
        let gateway =
            ModelGateway::new(way.to(&model), prices(), Arc::new(book.clone()), wall.clone(), None, patience)
                .unwrap();
        Self { model, book, wall, switch: TestKillSwitch(Arc::new(AtomicBool::new(true))), gateway }
    }

    /// Returns the gateway of another process, with this shared state.
    pub(super) fn process(&self, common: Arc<dyn SharedStateStore>) -> ModelGateway {
        let (prices, wall) = (prices(), self.wall.clone());
        let patience = ProviderTimeouts { max_attempts: 1, ..patience() };
        ModelGateway::new(
            ProviderCallMethod::Messages.to(&self.model),
            prices,
            Arc::new(self.book.clone()),
            wall,
            Some(common),
            patience,
        )
        .unwrap()
    }

    pub(super) fn session(&self) -> ModelSession {
        self.session_by(&self.gateway)
    }

    pub(super) fn session_by(&self, gateway: &ModelGateway) -> ModelSession {
        let level = BudgetLevel {
            kind: BudgetLevelKind::Review,
            key: "k".into(),
            period: String::new(),
            limit: MicroUsd(self.book.read(|pages| pages.limit)),
        };
        let budget = RunBudget { run: RunId::new("run-1"), levels: vec![level] };
        gateway.open_session(
            budget,
            [MODEL.to_owned(), "claude-unpriced".to_owned()],
            Arc::new(self.switch.clone()),
        )
    }

    /// Returns the amounts that the provider bills for complete responses and for incomplete responses, at
    /// the rates of the price table.
    pub(super) fn billed(&self) -> (u64, u64) {
        let prices = prices();
        let (mut whole, mut cut) = (0, 0);
        for bill in self.model.bills() {
            let usage = TokenUsage {
                input: bill.usage.input,
                output: bill.usage.output,
                cache_read: bill.usage.cache_read,
                cache_write_5m: bill.usage.cache_write_5m,
                cache_write_1h: bill.usage.cache_write_1h,
            };
            let cost = prices.find_price(&bill.model).unwrap().cost(&usage).0;
            *(if bill.is_complete { &mut whole } else { &mut cut }) += cost;
        }
        (whole, cut)
    }

    pub(super) fn requests(&self) -> usize {
        let ends = ["/v1/messages", "/invoke-with-response-stream", "/v1/chat/completions"];
        let asks = |path: &str| ends.iter().any(|end| path.ends_with(end));
        self.model.request_log().iter().filter(|logged| asks(&logged.path)).count()
    }
}

pub(super) fn user(text: &str) -> ModelMessage {
    ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text(text)] }
}

pub(super) fn request(messages: &[ModelMessage]) -> ModelRequest {
    ModelRequest {
        model: MODEL.into(),
        max_tokens: 4000,
        system: vec![MessageBlock::text("You review code.")],
        messages: messages.to_vec(),
        tools: Vec::new(),
        tool_choice: None,
        thinking: None,
        output_config: None,
        program: None,
    }
}
