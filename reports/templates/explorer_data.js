// The transcript explorer. No library, no request (but for conversations, if a server gives them one by one).
// Its files are one script with one scope. Of the explorer: data, and the state that all of it shares.

const $ = name => document.getElementById('explorer-' + name);
const root = document.getElementById('explorer');
const live = root.dataset.live || '';

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const letters = atob(base64), bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

// Base64 of deflated JSON, out of a script element that no browser runs.
async function inflate(element) {
  const stream = new Blob([bytesOf(element.textContent)]).stream().pipeThrough(new DecompressionStream('deflate'));
  return JSON.parse(await new Response(stream).text());
}

async function ask(path) {
  const answer = await fetch(path, { cache: 'no-store' });
  if (answer.status === 409) throw new Error('The audit has changed on disk. Load this page again.');
  if (!answer.ok) throw new Error('The server does not give this (' + answer.status + '). Is nla-audit view still running?');
  return answer.json();
}

let index, all, numbers;  // what is known of all conversations, its list, and the place of each in it by its id

async function load() {
  index = await inflate($('index'));
  all = index.transcripts;
  numbers = new Map(all.map((entry, n) => [entry.id, n]));
  state.shown = all.map((_, n) => n);
  countYes();
}

const KEPT = 400;  // parts that stay unpacked, where they can be had again
const parts = new Map();

function part(number) {
  let found = parts.get(number);
  if (!found) {
    found = live ? ask('part/' + live + '/' + number) : inflate($('part-' + number));
    found.catch(() => parts.delete(number));
    parts.set(number, found);
    if (parts.size > KEPT && live) parts.delete(parts.keys().next().value);
  }
  return found;
}

async function conversation(n) {
  return (await part(Math.floor(n / index.part)))[n % index.part];
}

const LABELS = { Y: 'YES', U: 'UNCLEAR', N: 'NO', '-': 'not judged' };
const SHAPES = { Y: '▲', U: '◆', N: '–', '-': '·' };
const LETTERS = { YES: 'Y', UNCLEAR: 'U', NO: 'N' };
const BARS = ['·', '▁', '▂', '▄', '▆', '█'];
const RANKS = ['', 'the lowest fifth', 'the second fifth', 'the middle fifth', 'the fourth fifth', 'the highest fifth'];
const LEVELS = ['no finding', 'observed', 'corroborated', 'causal'];

const state = {
  shown: [],                    // conversations that pass the filters, in their order
  verdict: '',                  // the verdict that tokens are filtered by; empty for any
  found: null,                  // by conversation, the tokens that the search found; null without a search
  open: -1, data: null,         // the conversation that is open
  at: -1, from: -1,             // the chosen token, and where the choice began if it is of several
  scanner: 0, paint: 'verdict',
  yes: [],                      // by conversation, the tokens that the chosen scanner calls YES
};

function labelOf(n, token) {
  return (all[n].labels?.[state.scanner] || '')[token] || '-';
}

function countYes() {
  state.yes = all.map(entry => [...(entry.labels?.[state.scanner] || '')].filter(label => label === 'Y').length);
}

function explanations(token) {
  return (token.said || []).filter(one => !one.control);
}

function cosineOf(token) {
  const known = explanations(token).map(one => one.cosine).filter(value => value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : undefined;
}

// 1 for the fifth of the audit with the lowest fidelity, 5 for the highest, 0 where it was not measured.
function fifthOf(cosine) {
  return cosine === undefined ? 0 : 1 + index.steps.filter(step => cosine >= step).length;
}

function decimals(value) {
  return value === undefined || value === null ? 'not measured' : value.toFixed(2);
}

// The look of a token by what is being coloured: class, sign, and the same in words.
function look(token, label) {
  if (state.paint === 'verdict') return { name: label === '-' ? 'x-none' : 'x-' + label, sign: SHAPES[label], words: LABELS[label] };
  const cosine = cosineOf(token), fifth = fifthOf(cosine);
  return { name: 'x-f' + fifth, sign: BARS[fifth], words: cosine === undefined ? 'fidelity not measured' : 'cosine ' + decimals(cosine) };
}
