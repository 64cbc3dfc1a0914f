//! Simulates many runs with random costs against the ledger. The simulation includes parallel calls from
//! several processes, owners that crash, lost and late responses, and calls that are settled twice. It also
//! includes changed limits, midnights, and a clock that is set back.
//!
//! Two properties are checked. After every grant, no level exceeds the greatest limit that any request
//! contained for the level. In the end, the spending of each level equals the provider's count for metered
//! calls, plus the reservation for all other calls. With the other tests, the simulation has a few hundred
//! runs; `cargo xtask soak` sets the number in [`RUNS`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use truing_core::id::{RunId, UnixMillis};
use truing_core::ledger::{
    BudgetCaps, BudgetLevel, BudgetScope, CostBasis, ReservationOutcome, ReservationRequest, RunBudget,
    TokenUsage,
};
use truing_core::money::MicroUsd;
use truing_core::port::{Clock as _, Ledger as _, StoreError};
use truing_model::price::{ModelPrice, ModelPrices};
use truing_store::Store;

use super::{ManualWallClock, new_home};

/// The environment variable with the number of runs; `cargo xtask soak` uses 10,000.
const RUNS: &str = "TRUING_RUNS";
const SMALL: u64 = 250;
/// The seed of the simulation.
const SEED: u64 = 20_261_120;

/// Number of runs at the same time; the next constant is the number of processes that perform them.
const AT_ONCE: u64 = 24;
const PROCESSES: usize = 3;
/// The time at the start: 2026-11-30, an hour before the month ends in UTC.
const BEGIN: i64 = 1_796_079_600_000;
const MINUTE: i64 = 60_000;
/// Time after which a reservation's owner counts as dead.
const EXPIRES: i64 = 10 * MINUTE;
/// Minimum number of tokens for which a call is worthwhile.
const FLOOR: u64 = 1024;
const MODELS: [&str; 3] = ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5"];

/// The random number generator SplitMix64.
struct SplitMixGenerator(u64);

impl SplitMixGenerator {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Kind, key and period of a level.
type Name = (String, String, String);

fn name(level: &BudgetLevel) -> Name {
    (level.kind.as_str().to_owned(), level.key.clone(), level.period.clone())
}

/// The amounts of a level that the test itself adds up.
#[derive(Clone, Default, Debug)]
struct ActualLevel {
    /// Sum of the amounts that the provider billed.
    billed: u64,
    /// Expected spending: the provider's count for metered calls, plus the reservations of other calls.
    expected: u64,
    /// The greatest limit that any request contained for this level.
    greatest: u64,
}

/// The totals of the simulation.
#[derive(Default, Debug)]
struct Tally {
    levels: BTreeMap<Name, ActualLevel>,
    calls: u64,
    refused: u64,
    died: u64,
    lost: u64,
    late: u64,
    repeated: u64,
    /// The greatest and the smallest number of tokens per thousand bytes of a prompt.
    estimate: Option<(u64, u64)>,
    metered_micro_usd: u64,
}

/// The ways in which a call can end after the reservation is granted.
enum CallEnding {
    Answered,
    /// The response is lost, but the provider bills the call.
    Lost,
    /// The owner crashes before it settles the call.
    Died,
    /// The owner settles the call after the reservation has expired.
    Late,
}

struct World {
    hand: Arc<ManualWallClock>,
    stores: Vec<Store>,
    prices: ModelPrices,
    tally: Mutex<Tally>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_level_is_ever_exceeded_and_sums_are_what_the_provider_counted() {
    let runs = std::env::var(RUNS).map_or(SMALL, |text| text.parse().expect("TRUING_RUNS=RUNS"));
    let (hand, home) = (ManualWallClock::at(BEGIN), new_home());
    let mut stores = Vec::new();
    for _ in 0..PROCESSES {
        stores.push(home.open_at(hand.clone()).await);
    }
    let world = Arc::new(World {
        hand,
        stores,
        prices: ModelPrices::builtin().unwrap(),
        tally: Mutex::new(Tally::default()),
    });
    let mut running = JoinSet::new();
    for number in 0..runs {
        if running.len() as u64 >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        let world = Arc::clone(&world);
        running.spawn(async move { simulate_review(&world, number).await });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    world.hand.0.fetch_add(2 * EXPIRES + 10 * MINUTE, Ordering::Relaxed);
    // The next query of the ledger settles the calls of owners that have crashed.
    world.stores[0].current_usage().await.unwrap();
    let tally = world.tally.lock().unwrap();
    let mut seen = 0;
    for row in home.rows("SELECT kind, key, period, cast(spent AS TEXT), cast(reserved AS TEXT) FROM level") {
        let row: Vec<&str> = row.split('|').collect();
        let level: Name = (row[0].into(), row[1].into(), row[2].into());
        let (spent, reserved): (u64, u64) = (row[3].parse().unwrap(), row[4].parse().unwrap());
        let truth = &tally.levels[&level];
        assert_eq!((spent, reserved), (truth.expected, 0), "{level:?} {truth:?}");
        assert!(truth.billed <= spent && spent <= truth.greatest, "{level:?} {truth:?}");
        seen += 1;
    }
    assert_eq!(seen, tally.levels.values().filter(|truth| truth.expected > 0).count());
    for (what, count) in [
        ("calls", tally.calls),
        ("refusals", tally.refused),
        ("deaths", tally.died),
        ("lost answers", tally.lost),
        ("late answers", tally.late),
        ("repeated settles", tally.repeated),
    ] {
        assert!(count >= runs / 50, "too few {what}: {count}");
    }
    report(runs, &tally);
}

#[expect(clippy::print_stdout, reason = "the figure")]
fn report(runs: u64, tally: &Tally) {
    let (most, least) = tally.estimate.unwrap();
    println!(
        "money: {runs} runs, {} calls ({} refused, {} died, {} lost, {} late, {} settled again), {} levels: \
         none exceeded, ${}.{:06} metered to the micro-dollar; prompts had from {}.{} % to {}.{} % of their \
         bound",
        tally.calls,
        tally.refused,
        tally.died,
        tally.lost,
        tally.late,
        tally.repeated,
        tally.levels.len(),
        tally.metered_micro_usd / 1_000_000,
        tally.metered_micro_usd % 1_000_000,
        least / 10,
        least % 10,
        most / 10,
        most % 10,
    );
}

/// Simulates one review with up to four turns, each with up to four parallel calls.
async fn simulate_review(world: &Arc<World>, number: u64) {
    let mut random = SplitMixGenerator(SEED.wrapping_mul(1_000_003).wrapping_add(number));
    if random.below(8) == 0 {
        // The clock jumps ahead. Midnight may then fall between a reservation and its settlement, and running
        // owners may count as crashed.
        let ahead = i64::try_from(random.below(80)).unwrap() * MINUTE;
        world.hand.0.fetch_add(ahead, Ordering::Relaxed);
    }
    if random.below(50) == 0 {
        world.hand.0.fetch_sub(45_000, Ordering::Relaxed);
    }
    let budget = random_budget(&mut random, number, world.hand.now());
    for _ in 0..=random.below(3) {
        let mut calls = JoinSet::new();
        for _ in 0..=random.below(3) {
            let (world, budget, seed) = (Arc::clone(world), budget.clone(), random.below(u64::MAX));
            calls.spawn(async move { call(&world, &budget, SplitMixGenerator(seed)).await });
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
    }
}

/// Returns a budget for one of a few pull requests in a few repositories. One repository has no team, and the
/// limits vary as if an operator changed them.
fn random_budget(random: &mut SplitMixGenerator, number: u64, now: UnixMillis) -> RunBudget {
    let repository = random.below(5);
    let scope = BudgetScope {
        key: format!("pr/github/{repository}/{}", random.below(4)),
        head: format!("{}", number / 60),
        repository: format!("github/{repository}"),
    };
    let caps = BudgetCaps {
        review: MicroUsd(500_000 + random.below(3) * 750_000),
        repo_day: MicroUsd(8_000_000 + random.below(4) * 2_000_000),
        teams: match repository {
            0 => vec![],
            team => {
                vec![(format!("team {}", team % 2), MicroUsd(200_000_000 + random.below(3) * 100_000_000))]
            }
        },
        ..BudgetCaps::default()
    };
    RunBudget::for_review(RunId::new(format!("run {number}")), &scope, &caps, now)
}

async fn call(world: &World, budget: &RunBudget, mut random: SplitMixGenerator) {
    let price = world.prices.find_price(MODELS[random.below(3) as usize]).unwrap();
    // The number of bytes is an upper bound of the number of tokens.
    let bytes = 1 + random.below(120_000);
    let wanted = FLOOR + random.below(8_000);
    let (min_amount, max_amount) = (price.max_cost(bytes, FLOOR), price.max_cost(bytes, wanted));
    let store = &world.stores[random.below(PROCESSES as u64) as usize];
    let expires = UnixMillis(world.hand.now().0 + EXPIRES);
    {
        let mut tally = world.tally.lock().unwrap();
        for level in &budget.levels {
            let truth = tally.levels.entry(name(level)).or_default();
            truth.greatest = truth.greatest.max(level.limit.0);
        }
    }
    let ask = ReservationRequest { min_amount, max_amount, expires };
    let (id, amount) = match retry_while_locked(|| store.reserve(budget, &ask)).await {
        ReservationOutcome::Refused { level, remaining_amount: left } => {
            assert!(left < min_amount && budget.levels.contains(&level));
            world.tally.lock().unwrap().refused += 1;
            return;
        }
        ReservationOutcome::Granted { id, amount } => (id, amount),
    };
    assert!(min_amount <= amount && amount <= max_amount);
    for drawn in retry_while_locked(|| store.budget_usage(&budget.levels)).await {
        let greatest = world.tally.lock().unwrap().levels[&name(&drawn.level)].greatest;
        assert!(drawn.spent.0 + drawn.reserved.0 <= greatest, "{drawn:?} is beyond {greatest}");
    }
    let billed = price.cost(&simulate_provider(&mut random, price, bytes, wanted, amount, world));
    assert!(billed <= amount, "a call cost more than the amount that was reserved");
    let fate = match random.below(20) {
        0 => CallEnding::Died,
        1 => CallEnding::Lost,
        2 => CallEnding::Late,
        _ => CallEnding::Answered,
    };
    record_actual_cost(world, budget, &fate, billed, amount);
    match fate {
        CallEnding::Died => return,
        CallEnding::Lost => {
            retry_while_locked(|| store.settle_reservation(id, amount, CostBasis::Estimated)).await;
        }
        CallEnding::Late => {
            // Another process has settled the call by estimate, because the owner seemed to have crashed. The
            // clock was advanced, so reservations of other owners may also have expired.
            retry_while_locked(|| store.settle_reservation(id, amount, CostBasis::Estimated)).await;
            retry_while_locked(|| store.settle_reservation(id, billed, CostBasis::Metered)).await;
        }
        CallEnding::Answered => {
            retry_while_locked(|| store.settle_reservation(id, billed, CostBasis::Metered)).await;
        }
    }
    if random.below(8) == 0 {
        world.tally.lock().unwrap().repeated += 1;
        let other = &world.stores[random.below(PROCESSES as u64) as usize];
        let (cost, known) = match fate {
            CallEnding::Lost | CallEnding::Died => (amount, CostBasis::Estimated),
            CallEnding::Late | CallEnding::Answered => (billed, CostBasis::Metered),
        };
        retry_while_locked(|| other.settle_reservation(id, cost, known)).await;
        retry_while_locked(|| other.settle_reservation(id, amount, CostBasis::Estimated)).await;
    }
}

/// Maximum number of attempts if the file is locked.
const TRIES: u32 = 50;

/// Repeats work that fails because other processes have locked the file. Such a failure has no effect.
async fn retry_while_locked<T, F: Future<Output = Result<T, StoreError>>>(work: impl Fn() -> F) -> T {
    for _ in 0..TRIES {
        match work().await {
            Ok(done) => return done,
            Err(StoreError::Unavailable(why)) if why.contains("locked") => {}
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the file stays locked");
}

/// Simulates the provider's count of tokens. A prompt has one to six bytes per token, and a part of the
/// prompt comes from a cache.
fn simulate_provider(
    random: &mut SplitMixGenerator,
    price: &ModelPrice,
    bytes: u64,
    wanted: u64,
    amount: MicroUsd,
    world: &World,
) -> TokenUsage {
    let bytes_a_token = 1 + random.below(6);
    let prompt = bytes / bytes_a_token;
    let part = |random: &mut SplitMixGenerator, rest: u64| random.below(rest + 1);
    let cache_read = part(random, prompt);
    let cache_write_5m = part(random, prompt - cache_read);
    let cache_write_1h = part(random, prompt - cache_read - cache_write_5m);
    let most = price.max_output_tokens(bytes, amount).unwrap().min(wanted);
    assert!(most >= FLOOR, "it was begun with less than the floor");
    let share = prompt * 1000 / bytes;
    let mut tally = world.tally.lock().unwrap();
    let (greatest, least) = tally.estimate.unwrap_or((share, share));
    tally.estimate = Some((greatest.max(share), least.min(share)));
    TokenUsage {
        input: prompt - cache_read - cache_write_5m - cache_write_1h,
        output: if random.below(5) == 0 { most } else { random.below(most + 1) },
        cache_read,
        cache_write_5m,
        cache_write_1h,
    }
}

/// Adds the actual and the expected cost of a call to the totals.
fn record_actual_cost(
    world: &World,
    budget: &RunBudget,
    fate: &CallEnding,
    billed: MicroUsd,
    amount: MicroUsd,
) {
    let mut tally = world.tally.lock().unwrap();
    tally.calls += 1;
    let expected = match fate {
        CallEnding::Died | CallEnding::Lost => amount.0,
        CallEnding::Late | CallEnding::Answered => billed.0,
    };
    match fate {
        CallEnding::Died => tally.died += 1,
        CallEnding::Lost => tally.lost += 1,
        CallEnding::Late => tally.late += 1,
        CallEnding::Answered => {}
    }
    if matches!(fate, CallEnding::Late | CallEnding::Answered) {
        tally.metered_micro_usd += billed.0;
    }
    for level in &budget.levels {
        let truth = tally.levels.entry(name(level)).or_default();
        truth.billed += billed.0;
        truth.expected += expected;
    }
}
