// The transcript explorer. No library, no request (but for conversations, if a server gives them one by one).
// Whatever a model, a user or a file name supplied is placed as text, by `put` alone; nothing is ever parsed as HTML.
(async () => {
'use strict';

const $ = name => document.getElementById('explorer-' + name);
const root = document.getElementById('explorer');
if (!$('index')) return;  // nothing to explore
const live = root.dataset.live || '';

// ---------------------------------------------------------------- data

// Base64 of deflated JSON, out of a script element that no browser runs.
async function inflate(element) {
  const letters = atob(element.textContent);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return JSON.parse(await new Response(stream).text());
}

async function ask(path) {
  const answer = await fetch(path, { cache: 'no-store' });
  if (answer.status === 409) throw new Error('The audit has changed on disk. Load this page again.');
  if (!answer.ok) throw new Error('The server does not give this (' + answer.status + '). Is nla-audit view still running?');
  return answer.json();
}

const index = await inflate($('index'));
const all = index.transcripts;
const numbers = new Map(all.map((entry, n) => [entry.id, n]));
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

// ---------------------------------------------------------------- text

// Control characters, marks that turn the direction of text, blanks without width, towers of combining marks.
const HIDDEN = new RegExp(
  '(?![\\n\\t])[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\u115f\\u1160\\u3164\\uffa0\\u2800\\u180b-\\u180d\\u034f]' +
  '|([\\p{Mn}\\p{Me}]{2})[\\p{Mn}\\p{Me}]+', 'gu');
const SIGNS = { 0x1b: 'ESC', 0x00: 'NUL', 0x07: 'BEL', 0x08: 'BS', 0x0d: 'CR', 0x7f: 'DEL', 0xad: 'SHY', 0x200b: 'ZWSP', 0x200c: 'ZWNJ',
  0x200d: 'ZWJ', 0x2028: 'LS', 0x2029: 'PS', 0xfeff: 'BOM' };

function signOf(character) {
  const code = character.codePointAt(0);
  return SIGNS[code] || 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
}

// Text with a small label in the place of everything that cannot be seen.
function visible(holder, text) {
  let done = 0;
  for (const found of text.matchAll(HIDDEN)) {
    holder.append(text.slice(done, found.index) + (found[1] || ''));
    holder.append(make('span', 'sign', found[1] ? 'more marks' : signOf(found[0])));
    done = found.index + found[0].length;
  }
  holder.append(text.slice(done));
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) visible(element, text);
  return element;
}

// Places a text. Each range is {start, end, make}: its part of the text goes into the element that `make` gives; ranges may overlap.
function put(holder, text, ranges = []) {
  const box = make('bdi', 'said');
  const inside = ranges.filter(range => range.start < range.end && range.end <= text.length);
  const edges = [...new Set([0, text.length, ...inside.flatMap(range => [range.start, range.end])])].sort((a, b) => a - b);
  for (let at = 0; at + 1 < edges.length; at++) {
    let inner = box;
    for (const range of inside) {
      if (range.start <= edges[at] && range.end >= edges[at + 1]) inner = inner.appendChild(range.make());
    }
    visible(inner, text.slice(edges[at], edges[at + 1]));
  }
  holder.append(box);
  return holder;
}

// A text that may have been cut, in an element of its own.
function quoted(tag, className, part, ranges) {
  const box = put(make(tag, className), part.text || '', ranges);
  if (part.cut) box.append(make('span', 'cut', ' [' + part.cut.toLocaleString('en') + ' more characters not shown]'));
  return box;
}

// The beginning of a text; no character is cut in two.
function short(text, limit) {
  return text.length > limit ? text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '') + '…' : text;
}

function said(text, className) {
  return put(make('span', className), text);
}

// A token with its outer white space visible, as the report shows it.
function tokenText(token) {
  const signs = blank => blank.replace(/\r/g, '␍').replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/ /g, '␣');
  const [, before, body, after] = token.match(/^([ \n\t\r]*)([^]*?)([ \n\t\r]*)$/u);
  return signs(before) + body + signs(after) || '(empty)';
}

// ---------------------------------------------------------------- what tokens look like

const LABELS = { Y: 'YES', U: 'UNCLEAR', N: 'NO', '-': 'not judged' };
const SHAPES = { Y: '▲', U: '◆', N: '–', '-': '·' };
const LETTERS = { YES: 'Y', UNCLEAR: 'U', NO: 'N' };
const BARS = ['·', '▁', '▂', '▄', '▆', '█'];
const RANKS = ['', 'the lowest fifth', 'the second fifth', 'the middle fifth', 'the fourth fifth', 'the highest fifth'];
const LEVELS = ['no finding', 'observed', 'corroborated', 'causal'];

const state = {
  shown: all.map((_, n) => n),  // conversations that pass the filters, in their order
  found: null,                  // by conversation, the tokens that the search found; null without a search
  open: -1, data: null,         // the conversation that is open
  at: -1, from: -1,             // the chosen token, and where the choice began if it is of several
  scanner: 0, paint: 'verdict',
};

function labelOf(n, token) {
  return (all[n].labels?.[state.scanner] || '')[token] || '-';
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

// ---------------------------------------------------------------- filters and search

function passes(n, token) {
  const verdict = $('verdict').value;
  return (!verdict || labelOf(n, token) === verdict) && (!state.found || (state.found.get(n)?.has(token) ?? false));
}

function filtersTokens() {
  return $('verdict').value !== '' || state.found !== null;
}

function hits(n) {
  let count = 0;
  for (let token = 0; token < all[n].tokens; token++) count += passes(n, token);
  return count;
}

function yesOf(n) {
  return [...(all[n].labels?.[state.scanner] || '')].filter(label => label === 'Y').length;
}

function filter() {
  const scenario = $('scenario').value, level = $('level').value, order = $('order').value, byToken = filtersTokens();
  let tokens = 0;
  state.shown = all.map((_, n) => n).filter(n => {
    if (scenario !== '' && all[n].scenario !== Number(scenario)) return false;
    if (level !== '' && all[n].level !== Number(level)) return false;
    const count = byToken ? hits(n) : 0;
    tokens += count;
    return !byToken || count > 0;
  });
  if (order === 'yes') state.shown.sort((a, b) => yesOf(b) - yesOf(a) || a - b);
  if (order === 'level') state.shown.sort((a, b) => all[b].level - all[a].level || yesOf(b) - yesOf(a) || a - b);
  const some = state.shown.length.toLocaleString('en') + ' of ' + all.length.toLocaleString('en') + ' conversations';
  tell(byToken ? tokens.toLocaleString('en') + (tokens === 1 ? ' token in ' : ' tokens in ') + some : some);
  $('next').hidden = !byToken || !tokens;
  $('reset').hidden = !(byToken || scenario || level);
  drawList();
  paint();
}

function tell(words) {
  $('status').textContent = words;
}

const texts = new Map();  // by conversation, its explanations in lower case

async function textsOf(n) {
  if (!texts.has(n)) {
    const tokens = (await conversation(n)).tokens;
    texts.set(n, tokens.map(token => explanations(token).map(one => one.text || '').join('\n').toLowerCase()));
  }
  return texts.get(n);
}

let searches = 0;

async function search() {
  const words = $('search').value.trim().toLowerCase(), mine = ++searches;
  if (!words) {
    state.found = null;
    filter();
    drawPanel();
    return;
  }
  tell('Searching …');
  const found = new Map();
  if (live) {
    const answer = await ask('search/' + live + '?q=' + encodeURIComponent(words.toWellFormed?.() ?? words));
    for (const [n, tokens] of Object.entries(answer)) found.set(Number(n), new Set(tokens));
  } else {
    for (let n = 0; n < all.length; n++) {
      const tokens = (await textsOf(n)).flatMap((text, at) => text.includes(words) ? [at] : []);
      if (tokens.length) found.set(n, new Set(tokens));
      if (mine !== searches) return;  // another search has begun
    }
  }
  if (mine !== searches) return;
  state.found = found;
  filter();
  drawPanel();
}

// The next token that passes, in this conversation or in one after it.
async function nextMatch() {
  if (!filtersTokens() || !state.shown.length) return;
  const from = state.shown.indexOf(state.open);
  for (let token = state.at + 1; from >= 0 && token < all[state.open].tokens; token++) {
    if (passes(state.open, token)) return choose(token);
  }
  await open(state.shown[(from + 1) % state.shown.length]);
}

// ---------------------------------------------------------------- the list

const ROW = 58;

function drawList() {
  $('rows').style.height = state.shown.length * ROW + 'px';
  drawRows();
}

// Only the rows in sight exist.
function drawRows() {
  const list = $('list');
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(state.shown.length, first + Math.ceil(list.clientHeight / ROW) + 8);
  const rows = [];
  for (let place = first; place < last; place++) rows.push(rowOf(place));
  if (!rows.length) rows.push(nothing());
  $('rows').replaceChildren(...rows);
  const current = document.getElementById('explorer-row-' + state.open);
  if (current) list.setAttribute('aria-activedescendant', current.id);
  else list.removeAttribute('aria-activedescendant');
}

function nothing() {
  const row = make('div', 'x-row missing', 'No conversation passes these filters.');
  row.setAttribute('role', 'option');
  row.setAttribute('aria-disabled', 'true');
  row.setAttribute('aria-selected', 'false');
  return row;
}

function rowOf(place) {
  const n = state.shown[place], entry = all[n], scenario = index.scenarios[entry.scenario];
  const row = make('div', 'x-row');
  row.id = 'explorer-row-' + n;
  row.setAttribute('role', 'option');
  row.setAttribute('aria-selected', String(n === state.open));
  row.setAttribute('aria-posinset', String(place + 1));
  row.setAttribute('aria-setsize', String(state.shown.length));
  row.style.transform = 'translateY(' + place * ROW + 'px)';
  // Most ids begin with the scenario, which stands below.
  row.append(said(entry.id.startsWith(scenario.name + '/') ? entry.id.slice(scenario.name.length + 1) : entry.id, 'x-name'));
  row.title = plain(entry.id);
  const sub = row.appendChild(make('span', 'x-sub')), yes = yesOf(n);
  if (entry.tokens) sub.append(make('span', 'x-count' + (yes ? ' x-yes' : ''), (yes ? '▲ ' : '– ') + yes + ' of ' + entry.tokens + ' YES'));
  else sub.append(make('span', 'x-count', entry.error ? '× not usable' : 'nothing read'));
  if (filtersTokens()) sub.append(make('span', 'x-count', hits(n) + ' match'));
  if (entry.level) sub.append(make('span', 'x-count', LEVELS[entry.level]));
  sub.append(said(scenario.name + (scenario.kind === 'deployment' ? ' (control)' : '') +
    (scenario.variant === 'original' ? '' : ', ' + scenario.variant)));
  row.addEventListener('click', () => open(n));
  return row;
}

// Scrolls a box, never the page, until an element of it is in sight.
function reveal(box, element) {
  if (!element) return;
  const outer = box.getBoundingClientRect(), inner = element.getBoundingClientRect();
  if (inner.top < outer.top + 8) box.scrollTop -= outer.top + 8 - inner.top;
  else if (inner.bottom > outer.bottom - 8) box.scrollTop += inner.bottom - outer.bottom + 8;
}

function revealRow() {
  const list = $('list'), top = state.shown.indexOf(state.open) * ROW;
  if (top < 0) return;
  const above = list.scrollTop - top, below = top + ROW - list.scrollTop - list.clientHeight;
  if (Math.max(above, below) > list.clientHeight / 2) list.scrollTop = top - list.clientHeight / 2;
  else if (above > 0) list.scrollTop = top;
  else if (below > 0) list.scrollTop += below;
}

// ---------------------------------------------------------------- one conversation

// The token that a conversation opens with: one that passes the filters, that a finding rests on, that is YES, the first.
function firstOf(n, data) {
  const tokens = data.tokens.map((_, at) => at);
  const ways = [at => filtersTokens() && passes(n, at), at => data.tokens[at].findings, at => labelOf(n, at) === 'Y', () => true];
  for (const way of ways) {
    const found = tokens.find(way);
    if (found !== undefined) return found;
  }
  return -1;
}

// Opens a conversation; `place` says at which token: {call, position}.
async function open(n, place) {
  state.open = n;
  revealRow();
  drawRows();
  let data;
  try {
    data = await conversation(n);
  } catch (problem) {
    tell(problem.message);
    return;
  }
  if (state.open !== n) return;  // another one was chosen meanwhile
  if (state.data !== data) {
    state.data = data;
    drawHead();
    drawStrip();
    drawTalk();
    $('talk').scrollTop = 0;
  }
  const wanted = place ? data.tokens.findIndex(token => token.call === place.call && token.position === place.position) : firstOf(n, data);
  if (place && wanted < 0) tell('No token was read at call ' + place.call + ', position ' + place.position + ' of this conversation.');
  choose(wanted < 0 ? firstOf(n, data) : wanted);
}

function drawHead() {
  const entry = all[state.open], scenario = index.scenarios[entry.scenario], head = $('head');
  const title = said(entry.id), heading = make('h3');
  heading.append(title, linkTo('', 'this conversation'));
  const facts = [scenario.name + ', ' + (scenario.kind === 'deployment' ? 'control' : scenario.kind)];
  if (scenario.variant !== 'original') facts.push('variant ' + scenario.variant);
  if (entry.state) facts.push('the lab’s known state: ' + entry.state);
  for (const [name, value] of Object.entries(entry.scores || {})) facts.push(name.replaceAll('_', ' ') + ' ' + (value ?? 'not scored'));
  if (entry.error) facts.push('not usable: ' + entry.error);
  head.replaceChildren(heading, put(make('p', 'where'), facts.join(' · ')));
}

// A link with the address of a place in the open conversation.
function linkTo(place, what) {
  const link = make('a', 'here', '#');
  link.href = address(place);
  link.setAttribute('aria-label', 'Link to ' + what);
  return link;
}

function drawStrip() {
  const groups = new Map();
  state.data.tokens.forEach((token, at) => {
    if (!groups.has(token.call)) groups.set(token.call, []);
    groups.get(token.call).push(chip(token, at));
  });
  const rows = [...groups].map(([call, chips]) => {
    const group = make('div', 'x-call');
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', 'Call ' + call);
    const name = make('span', 'x-callname', 'call ' + call);
    name.setAttribute('aria-hidden', 'true');
    group.append(name, ...chips);
    return group;
  });
  $('strip').replaceChildren(...(rows.length ? rows : [none('No token of this conversation was read.')]));
  $('strip').scrollTop = 0;
}

function none(words) {
  const box = make('div', 'missing', words);
  box.setAttribute('role', 'option');
  box.setAttribute('aria-selected', 'false');
  return box;
}

function chip(token, at) {
  const box = make('span', 'x-chip');
  box.id = 'explorer-token-' + at;
  box.dataset.token = at;
  box.setAttribute('role', 'option');
  const sign = make('span', 'x-sign');
  sign.setAttribute('aria-hidden', 'true');
  box.append(sign);
  put(box, tokenText(token.token || ''));
  return box;
}

function drawTalk() {
  const list = make('ol', 'messages');
  state.data.turns.forEach((turn, at) => list.append(drawTurn(turn, at)));
  const talk = $('talk');
  if (!state.data.turns.length) talk.replaceChildren(make('p', 'missing', 'The messages of this conversation are not in the table.'));
  else talk.replaceChildren(list);
  if (state.data.turns_cut) talk.append(make('p', 'cut', state.data.turns_cut + ' more messages not shown.'));
}

function drawTurn(turn, at) {
  const known = ['system', 'user', 'assistant', 'tool'].includes(turn.role);
  const box = make('li', 'role-' + (known ? turn.role : 'other'));
  box.dataset.message = at;
  const head = box.appendChild(make('div', 'x-line'));
  head.append(said(turn.role, 'role'));
  if (turn.call !== undefined) head.append(make('span', 'where', 'call ' + turn.call));
  head.append(linkTo('&m=' + at, 'this message'));
  for (const verdict of turn.verdicts || []) head.append(badge(verdict));
  let tool = 0;
  for (const one of turn.parts || []) {
    const ranges = marksOf(one, turn);
    if (one.kind !== 'tool_call') {
      const text = quoted('div', 'text' + (one.kind === 'thinking' ? ' x-thinking' : ''), one, ranges);
      if (!one.text) text.append(make('span', 'missing', '(empty)'));
      box.append(text);
      continue;
    }
    const call = box.appendChild(make('div', 'x-tool'));
    const name = call.appendChild(make('div', 'x-line'));
    name.append(make('span', 'role', 'tool call'));
    if (turn.call !== undefined) {
      call.dataset.tool = turn.call + '.' + tool;
      name.append(linkTo('&c=' + turn.call + '.' + tool++, 'this tool call'));
    }
    call.append(quoted('div', 'text', one, ranges));
  }
  return box;
}

// The read tokens in a part of a turn, and what scanners of turns quote from it.
function marksOf(one, turn) {
  const ranges = (turn.verdicts || []).flatMap(verdict => quoteIn(one.text || '', verdict.quote));
  for (const [at, start, end, sure] of one.marks || []) {
    ranges.push({ start, end, make: () => {
      const mark = make('span', 'x-tok');
      mark.dataset.token = at;
      if (!sure) mark.dataset.guess = '1';
      return mark;
    } });
  }
  return ranges;
}

// ---------------------------------------------------------------- choosing tokens

function choose(at, several) {
  const count = state.data ? state.data.tokens.length : 0;
  state.from = several ? (state.from < 0 ? state.at : state.from) : -1;
  state.at = count ? Math.min(Math.max(at, 0), count - 1) : -1;
  if (state.from === state.at) state.from = -1;
  paint();
  drawPanel();
  const current = document.getElementById('explorer-token-' + state.at);
  if (current) $('strip').setAttribute('aria-activedescendant', current.id);
  else $('strip').removeAttribute('aria-activedescendant');
  reveal($('strip'), current);
  reveal($('talk'), $('talk').querySelector('.x-tok[data-token="' + state.at + '"]'));
  remember();
}

function chosen() {
  if (state.at < 0) return [];
  const [first, last] = state.from < 0 ? [state.at, state.at] : [Math.min(state.from, state.at), Math.max(state.from, state.at)];
  return Array.from({ length: last - first + 1 }, (_, step) => first + step);
}

// Colours every token, in the strip and in the conversation, and says the same in words.
function paint() {
  drawLegend();
  if (!state.data) return;
  const marked = new Set(chosen()), byToken = filtersTokens();
  for (const box of root.querySelectorAll('[data-token]')) {
    const at = Number(box.dataset.token), token = state.data.tokens[at], seen = look(token, labelOf(state.open, at));
    const on = marked.has(at), off = byToken && !on && !passes(state.open, at), isChip = box.classList.contains('x-chip');
    box.className = [isChip ? 'x-chip' : 'x-tok', seen.name, on && 'x-on', at === state.at && 'x-at', off && 'x-off',
      box.dataset.guess && !on && 'x-guess'].filter(Boolean).join(' ');
    box.title = seen.words + ', position ' + token.position + (box.dataset.guess ? ' (its place in the text is estimated)' : '');
    if (!isChip) continue;
    box.firstChild.textContent = seen.sign;
    box.setAttribute('aria-selected', String(on));
    box.setAttribute('aria-label', plain(tokenText(token.token || '')) + ', ' + seen.words + ', position ' + token.position);
  }
}

function plain(text) {
  return text.replace(HIDDEN, (found, marks) => marks ? marks + '[more marks]' : '[' + signOf(found) + ']');
}

function drawLegend() {
  const entries = state.paint === 'verdict'
    ? ['Y', 'U', 'N', '-'].map(label => [label === '-' ? 'x-none' : 'x-' + label, SHAPES[label], LABELS[label]])
    : BARS.map((bar, fifth) => ['x-f' + fifth, bar, fifthWords(fifth)]);
  const items = entries.map(([name, sign, words]) => {
    const item = make('span');
    item.append(make('span', 'x-chip ' + name, sign), ' ' + words);
    return item;
  });
  items.push(make('span', '', 'wavy line: place in the text estimated'));
  $('legend').replaceChildren(...items);
}

function fifthWords(fifth) {
  if (!fifth) return 'not measured';
  if (!index.steps.length) return 'fifth ' + fifth;
  const step = index.steps[fifth - 1] ?? index.steps.at(-1);
  return fifth === 5 ? 'from ' + decimals(step) + ', ' + RANKS[5] : (fifth === 1 ? 'cosine below ' : 'below ') + decimals(step);
}

// ---------------------------------------------------------------- beside the token

function quoteIn(text, quote) {
  const start = quote && quote.trim() ? text.indexOf(quote) : -1;
  return start < 0 ? [] : [{ start, end: start + quote.length, make: () => make('mark') }];
}

function searchIn(text) {
  const words = $('search').value.trim().toLowerCase(), lower = text.toLowerCase(), found = [];
  if (!words || lower.length !== text.length) return [];
  for (let at = lower.indexOf(words); at >= 0 && found.length < 50; at = lower.indexOf(words, at + words.length)) {
    found.push({ start: at, end: at + words.length, make: () => make('mark', 'x-hit') });
  }
  return found;
}

function badge(verdict) {
  const box = make('span', 'badge ' + ({ YES: 'verdict-yes', UNCLEAR: 'verdict-unclear' }[verdict.label] || ''));
  const sign = SHAPES[LETTERS[verdict.label]] || '·';
  put(box, sign + ' ' + (verdict.label || 'not judged') + (verdict.scanner ? ' by ' + verdict.scanner : ''));
  return box;
}

function drawPanel() {
  const panel = $('panel'), several = chosen();
  panel.scrollTop = 0;
  if (!state.data || !several.length) {
    const entry = all[state.open];
    panel.replaceChildren(make('p', 'missing', entry && !entry.tokens ? 'No token of this conversation was read.' : 'Choose a token.'));
  } else if (several.length > 1) panel.replaceChildren(...drawSeveral(several));
  else panel.replaceChildren(...drawToken(state.data.tokens[state.at]));
}

function placeOf(token) {
  return 'call ' + token.call + ', position ' + token.position;
}

function drawSeveral(several) {
  const tokens = several.map(at => state.data.tokens[at]), counts = {};
  for (const at of several) counts[labelOf(state.open, at)] = (counts[labelOf(state.open, at)] || 0) + 1;
  const cosines = tokens.map(cosineOf).filter(value => value !== undefined);
  const mean = cosines.length ? cosines.reduce((sum, value) => sum + value, 0) / cosines.length : undefined;
  const list = make('ul');
  for (const at of several) list.append(jump(at, 400));
  return [
    make('h3', '', several.length + ' tokens'),
    put(make('p', 'where'), Object.entries(counts).map(([label, count]) => count + ' ' + LABELS[label]).join(', ') +
      ' by ' + (index.scanners[state.scanner] || 'no scanner') + '; mean cosine ' + decimals(mean)),
    list,
  ];
}

// A token of this conversation as a button that goes there.
function jump(at, limit) {
  const token = state.data.tokens[at], seen = look(token, labelOf(state.open, at)), item = make('li'), button = make('button');
  button.type = 'button';
  const head = button.appendChild(make('span', 'x-line'));
  head.append(make('span', 'x-sign', seen.sign), put(make('code'), tokenText(token.token || '')), make('span', 'where', seen.words));
  const one = explanations(token)[0] || {}, text = one.text || wordsFor(one);
  put(button, short(text, limit));
  button.addEventListener('click', () => {
    choose(at);
    $('strip').focus({ preventScroll: true });
  });
  item.append(button);
  return item;
}

// Why there is no text.
function wordsFor(one) {
  if (one.left_out) return 'The explanation was left out to keep this file small; nla-audit view shows it.';
  return one.status ? 'No explanation: ' + one.status + '.' : 'No explanation.';
}

function drawToken(token) {
  const found = [], own = explanations(token), title = make('h3');
  title.append(put(make('code'), tokenText(token.token || '')), ' ', linkTo(placeIn(token), 'this token'));
  found.push(title, make('p', 'where', placeOf(token) + (token.role ? ', ' + token.role.replaceAll('_', ' ') : '')));
  found.push(make('h4', '', 'What the NLA says here'));
  if (!own.length) found.push(make('p', 'missing', 'No explanation was made.'));
  for (const one of own) found.push(...drawExplanation(one, own.length > 1));
  if (token.findings) found.push(make('h4', '', 'Findings that rest on it'), findingsOf(token.findings));
  const controls = (token.said || []).filter(one => one.control);
  found.push(make('h4', '', 'Controls at this token'));
  if (!controls.length) found.push(make('p', 'missing', 'None was made here: controls are made for a sample of the tokens.'));
  for (const one of controls) found.push(...drawControl(one));
  found.push(make('h4', '', 'Tokens around it'), around());
  for (const one of token.examined || []) found.push(...drawExamined(one));
  return found;
}

function findingsOf(list) {
  const box = make('ul');
  for (const at of list) {
    const item = make('li'), link = make('a');
    link.href = '#' + index.findings[at].anchor;
    put(link, index.findings[at].claim);
    item.append(make('span', 'badge', LEVELS[index.findings[at].level]), ' ', link);
    box.append(item);
  }
  return box;
}

// The verdict of the chosen scanner first, then the others, those that say NO in one line.
function drawExplanation(one, numbered) {
  const verdicts = one.verdicts || [], mine = verdicts.filter(verdict => verdict.scanner === index.scanners[state.scanner]);
  const others = verdicts.filter(verdict => !mine.includes(verdict)), text = one.text || '', found = [];
  if (numbered) found.push(make('p', 'where', 'Sample ' + (one.sample || 0)));
  const quote = (mine[0] || others.find(verdict => verdict.quote))?.quote;
  if (text) found.push(quoted('blockquote', 'text', one, [...quoteIn(text, quote), ...searchIn(text)]));
  else found.push(make('p', 'missing', wordsFor(one)));
  if (quote && text && !text.includes(quote)) found.push(put(make('p', 'warning'), 'The quote does not stand in what is shown: ' + quote));
  const rank = one.cosine === undefined ? '' : ', ' + RANKS[fifthOf(one.cosine)] + ' of this audit';
  found.push(put(make('p', 'where'), 'Cosine with the activation: ' + decimals(one.cosine) + rank + (one.status ? '; status: ' + one.status : '')));
  for (const verdict of [...mine, ...others.filter(verdict => verdict.label !== 'NO')]) found.push(drawVerdict(verdict));
  const no = others.filter(verdict => verdict.label === 'NO').map(verdict => verdict.scanner);
  if (no.length) found.push(put(make('p', 'where'), 'NO by ' + no.join(', ')));
  if (!verdicts.length) found.push(make('p', 'missing', 'No scanner judged it.'));
  return found;
}

function drawVerdict(verdict) {
  const line = make('p', 'x-line');
  line.append(badge(verdict), make('span', 'where', 'confidence ' + decimals(verdict.confidence)));
  if (verdict.reason) line.append(said(verdict.reason));
  return line;
}

function drawControl(one) {
  const verdict = (one.verdicts || []).find(found => found.scanner === index.scanners[state.scanner]), line = make('p', 'x-line');
  line.append(make('strong', '', plain(one.control)), make('span', 'where', 'cosine ' + decimals(one.cosine)));
  if (verdict) line.append(badge({ label: verdict.label }));
  return [line, one.text ? quoted('blockquote', 'text x-small', one, quoteIn(one.text, verdict?.quote)) : make('p', 'missing', wordsFor(one))];
}

function around() {
  const list = make('ul'), near = [-2, -1, 1, 2].map(step => state.at + step).filter(at => state.data.tokens[at]);
  for (const at of near) list.append(jump(at, 150));
  return near.length ? list : make('p', 'missing', 'No other token was read.');
}

// What close examination says: the tokens that were read again nearby, and the claims.
function drawExamined(one) {
  const found = [], near = one.near || [], yes = near.filter(token => token.label === 'YES').length;
  found.push(make('h4', '', 'Read again nearby'));
  found.push(make('p', 'where', near.length ? yes + ' of ' + near.length + ' YES; in no rate' : 'No token nearby was read.'));
  for (const token of near) {
    const line = make('p', 'x-line');
    line.append(put(make('code'), tokenText(token.token)), make('span', 'where', placeOf(token)), badge({ label: token.label }));
    found.push(line, quoted('blockquote', 'text x-small', token));
  }
  if (!one.claims?.length) return found;
  const list = make('ul'), words = { supported: 'stands in the conversation', contradicted: 'contradicted by it', unverifiable: 'cannot be looked up' };
  for (const claim of one.claims) {
    const item = quoted('li', '', claim);
    if (claim.bears) item.append(' ', make('span', 'badge verdict-yes', 'bears the verdict'));
    item.append(make('span', 'where', ' ' + (words[claim.context] || 'not looked up') + '; error without it ' + signed(claim.error) +
      ', on other activations ' + signed(claim.control)));
    list.append(item);
  }
  found.push(make('h4', '', 'Its claims'), list);
  return found;
}

function signed(value) {
  return value === undefined || value === null ? 'not measured' : (value < 0 ? '−' : '+') + Math.abs(value).toFixed(4);
}

// ---------------------------------------------------------------- addresses

function address(place) {
  const id = all[state.open].id;
  return '#t=' + encodeURIComponent(id.toWellFormed?.() ?? id) + place;
}

function placeIn(token) {
  return '&p=' + token.call + '.' + token.position;
}

let timer = 0;
let touched = false;  // the address changes only once somebody uses the explorer

// Browsers refuse addresses that change too often, so one waits until the choice has settled.
function remember() {
  if (!touched) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    const token = state.data?.tokens[state.at];
    history.replaceState(null, '', address(token ? placeIn(token) : ''));
  }, 200);
}

// Goes where the address says. Returns whether it names a place here.
async function follow() {
  if (!location.hash.startsWith('#t=')) return false;
  const wanted = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
  const n = numbers.get(wanted.get('t')), numbered = key => (wanted.get(key) || '').split('.').map(Number);
  if (n === undefined) {
    root.scrollIntoView();
    tell('The address names a conversation that is not here: ' + short(plain(wanted.get('t')), 200));
    return false;
  }
  clearTimeout(timer);
  const [call, position] = numbered('p');
  await open(n, wanted.has('p') ? { call, position } : undefined);
  clearTimeout(timer);
  bringIntoView(wanted.has('c') || wanted.has('m') ? $('talk') : $('read'));
  const target = wanted.has('c') ? '[data-tool="' + CSS.escape(wanted.get('c')) + '"]'
    : wanted.has('m') ? '[data-message="' + CSS.escape(wanted.get('m')) + '"]' : '';
  if (target) point($('talk').querySelector(target));
  if (!root.contains(document.activeElement)) $(target ? 'talk' : 'strip').focus({ preventScroll: true });
  return true;
}

// Scrolls the page to the explorer: as a whole where the window holds it, else to the part that matters.
function bringIntoView(box) {
  const grid = $('grid'), whole = grid.offsetHeight <= innerHeight;
  (whole ? grid : $('head')).scrollIntoView();
  const seen = box.getBoundingClientRect();
  if (!whole && seen.top > innerHeight - 100) box.scrollIntoView();
}

function point(element) {
  if (!element) {
    tell('The address names a message or tool call that is not here.');
    return;
  }
  for (const old of root.querySelectorAll('.x-here')) old.classList.remove('x-here');
  element.classList.add('x-here');
  $('talk').scrollTop += element.getBoundingClientRect().top - $('talk').getBoundingClientRect().top - 12;
}

// ---------------------------------------------------------------- hands

function move(step) {
  if (!state.shown.length) return;
  const from = state.shown.indexOf(state.open);
  open(state.shown[from < 0 ? 0 : Math.min(Math.max(from + step, 0), state.shown.length - 1)]);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest('input, select');
  if (field) {
    if (event.key === 'Enter' && field.id === 'explorer-search') nextMatch();
    return;
  }
  const within = name => $(name).contains(event.target), page = Math.max(1, Math.floor($('list').clientHeight / ROW) - 1);
  const scrolls = within('talk') || within('panel');
  const keys = {
    ArrowLeft: () => choose(state.at - 1, event.shiftKey),
    ArrowRight: () => choose(state.at + 1, event.shiftKey),
    ArrowUp: () => move(-1),
    ArrowDown: () => move(1),
    PageUp: () => move(-page),
    PageDown: () => move(page),
    Home: () => within('list') ? move(-Infinity) : choose(0, event.shiftKey),
    End: () => within('list') ? move(Infinity) : choose(Infinity, event.shiftKey),
    Escape: () => choose(state.at),
    '/': () => $('search').focus(),
  };
  if (!keys[event.key] || (scrolls && !['ArrowLeft', 'ArrowRight', 'Escape', '/'].includes(event.key))) return;
  event.preventDefault();
  keys[event.key]();
}

function tokenUnder(event) {
  const box = document.elementFromPoint(event.clientX, event.clientY)?.closest('[data-token]');
  return box && root.contains(box) ? Number(box.dataset.token) : -1;
}

// In the strip a drag takes several tokens at once; in the conversation it selects text, and the tokens in that text.
function listenToPointer() {
  let dragging = false;
  $('strip').addEventListener('pointerdown', event => {
    const at = tokenUnder(event);
    if (at < 0 || event.button) return;
    dragging = event.pointerType !== 'touch';
    choose(at, event.shiftKey);
  });
  root.addEventListener('pointermove', event => {
    const at = dragging ? tokenUnder(event) : -1;
    if (at < 0 || at === state.at) return;
    if (state.from < 0) state.from = state.at;
    choose(at, true);
  });
  addEventListener('pointerup', () => { dragging = false; });
  $('talk').addEventListener('click', event => {
    const selection = getSelection();
    if (!selection.isCollapsed) {
      const inside = [...$('talk').querySelectorAll('.x-tok')].filter(mark => selection.containsNode(mark, true));
      const tokens = inside.map(mark => Number(mark.dataset.token));
      if (!tokens.length) return;
      choose(Math.min(...tokens));
      choose(Math.max(...tokens), true);
      return;
    }
    const mark = event.target.closest('.x-tok');
    if (mark) choose(Number(mark.dataset.token), event.shiftKey);
  });
}

function listen() {
  for (const name of ['pointerdown', 'keydown']) root.addEventListener(name, () => { touched = true; }, true);
  root.addEventListener('keydown', onKey);
  for (const name of ['scenario', 'verdict', 'level', 'order']) $(name).addEventListener('change', filter);
  $('scanner').addEventListener('change', () => {
    state.scanner = Number($('scanner').value);
    filter();
    drawPanel();
  });
  for (const choice of root.querySelectorAll('[name=explorer-paint]')) {
    choice.addEventListener('change', () => {
      state.paint = choice.value;
      paint();
      drawPanel();
    });
  }
  let typing = 0;
  $('search').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => search().catch(problem => tell(problem.message)), 150);
  });
  $('next').addEventListener('click', nextMatch);
  $('reset').addEventListener('click', () => {
    for (const name of ['search', 'scenario', 'verdict', 'level']) $(name).value = '';
    search();
    $('search').focus();
  });
  let waiting = false;
  $('list').addEventListener('scroll', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawRows(); });
  }, { passive: true });
  new ResizeObserver(drawRows).observe($('list'));
  addEventListener('hashchange', follow);
  listenToPointer();
}

// ---------------------------------------------------------------- beginning

function fillChoices() {
  index.scenarios.forEach((scenario, at) => {
    const name = scenario.name + (scenario.variant === 'original' ? '' : ', ' + scenario.variant) + (scenario.kind === 'deployment' ? ' (control)' : '');
    $('scenario').append(new Option(short(plain(name), 80), String(at)));
  });
  index.scanners.forEach((scanner, at) => $('scanner').append(new Option(short(plain(scanner), 80), String(at))));
  if (!index.scanners.length) $('scanner').append(new Option('none', '0'));
}

fillChoices();
$('off').hidden = true;
$('app').hidden = false;
listen();
filter();
if (!await follow() && all.length) await open(state.shown[0]);
root.dataset.ready = '1';
})();
