//! Files that are new or changed in a root, and at rest: a file that somebody still writes is not looked at. It remembers in the store what
//! it has seen, so that a stop of the host neither loses nor repeats one.
//!
//! It looks again and again instead of being told: so it sees the same on every file system, and after every stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentry_store::limits::{TRIGGER_LOOK_MS, TRIGGER_NAMES_MAX, TRIGGER_REST_LOOKS};
use agentry_store::{Batch, Store, StoreError, keys, rows};
use serde_json::json;

use super::{Came, Trigger, Watched};

/// The files of a root by name, each with its size and the time of its last change.
type Listing = BTreeMap<String, (u64, u64)>;

/// The same, each with the number of looks for which it has been so.
type Looked = BTreeMap<String, ((u64, u64), u32)>;

/// For how many looks files that are at rest wait for others that are not.
const TOGETHER_LOOKS: u32 = 2 * TRIGGER_REST_LOOKS;

/// Starts a run for files that are new, until it is dropped. Files that come together are one cause.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, root: String) {
    let mut rate = trigger.rate();
    let store = Arc::clone(host.drivers.gate.journal().store());
    let mut known = recall(&*store, &trigger).unwrap_or_default();
    let (mut last, mut told, mut told_unsaid, mut waits) = (Looked::new(), false, 0, 0);
    loop {
        if trigger.is_held(&host) {
            tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
            continue;
        }
        if !trigger.carry_out(&host, &mut rate).await {
            return;
        }
        match look(&host, &root).await {
            Ok((listing, unsaid)) => {
                told = false;
                // Said once for each that comes.
                if unsaid > std::mem::replace(&mut told_unsaid, unsaid) {
                    let what = format!("{} passes over {unsaid} whose names are not UTF-8: rename them", trigger.id());
                    host.drivers.gate.announce_alarm(&what);
                }
                last = looked(&listing, &last);
                let rests = |(_, (_, looks)): &(&String, &((u64, u64), u32))| *looks >= TRIGGER_REST_LOOKS;
                let settled: Listing =
                    last.iter().filter(rests).map(|(name, (stamp, _))| (name.clone(), *stamp)).collect();
                let new = settled.iter().filter(|(name, stamp)| known.get(*name) != Some(*stamp));
                let new: Vec<String> = new.map(|(name, _)| name.clone()).collect();
                known.retain(|name, _| listing.contains_key(name));
                // What others write at the same time comes along, if they are done soon.
                let moves = |(name, (stamp, looks)): (&String, &((u64, u64), u32))| {
                    *looks < TRIGGER_REST_LOOKS && known.get(name) != Some(stamp)
                };
                waits = if !new.is_empty() && last.iter().any(moves) { waits + 1 } else { 0 };
                if !new.is_empty() && (waits == 0 || waits > TOGETHER_LOOKS) {
                    waits = 0;
                    let mut next = known.clone();
                    next.extend(settled);
                    match trigger.notice(&host, &came(&root, &new), seen(&trigger, &next), 0).await {
                        Ok(()) => known = next,
                        Err(error) => trigger.put_off(&host, &error).await,
                    }
                    continue;
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

/// A file that is as it was has been so for one look more.
fn looked(listing: &Listing, last: &Looked) -> Looked {
    let looks = |name: &String, stamp: &(u64, u64)| match last.get(name) {
        Some((before, looks)) if before == stamp => looks.saturating_add(1),
        _ => 0,
    };
    listing.iter().map(|(name, stamp)| (name.clone(), (*stamp, looks(name, stamp)))).collect()
}

/// What new files have to say.
pub(super) fn came(root: &str, new: &[String]) -> Came {
    let files: Vec<_> = new.iter().take(TRIGGER_NAMES_MAX).collect();
    let more = new.len().saturating_sub(files.len());
    let input = json!({"because": "directory", "root": root, "files": files, "more": more});
    Came { input, ..Came::default() }
}

/// The files of this root, and how many entries have names that no run can be told.
async fn look(host: &Arc<Watched>, root: &str) -> Result<(Listing, usize), String> {
    let (host, root) = (Arc::clone(host), root.to_owned());
    let listed = tokio::task::spawn_blocking(move || {
        if !host.drivers.files.has(&root) {
            return Err(format!("this host has no root `{root}`: add --root {root}=DIR"));
        }
        host.drivers.files.find(&root).and_then(|found| found.survey("")).map_err(|error| format!("{error:?}"))
    });
    let (listed, unsaid) = listed.await.unwrap_or_else(|_| Err("it cannot be read".to_owned()))?;
    let files = listed.into_iter().filter(|stat| !stat.directory);
    Ok((files.map(|stat| (stat.path, (stat.size, stat.modified_ms))).collect(), unsaid))
}

fn recall(store: &dyn Store, trigger: &Trigger) -> Result<Listing, StoreError> {
    let row = store.get(&keys::trigger(&trigger.id()))?;
    row.map_or_else(|| Ok(Listing::new()), |row| rows::run::decode(&row))
}

fn seen(trigger: &Trigger, known: &Listing) -> Batch {
    let mut batch = Batch::default();
    batch.put(keys::trigger(&trigger.id()), rows::run::encode(known));
    batch
}
