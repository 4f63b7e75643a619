//! Files that are new or changed in a root, and at rest: a file that somebody still writes is not looked at. It remembers in the store what
//! it has seen, so that a stop of the host neither loses nor repeats one.
//!
//! It looks again and again instead of being told: so it sees the same on every file system, and after every stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentry_store::limits::{TRIGGER_LOOK_MS, TRIGGER_NAMES_MAX};
use agentry_store::{Batch, Store, StoreError, keys, rows};
use serde_json::json;

use super::{Came, Trigger, Watched};

/// The files of a root by name, each with its size and the time of its last change.
type Listing = BTreeMap<String, (u64, u64)>;

/// Starts a run for files that are new, until it is dropped. Files that come together are one cause.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, root: String) {
    let mut rate = trigger.rate();
    let store = Arc::clone(host.drivers.gate.journal().store());
    let mut known = recall(&*store, &trigger).unwrap_or_default();
    let mut last: Option<Listing> = None;
    let mut told = false;
    loop {
        match look(&host, &root).await {
            Ok(listing) => {
                told = false;
                let rests = |(name, stamp): &(&String, &(u64, u64))| {
                    last.as_ref().is_some_and(|last| last.get(*name) == Some(*stamp))
                };
                let settled: Listing =
                    listing.iter().filter(rests).map(|(name, stamp)| (name.clone(), *stamp)).collect();
                let new = settled.iter().filter(|(name, stamp)| known.get(*name) != Some(*stamp));
                let new: Vec<String> = new.map(|(name, _)| name.clone()).collect();
                known.retain(|name, _| listing.contains_key(name));
                last = Some(listing);
                if !new.is_empty() {
                    known.extend(settled);
                    if let Err(error) = remember(&store, &trigger, &known).await {
                        host.drivers.gate.announce_alarm(&format!("{} does not start: {error}", trigger.id()));
                        return;
                    }
                    trigger.fire(&host, &mut rate, came(&root, &new)).await;
                }
            }
            // Said once, until it is there again.
            Err(why) if !std::mem::replace(&mut told, true) => {
                host.drivers.gate.announce_alarm(&format!("{} sees nothing: {why}", trigger.id()));
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}

fn came(root: &str, new: &[String]) -> Came {
    let files: Vec<_> = new.iter().take(TRIGGER_NAMES_MAX).collect();
    let more = new.len().saturating_sub(files.len());
    let input = json!({"because": "directory", "root": root, "files": files, "more": more});
    Came { input, ..Came::default() }
}

async fn look(host: &Arc<Watched>, root: &str) -> Result<Listing, String> {
    let (host, root) = (Arc::clone(host), root.to_owned());
    let listed = tokio::task::spawn_blocking(move || {
        let found = host
            .drivers
            .files
            .find(&root)
            .ok_or_else(|| format!("this host has no root `{root}`: add --root {root}=DIR"))?;
        found.list("").map_err(|error| format!("{error:?}"))
    });
    let listed = listed.await.unwrap_or_else(|_| Err("it cannot be read".to_owned()))?;
    let files = listed.into_iter().filter(|stat| !stat.directory);
    Ok(files.map(|stat| (stat.path, (stat.size, stat.modified_ms))).collect())
}

fn recall(store: &dyn Store, trigger: &Trigger) -> Result<Listing, StoreError> {
    let row = store.get(&keys::trigger(&trigger.id()))?;
    row.map_or_else(|| Ok(Listing::new()), |row| rows::run::decode(&row))
}

async fn remember(store: &Arc<dyn Store>, trigger: &Trigger, known: &Listing) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(keys::trigger(&trigger.id()), rows::run::encode(known));
    store.commit(batch).await
}
