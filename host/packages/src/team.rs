//! Packages that need each other, as plain data: what each requires, what meets it, and whether somebody would be left without. It fetches
//! nothing and installs nothing.

use std::collections::BTreeMap;

use agentry_kernel::manifest::{Manifest, Requirement};

use crate::fault::Fault;
use crate::limits::TEAM_MAX;

/// A package as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name that it runs by.
    pub agent: String,
    /// `publisher:name`
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// What it provides; none if nobody wrote it down: then it may provide anything.
    pub provides: Option<Vec<String>>,
    /// What it requires.
    pub requires: Vec<Requirement>,
}

/// All packages of a home, by the names that they run by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    members: BTreeMap<String, Member>,
}

impl Member {
    /// What a manifest says.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            agent: manifest.agent().to_owned(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            provides: Some(manifest.provides.clone()),
            requires: manifest.requirements().collect(),
        }
    }

    /// Whether it is what is required.
    pub fn meets(&self, requirement: &Requirement) -> bool {
        match (&self.provides, requirement) {
            (None, Requirement::Provides { word, .. }) => {
                requirement.is_met_by(&self.name, &self.version, std::slice::from_ref(word))
            }
            (provides, _) => requirement.is_met_by(&self.name, &self.version, provides.as_deref().unwrap_or_default()),
        }
    }
}

impl FromIterator<Member> for Team {
    fn from_iter<T: IntoIterator<Item = Member>>(members: T) -> Self {
        Self { members: members.into_iter().map(|member| (member.agent.clone(), member)).collect() }
    }
}

impl Team {
    /// One more, in the place of whoever had its name.
    pub fn put(&mut self, member: Member) {
        self.members.insert(member.agent.clone(), member);
    }

    /// Who runs by this name.
    pub fn get(&self, agent: &str) -> Option<&Member> {
        self.members.get(agent)
    }

    /// Whoever meets what `agent` requires; nobody meets their own requirement.
    pub fn who_meets<'t>(&'t self, agent: &str, requirement: &Requirement) -> impl Iterator<Item = &'t Member> {
        let others = self.members.values().filter(move |member| member.agent != agent);
        others.filter(move |member| member.meets(requirement))
    }

    /// These agents, whoever requires others of them before those.
    pub fn from_the_top(&self, mut agents: Vec<String>) -> Vec<String> {
        let mut ordered = Vec::new();
        while !agents.is_empty() {
            let is_required = |agent: &String| {
                let is = self.members.get(agent);
                let others = agents.iter().filter(|other| *other != agent).filter_map(|other| self.members.get(other));
                is.is_some_and(|is| others.flat_map(|other| &other.requires).any(|requirement| is.meets(requirement)))
            };
            // In a circle, whoever comes first.
            let next = agents.iter().position(|agent| !is_required(agent)).unwrap_or(0);
            ordered.push(agents.remove(next));
        }
        ordered
    }

    /// What nobody meets, each with who requires it.
    pub fn unmet(&self) -> Vec<(&str, &Requirement)> {
        let all =
            self.members.values().flat_map(|member| member.requires.iter().map(|one| (member.agent.as_str(), one)));
        all.filter(|(agent, requirement)| self.who_meets(agent, requirement).next().is_none()).collect()
    }

    /// Whether nobody here loses or lacks what they require, beside what they lacked `before`.
    ///
    /// # Errors
    /// If somebody does, by name; or if some require each other in a circle.
    pub fn stands(&self, before: &Self) -> Result<(), Fault> {
        let lacked = before.unmet();
        if let Some((agent, requirement)) = self.unmet().into_iter().find(|one| !lacked.contains(one)) {
            return Err(self.lacks(agent, requirement));
        }
        match self.circle() {
            Some(circle) if before.circle().is_none() => Err(in_a_circle(&circle)),
            _ => Ok(()),
        }
    }

    fn lacks(&self, agent: &str, requirement: &Requirement) -> Fault {
        let message = format!("`{agent}` requires {requirement}, and nothing that would be here meets that");
        let of_package = |name: &str| self.members.values().find(|member| member.name == name);
        let hint = match requirement {
            Requirement::Package { name, .. } if of_package(name).is_some() => {
                format!("it waits for another version of `{agent}`: agentry update {agent}")
            }
            _ => format!(
                "agentry uninstall {agent} first, or install what it requires: agentry search {}",
                word(requirement)
            ),
        };
        Fault::denied(message, hint)
    }

    /// Some that require each other in a circle, the first one again at its end. Where several meet a requirement, it binds none of them.
    pub fn circle(&self) -> Option<Vec<String>> {
        let mut done = Vec::new();
        self.members.keys().find_map(|agent| self.circle_from(agent, &mut Vec::new(), &mut done))
    }

    fn circle_from<'t>(
        &'t self,
        agent: &'t str,
        way: &mut Vec<&'t str>,
        done: &mut Vec<&'t str>,
    ) -> Option<Vec<String>> {
        if let Some(at) = way.iter().position(|one| *one == agent) {
            return Some(way[at..].iter().copied().chain([agent]).map(str::to_owned).collect());
        }
        if done.contains(&agent) {
            return None;
        }
        way.push(agent);
        let requires = self.members.get(agent).map(|member| member.requires.as_slice()).unwrap_or_default();
        let found = requires.iter().find_map(|requirement| {
            let mut meets = self.who_meets(agent, requirement);
            let (first, second) = (meets.next()?, meets.next());
            if second.is_some() { None } else { self.circle_from(&first.agent, way, done) }
        });
        way.pop();
        done.push(agent);
        found
    }
}

/// What a person looks for.
pub fn word(requirement: &Requirement) -> &str {
    match requirement {
        Requirement::Package { name, .. } => name.split_once(':').map_or(name, |(_, agent)| agent),
        Requirement::Provides { word, .. } => word,
    }
}

/// The error of those that require each other.
pub fn in_a_circle(circle: &[String]) -> Fault {
    let message = format!("these require each other in a circle: {}", circle.join(" → "));
    Fault::denied(message, "none of them can be there before the others; tell whoever made them")
}

/// The error of a team that grows without end.
pub fn too_many() -> Fault {
    let message = format!("together they would be more than {TEAM_MAX} packages");
    Fault::denied(message, "install what it requires first, one after the other, and look at each")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(members: &[(&str, &str, &[&str], &[&str])]) -> Team {
        let member = |(name, version, provides, requires): &(&str, &str, &[&str], &[&str])| Member {
            agent: name.split(':').next_back().unwrap_or_default().to_owned(),
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            provides: Some(provides.iter().map(|word| (*word).to_owned()).collect()),
            requires: requires.iter().map(|text| text.parse().unwrap()).collect(),
        };
        members.iter().map(member).collect()
    }

    #[track_caller]
    fn check(before: &Team, after: &Team, part: &str) {
        let told = after.stands(before).map_err(|fault| fault.to_string());
        assert_eq!(told.is_ok(), part.is_empty(), "{told:?}");
        assert!(told.err().unwrap_or_default().contains(part));
    }

    #[test]
    fn nobody_is_left_without_what_they_require() {
        let nobody = Team::default();
        let mail = ("acme:mail", "1.0.0", &["mail"][..], &["calendar@^1", "green:search"][..]);
        let days = |version| ("blue:days", version, &["calendar"][..], &[][..]);
        let search = ("green:search", "0.3.0", &[][..], &[][..]);
        let whole = team(&[mail, days("1.4.0"), search]);
        check(&nobody, &whole, "");
        check(&nobody, &team(&[mail, search]), "`mail` requires calendar@^1, and nothing");
        check(&whole, &team(&[mail, days("2.0.0"), search]), "`mail` requires calendar@^1");
        check(&whole, &team(&[mail, days("1.4.0")]), "agentry uninstall mail first");
        check(&whole, &team(&[days("1.4.0"), search]), "");
        let pinned = ("acme:mail", "1.0.0", &[][..], &["blue:days@^1"][..]);
        check(&team(&[pinned, days("1.0.0")]), &team(&[pinned, days("2.0.0")]), "agentry update mail");
        let all = ["days", "mail", "search"].map(str::to_owned).to_vec();
        assert_eq!(whole.from_the_top(all), ["mail", "days", "search"]);
        // What was lacking before is nobody's fault now.
        check(&team(&[mail]), &team(&[mail, ("red:x", "1.0.0", &[], &[])]), "");
        // What nobody wrote down may be anything.
        let mut old = team(&[mail, search]);
        let unknown = Member { provides: None, ..team(&[days("1.0.0")]).get("days").unwrap().clone() };
        old.put(unknown);
        check(&nobody, &old, "");
    }

    #[test]
    fn a_circle_is_found_by_the_names_that_are_in_it() {
        let circle = team(&[
            ("a:one", "1.0.0", &["first"], &["second"]),
            ("b:two", "1.0.0", &["second"], &["c:three"]),
            ("c:three", "1.0.0", &[], &["first@^1"]),
            ("d:four", "1.0.0", &[], &["first"]),
        ]);
        assert_eq!(circle.circle().unwrap().join(" "), "one two three one");
        check(&Team::default(), &circle, "in a circle: one → two → three → one");
        // Where another one meets it too, none needs to be there before the other.
        let mut open = circle.clone();
        open.put(team(&[("e:five", "1.0.0", &["first"], &[])]).get("five").unwrap().clone());
        assert_eq!(open.circle(), None);
        // Nobody meets their own requirement.
        check(&Team::default(), &team(&[("a:one", "1.0.0", &["first"], &["first"])]), "requires first");
    }
}
