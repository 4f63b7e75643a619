//! Whether what is gone of a log is what its host wrote down as pruned: each run with as many segments, under the same name. It keeps a few bytes a
//! run until that is told.

use std::collections::HashMap;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{Entry, PrunedRun};
use agentry_store::ids::SegmentId;

use crate::segment::{Stub, gone};

/// The runs of which segments are gone.
#[derive(Default)]
pub(super) struct Gone {
    untold: HashMap<RunId, Went>,
    told: u64,
}

/// Of one run.
struct Went {
    first: SegmentId,
    segments: u64,
    digest: Digest,
}

impl Gone {
    /// A segment is gone.
    pub(super) fn went(&mut self, id: SegmentId, stub: &Stub) {
        let first = || Went { first: id, segments: 0, digest: Digest::default() };
        let went = self.untold.entry(stub.run).or_insert_with(first);
        (went.segments, went.digest) = (went.segments + 1, gone(went.digest, stub.head));
    }

    /// What the host wrote down. The error is the first run of which it says something else.
    pub(super) fn told(&mut self, entries: &[Entry]) -> Result<(), (RunId, &'static str)> {
        for entry in entries {
            let Entry::Pruned { runs, .. } = entry else { continue };
            for PrunedRun { run, segments, digest } in runs {
                match self.untold.remove(run) {
                    Some(went) if (went.segments, went.digest) == (*segments, *digest) => self.told += 1,
                    Some(_) => return Err((*run, "what is gone of this run is not what was pruned")),
                    None => return Err((*run, "it tells that this run was pruned, and its segments are there")),
                }
            }
        }
        Ok(())
    }

    /// Runs that were pruned.
    pub(super) fn runs(&self) -> u64 {
        self.told
    }

    /// The first segment that is gone and of which nothing is told.
    pub(super) fn untold(&self) -> Option<(SegmentId, RunId)> {
        self.untold.iter().map(|(run, went)| (went.first, *run)).min()
    }
}
