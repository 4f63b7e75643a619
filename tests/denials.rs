//! What holds after every no, whoever said it: it cost nothing and is not held for, the books stand where the allowed calls left them,
//! and those outside have heard of nothing that was refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::provider::Server;
use crate::stage::{Stage, end};
use crate::web::Site;

/// Someone outside, who would notice if something left the host.
pub trait Outside {
    /// How much came.
    fn received(&self) -> usize;
}

impl Outside for Site {
    fn received(&self) -> usize {
        self.asked().len()
    }
}

impl Outside for Server {
    fn received(&self) -> usize {
        self.asked().len()
    }
}

impl Outside for Path {
    /// Lines of a file, names in a directory.
    fn received(&self) -> usize {
        match fs::read_dir(self) {
            Ok(names) => names.count(),
            Err(_) => fs::read_to_string(self).map_or(0, |text| text.lines().count().max(1)),
        }
    }
}

impl Outside for PathBuf {
    fn received(&self) -> usize {
        self.as_path().received()
    }
}

/// What runs spend by being there, whatever they ask for; and what is written down of each call, a yes as well as what was read, which is said of
/// none by itself.
const OF_ITS_OWN: [&str; 3] = ["fuel", "wall-time", "written"];

/// By agent and resource.
type Amounts = BTreeMap<(String, String), u64>;

impl Stage {
    /// No budget moved for any call of any run of this home that was refused, and each of these outside has received so much.
    ///
    /// Hosts that were killed have paid for what was held: it is for homes whose runs came to an end.
    pub fn nothing_moved(&self, outside: &[(&dyn Outside, usize)]) {
        for (place, (outside, so_much)) in outside.iter().enumerate() {
            assert_eq!(outside.received(), *so_much, "something left the host: see the {place}. of those outside");
        }
        let mut cost = Amounts::new();
        let mut keeps = false;
        let runs = end(self.agentry("ps").args(["--json", "--limit", "1000"])).with(0).json();
        for run in runs.as_array().expect("a list") {
            let id = run["run"].as_str().expect("a run has an id");
            let agent = run["agent"].as_str().expect("a run is an agent's");
            let trace = end(self.agentry("trace").args([id, "--json"])).with(0).json();
            for call in trace["calls"].as_array().expect("a trace has calls") {
                if call["refusal"] != Value::Null {
                    assert_eq!((&call["spent"], &call["held"]), (&json!({}), &json!({})), "it cost something: {call}");
                    continue;
                }
                let name = call["name"].as_str().unwrap_or_default();
                keeps |= ["memory.put", "memory.delete", "files.write", "files.delete"].contains(&name);
                if run["parent"] != Value::Null {
                    // Whoever called the agent pays, and its call has it all.
                    continue;
                }
                for (what, amount) in call["spent"].as_object().expect("amounts by name") {
                    *cost.entry((agent.to_owned(), what.clone())).or_default() += amount.as_u64().unwrap_or(0);
                }
            }
        }
        let mut books = self.books();
        for amounts in [&mut cost, &mut books] {
            // A level is not the sum of what was written: something was written over, or is gone.
            let is_left_out = |what: &str| OF_ITS_OWN.contains(&what) || keeps && what == "storage";
            amounts.retain(|(_, what), amount| *amount > 0 && !is_left_out(what));
        }
        assert_eq!(books, cost, "the books, and what allowed calls cost");
    }

    /// What stands in the books of each agent today, without what its runs spend by being there; nothing may be held.
    fn books(&self) -> Amounts {
        // Of what was spent it tells also where no policy could be read.
        let none = self.directory("no-policies");
        let all = end(self.agentry("budget").arg("--json").arg("--policies").arg(none)).with(0).json();
        let mut books = Amounts::new();
        for agent in all["agents"].as_array().expect("a list") {
            for line in agent["lines"].as_array().expect("a list") {
                let what = line["what"].as_str().expect("a name");
                assert_eq!(line["reserved"], 0, "something is held still: {agent}");
                if line["window"] != "minute" && !OF_ITS_OWN.contains(&what) {
                    let whose = agent["agent"].as_str().expect("a name").to_owned();
                    books.insert((whose, what.to_owned()), line["spent"].as_u64().unwrap_or(0));
                }
            }
        }
        books
    }

    /// The same in a home in which nothing that costs anything was allowed.
    pub fn costs_nothing(&self, outside: &[&dyn Outside]) {
        let silent: Vec<(&dyn Outside, usize)> = outside.iter().map(|outside| (*outside, 0)).collect();
        self.nothing_moved(&silent);
        assert_eq!(self.books().into_iter().find(|(_, amount)| *amount > 0), None, "something was spent");
    }
}
