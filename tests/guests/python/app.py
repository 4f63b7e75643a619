"""Reads a file, asks for an answer of a schema, asks twice at once, takes an answer as it comes, keeps a note, and uses what Python has.

Justification: authors write Python; the table must be whole in it, and so must its standard library.
"""

import asyncio
import json
import random
import time
import uuid

import wit_world
from componentize_py_types import Err
from wit_world.imports import files, llm, log, memory, outcome, timers

TITLE = '{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}'


def ask(text, output=llm.OutputForm_Text()):
    return llm.Request(
        model="default",
        messages=[llm.Message(role=llm.Role.USER, parts=[llm.Part_Text(text)], cache=False)],
        tools=[],
        tool_choice=llm.ToolChoice_Automatic(),
        output=output,
        max_output_tokens=64,
        temperature=None,
        top_p=None,
        seed=None,
        stop=[],
        effort=None,
        class_=llm.Class.NORMAL,
        privacy=llm.Privacy.ANY,
        deadline_ms=None,
        max_cost_microusd=None,
    )


def text(result):
    if isinstance(result, Err):
        raise Err(outcome.Failure(message="the model did not answer", cause=result.value.why))
    response = getattr(result, "value", result)
    return "".join(part.value for part in response.parts if isinstance(part, llm.Part_Text))


def read(path):
    try:
        return files.read("documents", path, 0, 65536).decode()
    except Err as error:
        raise Err(outcome.Failure(message=f"cannot read {path}", cause=error.value)) from error


async def streamed(request):
    tokens, end = llm.stream(request)
    pieces = []
    with tokens, end:
        while not tokens.writer_dropped:
            for delta in await tokens.read(max_count=16):
                if isinstance(delta, llm.Delta_Text):
                    pieces.append(delta.value)
        return pieces, text(await end.read())


async def sleep(seconds, result=None):
    """The loop that componentize-py brings has no timers of its own; the table has."""
    await timers.sleep(round(seconds * 1000)).read()
    return result


asyncio.sleep = sleep


async def library():
    """What programs in Python take for granted."""
    print("said on standard output")
    begun, wall = time.monotonic(), time.time()
    time.sleep(0.02)
    await asyncio.sleep(0.02)
    return {
        "slept_ms": round((time.monotonic() - begun) * 1000),
        "wall_ms": round(wall * 1000),
        "random": random.random(),
        "uuid": str(uuid.uuid4()),
    }


class WitWorld(wit_world.WitWorld):
    async def run(self, input_json: str) -> str:
        given = json.loads(input_json)
        log.event(log.Level.INFO, "began", [log.Field(name="language", value="python")])
        if "raise" in given:
            raise ValueError(given["raise"])
        note = read(given["file"])
        titled = text(await llm.complete(ask(f"title: {note}", llm.OutputForm_Schema(TITLE))).read())
        one, two = await asyncio.gather(llm.complete(ask("one")).read(), llm.complete(ask("two")).read())
        pieces, whole = await streamed(ask("three"))
        options = memory.WriteOptions(
            expect=memory.Expectation_Anything(), ttl_s=None, tags=[], indexed=True
        )
        title = json.loads(titled)["title"]
        version = memory.put("agent/python/notes", "note", memory.Value_Text(title), options)
        kept = memory.get("agent/python/notes", "note")
        return json.dumps(
            {
                "note": note,
                "title": title,
                "answers": [text(one), text(two)],
                "pieces": pieces,
                "whole": whole,
                "kept": kept.value.value == title and kept.version == version,
                "now": timers.now(),
                "library": await library(),
            }
        )
