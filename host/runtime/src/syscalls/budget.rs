//! `budget`: what is left to spend.

use agentry_abi::bindings::agentry::agent::budget::{Balance, Host, Share};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{BudgetRemaining, BudgetSplit};

use super::State;

impl Host for State {
    fn remaining(&mut self) -> wasmtime::Result<Result<Vec<Balance>, Error>> {
        self.at_once(BudgetRemaining {})
    }

    fn split(&mut self, shares: Vec<Share>) -> wasmtime::Result<Result<String, Error>> {
        self.at_once(BudgetSplit { shares })
    }
}
