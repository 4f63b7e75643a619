//! What stands for each argument of a tool, and the ways to choose from it.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::iter;

use super::CALLS_MAX;
use crate::constraint::{Arguments, Constraint};
use crate::inquiry::witness;
use crate::json::Value;
use crate::rights::ToolRight;

/// For each argument what may stand there, what its right lets pass first.
pub(super) struct Choices(Vec<(String, Vec<Option<Value>>)>);

impl Choices {
    /// What stands for the arguments of a right, on both sides of all lines that are drawn for them.
    pub(super) fn of(right: &ToolRight, lines: &BTreeMap<&str, Vec<&Constraint>>) -> Self {
        let listed = |argument: &str| match &right.args {
            Arguments::Listed(listed) => listed.iter().find(|(name, _)| name == argument).map(|(_, rule)| rule),
            Arguments::Any => None,
        };
        let mut choices: Vec<(String, Vec<Option<Value>>)> = Vec::new();
        for (argument, constraints) in lines {
            let own = listed(argument);
            let ordered: Vec<&Constraint> = own.into_iter().chain(constraints.iter().copied()).collect();
            let values = witness::values(&ordered).into_iter().map(Some);
            // What a right does not list is best left out.
            let values: Vec<_> =
                if own.is_some() { values.chain([None]).collect() } else { iter::once(None).chain(values).collect() };
            choices.push((argument.to_string(), values));
        }
        choices.push(("zz-other".into(), alloc::vec![None, Some(Value::Null)]));
        Self(choices)
    }

    /// The first of each, then one of them changed after the other: where rules differ in one constraint, one of these shows it.
    pub(super) fn alone(&self) -> impl Iterator<Item = Vec<usize>> + use<> {
        let first = alloc::vec![0; self.0.len()];
        let others: Vec<(usize, usize)> = self
            .0
            .iter()
            .enumerate()
            .flat_map(|(place, (_, values))| (1..values.len()).map(move |other| (place, other)))
            .collect();
        let changed = {
            let first = first.clone();
            move |(place, other)| {
                let mut chosen = first.clone();
                chosen[place] = other;
                chosen
            }
        };
        iter::once(first).chain(others.into_iter().map(changed))
    }

    /// Every way to choose, the last changing fastest; where those are many, every way among the first few of each.
    pub(super) fn together(&self) -> impl Iterator<Item = Vec<usize>> + use<> {
        let few = self.few();
        let sizes: Vec<usize> = self.0.iter().map(|(_, values)| values.len().min(few)).collect();
        let all = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).unwrap_or(CALLS_MAX);
        (0..all.min(CALLS_MAX)).map(move |number| {
            let mut rest = number;
            let mut chosen = alloc::vec![0; sizes.len()];
            for (at, size) in chosen.iter_mut().zip(&sizes).rev() {
                (*at, rest) = (rest % size, rest / size);
            }
            chosen
        })
    }

    /// The arguments that were chosen by their places.
    pub(super) fn pick(&self, chosen: &[usize]) -> Vec<(String, Value)> {
        let pick = |((name, values), at): (&(String, Vec<Option<Value>>), &usize)| {
            Some((name.clone(), values.get(*at)?.clone()?))
        };
        self.0.iter().zip(chosen).filter_map(pick).collect()
    }

    /// How many values of each argument may be combined.
    fn few(&self) -> usize {
        let all = self.0.iter().map(|(_, values)| values.len()).try_fold(1usize, usize::checked_mul);
        if all.is_some_and(|all| all <= CALLS_MAX) {
            return usize::MAX;
        }
        let exponent = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        (1..=16usize).rev().find(|few| few.checked_pow(exponent).is_some_and(|all| all <= CALLS_MAX)).unwrap_or(1)
    }
}
