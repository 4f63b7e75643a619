//! Opens lists of an index: those that were kept on all cores, since a search reads all of them; the others are asked for, a few at the same
//! time. Each is verified each time before anything is made of it, wherever it comes from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentry_kernel::time::Millis;
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use super::super::metadata::{Keys, Meta, Targets, fresh};
use super::super::signed::Unverified;
use super::{Reading, is_meant, is_version};
use crate::fault::Fault;
use crate::file;
use crate::limits::TARGETS_MAX_BYTES;

/// Lists that are asked for at the same time.
const ASKED_AT_ONCE: usize = 4;

/// A list as a snapshot speaks of it, and who may sign it.
pub(super) struct Wanted {
    file: String,
    meta: Meta,
    keys: BTreeMap<String, Value>,
    role: Keys,
    now: Millis,
}

impl Wanted {
    /// The list of this name, in force now if these sign it.
    pub(super) fn of(name: &str, meta: &Meta, (keys, role): (&BTreeMap<String, Value>, &Keys), now: Millis) -> Self {
        let keys = role.keyids.iter().filter_map(|id| Some((id.clone(), keys.get(id)?.clone()))).collect();
        Self { file: format!("{name}.json"), meta: meta.clone(), keys, role: role.clone(), now }
    }

    /// The list in these bytes, if it is the one.
    pub(super) fn open<'f, F: Deserialize<'f>>(&self, bytes: &'f [u8]) -> Result<Targets<F>, Fault> {
        let unverified = Unverified::<Targets<F>>::read(&self.file, bytes)?;
        let targets = unverified.verified(&self.keys, &self.role)?;
        is_version(&self.file, &self.meta, targets.version)?;
        fresh(&self.file, &targets, self.now)?;
        Ok(targets)
    }

    /// The name under which it is kept.
    fn kept(&self) -> String {
        format!("list-{}", self.file)
    }
}

impl Reading<'_> {
    /// What `open` makes of each of these lists, in their order: of what was kept last time if it is the right one, else of what is there now. It is
    /// given the place of a list among them, and its bytes. Of one that is not believed, or not there, it is told why.
    ///
    /// # Errors
    /// If nobody answers for one: then the others may not be had either.
    pub(super) async fn opened<T: Send + 'static>(
        &self,
        lists: &Arc<[Wanted]>,
        open: Arc<impl Fn(usize, &[u8]) -> Result<T, Fault> + Send + Sync + 'static>,
    ) -> Result<Vec<Result<T, Fault>>, Fault> {
        let kept = self.open_kept(lists, &open).await?;
        let each = stream::iter(kept.into_iter().enumerate()).map(|(at, kept)| {
            let open = Arc::clone(&open);
            async move {
                match kept {
                    Some(made) => Ok(Ok(made)),
                    None => self.ask_and_open(lists, at, open).await,
                }
            }
        });
        each.buffered(ASKED_AT_ONCE).try_collect().await
    }

    /// What is made of each that was kept and is the right one: by as many threads as there are cores, each of which takes the next one.
    async fn open_kept<T: Send + 'static>(
        &self,
        lists: &Arc<[Wanted]>,
        open: &Arc<impl Fn(usize, &[u8]) -> Result<T, Fault> + Send + Sync + 'static>,
    ) -> Result<Vec<Option<T>>, Fault> {
        let next = Arc::new(AtomicUsize::new(0));
        let thread = |_| {
            let (lists, open, next) = (Arc::clone(lists), Arc::clone(open), Arc::clone(&next));
            let kept = self.kept.to_owned();
            elsewhere(move || {
                let mut made = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(list) = lists.get(at) else { return Ok(made) };
                    // One that cannot be used any more is asked for again.
                    let bytes = file::read(&kept.join(list.kept()), TARGETS_MAX_BYTES).ok().flatten();
                    let bytes = bytes.filter(|bytes| is_meant(bytes, &list.meta));
                    made.push((at, bytes.and_then(|bytes| open(at, &bytes).ok())));
                }
            })
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut all: Vec<(usize, Option<T>)> =
            try_join_all((0..cores.min(lists.len())).map(thread)).await?.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, made)| made).collect())
    }

    /// What is made of one that is there now, which is kept if it is the right one; or what is wrong with it alone.
    async fn ask_and_open<T: Send + 'static>(
        &self,
        lists: &Arc<[Wanted]>,
        at: usize,
        open: Arc<impl Fn(usize, &[u8]) -> Result<T, Fault> + Send + Sync + 'static>,
    ) -> Result<Result<T, Fault>, Fault> {
        let list = &lists[at];
        let bytes = match self.offered(&list.file, &list.meta, TARGETS_MAX_BYTES).await? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let (kept, directory) = (self.kept.join(list.kept()), self.kept.to_owned());
        elsewhere(move || {
            let made = open(at, &bytes);
            if made.is_ok() {
                // Whatever a crash makes of it, it is verified again before it counts.
                file::write_unsynced(&kept, &bytes, &directory, 0o644)?;
            }
            Ok(made)
        })
        .await
    }
}

/// Does what takes a processor's time on a thread where nobody else waits.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
}
