//! What becomes of times that have not come: a clock was ahead, a person says so, and the host's time is set back. Nothing that was used in the
//! false future is given back, and nothing waits for it.

use alloc::string::String;
use alloc::vec::Vec;

use super::ledger::BooksId;
use super::{Consequences, How, Kernel, reasons};
use crate::approval::ApprovalId;
use crate::limits::{APPROVAL_TTL_MAX_MS, QUESTIONS_SPAN_MS};
use crate::time::Millis;

impl Kernel {
    /// Takes it that it is `now`, whatever the kernel was told before. The rule, for each thing that lies in a time which has not come:
    ///
    /// - What an account has spent in a later period counts for this one; it refills when this one is over.
    /// - A call that a rate counted counts as one of now.
    /// - A question to people that would be open for longer than any can be is over.
    ///
    /// Gives those whose books moved.
    pub fn set_back(&mut self, now: Millis) -> (Vec<String>, Consequences) {
        let agents: Vec<(String, BooksId)> = self.agents.iter().map(|(name, books)| (name.clone(), *books)).collect();
        let moved = agents.into_iter().filter(|(_, books)| self.ledger.set_back(*books, now));
        let moved: Vec<String> = moved.map(|(name, _)| name).collect();
        self.follows.books |= self.ledger.set_back(self.site, now) || !moved.is_empty();
        let rated = self.rates.set_back(now);
        self.follows.rated.extend(rated);
        for id in self.approvals.set_back(now) {
            self.approvals.close(id, How::Expired, |required| reasons::unanswered(required, true));
        }
        (moved, self.follows())
    }
}

impl super::Approvals {
    /// Nobody has asked, and nobody is paused, in a time that has not come. The questions that nobody could have asked by now.
    fn set_back(&mut self, now: Millis) -> Vec<ApprovalId> {
        self.latest = now;
        self.asked.values_mut().flatten().for_each(|at| *at = (*at).min(now));
        self.paused.values_mut().for_each(|until| *until = (*until).min(now.plus(QUESTIONS_SPAN_MS)));
        let later = |question: &super::approvals::OpenQuestion| question.ends().since(now) > APPROVAL_TTL_MAX_MS;
        self.questions.iter().filter(|(_, question)| later(question)).map(|(id, _)| *id).collect()
    }
}
