//! Whose turn it is at a model: a model answers so many calls at once, the rest wait by class and then in order.
//!
//! A waiting call has its budget held and its permit made; this only keeps the permit until its turn. Wherever calls
//! wait, all slots are taken, so each slot that becomes free goes to the first in the queue.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Permit, Ready, Ticket};
use crate::call::{Class, RunId};
use crate::limits::QUEUE_MAX;
use crate::model::Model;

/// A model's place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelId(usize);

/// All models and their queues.
#[derive(Debug, Default)]
pub(super) struct Slots {
    endpoints: Vec<Endpoint>,
    by_alias: BTreeMap<String, ModelId>,
    waiting: BTreeMap<Ticket, (ModelId, Class)>,
    last: u64,
}

#[derive(Debug)]
struct Endpoint {
    model: Model,
    taken: u32,
    queue: BTreeMap<(Class, Ticket), Permit>,
}

impl Slots {
    pub(super) fn new(models: Vec<Model>) -> Self {
        let mut slots = Self::default();
        for model in models {
            slots.by_alias.insert(model.alias.clone(), ModelId(slots.endpoints.len()));
            slots.endpoints.push(Endpoint { model, taken: 0, queue: BTreeMap::new() });
        }
        slots
    }

    /// The model of an alias.
    pub(super) fn find(&self, alias: &str) -> Option<(ModelId, &Model)> {
        let id = *self.by_alias.get(alias)?;
        Some((id, &self.endpoints[id.0].model))
    }

    /// All models, by alias.
    pub(super) fn models(&self) -> impl Iterator<Item = &Model> {
        self.by_alias.values().map(|id| &self.endpoints[id.0].model)
    }

    /// True if not even a place in the queue is left.
    pub(super) fn is_full(&self, id: ModelId) -> bool {
        let endpoint = &self.endpoints[id.0];
        !endpoint.has_slot() && endpoint.queue.len() >= QUEUE_MAX
    }

    /// Takes a slot, if one is free.
    pub(super) fn take(&mut self, id: ModelId) -> bool {
        let endpoint = &mut self.endpoints[id.0];
        let free = endpoint.has_slot();
        endpoint.taken += u32::from(free);
        free
    }

    /// Puts a call into the queue.
    pub(super) fn wait(&mut self, id: ModelId, class: Class, permit: Permit) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.waiting.insert(ticket, (id, class));
        self.endpoints[id.0].queue.insert((class, ticket), permit);
        ticket
    }

    /// A slot has become free: the first in the queue takes it.
    pub(super) fn release(&mut self, id: ModelId) -> Option<Ready> {
        let endpoint = &mut self.endpoints[id.0];
        let Some(((_, ticket), permit)) = endpoint.queue.pop_first() else {
            endpoint.taken = endpoint.taken.saturating_sub(1);
            return None;
        };
        self.waiting.remove(&ticket);
        Some(Ready { ticket, permit })
    }

    /// Takes a call out of the queue; none if its turn has already come.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> Option<Permit> {
        let (id, class) = self.waiting.remove(&ticket)?;
        self.endpoints[id.0].queue.remove(&(class, ticket))
    }

    /// What is held for a call that waits.
    pub(super) fn held(&self, ticket: Ticket) -> crate::Amounts {
        let place = self.waiting.get(&ticket).and_then(|(id, class)| {
            self.endpoints.get(id.0).and_then(|endpoint| endpoint.queue.get(&(*class, ticket)))
        });
        place.map_or(crate::Amounts::ZERO, |permit| permit.held)
    }

    /// The waiting calls of a run.
    pub(super) fn tickets_of(&self, run: RunId) -> Vec<Ticket> {
        let queues = self.endpoints.iter().flat_map(|endpoint| endpoint.queue.iter());
        queues.filter(|(_, permit)| permit.run == run).map(|((_, ticket), _)| *ticket).collect()
    }

    /// What the waiting calls of an agent's runs hold.
    #[cfg(test)]
    pub(super) fn held_by(&self, theirs: impl Fn(RunId) -> bool) -> crate::Amounts {
        let permits = self.endpoints.iter().flat_map(|endpoint| endpoint.queue.values());
        permits.filter(|permit| theirs(permit.run)).fold(crate::Amounts::ZERO, |sum, permit| sum.plus(permit.held))
    }

    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        let queued: usize = self.endpoints.iter().map(|endpoint| endpoint.queue.len()).sum();
        assert_eq!(queued, self.waiting.len(), "each ticket stands in one queue");
        for endpoint in &self.endpoints {
            assert!(endpoint.taken <= endpoint.model.slots.max(1), "slots are never exceeded");
            assert!(endpoint.queue.is_empty() || !endpoint.has_slot(), "nobody waits beside a free slot");
        }
    }
}

impl Endpoint {
    /// A model that says it has no slot would never answer: it has one.
    fn has_slot(&self) -> bool {
        self.taken < self.model.slots.max(1)
    }
}
