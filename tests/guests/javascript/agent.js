// Reads a file, asks for an answer of a schema, asks twice at once, takes an answer as it comes, keeps a note, and tells the time.
// Justification: authors write JavaScript; the table must be whole in it.

import { read } from 'agentry:agent/files@0.1.0';
import { complete, stream } from 'agentry:agent/llm@0.1.0';
import { event } from 'agentry:agent/log@0.1.0';
import { get, put } from 'agentry:agent/memory@0.1.0';
import { now } from 'agentry:agent/timers@0.1.0';

const TITLE = '{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}';

const ask = (text, output = { tag: 'text' }) => ({
  model: 'default',
  messages: [{ role: 'user', parts: [{ tag: 'text', val: text }], cache: false }],
  tools: [],
  toolChoice: { tag: 'automatic' },
  output,
  maxOutputTokens: 64,
  stop: [],
  class: 'normal',
  privacy: 'any',
});

const text = ({ tag, val }) => {
  if (tag === 'err') throw { message: 'the model did not answer', cause: val.why };
  return val.parts.filter((part) => part.tag === 'text').map((part) => part.val).join('');
};

const readText = (path) => {
  try {
    // QuickJS brings no TextDecoder; the notes of the tests are ASCII.
    return String.fromCharCode(...read('documents', path, 0, 65536));
  } catch (error) {
    throw { message: `cannot read ${path}`, cause: error.payload };
  }
};

export async function run(input) {
  event('info', 'began', [{ name: 'language', value: 'javascript' }]);
  const given = JSON.parse(input);
  if (given.raise) throw new Error(given.raise);
  const note = readText(given.file);
  const { title } = JSON.parse(text(await complete(ask(`title: ${note}`, { tag: 'schema', val: TITLE })).read()));
  const [one, two] = [complete(ask('one')), complete(ask('two'))];
  const answers = await Promise.all([one.read(), two.read()]);
  const [tokens, end] = stream(ask('three'));
  const pieces = [];
  for await (const delta of tokens) {
    if (delta.tag === 'text') pieces.push(delta.val);
  }
  const whole = text(await end.read());
  const options = { expect: { tag: 'anything' }, tags: [], indexed: true };
  const version = put('agent/javascript/notes', 'note', { tag: 'text', val: title }, options);
  const kept = get('agent/javascript/notes', 'note');
  return JSON.stringify({
    note,
    title,
    answers: answers.map(text),
    pieces,
    whole,
    kept: kept.value.val === title && kept.version === version,
    now: Number(now()),
    library: { wall_ms: Date.now(), random: Math.random() },
  });
}
