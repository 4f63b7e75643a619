//! Whether an agent may speak to people: each function of `human` is granted by its name.

use alloc::format;

use super::{Admission, INNER, No, Terms, undeclared};
use crate::kernel::basis::Grounds;
use crate::refusal::{Code, Refusal};
use crate::rights::HumanRight;

impl Admission<'_> {
    pub(super) fn human(&self, function: &str, granted: impl Fn(&HumanRight) -> bool) -> Result<Terms, No> {
        if self.wants.is_some_and(|wants| wants.human.is_none()) {
            return Err(undeclared("human"));
        }
        let Some(right) = &self.grant.rights.human else {
            return Err(self.ungranted("human", &format!("`human = {{ {function} = true }}`")));
        };
        if !granted(right) {
            let because = format!("agent `{}` may not do this in `human`", self.grant.agent);
            return Err(Refusal::new(Code::NoGrant, because)
                .rule(self.rule("human", right.line))
                .hint(format!("add `{function} = true` to `human` in {}", self.grant.rule.file))
                .into());
        }
        Ok(Terms { ground: Grounds::Human, asks: function == "ask", ..INNER })
    }
}
