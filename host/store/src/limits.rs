//! Every maximum of the runtime has a name here, and the reason for its number. What only the kernel decides on stands in its own.

mod workers;

use agentry_kernel::limits as kernel;

pub use self::workers::*;
use crate::VALUE_MAX_BYTES;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A run as one file: its journal, what it read and wrote, and its component.
pub const EXPORT_MAX_BYTES: usize = 512 * MIB;

/// Entries of a run as one file: two for each call that a run may make. One takes a few bytes in the file and hundreds in memory.
pub const EXPORT_ENTRIES_MAX: usize = 2 * kernel::CALLS_PER_RUN_MAX as usize;

/// Contents of a run as one file: one for each call that a run may make.
pub const EXPORT_CONTENTS_MAX: usize = kernel::CALLS_PER_RUN_MAX as usize;

/// How far the clock of another home may be ahead of this one: a day, for a machine that has the time of another zone.
pub const EXPORT_AHEAD_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// Arguments of a refused tool call that the journal keeps, of the first refused calls of a run: enough for what a person reads.
pub const REFUSED_ARGUMENTS_MAX_BYTES: usize = 32 * KIB;

/// A component. The largest toolchain that we know makes 22 MB.
pub const COMPONENT_MAX_BYTES: usize = 64 * MIB;

/// A compiled component: machine code and its tables are up to six times as large as what they come from.
pub const ARTIFACT_MAX_BYTES: usize = 384 * MIB;

/// What a package says of itself: its manifest, and what it imports by function.
pub const PACKAGE_FACTS_MAX_BYTES: usize = MIB;

/// Address space of the preparer while it reads a component. What is written in good faith takes a tenth of it.
pub const READ_ADDRESS_MAX_BYTES: u64 = 1024 * MIB as u64;

/// Processor time of the preparer while it reads a component. One of 22 MB takes a second.
pub const READ_CPU_MAX_S: u64 = 5;

/// Wall time of a reading, so that a stopped or starved preparer ends too.
pub const READ_WALL_MAX_S: u64 = 60;

/// The preparer's stack: as much as a thread of the host has, so that what passes here is nowhere too deep.
pub const PREPARE_STACK_BYTES: usize = 2 * MIB;

/// Address space of the preparer when it compiles. A component of 22 MB takes less than half of it.
pub const COMPILE_ADDRESS_MAX_BYTES: u64 = 6 * 1024 * MIB as u64;

/// Processor time of the preparer in all. A component of 22 MB takes 12 s, or 40 s where the compiler is built without optimisation.
pub const COMPILE_CPU_MAX_S: u64 = 120;

/// Wall time of a compilation, so that a stopped or starved child ends too.
pub const COMPILE_WALL_MAX_S: u64 = 240;

/// What a preparer may say about a failure.
pub const PREPARE_MESSAGE_MAX_BYTES: usize = 4 * KIB;

/// Compiled components that stay in memory. Each maps its code once, whatever the number of its runs.
pub const COMPONENTS_LOADED_MAX: usize = 64;

/// Runs that live at once; a further one waits for its turn. Each takes about six mappings, and the system aborts a process that has
/// more than `vm.max_map_count` (65 530 unless changed) of them.
pub const RUNS_MAX: u32 = 1_500;

/// The same on a host that is there for one run and those below it: a process makes a guard for each stack of each place before it takes a run,
/// and 3000 of them take longer than all else that a short run waits for.
pub const RUNS_OF_ONE_MAX: u32 = 128;

/// The same on a host of the dense shape, whose runs take no mapping of their own: a hundred thousand of the smallest agents take
/// some 10 GB, so this is more than machines have memory for.
pub const RUNS_DENSE_MAX: u32 = 200_000;

/// How long a run waits in memory for time, a letter or a person, unless `agentry.toml` says otherwise.
pub const IDLE_AFTER_MS: u64 = 60_000;

/// With more than this in all runs together, those that wait leave memory at once, unless `agentry.toml` says otherwise.
pub const IDLE_MEMORY_BYTES: u64 = 2 * 1024 * MIB as u64;

/// Of the runs that a host can have, in quarters: with more, those that wait leave memory at once, so that others find room to begin.
pub const IDLE_QUARTERS: usize = 3;

/// Between two looks at the machine's clock, for what a person should know of it.
pub const CLOCK_LOOK_MS: u64 = 1000;

/// How often a host writes down how far its time has come, in looks. The next one begins no earlier, so this is what a clock that is set back
/// while nobody serves can make time lose.
pub const CLOCK_MARK_LOOKS: u64 = 30;

/// Between two looks at the runs that wait.
pub const IDLE_LOOK_MS: u64 = 250;

/// The longest between two looks for runs that come back, if nothing happens: a clock can be set.
pub const WAKE_LOOK_MS: u64 = 60_000;

/// Fuel after which a run lets others go on: 31 to 360 µs of processor time.
pub const SLICE_FUEL: u64 = 1_000_000;

/// Linear memories of a run. A component needs one; a composed one has one a part.
pub const MEMORIES_MAX: usize = 4;

/// Tables of a run. A component that is linked from shared libraries has one a library at most.
pub const TABLES_MAX: usize = 32;

/// Elements of a table: functions whose address a program takes. CPython has some 12 000.
pub const TABLE_ELEMENTS_MAX: usize = 40_000;

/// Component instances of a run, nested ones too. A composed agent has one a part; each is unfolded as it is compiled.
pub const COMPONENT_INSTANCES_MAX: usize = 1_000;

/// Core instances of a run. CPython, linked from shared libraries, has some 30.
pub const INSTANCES_MAX: usize = 128;

/// The stack of a guest: deep enough for a recursive JSON parser, cheap enough to have thousands.
pub const STACK_WASM_BYTES: usize = 512 * KIB;

/// The whole stack of a fiber: the guest's part, and what host functions need on top.
pub const STACK_BYTES: usize = 768 * KIB;

/// What one syscall may bring into the host, arguments and their copies together. It bounds every list and string of a guest
/// before it is allocated.
pub const HOSTCALL_MAX_BYTES: usize = 16 * MIB;

/// Handles of the component model that a run may hold: futures, streams, tasks.
pub const COMPONENT_HANDLES_MAX: usize = 4_096;

/// Handles of WASI that a run may hold: streams and pollables.
pub const HANDLES_MAX: usize = 1_024;

/// Random bytes of one WASI call.
pub const RANDOM_MAX_BYTES: u64 = MIB as u64;

/// Contents of which a run remembers that it paid for them: a conversation of as many messages pays for each once. 200 KiB of names.
pub const CONTENTS_REMEMBERED_MAX: usize = 4_096;

/// The shortest of these: of shorter ones the name takes more than they do.
pub const CONTENT_REMEMBERED_MIN_BYTES: usize = 128;

/// A line of the log; the rest of it is cut.
pub const LOG_LINE_MAX_BYTES: usize = 8 * KIB;

/// Lines of the log in a run; of the others only the count is kept.
pub const LOG_LINES_MAX: u32 = 10_000;

/// Fields of a line of the log.
pub const LOG_FIELDS_MAX: usize = 32;

/// The input of a run and its output.
pub const INPUT_MAX_BYTES: usize = MIB;

/// The output of a run.
pub const OUTPUT_MAX_BYTES: usize = MIB;

/// What an agent says about its failure, and what we say about its end.
pub const FAILURE_MAX_BYTES: usize = 4 * KIB;

/// A request to a model, all parts together.
pub const LLM_REQUEST_MAX_BYTES: usize = 8 * MIB;

/// Requests to models that a run has in flight, all together: what it can make the host keep for it.
pub const LLM_IN_FLIGHT_MAX_BYTES: usize = 32 * MIB;

/// Messages of one request.
pub const LLM_MESSAGES_MAX: usize = 4_096;

/// Parts of one message.
pub const LLM_PARTS_MAX: usize = 1_024;

/// Tools of one request.
pub const LLM_TOOLS_MAX: usize = 256;

/// Texts that one call asks vectors for: as many as fit an answer that is read at once, at the longest vector in use.
pub const LLM_TEXTS_MAX: usize = 256;

/// Texts that end an answer, as providers take them.
pub const LLM_STOPS_MAX: usize = 8;

/// One such text.
pub const LLM_STOP_MAX_BYTES: usize = 256;

/// A tool's name, as providers take it.
pub const LLM_TOOL_NAME_MAX_BYTES: usize = 64;

/// Pieces of a streamed answer that wait for the guest; beyond it, they are joined to fewer and longer ones.
pub const LLM_DELTAS_WAITING_MAX: usize = 64;

/// A value in memory. What is longer is a file.
pub const MEMORY_VALUE_MAX_BYTES: usize = MIB;

/// Entries of one page of a listing.
pub const MEMORY_PAGE_MAX: usize = 256;

/// Bytes of one page: what one call may hand to a guest.
pub const MEMORY_PAGE_MAX_BYTES: usize = 4 * MIB;

/// Rows that one listing reads, deleted ones included: the rest is the next page's.
pub const MEMORY_SCAN_MAX: usize = 4096;

/// A writer's own marks on one entry.
pub const MEMORY_TAGS_MAX: usize = 16;

/// One mark.
pub const MEMORY_TAG_MAX_BYTES: usize = 64;

/// What one `files.read` gives.
pub const FILE_READ_MAX_BYTES: u64 = 4 * MIB as u64;

/// What one `files.write` takes.
pub const FILE_WRITE_MAX_BYTES: usize = 8 * MIB;

/// Names that one `files.list` gives.
pub const FILE_LIST_MAX: usize = 10_000;

/// Commands that talk to a running host at once. Each asks one thing after another, or watches a run. Whoever comes while all places are taken
/// waits for one.
pub const CONTROL_CONNECTIONS_MAX: usize = 256;

/// Of these, commands that watch a run: so that others are never kept out.
pub const CONTROL_WATCHERS_MAX: usize = 192;

/// What happened in a run that a command watches and has not read yet; more is dropped, the run never waits.
pub const CONTROL_EVENTS_WAITING_MAX: usize = 1_024;

/// How often whoever watches a run hears that the host is still there, if nothing else happens.
pub const CONTROL_BEAT_MS: u64 = 5_000;

/// What a command asks of a running host: a few names, or a run with its input.
pub const CONTROL_REQUEST_MAX_BYTES: usize = INPUT_MAX_BYTES + 64 * KIB;

/// Runs that were ordered and whose turn to begin has not come. More are told to come back.
pub const RUNS_ORDERED_MAX: usize = 1_000;

/// Agents that people hold at once: more are not held, the host is stopped.
pub const AGENTS_HELD_MAX: usize = 1_024;

/// What it answers: one value of the store is the longest.
pub const CONTROL_REPLY_MAX_BYTES: usize = VALUE_MAX_BYTES + CONTROL_REQUEST_MAX_BYTES;

/// Rows of the store that one answer carries; a longer scan is asked for page by page.
pub const CONTROL_PAGE_MAX_ROWS: usize = 4_096;

/// Bytes of the rows of one answer, the first row apart.
pub const CONTROL_PAGE_MAX_BYTES: usize = 4 * MIB;

/// How long a command that has connected may take to say hello.
pub const CONTROL_HELLO_MAX_MS: u64 = 5_000;

/// How long it may be silent, or leave an answer unread, while others wait for its place: a program that was begun, even on a busy machine,
/// has said what it wants by then.
pub const CONTROL_SILENT_MAX_MS: u64 = 1_000;

/// The key of an order: a name and a number.
pub const ORDER_KEY_MAX_BYTES: usize = 256;

/// How long a key keeps a second run from being begun: whoever asks again does so sooner.
pub const ORDER_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How long it may be silent between two questions, or take to read an answer. Then the host hangs up.
pub const CONTROL_IDLE_MAX_MS: u64 = 20_000;

/// How long a command waits for an answer of a running host.
pub const CONTROL_ANSWER_MAX_MS: u64 = 30_000;

/// People who can be enrolled as approvers.
pub const APPROVERS_MAX: usize = 64;

/// Groups of one approver.
pub const APPROVER_GROUPS_MAX: usize = 16;

/// An approver's file.
pub const APPROVER_FILE_MAX_BYTES: u64 = 16 * KIB as u64;

/// Wrong codes that cost nothing: a person mistypes.
pub const CODES_WRONG_FREE: u32 = 3;

/// How long an approver is locked out after one more; each further one doubles it.
pub const CODE_LOCK_MS: u64 = 30 * 1000;

/// The longest such time: at three codes an hour, a code of six digits is found after 38 years.
pub const CODE_LOCK_MAX_MS: u64 = 60 * 60 * 1000;

/// A call as a person reads it before a yes; nobody reads a longer one with care.
pub const QUESTION_TEXT_MAX_BYTES: usize = 32 * KIB;

/// Questions that are kept once they are closed.
pub const QUESTIONS_KEPT_MAX: usize = 1_000;

pub use kernel::{HUMAN_CHOICE_MAX_BYTES, HUMAN_CHOICES_MAX, HUMAN_TEXT_MAX_BYTES, LETTER_SUBJECT_MAX_BYTES};

/// What a person answers.
pub const HUMAN_ANSWER_MAX_BYTES: usize = 16 * KIB;

/// The longest that a question of an agent waits that says how long: as long as one about a call.
pub const HUMAN_TTL_MAX_MS: u64 = kernel::APPROVAL_TTL_MAX_MS;

/// Questions of one agent that may be open: as many as about its calls.
pub const HUMAN_OPEN_MAX: usize = kernel::QUESTIONS_OPEN_MAX;

/// Questions of agents that are kept once they are closed.
pub const HUMAN_KEPT_MAX: usize = 1_000;

/// How often an answer is tried that another one gets in the way of.
pub const HUMAN_TRIES_MAX: usize = 4;

/// How often a question is looked at that nobody answers: a clock that was set must not keep it open for much longer than it says.
pub const HUMAN_LOOK_MS: u64 = 60 * 1000;

/// Things that one run may tell people: more is a log.
pub const NOTICES_PER_RUN_MAX: u32 = 100;

/// Notices that are kept, all runs together.
pub const NOTICES_KEPT_MAX: usize = 10_000;

/// Things that start one agent.
pub const TRIGGERS_MAX: usize = 16;

/// Runs that a trigger starts in a minute whose line does not say.
pub const TRIGGER_RATE_DEFAULT: u32 = 10;

/// The most that a line can say: ten a second.
pub const TRIGGER_RATE_MAX: u32 = 600;

/// Between two looks of a trigger; what comes within one is one cause.
pub const TRIGGER_LOOK_MS: u64 = 500;

/// Before a run is ordered again that found too many others waiting.
pub const TRIGGER_RETRY_MS: u64 = 1_000;

/// Between two looks of a trigger that is told of its causes.
pub const TRIGGER_QUIET_LOOK_MS: u64 = 5_000;

/// The longest pause before a run is tried again that could not begin.
pub const TRIGGER_RETRY_MAX_MS: u64 = 5 * 60 * 1000;

/// How often that is tried before a person has to say so: some hours in all.
pub const TRIGGER_TRIES_MAX: u32 = 48;

/// Causes of one trigger that wait for a person. Strangers may bring causes, so one more takes the place of the oldest.
pub const TRIGGER_DEAD_MAX: usize = 32;

/// For how many looks a file must have been as it is: whoever writes it in pieces pauses for less.
pub const TRIGGER_REST_LOOKS: u32 = 3;

/// Names of files or entries that one run of a trigger is told.
pub const TRIGGER_NAMES_MAX: usize = 256;

/// Writes to memory that triggers have not looked at yet. Beyond it they know that something was written, and not what.
pub const CHANGES_WAITING_MAX: usize = 1_024;

/// Requests of one webhook that wait for their run; more are told to come back.
pub const WEBHOOK_WAITING_MAX: usize = 16;

/// Connections to webhooks at once; a further one waits.
pub const WEBHOOK_CONNECTIONS_MAX: usize = 64;

/// How long a request may take, from its connection to the end of its answer.
pub const WEBHOOK_TIME_MAX_MS: u64 = 10_000;

/// The head of a request. Servers commonly take 8 to 64 KiB.
pub const WEBHOOK_HEAD_MAX_BYTES: usize = 32 * KIB;

/// Between two looks at the policy directory and the lock: what an admin changes bites within two of them.
pub const STANDING_LOOK_MS: u64 = 100;

/// The longest wait: a year.
pub const SLEEP_MAX_MS: u64 = kernel::WALL_RUN_MAX_MS;

/// Agents that a host knows by name; each is inspected when one is looked for.
pub const AGENTS_MAX: usize = 256;

/// Agents that one `agents.find` gives.
pub const AGENTS_FOUND_MAX: usize = 64;

/// What an agent gives another one to do: as much as a run takes.
pub const DELEGATED_MAX_BYTES: usize = INPUT_MAX_BYTES;

/// Of the fuel that a run has left, a tool that is an agent gets one part of so many: forty calls one after the other leave their caller a twelfth
/// of what it had, where halves would leave it nothing.
pub const TOOL_FUEL_PART: u64 = 16;

/// Subject and body of a letter: what is longer is a file or an entry of memory, and the letter says where.
pub const LETTER_MAX_BYTES: usize = 256 * KIB;

/// Letters that wait in one mailbox; whoever sends one more is told to come back.
pub const LETTERS_WAITING_MAX: u64 = 1_000;

/// Bytes of all letters that wait in one mailbox.
pub const MAILBOX_MAX_BYTES: u64 = 64 * MIB as u64;

/// Letters of one mailbox that can still be answered: the newest.
pub const LETTERS_RECEIVED_MAX: u64 = 1_000;

/// Dead letters that are kept of one mailbox: the newest.
pub const LETTERS_DEAD_MAX: u64 = 1_000;

/// How long a letter waits before it is dead: 30 days, as long as a question to people.
pub const LETTER_TTL_MS: u64 = kernel::APPROVAL_TTL_MAX_MS;

/// Letters that go dead in one transaction, so that none of them takes long.
pub const LETTERS_EXPIRED_AT_ONCE_MAX: usize = 64;

/// Tools of a registry. Nobody could review more.
pub const TOOLS_MAX: usize = 1_024;

/// How long a tool may take whose entry does not say.
pub const TOOL_TIMEOUT_DEFAULT_MS: u64 = 30_000;

/// The longest that an entry can give a tool: what takes longer is a job, and no call.
pub const TOOL_TIMEOUT_MAX_MS: u64 = 60 * 60 * 1000;

/// What a tool may say whose entry does not say how much.
pub const TOOL_OUTPUT_DEFAULT_BYTES: usize = 256 * KIB;

/// The most that an entry can let a tool say.
pub const TOOL_OUTPUT_MAX_BYTES: usize = 4 * MIB;

/// Address space of a command whose entry does not say. Interpreters reserve far more than they use.
pub const TOOL_MEMORY_DEFAULT_MB: u64 = 1_024;

/// The most that an entry can give a command.
pub const TOOL_MEMORY_MAX_MB: u64 = 64 * 1_024;

/// What a command may say about its failure; the rest is not kept.
pub const TOOL_ERROR_MAX_BYTES: usize = 64 * KIB;

/// What of that is shown to an agent.
pub const TOOL_ERROR_SHOWN_BYTES: usize = 4 * KIB;

/// A file that a command writes in its directory.
pub const TOOL_FILE_MAX_BYTES: u64 = 64 * MIB as u64;

/// Files that a command may have open.
pub const TOOL_OPEN_FILES_MAX: u64 = 256;

/// Processes of a command, itself included: a shell, a pipeline, an interpreter with its threads.
pub const TOOL_PROCESSES_MAX: usize = 64;

/// Commands that run at once on a host; a further one waits for its turn as long as it may take.
pub const TOOL_COMMANDS_MAX: usize = 32;

/// The arguments of a call and all else that a command is started with.
pub const TOOL_ORDER_MAX_BYTES: usize = 4 * MIB;

/// An address that an agent asks for, as policy reads it.
pub const HTTP_URL_MAX_BYTES: usize = kernel::URL_MAX_BYTES;

/// The body of a request.
pub const HTTP_BODY_MAX_BYTES: usize = 4 * MIB;

/// The body of an answer.
pub const HTTP_ANSWER_MAX_BYTES: usize = 4 * MIB;

/// Headers of a request or an answer, names and values together. Servers refuse more than 8 to 64 KiB.
pub const HTTP_HEADERS_MAX_BYTES: usize = 32 * KIB;

/// How many headers.
pub const HTTP_HEADERS_MAX: usize = 96;

/// How long a request may take that does not say: from its name to the last byte of its answer.
pub const HTTP_TIMEOUT_DEFAULT_MS: u64 = 30_000;

/// The longest that a request may take.
pub const HTTP_TIMEOUT_MAX_MS: u64 = 5 * 60 * 1000;

/// Redirects that one request follows, as browsers do or fewer.
pub const HTTP_REDIRECTS_MAX: usize = 5;

/// Addresses of one name that are looked at; a name with more is refused.
pub const HTTP_ADDRESSES_MAX: usize = 64;

/// Requests and the room for their answers that a host has in flight, all runs together.
pub const HTTP_IN_FLIGHT_MAX_BYTES: usize = 256 * MIB;

const _: () = assert!(LETTER_SUBJECT_MAX_BYTES < LETTER_MAX_BYTES && LETTER_MAX_BYTES as u64 <= MAILBOX_MAX_BYTES);
const _: () = assert!(LETTER_MAX_BYTES <= kernel::JSON_MAX_BYTES);
const _: () = assert!(HTTP_BODY_MAX_BYTES + HTTP_HEADERS_MAX_BYTES <= HOSTCALL_MAX_BYTES);
const _: () = assert!(HTTP_BODY_MAX_BYTES + HTTP_ANSWER_MAX_BYTES <= HTTP_IN_FLIGHT_MAX_BYTES);
const _: () = assert!(TOOL_OUTPUT_DEFAULT_BYTES <= TOOL_OUTPUT_MAX_BYTES);
const _: () = assert!(TOOL_ERROR_SHOWN_BYTES <= TOOL_ERROR_MAX_BYTES);
const _: () = assert!(TOOL_TIMEOUT_DEFAULT_MS <= TOOL_TIMEOUT_MAX_MS);
const _: () = assert!(kernel::JSON_MAX_BYTES < TOOL_ORDER_MAX_BYTES);
const _: () = assert!(STACK_WASM_BYTES < STACK_BYTES);
const _: () = assert!(COMPONENT_MAX_BYTES < ARTIFACT_MAX_BYTES);
const _: () = assert!(COMPILE_CPU_MAX_S <= COMPILE_WALL_MAX_S);
const _: () = assert!(READ_CPU_MAX_S <= READ_WALL_MAX_S && READ_CPU_MAX_S < COMPILE_CPU_MAX_S);
const _: () = assert!(READ_ADDRESS_MAX_BYTES < COMPILE_ADDRESS_MAX_BYTES);
const _: () = assert!(kernel::MANIFEST_MAX_BYTES < PACKAGE_FACTS_MAX_BYTES);
const _: () = assert!(LLM_REQUEST_MAX_BYTES <= HOSTCALL_MAX_BYTES);
const _: () = assert!(FILE_WRITE_MAX_BYTES <= HOSTCALL_MAX_BYTES);
const _: () = assert!(MEMORY_VALUE_MAX_BYTES < MEMORY_PAGE_MAX_BYTES);
const _: () = assert!(MEMORY_PAGE_MAX_BYTES <= HOSTCALL_MAX_BYTES);
const _: () = assert!(LOG_LINE_MAX_BYTES <= HOSTCALL_MAX_BYTES);
const _: () = assert!(CONTROL_HELLO_MAX_MS < CONTROL_IDLE_MAX_MS && CONTROL_IDLE_MAX_MS < CONTROL_ANSWER_MAX_MS);
const _: () = assert!(CONTROL_WATCHERS_MAX < CONTROL_CONNECTIONS_MAX);
const _: () = assert!(CONTROL_BEAT_MS < CONTROL_IDLE_MAX_MS);
const _: () = assert!(CONTROL_PAGE_MAX_BYTES < CONTROL_REPLY_MAX_BYTES);
