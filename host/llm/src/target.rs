//! The model that a dialect asks: its name there, what it takes, and what the admin changes about requests to it.

use std::sync::Arc;

use super::adapt::Known;
use super::capabilities::To;
use super::rewrite::rewritten;
use crate::config::Adjust;

/// A model behind somebody's server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The provider's name of the model.
    pub(crate) model: String,
    /// What its thoughts are marked with.
    pub(crate) origin: String,
    pub(crate) known: Arc<Known>,
    pub(crate) adjust: Adjust,
}

impl Target {
    /// The body that `write` writes for what the model takes now, as the admin wants it.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn body(&self, write: impl FnOnce(&To<'_>) -> Result<Vec<u8>, String>) -> Result<Vec<u8>, String> {
        let takes = self.known.now();
        let body = write(&To { model: &self.model, origin: &self.origin, takes: &takes })?;
        Ok(rewritten(body, &self.adjust))
    }
}
