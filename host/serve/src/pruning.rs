//! Prunes a home, by the host that runs there or in its place: the same steps and the same answer. It decides nothing.

use std::path::Path;
use std::time::Duration;

use agentry_journal::prune::{self, PruneError, Pruned, Pruning};
use agentry_kernel::retention::Retention;

use crate::error::{Kind, OpError};
use crate::offline::{self, Hand};
use crate::socket;
use crate::upkeep::{BeginPruning, LookAtPruning};

/// Between two looks at a host that prunes.
const PAUSE: Duration = Duration::from_millis(100);

/// Prunes this home, or looks at what would go; `told` hears of it meanwhile. A host goes on with it if nobody listens any more.
///
/// # Errors
/// Why it did not come to its end. What went until then stays gone.
pub async fn prune(
    home: &Path,
    retention: Retention,
    only_look: bool,
    told: impl Fn(&Pruned) + Send + 'static,
) -> Result<Pruned, OpError> {
    let begin = BeginPruning { retention: retention.clone(), only_look };
    let journal = match offline::hand(home, begin).await? {
        Hand::Host(pruning) => return by_host(home, pruning, told).await,
        Hand::Ours(journal) => journal,
    };
    let now = offline::clock(&journal)?.now();
    let pruned = tokio::task::spawn_blocking(move || {
        let goes_on = |so_far: &Pruned| {
            told(so_far);
            true
        };
        let how = Pruning { retention: &retention, host: journal.at().host, now, rests: 0, goes_on: &goes_on };
        if only_look { prune::look(&**journal.store(), &how) } else { prune::prune(&journal, &how) }
    });
    Ok(pruned.await.map_err(|_| OpError::broken("it broke down"))??)
}

async fn by_host(home: &Path, pruning: u64, told: impl Fn(&Pruned)) -> Result<Pruned, OpError> {
    loop {
        let stands = socket::ask(home, LookAtPruning { pruning })?;
        told(&stands.pruned);
        if stands.over {
            return Ok(stands.pruned);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl From<PruneError> for OpError {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Store(error) => error.into(),
            PruneError::Busy | PruneError::Stopped => Self::new(Kind::Unavailable { retry_ms: None }, error),
        }
    }
}
