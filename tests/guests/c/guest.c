// Reads a file, asks for an answer of a schema, keeps it, and fails with a cause.
// Justification: the table must be callable from a language without a runtime, by what a compiler and a bindings generator give.

#include "agent.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096
#define SCHEMA "{\"type\": \"object\", \"required\": [\"title\"], \"properties\": {\"title\": {\"type\": \"string\"}}}"

typedef agentry_agent_llm_future_result_response_failure_t answer_t;

// The one run of an instance, while it waits for its model.
static char note[TEXT_MAX];
static answer_t answer;
static agentry_agent_llm_result_response_failure_t answered;
static agent_waitable_set_t waits;

static agent_string_t text(const char *s) {
    agent_string_t made;
    agent_string_dup(&made, s);
    return made;
}

// The value of a field that is a text without escapes: enough for the tests, which is all that this reads.
static void field(const char *json, size_t length, const char *name, char *value) {
    char whole[TEXT_MAX], key[64];
    snprintf(whole, sizeof whole, "%.*s", (int)length, json);
    snprintf(key, sizeof key, "\"%s\"", name);
    const char *at = strstr(whole, key);
    at = at ? strchr(at + strlen(key), '"') : NULL;
    const char *end = at ? strchr(at + 1, '"') : NULL;
    snprintf(value, TEXT_MAX, "%.*s", end ? (int)(end - at - 1) : 0, end ? at + 1 : "");
}

static agent_callback_code_t end(agent_result_string_failure_t ended) {
    exports_agent_run_return(ended);
    return AGENT_CALLBACK_CODE_EXIT;
}

static agent_callback_code_t fail(const char *message, agentry_agent_types_error_t cause) {
    agent_result_string_failure_t ended = {.is_err = true};
    ended.val.err.message = text(message);
    ended.val.err.cause.is_some = true;
    ended.val.err.cause.val = cause;
    return end(ended);
}

// The model has answered.
static agent_callback_code_t keep(void) {
    if (answered.is_err) return fail("the model did not answer", answered.val.err.why);
    agentry_agent_llm_list_part_t parts = answered.val.ok.parts;
    if (parts.len == 0 || parts.ptr[0].tag != AGENTRY_AGENT_LLM_PART_TEXT) abort();
    char title[TEXT_MAX], output[3 * TEXT_MAX];
    field((const char *)parts.ptr[0].val.text.ptr, parts.ptr[0].val.text.len, "title", title);

    agent_string_t names = text("agent/c/notes"), key = text("note");
    agentry_agent_memory_value_t value = {.tag = AGENTRY_AGENT_MEMORY_VALUE_TEXT, .val.text = text(title)};
    agentry_agent_memory_write_options_t options = {.expect.tag = AGENTRY_AGENT_MEMORY_EXPECTATION_ANYTHING};
    agentry_agent_memory_error_t error;
    agentry_agent_memory_option_entry_t kept;
    uint64_t version;
    if (!agentry_agent_memory_put(&names, &key, &value, &options, &version, &error)) return fail("cannot keep it", error);
    if (!agentry_agent_memory_get(&names, &key, &kept, &error)) return fail("cannot read it back", error);
    bool same = kept.is_some && kept.val.version == version && kept.val.value.val.text.len == strlen(title) &&
                memcmp(kept.val.value.val.text.ptr, title, strlen(title)) == 0;
    snprintf(output, sizeof output, "{\"note\": \"%s\", \"title\": \"%s\", \"kept\": %s}", note, title, same ? "true" : "false");
    agent_result_string_failure_t ended = {.val.ok = text(output)};
    return end(ended);
}

agent_callback_code_t exports_agent_run(agent_string_t *input) {
    char path[TEXT_MAX], message[TEXT_MAX + 32], prompt[TEXT_MAX + 32];
    field((const char *)input->ptr, input->len, "file", path);
    agent_string_t root = text("documents"), name = text(path);
    agent_list_u8_t bytes;
    agentry_agent_files_error_t error;
    if (!agentry_agent_files_read(&root, &name, 0, TEXT_MAX - 1, &bytes, &error)) {
        snprintf(message, sizeof message, "cannot read %s", path);
        return fail(message, error);
    }
    snprintf(note, sizeof note, "%.*s", (int)bytes.len, (const char *)bytes.ptr);
    printf("read %zu bytes\n", bytes.len);
    fflush(stdout);

    snprintf(prompt, sizeof prompt, "title: %s", note);
    agentry_agent_llm_part_t part = {.tag = AGENTRY_AGENT_LLM_PART_TEXT, .val.text = text(prompt)};
    agentry_agent_llm_message_t turn = {.role = AGENTRY_AGENT_LLM_ROLE_USER, .parts = {&part, 1}};
    agentry_agent_llm_request_t request = {
        .model = text("default"),
        .messages = {&turn, 1},
        .output = {.tag = AGENTRY_AGENT_LLM_OUTPUT_FORM_SCHEMA, .val.schema = text(SCHEMA)},
        .max_output_tokens = {true, 64},
        .class_ = AGENTRY_AGENT_LLM_CLASS_NORMAL,
    };
    answer = agentry_agent_llm_complete(&request);
    if (agentry_agent_llm_future_result_response_failure_read(answer, &answered) != AGENT_WAITABLE_STATUS_BLOCKED) {
        return keep();
    }
    waits = agent_waitable_set_new();
    agent_waitable_join(answer, waits);
    return AGENT_CALLBACK_CODE_WAIT(waits);
}

agent_callback_code_t exports_agent_run_callback(agent_event_t *event) {
    if (event->event != AGENT_EVENT_FUTURE_READ) return AGENT_CALLBACK_CODE_WAIT(waits);
    agent_waitable_join(answer, 0);
    agent_waitable_set_drop(waits);
    agentry_agent_llm_future_result_response_failure_drop_readable(answer);
    return keep();
}
