//! `budget`: what is left to spend.

use agentry_abi::bindings::agentry::agent::budget::Balance;
use agentry_abi::fault::{not_yet, resource_kind};
use agentry_abi::port::{BudgetRemaining, BudgetSplit, Passed};
use agentry_kernel::Call;

use super::Dispatch;

pub(super) fn remaining(of: &Dispatch) -> Passed {
    let (gate, run) = (&of.drivers.gate, &of.run);
    of.now::<BudgetRemaining>(gate.call_now(run, Call::BudgetRemaining, |_| {
        let balances = gate.balances(run);
        let balance = |balance: agentry_kernel::kernel::Balance| Balance {
            what: resource_kind(balance.what),
            left: balance.left,
            limit: balance.limit,
            refills_in_s: balance.refills_in_s,
        };
        Ok(balances.into_iter().map(balance).collect())
    }))
}

pub(super) fn split(of: &Dispatch) -> Passed {
    of.now::<BudgetSplit>(of.drivers.gate.call_now(&of.run, Call::BudgetSplit, |_| Err(not_yet("budget.split"))))
}
