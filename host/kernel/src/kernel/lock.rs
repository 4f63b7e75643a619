//! The stop that an admin pulls: while it holds, no new effect is let in, in no run and for no agent. It takes nothing back that has begun.

use alloc::string::String;

use super::{Kernel, Permit, reasons};
use crate::call::{Call, Effect};
use crate::refusal::Refusal;
use crate::time::Millis;

/// Who pulled it when and why, as far as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Since when.
    pub since: Millis,
    /// In the admin's words; empty if there were none.
    pub because: String,
}

impl Kernel {
    /// Denies every new effect from here on, or lets them go on with none.
    pub fn lock(&mut self, lock: Option<Lock>) {
        self.lock = lock;
    }

    /// The lock that holds.
    pub fn locked(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// Why a call that was admitted and had to wait may not begin any more, if so: what holds now is asked again when its turn comes.
    pub fn overtaken(&self, permit: &Permit, what: &str) -> Option<Refusal> {
        let no = reasons::locked(self.lock.as_ref()?);
        Some(self.no(permit.run, permit.call, what, no))
    }

    /// What the lock says of a call. What is answered out of the host's memory is no effect: an agent may still ask the time and end.
    pub(super) fn stopped(&self, what: &Call) -> Option<super::admission::No> {
        let lock = self.lock.as_ref().filter(|_| what.spec().effect != Effect::Inner)?;
        Some(reasons::locked(lock))
    }
}
