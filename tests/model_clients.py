"""Gives recorded answers of model providers to PyPI's `openai` and `anthropic` and to our reader, and compares what each says came: text, tool
calls, why it ended, what it took. Where ours means to say something else, `DIFFERENCES` has the reason. Prints a line for each answer and fails if one
differs that should not.

    python model_clients.py READER RECORDED
"""

import http.server
import json
import pathlib
import subprocess
import sys
import threading

import anthropic
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

READER, RECORDED = sys.argv[1], pathlib.Path(sys.argv[2])

# What differs on purpose, and why ours is right. The first word says how: `reads` where the client gives up or reads less, `refuses` where the client
# takes for an answer what is none, `says` where both have an answer.
DIFFERENCES = {
    "chat/all-index-0": "reads: two ids are two calls; the client joins the arguments of both into one that is no JSON",
    "chat/choices-null": "reads: a piece without choices says nothing; the client fails on it",
    "chat/content-list": "reads: a text in a list is a text; the client fails on it",
    "chat/no-index": "reads: one call needs no number; the client fails without one",
    "chat/cut-without-reason": "refuses: half an answer, which the client takes for a whole one without a reason",
    "chat/done-without-reason": "says: the last word came behind something whole; the client leaves the reason open",
    "chat/finish-error": "refuses: `error` says that it broke; the client passes it on as a reason to stop",
    "chat/usage-too-small": "says: no token has 600 letters, so the bytes count",
    "chat/stop-with-calls": "says: the model waits for results, whatever the word",
    "chat/openai-refusal": "says: a refusal is what the model says, so it is the text; the client has a field for it",
    "chat/gemini-compatible-call": "says: the model waits for results, whatever the word",
    "chat/names-and-ids": "reads: an event without data says nothing (WHATWG HTML, 9.2.6); the client fails on it",
    "messages/same-index": "reads: two ids are two calls; the client joins both into the later one",
    "messages/cut-before-reason": "refuses: half an answer, which the client takes for a whole one without a reason",
    "responses/no-deltas": "reads: what came in one piece is there, though no part of it came before",
    "responses/only-the-end": "reads: what came in one piece is there, though no part of it came before",
}

STOPS = {
    "end": {"stop", "end_turn", "completed"},
    "tool-calls": {"tool_calls", "function_call", "tool_use", "completed"},
    "max-output": {"length", "max_tokens", "max_output_tokens"},
    "filtered": {"content_filter", "refusal"},
    "sequence": {"stop_sequence"},
}


class Recorded(http.server.BaseHTTPRequestHandler):
    """Answers every question with the file that it names as its model."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = (RECORDED / asked["model"]).read_bytes()
        self.send_response(200)
        self.send_header("content-type", "application/json" if body[:1] == b"{" else "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def chat(name, streams):
    asked = {"model": name, "messages": [{"role": "user", "content": "hello"}]}
    if streams:
        state = ChatCompletionStreamState()
        for chunk in OPENAI.chat.completions.create(**asked, stream=True):
            state.handle_chunk(chunk)
        answer = state.current_completion_snapshot
    else:
        answer = OPENAI.chat.completions.create(**asked)
    choice, usage = answer.choices[0], answer.usage
    calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or []]
    counts = None
    if usage:
        prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
        counts = {
            "input": usage.prompt_tokens,
            "cache_read": (prompt and prompt.cached_tokens) or 0,
            "output": usage.completion_tokens,
            "reasoning": (output and output.reasoning_tokens) or 0,
        }
    return said(choice.message.content or "", calls, choice.finish_reason, counts)


def messages(name, streams):
    asked = {"model": name, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}
    if streams:
        with ANTHROPIC.messages.stream(**asked) as stream:
            answer = stream.get_final_message()
    else:
        answer = ANTHROPIC.messages.create(**asked)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
    usage = answer.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    counts = {"input": usage.input_tokens + read + written, "cache_read": read, "output": usage.output_tokens}
    return said(text, calls, answer.stop_reason, counts)


def responses(name, streams):
    if streams:
        # What came in pieces; the last event says all of it once more.
        text, arguments, answer = "", {}, None
        for event in OPENAI.responses.create(model=name, input="hello", stream=True):
            if event.type in ("response.output_text.delta", "response.refusal.delta"):
                text += event.delta
            elif event.type == "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
            elif event.type in ("response.completed", "response.incomplete", "response.failed"):
                answer = event.response
        if answer is None:
            raise EOFError("no last event")
        calls = [
            (item.name, arguments.get(at, "")) for at, item in enumerate(answer.output) if item.type == "function_call"
        ]
    else:
        answer = OPENAI.responses.create(model=name, input="hello")
        text = answer.output_text
        calls = [(item.name, item.arguments) for item in answer.output if item.type == "function_call"]
    if answer.status == "failed":
        raise RuntimeError(answer.error.message)
    stop = answer.incomplete_details.reason if answer.status == "incomplete" else answer.status
    usage, counts = answer.usage, None
    if usage:
        counts = {
            "input": usage.input_tokens,
            "cache_read": usage.input_tokens_details.cached_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.output_tokens_details.reasoning_tokens,
        }
    return said(text, calls, stop, counts)


def said(text, calls, stop, counts):
    return {"text": text, "calls": [(name, value(arguments)) for name, arguments in calls], "stop": stop, "usage": counts}


def value(arguments):
    """As JSON; none is an empty object, and what is no JSON is its text."""
    try:
        return json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def ours(interface, body):
    told = json.loads(subprocess.run([READER, interface], input=body, stdout=subprocess.PIPE, check=True).stdout)
    if told["why"]:
        raise RuntimeError(f"{told['why']} {told['note'] or ''}")
    usage, answer = told["usage"], told["answer"]
    counts = None
    if not usage["estimated"]:
        read = usage["cache_read"]
        whole = usage["input_fresh"] + read + usage["cache_write"]
        counts = {"input": whole, "cache_read": read, "output": usage["output"], "reasoning": usage["reasoning"]}
    calls = [(call["name"], call["arguments"]) for call in answer["calls"]]
    return said(answer["text"], calls, answer["stop"], counts)


def tried(read, *asked):
    try:
        return read(*asked), None
    except Exception as why:  # Whatever a client fails with, it has no answer.
        return None, f"{type(why).__name__}: {why}"


def differs(theirs, our):
    """In what they differ; nothing if they say the same."""
    found = [name for name in ("text", "calls") if theirs[name] != our[name]]
    if theirs["stop"] not in STOPS.get(our["stop"], {our["stop"]}):
        found.append("stop")
    counts, known = our["usage"], theirs["usage"]
    if (counts is None) != (known is None) or known and any(counts[name] != count for name, count in known.items()):
        found.append("usage")
    return found


def compared(path):
    name = f"{path.parent.name}/{path.stem}"
    client = {"chat": chat, "messages": messages, "responses": responses}[path.parent.name]
    theirs, refused = tried(client, f"{path.parent.name}/{path.name}", path.suffix == ".sse")
    our, no = tried(ours, path.parent.name, path.read_bytes())
    if theirs is None and our is None:
        found = ""
    elif our is None:
        found = f"ours refuses ({no}), the client: {theirs}"
    elif theirs is None:
        found = f"the client refuses ({refused}), ours: {our}"
    else:
        found = ", ".join(differs(theirs, our))
        found = found and f"{found}: the client {theirs}, ours {our}"
    reason = DIFFERENCES.get(name)
    if bool(found) == bool(reason):
        print("same" if not found else "meant", name, reason or "")
        return True
    print("WRONG", name, found or f"no longer differs, though the reason is given: {reason}")
    return False


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorded)
threading.Thread(target=server.serve_forever, daemon=True).start()
known = {"base_url": f"http://127.0.0.1:{server.server_address[1]}", "api_key": "k", "max_retries": 0}
OPENAI, ANTHROPIC = openai.OpenAI(**known), anthropic.Anthropic(**known)
files = sorted(path for path in RECORDED.glob("*/*") if path.is_file())
right = [compared(path) for path in files]
unknown = set(DIFFERENCES) - {f"{path.parent.name}/{path.stem}" for path in files}
for name in sorted(unknown):
    print("WRONG", name, "has a reason to differ, and is not recorded")
print(f"{len(files)} answers, {right.count(False)} wrong")
sys.exit(0 if all(right) and not unknown else 1)
