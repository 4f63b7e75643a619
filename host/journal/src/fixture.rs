//! For tests only: a journal in a directory of its own, and runs that write what the gate would write for them.

use std::path::Path;
use std::sync::Arc;

use agentry_kernel::budget::{Amounts, Books};
use agentry_kernel::call::{Call, CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{BasisId, Ended, Entry, Outcome, Started, Status};
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_store::RedbStore;
use agentry_store::content::Content;
use agentry_store::rows::run::RunRecord;

use crate::history::History;
use crate::{Balances, Extras, Journal, Trail};

pub(crate) const NOW: Millis = Millis(1_800_000_000_000);

/// A journal without a kernel.
pub(crate) struct Host {
    pub(crate) journal: Journal,
    pub(crate) history: History,
}

pub(crate) async fn host(home: &Path) -> Host {
    let store = Arc::new(RedbStore::open(home).expect("a temporary directory can be written"));
    let history = History::over(Arc::clone(&store) as _);
    let (journal, _) = Journal::open(store).await.expect("the store was just opened");
    Host { journal, history }
}

pub(crate) fn record(id: RunId) -> RunRecord {
    RunRecord {
        id,
        agent: "scribe".to_owned(),
        package: "acme:scribe@1.0.0".to_owned(),
        component: Digest([7; 32]),
        status: Status::Running,
        started: NOW,
        ended: None,
        spent: Amounts::ZERO,
        calls: 0,
        refused: 0,
        failure: None,
        labels: Labels::NONE,
        parent: None,
        cause: None,
        imported: None,
        trigger: None,
        listed: None,
    }
}

impl Host {
    /// Begins a run.
    pub(crate) fn run(&self, id: u64) -> Arc<Trail> {
        let trail = Arc::new(Trail::new(RunId(id)));
        let input = Content::of(*b"{}");
        let started = Started {
            at: NOW,
            agent: "scribe".to_owned(),
            package: "acme:scribe@1.0.0".to_owned(),
            component: Digest([7; 32]),
            input: input.digest,
            seed: 1,
            policy: Digest::default(),
            engine: "test".to_owned(),
            held: Amounts::ZERO,
        };
        let balances = Balances { agent: "scribe", books: Books::default(), site: Books::default() };
        let record = Some(record(trail.run()));
        let extras = Extras { balances: Some(balances), contents: vec![input], record, ..Extras::default() };
        self.journal.append(&trail, &[Entry::Started(started)], extras);
        trail
    }

    /// A line of its log.
    pub(crate) fn says(&self, run: &Arc<Trail>, line: Content) {
        let what = Call::LogEvent { line: line.digest, bytes: 0 };
        let outcome = Outcome::Inline(Vec::new());
        let entry = Entry::Called { call: CallId(1), at: NOW, what, outcome, basis: BasisId::NONE };
        self.journal.append(run, &[entry], Extras { contents: vec![line], ..Extras::default() });
    }

    /// It ends well.
    pub(crate) fn end(&self, run: &Arc<Trail>, output: Content) {
        let ended = Ended { at: NOW, status: Status::Done, output: output.digest, spent: Amounts::ZERO };
        let record = Some(RunRecord { status: Status::Done, ended: Some(NOW), ..record(run.run()) });
        let extras = Extras { contents: vec![output], record, ..Extras::default() };
        self.journal.append(run, &[Entry::Ended(ended)], extras);
    }
}
