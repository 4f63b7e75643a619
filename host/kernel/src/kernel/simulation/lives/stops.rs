//! Runs that end before their time: one that a host has in memory, and one that it has not. Whatever works for them ends with them.

use alloc::vec::Vec;

use super::{Disk, Flight, Life};
use crate::budget::Amounts;
use crate::call::RunId;
use crate::digest::Digest;
use crate::journal::{Ended, Entry, Status};

impl Life {
    /// A person stops a run, or its time is over: one that goes on, or one that nobody has in memory. False if there is none.
    pub(super) fn stop_one(&mut self) -> bool {
        let runs: Vec<RunId> = self.going.keys().chain(self.waiting.keys()).copied().collect();
        let Some(at) = self.random.pick(runs.len()) else { return false };
        if self.going.contains_key(&runs[at]) {
            self.stop(runs[at])
        } else {
            self.end_absent(runs[at])
        }
        true
    }

    /// A run that nobody has in memory and whose caller is over: the last host died before it ended it.
    pub(super) fn orphan(&self) -> Option<RunId> {
        let is_over = |above: RunId| self.disk.runs[&above].unfinished().is_none();
        self.waiting.keys().find(|run| self.disk.runs[run].above.is_some_and(is_over)).copied()
    }

    /// Ends a run that goes on, after those below it, and then those below it that do not.
    pub(super) fn stop(&mut self, run: RunId) {
        let below =
            |disk: &Disk| disk.runs.iter().filter(|(_, kept)| kept.above == Some(run)).map(|(run, _)| *run).collect();
        let children: Vec<RunId> = below(&self.disk);
        children
            .iter()
            .filter(|run| self.going.contains_key(run))
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|run| self.stop(run));
        // What waits for its turn is taken out of the queue with the end of its run; until then its turn may come.
        let moves = |flight: &Flight| !matches!(flight, Flight::Queued(_));
        while let Some(call) = self.going[&run].flights.iter().find(|(_, flight)| moves(flight)).map(|(call, _)| *call)
        {
            let flight = self.going.get_mut(&run).and_then(|going| going.flights.remove(&call));
            match flight.expect("it was found just now") {
                Flight::Queued(_) => {}
                Flight::Turn(permit) => {
                    let _ = self.kernel.give_back(permit, self.disk.now);
                    self.come();
                }
                Flight::Sent(permit) => self.answer(run, permit, Amounts::ZERO, Amounts::ZERO),
                Flight::Aside(permit, share) => {
                    self.kernel.dissolve(share);
                    self.answer(run, permit, Amounts::ZERO, Amounts::ZERO);
                }
                Flight::Over(permit, below) => self.answer(run, permit, Amounts::ZERO, below),
                Flight::Below(_) => panic!("it was stopped before"),
            }
        }
        self.come();
        self.finish(run, Status::Stopped);
        children
            .into_iter()
            .filter(|run| self.waiting.contains_key(run))
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|run| self.end_absent(run));
    }

    /// Ends a run that no host has in memory, and all below it.
    pub(super) fn end_absent(&mut self, run: RunId) {
        let (at, payer) = (self.disk.now, self.disk.payer(run));
        let past = self.disk.runs[&run].unfinished().expect("it has not ended");
        let (lost, taken) = self.kernel.end_absent(payer, &past, at);
        self.waiting.remove(&run);
        let new = lost.iter().filter(|lost| !past.open[&lost.call].lost);
        let unknown: Vec<_> = new.map(|lost| Entry::Unknown { call: lost.call, at, spent: lost.spent }).collect();
        let (status, output, spent) = (Status::Stopped, Digest::default(), past.spent.plus(taken));
        let ended = Entry::Ended(Ended { at, status, output, spent });
        self.come();
        self.write(run, [Entry::Resumed { at }].into_iter().chain(unknown).chain([ended]));
        for below in past.below.values() {
            if self.waiting.contains_key(below) {
                self.end_absent(*below);
            }
        }
    }
}
