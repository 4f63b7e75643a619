//! Conditions that differ from one life of a host to the next: the shape of its engine, what isolates its guests, what its clock shows, and
//! files that come to a trigger. No run may end otherwise for any of them.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::lies::Astray;
use crate::serve::{Server, serve};
use crate::stage::{Stage, end, guest};

/// How far a clock may be set ahead or back in a life: by as much as people and time servers get wrong, and seldom by ten years.
const ASTRAY_MAX_S: u64 = 3_600;
const DECADE_S: i64 = 3_652 * 24 * 60 * 60;

/// Within which the last file has begun its run.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that is drawn at random is drawn again with the same seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the next host of a home finds.
pub struct Conditions {
    /// `agentry.toml` without `[engine]`.
    config: String,
    /// None where there is no C compiler: then clocks are right.
    clock: Option<Astray>,
    /// How many files have come.
    files: usize,
}

impl Conditions {
    /// The conditions of a home that is set up; `echo` starts there for files that come, and gives back their names.
    pub fn of(stage: &Stage) -> Self {
        let read = |name: &str| fs::read_to_string(stage.path(name)).expect("it is there");
        let config = read("home/agentry.toml").split("[engine]").next().expect("a start").to_owned();
        stage.grant("echo", "");
        stage.directory("inbox");
        let agents = format!(
            "{}[agents.echo]\ncomponent = {:?}\nstart = [{{ directory = \"inbox\", per_minute = 600 }}]\n",
            read("home/agents.toml"),
            guest("echo")
        );
        stage.write("home/agents.toml", &agents);
        Self { config, clock: Astray::new(stage), files: 0 }
    }

    /// Draws those of the next life.
    pub fn draw(&mut self, stage: &Stage, dice: &mut Dice) {
        let shape = ["fast", "dense"][usize::from(dice.below(2) == 0)];
        let isolation = ["none", "process"][usize::from(dice.below(2) == 0)];
        self.configure(stage, shape, isolation);
        let by = i64::try_from(dice.below(ASTRAY_MAX_S)).expect("an hour");
        self.set_clock(match dice.below(8) {
            0 => by,
            1 => -by,
            2 => DECADE_S,
            _ => 0,
        });
        if dice.below(3) == 0 {
            fs::write(stage.path("inbox").join(self.files.to_string()), "it came").expect("a file");
            self.files += 1;
        }
    }

    /// Those in which a campaign is judged: clocks are right.
    pub fn settle(&self, stage: &Stage) {
        self.set_clock(0);
        self.configure(stage, "fast", "process");
    }

    /// How many files have come so far.
    pub fn files(&self) -> usize {
        self.files
    }

    /// The next host.
    pub fn serve(&self, stage: &Stage) -> Server {
        let mut command = stage.agentry("serve");
        command.args(["--drain", "1ms"]).arg("--root").arg(format!("inbox={}", stage.path("inbox").display()));
        if let Some(clock) = &self.clock {
            clock.told_to(&mut command);
        }
        serve(&mut command)
    }

    /// Every file that came is named by one run, soon.
    pub fn each_file_began_one_run(&self, stage: &Stage) {
        let expected: BTreeMap<String, usize> = (0..self.files).map(|file| (file.to_string(), 1)).collect();
        let begun = Instant::now();
        let mut named = named(stage);
        while named.len() < expected.len() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(200));
            named = self::named(stage);
        }
        assert_eq!(named, expected, "each of {} files begins one run", self.files);
    }

    fn configure(&self, stage: &Stage, shape: &str, isolation: &str) {
        let engine = format!("[engine]\nshape = \"{shape}\"\nisolation = \"{isolation}\"\n");
        stage.write("home/agentry.toml", &format!("{}{engine}", self.config));
    }

    fn set_clock(&self, ahead: i64) {
        if let Some(clock) = &self.clock {
            clock.set(ahead);
        }
    }
}

/// How many runs name each file.
fn named(stage: &Stage) -> BTreeMap<String, usize> {
    let mut named = BTreeMap::new();
    let all = end(stage.agentry("ps").args(["--agent", "echo", "--json", "--limit", "100000"])).with(0).json();
    for run in all.as_array().expect("a list") {
        let run = run["run"].as_str().expect("an id");
        let report = end(stage.agentry("wait").args([run, "--json"])).with(0).json();
        for file in report["output"]["files"].as_array().expect("names") {
            *named.entry(file.as_str().expect("a name").to_owned()).or_default() += 1;
        }
    }
    named
}
