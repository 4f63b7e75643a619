//! `budget`: what is left to spend.

use agentry_abi::bindings::agentry::agent::budget::{Balance, Host, Share};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault::resource_kind;
use agentry_kernel::Call;

use super::{State, not_yet};

impl Host for State {
    fn remaining(&mut self) -> wasmtime::Result<Result<Vec<Balance>, Error>> {
        let (gate, run) = (&self.drivers.gate, &self.run);
        self.at_once(Call::BudgetRemaining, |_| {
            let balances = gate.change(|kernel| kernel.balances(run.id, run.clock.now()));
            let balance = |balance: agentry_kernel::kernel::Balance| Balance {
                what: resource_kind(balance.what),
                left: balance.left,
                limit: balance.limit,
                refills_in_s: balance.refills_in_s,
            };
            Ok(balances.into_iter().map(balance).collect())
        })
    }

    fn split(&mut self, _shares: Vec<Share>) -> wasmtime::Result<Result<String, Error>> {
        self.at_once(Call::BudgetSplit, |_| Err(not_yet("budget.split")))
    }
}
