//! What a grant gives more than another one towards other agents and people, and for which package and how long it holds.

use alloc::format;
use alloc::string::{String, ToString};

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

    /// Which package and until when.
    pub(super) fn bounds(&mut self, old: &Grant, new: &'a Grant) {
        if old.package != new.package && old.package.is_some() {
            let now = new.package.as_ref().map_or_else(|| "any package of its name".into(), ToString::to_string);
            let holds = self.words("holds", "no longer holds");
            self.suspect(new, format!("the grant {holds} for {now}"), place(new, "package", new.rule.line), None);
        }
        if old.publisher != new.publisher && old.publisher.is_some() {
            let now = new.publisher.map_or_else(|| "nobody need have signed".into(), |key| format!("{key} signed"));
            let holds = self.words("holds", "no longer holds");
            self.suspect(
                new,
                format!("the grant {holds} for what {now}"),
                place(new, "publisher", new.rule.line),
                None,
            );
        }
        let end = |grant: &Grant| grant.expires.map_or(u64::MAX, |end| end.0);
        if end(new) > end(old) {
            let ends = self.words("the grant ends later", "the grant ends sooner");
            self.suspect(new, ends.into(), place(new, "expires", new.rule.line), None);
        }
    }
}
