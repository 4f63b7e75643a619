//! Tells the time and random numbers as std and the table give them.
//! Justification: a run is a function of its input, its seed and what the host recorded.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use agentry::{Failure, timers};

#[derive(serde::Serialize)]
struct Seen {
    clock_ms: u64,
    system_ms: u64,
    /// Time that passed while it computed: none.
    computed_ns: u128,
    /// Differs from run to run as the seed does.
    random: u64,
}

#[agentry::agent]
async fn run() -> Result<Seen, Failure> {
    let begun = Instant::now();
    let clock_ms = timers::now();
    let system = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let mut hasher = HashMap::<(), ()>::new().hasher().build_hasher();
    (0..100_000_u64).for_each(|count| count.hash(&mut hasher));
    Ok(Seen {
        clock_ms,
        system_ms: system.as_millis().try_into().unwrap_or(u64::MAX),
        computed_ns: begun.elapsed().as_nanos(),
        random: hasher.finish(),
    })
}
