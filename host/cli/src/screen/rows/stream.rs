//! Rows that come together entry by entry and leave in the order of their calls, so that a run of any length takes no more memory than a short one.
//!
//! A call that is not over holds up those behind it. Where too many wait, the journal has to be read twice: the first time tells how such a call
//! ends, the second time its row leaves with that in its place.

use std::collections::{BTreeMap, BTreeSet};

use agentry_kernel::budget::Shortage;
use agentry_kernel::call::CallId;
use agentry_kernel::journal::{BasisId, Entry};
use agentry_kernel::{Amounts, Labels, Millis};

use super::{Basis, Decision, Row, decision, row};

/// Rows that wait for one before them: more than a run has in flight, so that few calls are ever waited for in vain.
const WAITING_MAX: usize = 4_096;

/// What entries say of a call beside the one that makes its row; they stand before that or behind it.
#[derive(Default)]
struct Beside {
    approved_by: Vec<String>,
    raised: Vec<Shortage>,
    shadow_denied: Option<String>,
    gained: Labels,
    /// What counts as spent because a host stopped in it.
    lost: Amounts,
    /// True if it did so in another home.
    elsewhere: bool,
}

/// What is said of a call in which a host stopped.
const LOST: &str =
    "a host stopped in it: what it may have cost counts as spent, beside what it cost when it was asked again";

/// The same of one that came out of a file with that: nothing of it moves an account here.
const LOST_ELSEWHERE: &str =
    "a host stopped in it: what it may have cost counts as spent in the home where it ran, and not in this one";

/// Rows on their way.
#[derive(Default)]
pub struct Rows {
    rows: BTreeMap<CallId, Row>,
    beside: BTreeMap<CallId, Beside>,
    bases: BTreeMap<BasisId, Basis>,
    /// Calls of which something was said since rows left last: the next entries may say more of them in the same step.
    fresh: BTreeSet<CallId>,
    /// The last call whose row has left, or that nobody waits for any more.
    left: u32,
    /// Of those that nobody waited for: their rows, as far as this reading tells.
    late: BTreeMap<CallId, Option<Row>>,
    /// The same, as an earlier reading left them; none if this is the first.
    known: Option<BTreeMap<CallId, Option<Row>>>,
    last: Millis,
    /// Marks of files that the run came out of: how many there were, in a first reading; how many are still to come, in a second.
    marks: usize,
}

impl Rows {
    /// For the second reading of the same journal.
    pub fn again(self) -> Self {
        let mut late = self.late;
        for (call, row) in &mut late {
            let beside = self.beside.get(call);
            *row = row.take().map(|row| beside.map_or_else(|| row.clone(), |beside| joined(row.clone(), beside)));
        }
        Self { known: Some(late), marks: self.marks, ..Self::default() }
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Basis { id, policy, rule } => {
                self.bases.insert(*id, Basis { policy: *policy, rule: rule.clone() });
            }
            Entry::Asked { call, at, what, held, basis } => {
                // One that a host lost is asked again: the agent has waited since the first time.
                let asked = row(*call, self.began(*call, *at), None, what, Decision::Open);
                let basis = self.bases.get(basis).cloned();
                self.put(Row { held: *held, basis, ..asked });
            }
            Entry::Called { call, at, what, outcome, basis } => {
                let called = row(*call, *at, Some(*at), what, decision(outcome));
                let basis = self.bases.get(basis).cloned();
                self.put(Row { basis, ..called });
            }
            Entry::Refused { call, at, what, refusal, basis } => {
                let refused = row(*call, *at, Some(*at), what, Decision::Refused(Box::new(refusal.clone())));
                let basis = self.bases.get(basis).map(|basis| Basis { rule: refusal.rule.clone(), ..basis.clone() });
                self.put(Row { basis, ..refused });
            }
            Entry::Questioned { call, at, what, held, .. } => {
                let asked = row(*call, self.began(*call, *at), None, what, Decision::Waits);
                self.put(Row { held: *held, ..asked });
            }
            Entry::Answered { call, at, outcome, spent } => {
                if let Some(row) = self.row(*call) {
                    row.until = Some(*at);
                    // What the host's guard refused has its no before the answer that the guest got of it.
                    if !matches!(row.decision, Decision::Refused(_)) {
                        (row.decision, row.spent) = (decision(outcome), *spent);
                    }
                }
                self.last = self.last.max(*at);
            }
            Entry::Noted { call, note, .. } => {
                if let Some(row) = self.row(*call) {
                    row.note = Some(note.clone());
                }
            }
            Entry::Unknown { call, spent, .. } => {
                let elsewhere = self.known.is_some() && self.marks > 0;
                if let Some(beside) = self.beside(*call) {
                    (beside.lost, beside.elsewhere) = (beside.lost.plus(*spent), elsewhere);
                }
            }
            Entry::Imported { .. } if self.known.is_some() => self.marks = self.marks.saturating_sub(1),
            Entry::Imported { .. } => self.marks += 1,
            Entry::Resolved { call, returned, .. } => {
                self.beside(*call).into_iter().for_each(|beside| beside.lost = beside.lost.minus(*returned));
            }
            Entry::Labelled { call, labels, .. } => {
                if let Some(beside) = self.beside(*call) {
                    beside.gained = beside.gained.and(labels);
                }
            }
            Entry::Approved { call, by, .. } => {
                self.beside(*call).into_iter().for_each(|beside| beside.approved_by.clone_from(by));
            }
            Entry::Raised { call, raised, .. } => {
                self.beside(*call).into_iter().for_each(|beside| beside.raised.clone_from(raised));
            }
            Entry::ShadowDenied { call, refusal, .. } => {
                self.beside(*call).into_iter().for_each(|beside| beside.shadow_denied = Some(refusal.to_string()));
            }
            Entry::Ended(ended) => self.end(ended.at),
            // What begins a run, what the guest saw of it, and what befell the host is no syscall.
            _ => {}
        }
    }

    /// The run is over: nobody answers what people were asked for it.
    fn end(&mut self, at: Millis) {
        let rows = self.rows.values_mut().chain(self.late.values_mut().flatten());
        for row in rows.filter(|row| row.decision == Decision::Waits) {
            let (kind, text) = ("cancelled".to_owned(), "its run ended before people had answered".to_owned());
            (row.until, row.decision) = (Some(at.max(row.at)), Decision::Broke { kind, text });
        }
    }

    /// The next rows that nothing more is said of. What is said of a call in one step is taken before, or comes next: then its row stays.
    pub fn ready(&mut self) -> Vec<Row> {
        let mut ready = Vec::new();
        loop {
            let next = CallId(self.left.saturating_add(1));
            let waiting = self.rows.len();
            match self.rows.get(&next) {
                Some(row) if row.is_over() && !self.fresh.contains(&next) => ready.extend(self.leave(next)),
                _ if waiting > WAITING_MAX => self.pass_over(next, &mut ready),
                _ => break,
            }
        }
        self.fresh.clear();
        ready
    }

    /// When the last call was made or answered.
    pub fn last(&self) -> Millis {
        self.last
    }

    /// All that is left, once there are no more entries.
    pub fn rest(mut self) -> Vec<Row> {
        let calls: Vec<_> = self.rows.keys().copied().collect();
        calls.into_iter().filter_map(|call| self.leave(call)).collect()
    }

    /// Nobody waits for this call any more.
    fn pass_over(&mut self, call: CallId, ready: &mut Vec<Row>) {
        let known = self.known.as_mut().and_then(|known| known.remove(&call));
        match (known, &self.known) {
            (Some(row), _) => {
                self.rows.remove(&call);
                self.beside.remove(&call);
                self.left = call.0;
                ready.extend(row);
            }
            (None, None) => {
                let row = self.rows.remove(&call);
                self.late.insert(call, row);
                self.left = call.0;
            }
            // It came to this since the first reading: it is shown as it stands.
            (None, Some(_)) => {
                let row = self.leave(call);
                ready.extend(row);
            }
        }
    }

    fn leave(&mut self, call: CallId) -> Option<Row> {
        self.left = call.0;
        let beside = self.beside.remove(&call).unwrap_or_default();
        self.rows.remove(&call).map(|row| joined(row, &beside))
    }

    fn is_past(&self, call: CallId) -> bool {
        call.0 <= self.left && !self.late.contains_key(&call)
    }

    fn began(&mut self, call: CallId, at: Millis) -> Millis {
        self.row(call).map_or(at, |before| before.at)
    }

    fn put(&mut self, row: Row) {
        let call = row.call;
        self.last = self.last.max(row.until.unwrap_or(row.at));
        if self.is_past(call) {
            return;
        }
        self.fresh.insert(call);
        match self.late.get_mut(&call) {
            Some(late) => *late = Some(row),
            None => drop(self.rows.insert(call, row)),
        }
    }

    fn row(&mut self, call: CallId) -> Option<&mut Row> {
        self.fresh.insert(call);
        match self.late.get_mut(&call) {
            Some(late) => late.as_mut(),
            None => self.rows.get_mut(&call),
        }
    }

    /// None of a call whose row has left; what a run brings with it belongs to no call.
    fn beside(&mut self, call: CallId) -> Option<&mut Beside> {
        if self.is_past(call) {
            return None;
        }
        self.fresh.insert(call);
        Some(self.beside.entry(call).or_default())
    }
}

/// A row with all that was said beside it.
fn joined(row: Row, beside: &Beside) -> Row {
    let lost = if beside.elsewhere { LOST_ELSEWHERE } else { LOST };
    Row {
        approved_by: beside.approved_by.clone(),
        raised: beside.raised.clone(),
        shadow_denied: beside.shadow_denied.clone(),
        gained: row.gained.and(&beside.gained),
        spent: row.spent.plus(beside.lost),
        note: row.note.or_else(|| (!beside.lost.is_zero()).then(|| lost.to_owned())),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use agentry_kernel::Digest;
    use agentry_kernel::budget::Resource;
    use agentry_kernel::call::Call;
    use agentry_kernel::journal::Outcome;

    use super::*;

    fn asked(call: u32) -> Entry {
        let (held, basis) = (Amounts::ZERO, BasisId::NONE);
        Entry::Asked { call: CallId(call), at: Millis(1), what: Call::TimersSleep { ms: 9 }, held, basis }
    }

    fn answered(call: u32) -> Entry {
        let outcome = Outcome::Inline(Vec::new());
        Entry::Answered { call: CallId(call), at: Millis(2), outcome, spent: Amounts::ZERO }
    }

    fn called(call: u32) -> Entry {
        let (what, outcome) = (Call::LogEvent { line: Digest::default(), bytes: 0 }, Outcome::Inline(Vec::new()));
        Entry::Called { call: CallId(call), at: Millis(1), what, outcome, basis: BasisId::NONE }
    }

    /// Each part as it reached the disk; what left, and how many rows waited at most.
    fn read(mut rows: Rows, parts: &[Vec<Entry>]) -> (Vec<Row>, usize, Rows) {
        let (mut left, mut most) = (Vec::new(), 0);
        for part in parts {
            part.iter().for_each(|entry| rows.take(entry));
            most = most.max(rows.rows.len());
            left.extend(rows.ready());
        }
        let rest =
            Rows { rows: std::mem::take(&mut rows.rows), beside: std::mem::take(&mut rows.beside), ..Rows::default() };
        left.extend(rest.rest());
        (left, most, rows)
    }

    fn is_in_order(rows: &[Row]) -> bool {
        rows.windows(2).all(|pair| pair[0].call < pair[1].call)
    }

    #[test]
    fn a_row_leaves_when_nothing_more_is_said_of_it_and_in_its_place() {
        let labels = Labels::of(["untrusted"]);
        let gains = Entry::Labelled { call: CallId(1), at: Millis(2), labels: labels.clone() };
        let mut rows = Rows::default();
        [asked(1), called(2)].iter().for_each(|entry| rows.take(entry));
        assert!(rows.ready().is_empty() && rows.ready().is_empty(), "the first is open");
        [answered(1), gains].iter().for_each(|entry| rows.take(entry));
        assert!(rows.ready().is_empty(), "more may be said of it in this step");
        let ready = rows.ready();
        assert!(ready.len() == 2 && is_in_order(&ready) && ready[0].gained == labels && ready[0].is_over());
        rows.take(&answered(1));
        assert!(rows.rest().is_empty(), "it has left");
    }

    #[test]
    fn what_people_were_asked_for_a_run_that_is_over_waits_for_nobody() {
        use agentry_kernel::approval::ApprovalId;
        use agentry_kernel::journal::{Ended, Status};
        use agentry_kernel::refusal::Rule;

        let questioned = Entry::Questioned {
            call: CallId(2),
            at: Millis(1),
            what: Call::TimersNow,
            id: ApprovalId(1),
            rule: Rule::default(),
            binding: Digest::default(),
            held: Amounts::ZERO,
            expires: Millis(9),
        };
        let status = Status::Stopped;
        let ended = Entry::Ended(Ended { at: Millis(5), status, output: Digest::default(), spent: Amounts::ZERO });
        let rows = crate::screen::rows::rows(&[asked(1), questioned, ended]);
        let words: Vec<_> = rows.iter().map(|row| (row.word(), row.until)).collect();
        assert_eq!(words, [("open", None), ("cancelled", Some(Millis(5)))], "what became of the first, nobody knows");
    }

    #[test]
    fn what_a_call_cost_that_was_lost_and_asked_again_is_all_of_it() {
        let tokens = |count| Amounts::of(Resource::Tokens, count);
        let (call, at) = (CallId(1), Millis(2));
        let answer = Entry::Answered { call, at, outcome: Outcome::Inline(Vec::new()), spent: tokens(7) };
        let lost = Entry::Unknown { call, at, spent: tokens(5) };
        let rows = crate::screen::rows::rows(&[asked(1), Entry::Resumed { at }, lost, asked(1), answer]);
        assert_eq!(rows[0].spent, tokens(12));
        assert_eq!(rows[0].note.as_deref(), Some(LOST));
    }

    #[test]
    fn what_a_call_cost_that_was_lost_in_another_home_is_no_bill_of_this_one() {
        let (at, spent) = (Millis(2), Amounts::of(Resource::Tokens, 5));
        let lost = |call| Entry::Unknown { call: CallId(call), at, spent };
        let imported = || Entry::Imported { at, signer: None };
        let there = [asked(1), Entry::Resumed { at }, lost(1), imported(), asked(2), imported()];
        let entries: Vec<_> = there.into_iter().chain([Entry::Resumed { at }, asked(3), lost(3)]).collect();
        let mut first = Rows::default();
        entries.iter().for_each(|entry| first.take(entry));
        first.ready();
        let mut second = first.again();
        entries.iter().for_each(|entry| second.take(entry));
        let notes: Vec<_> = second.rest().iter().map(|row| row.note.clone().unwrap_or_default()).collect();
        assert_eq!(notes, [LOST_ELSEWHERE, "", LOST]);
    }

    #[test]
    fn a_long_run_with_calls_that_stay_open_keeps_few_rows_and_shows_each_once_as_it_ended() {
        const CALLS: u32 = 100_000;
        // One in ten thousand stays open to the end; one is asked long after its number was given, one is never heard of.
        let stays = |call: u32| call % 10_000 == 7;
        let mut parts: Vec<Vec<Entry>> = Vec::new();
        for call in (1..=CALLS).filter(|call| ![500, 501].contains(call)) {
            parts.push(vec![if stays(call) { asked(call) } else { called(call) }]);
        }
        parts.push(vec![called(500)]);
        parts.push((1..=CALLS).filter(|call| stays(*call)).map(answered).collect());
        let (first, most, rows) = read(Rows::default(), &parts);
        assert!(most <= WAITING_MAX + 1, "{most}");
        assert!(first.len() < CALLS as usize && is_in_order(&first));
        let (second, most, _) = read(rows.again(), &parts);
        assert!(most <= WAITING_MAX + 1, "{most}");
        assert_eq!(second.len(), CALLS as usize - 1);
        assert!(is_in_order(&second) && second.iter().all(Row::is_over));
    }
}
