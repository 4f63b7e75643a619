//! The triggers of a home, for whoever looks at them: as the host that runs there knows them, or as they stand in its files. It changes nothing.

use std::path::Path;

use agentry_abi::clock::Clock;
use agentry_runtime::config::AgentsConfig;
use agentry_runtime::triggers::{self, NotTended, TriggerLook};
use agentry_store::{Batch, Page, Range, Row, Store, StoreError, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::api::LookAtTriggers;
use crate::error::{Kind, OpError};
use crate::{home, socket};

/// The triggers of this home, as the host that runs there knows them, or as the next one will.
///
/// # Errors
/// When their list cannot be used, or the store cannot be read.
pub fn of_home(place: &Path) -> Result<Vec<TriggerLook>, OpError> {
    match socket::ask(place, LookAtTriggers) {
        Err(error) if error.kind == Kind::NoHost => {}
        answered => return answered,
    }
    let known = AgentsConfig::load(place).map_err(NotTended::from)?;
    let now = Clock::System.calendar();
    let looked = match home::history(place)? {
        Some(history) => triggers::look(&**history.store(), &known, now)?,
        None => triggers::look(&NoStore, &known, now)?,
    };
    Ok(looked)
}

/// The store of a home in which nothing ever ran.
struct NoStore;

impl Store for NoStore {
    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::ReadOnly)).boxed()
    }

    fn get(&self, _: &[u8]) -> Result<Option<Value>, StoreError> {
        Ok(None)
    }

    fn scan(&self, _: &Range, _: Page) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }
}
