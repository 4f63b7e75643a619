//! What a grant gives more than another one towards other agents and people.

use alloc::format;
use alloc::string::String;

use super::{Finder, place};
use crate::policy::Grant;
use crate::rights::AgentsRight;
use crate::within;

impl<'a> Finder<'a> {
    pub(super) fn agents(&mut self, old: Option<&Grant>, grant: &'a Grant) {
        let Some(new) = &grant.rights.agents else { return };
        let old = old.and_then(|old| old.rights.agents.as_ref());
        let rule = place(grant, "agents", new.line);
        type List = fn(&AgentsRight) -> &[String];
        let lists: [(&str, List); 3] = [
            ("may call agents", |right| &right.call),
            ("may write to agents", |right| &right.send),
            ("takes letters of agents", |right| &right.receive),
        ];
        for (what, list) in lists {
            for pattern in list(new) {
                if !old.is_some_and(|old| list(old).iter().any(|wide| within::name(pattern, wide))) {
                    self.suspect(grant, format!("{what} `{pattern}`"), rule.clone(), None);
                }
            }
        }
        if old.is_some_and(|old| new.max_depth > old.max_depth) {
            self.suspect(grant, format!("may let calls nest {} deep", new.max_depth), rule, None);
        }
    }

    pub(super) fn human(&mut self, old: Option<&Grant>, grant: &'a Grant) {
        let Some(new) = &grant.rights.human else { return };
        let old = old.and_then(|old| old.rights.human.as_ref());
        let rule = place(grant, "human", new.line);
        let (asked, told) = old.map_or((false, false), |old| (old.ask, old.notify));
        for (verb, _) in [("ask", new.ask && !asked), ("tell", new.notify && !told)].iter().filter(|(_, more)| *more) {
            self.suspect(grant, format!("may {verb} people"), rule.clone(), None);
        }
    }
}
