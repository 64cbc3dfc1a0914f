//! Measures how long it takes to read the due slots of an existing store. Usage: `cargo bench -p truing-store
//! --bench due -- CALLS FILE`, or `CALLS SLOTS-URL RECORDS-URL`. `cargo xtask bench records` fills stores and
//! runs this benchmark.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use truing_core::id::UnixMillis;
use truing_core::port::{Clock, SlotStore as _};
use truing_store::Store;

/// Number of slots that the scheduler requests with its first call.
const BATCH: usize = 256;

struct Now;

impl Clock for Now {
    fn now(&self) -> UnixMillis {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The argument `--bench` is ignored, because Cargo adds it.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (calls, store) = match arguments.as_slice() {
        [calls, file] => (calls, Store::open(Path::new(file), Arc::new(Now))?),
        [calls, slots, records] => (calls, Store::connect(slots, records, None).await?),
        _ => return Err("give CALLS and FILE, or CALLS, SLOTS-URL and RECORDS-URL".into()),
    };
    let (mut times, mut slots) = (Vec::new(), 0);
    for _ in 0..calls.parse::<usize>()? {
        let begun = Instant::now();
        let now = store.now().await?;
        slots = store.due_slots(now, BATCH).await?.len();
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times.get(index).or(times.last()).copied().unwrap_or(f64::NAN)
    };
    let figures = serde_json::json!({ "slots": slots, "p50": at(0.5), "p99": at(0.99) });
    writeln!(std::io::stdout(), "{figures}")?;
    Ok(())
}
