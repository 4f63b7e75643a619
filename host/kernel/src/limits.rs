//! Every maximum has a name here, and the reason for its number.

/// In how many parts a run is told what is left of a budget that it shares. Twenty are enough to plan with; each look at one tells at most
/// so much of what others do, and to move it by a part takes a twentieth of the budget.
pub const SHARED_PARTS: u64 = 20;

/// Calls of one run that may be in flight. A guest that joins more gains nothing: models have fewer slots.
pub const CALLS_IN_FLIGHT_MAX: usize = 64;

/// Calls of one run in its life: the journal of a run that makes more could not be replayed in reasonable time.
pub const CALLS_PER_RUN_MAX: u32 = 1_000_000;

/// How far a machine's clock may leap ahead and be believed at once: what keepers of time correct in one step. Less than this is told to
/// nobody, in either direction.
pub const CLOCK_LEAP_MAX_MS: u64 = 60 * 1000;

/// How long a home may lie unused before its host asks whether that is so: a clock that is further ahead than this is rather wrong.
pub const CLOCK_UNUSED_MAX_MS: u64 = 400 * 24 * 60 * 60 * 1000;

/// While the machine's clock is behind, the host's goes slower by one part in so many, until they meet. A wait lasts three hundredths longer.
pub const CLOCK_SLOWER: u64 = 32;

/// Runs at once: more than the densest shape of an engine holds, so that it is the engine that says no.
pub const RUNS_MAX: usize = 250_000;

/// How deep children may nest below a run: each level is one more account on the way up of every call.
pub const CHILD_DEPTH_MAX: usize = 8;

/// Runs of one tree that live at once, the one at the top apart: whoever starts more works on something else than its task.
pub const TREE_RUNS_MAX: usize = 64;

/// Fuel of a run whose grant does not say: about a minute of one core.
pub const FUEL_RUN_DEFAULT: u64 = 100_000_000_000;

/// Wall time of a run whose grant does not say.
pub const WALL_RUN_DEFAULT_MS: u64 = 10 * 60 * 1000;

/// The longest wall time that a grant can give: a year.
pub const WALL_RUN_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// Linear memory of a run whose grant does not say.
pub const MEMORY_DEFAULT_BYTES: u64 = 64 * MIB;

/// What a run may have the host write, if its grant does not say: hundreds of the longest files, and no disk of today is full of it.
pub const WRITTEN_RUN_DEFAULT_BYTES: u64 = 2 * 1024 * MIB;

/// The same for all runs of an agent in a day.
pub const WRITTEN_DAY_DEFAULT_BYTES: u64 = 8 * 1024 * MIB;

/// The most linear memory that a grant can give: one instance's part of the pool.
pub const MEMORY_MAX_BYTES: u64 = 256 * MIB;

/// A policy file. A person could not review a longer one.
pub const POLICY_FILE_MAX_BYTES: usize = 1024 * 1024;

/// Files in a policy directory.
pub const POLICY_FILES_MAX: usize = 1_000;

/// How deep a policy or a manifest nests; the language itself needs 4.
pub const NESTING_MAX: usize = 16;

/// A manifest, as the package format says.
pub const MANIFEST_MAX_BYTES: usize = 64 * 1024;

/// A name that a guest passes: a key, a namespace, a path, an alias.
pub const NAME_MAX_BYTES: usize = 1024;

/// Reasons, descriptions and other texts for people, in a manifest or a policy.
pub const TEXT_MAX_BYTES: usize = 4 * 1024;

/// Calls that wait for one model; more are told to come back.
pub const QUEUE_MAX: usize = 10_000;

/// One of a package's own names: its publisher, its agent, a root.
pub const LABEL_MAX_BYTES: usize = 64;

/// Patterns, roots, tools or words in one list of a manifest or a grant. A person could not review a longer one.
pub const LIST_MAX: usize = 256;

/// Packages that one requires. A person says yes to each.
pub const REQUIRES_MAX: usize = 16;

/// Labels in one set. Whoever has more has lost track; such a set holds every label, so that nothing slips through it.
pub const LABELS_MAX: usize = 32;

/// A JSON Schema in a manifest: half of the manifest, so that input and output fit.
pub const SCHEMA_MAX_BYTES: usize = MANIFEST_MAX_BYTES / 2;

/// A JSON text that is decided on: arguments of a tool, and what is read like them.
pub const JSON_MAX_BYTES: usize = 1024 * 1024;

/// How deep JSON nests. Nobody writes arguments that are deeper, and reading them costs stack.
pub const JSON_DEPTH_MAX: usize = 32;

/// How deep JSON nests that is only kept and passed on: what readers of JSON commonly take.
pub const JSON_CHECK_DEPTH_MAX: usize = 128;

/// Values in one JSON text, so that the value that it becomes is not much larger than the text.
pub const JSON_VALUES_MAX: usize = 65_536;

/// An address of the web; servers commonly take 8 KiB.
pub const URL_MAX_BYTES: usize = 8 * 1024;

/// Calls that a `rate` can allow in its span: each is remembered until the span is over.
pub const RATE_MAX: u32 = 1_000;

/// Arguments that one rule lists, and tests of one argument.
pub const ARGUMENTS_MAX: usize = 64;

/// Rules of one kind in one site file; a person could not review more. Larger sites split them by subject.
pub const RULES_MAX: usize = LIST_MAX;

/// Mistakes that are reported at once; whoever has more fixes these first.
pub const MISTAKES_MAX: usize = 50;

/// People who must say yes to one call. More could not be brought together while an agent waits.
pub const QUORUM_MAX: u32 = 16;

/// What stands around a text that is kept for an agent, of a letter or a notice: names, times, labels. It counts with it, so that empty ones
/// are not free.
pub const KEPT_HEAD_BYTES: u64 = 256;

/// What a letter is about.
pub const LETTER_SUBJECT_MAX_BYTES: usize = 256;

/// What an agent asks people or tells them, at once: a page.
pub const HUMAN_TEXT_MAX_BYTES: usize = 8 * 1024;

/// Answers of one question to choose from.
pub const HUMAN_CHOICES_MAX: usize = 16;

/// One of them: a line.
pub const HUMAN_CHOICE_MAX_BYTES: usize = 256;

/// What a notice can take of storage.
pub const NOTICE_KEPT_MAX_BYTES: u64 = HUMAN_TEXT_MAX_BYTES as u64 + KEPT_HEAD_BYTES;

/// What a question of an agent can take of storage while it is open.
pub const QUESTION_KEPT_MAX_BYTES: u64 =
    (HUMAN_TEXT_MAX_BYTES + HUMAN_CHOICES_MAX * HUMAN_CHOICE_MAX_BYTES) as u64 + KEPT_HEAD_BYTES;

/// What a person says about a no.
pub const APPROVAL_TEXT_MAX_BYTES: usize = 1024;

/// The longest that a question to people may stay open: 30 days.
pub const APPROVAL_TTL_MAX_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Different questions of one agent that may be open: more than a person reads through with care. At one more the agent is paused.
pub const QUESTIONS_OPEN_MAX: usize = 8;

/// Questions of one agent within [`QUESTIONS_SPAN_MS`]: whoever asks more, asks until somebody gives in.
pub const QUESTIONS_MAX: usize = 30;

/// The time in which they are counted.
pub const QUESTIONS_SPAN_MS: u64 = 10 * 60 * 1000;

const MIB: u64 = 1024 * 1024;

const _: () = assert!(MEMORY_DEFAULT_BYTES <= MEMORY_MAX_BYTES);
const _: () = assert!(WALL_RUN_DEFAULT_MS <= WALL_RUN_MAX_MS);
const _: () = assert!(WRITTEN_RUN_DEFAULT_BYTES <= WRITTEN_DAY_DEFAULT_BYTES);
const _: () = assert!(QUESTIONS_OPEN_MAX < QUESTIONS_MAX);
const _: () = assert!(APPROVAL_TTL_MAX_MS <= WALL_RUN_MAX_MS);
const _: () = assert!(MANIFEST_MAX_BYTES <= POLICY_FILE_MAX_BYTES);

/// How often a call to a model is made again: whoever was turned away so often is not let in.
pub const RETRIES_MAX: u64 = 5;
