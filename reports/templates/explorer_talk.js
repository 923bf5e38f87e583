// Of the explorer: one conversation, as a strip of the tokens that were read and as turns, and which tokens are chosen.

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
  markRows();
  let data;
  try {
    data = await conversation(n);
  } catch (problem) {
    tell(problem.message);
    return;
  }
  if (state.open !== n) return;  // another one was chosen meanwhile
  if (state.data !== data) {
    Object.assign(state, { data, at: -1, from: -1 });
    drawHead();
    drawStrip();
    drawTalk();
    gather();
    paint();
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

function choose(at, several) {
  const count = state.data ? state.data.tokens.length : 0, before = chosen();
  state.from = several ? (state.from < 0 ? state.at : state.from) : -1;
  state.at = count ? Math.min(Math.max(at, 0), count - 1) : -1;
  if (state.from === state.at) state.from = -1;
  const marked = new Set(chosen());
  for (const one of new Set([...before, ...marked])) dress(one, marked);
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

const boxes = new Map();  // by token of the open conversation, its places in the strip and in the text

function gather() {
  boxes.clear();
  for (const box of root.querySelectorAll('[data-token]')) {
    const at = Number(box.dataset.token);
    boxes.set(at, [...(boxes.get(at) || []), box]);
  }
}

// Colours every token, in the strip and in the conversation, and says the same in words.
function paint() {
  drawLegend();
  const marked = new Set(chosen());
  for (const at of boxes.keys()) dress(at, marked);
}

function dress(at, marked) {
  const token = state.data?.tokens[at];
  if (!token) return;
  const seen = look(token, labelOf(state.open, at)), on = marked.has(at), off = filtersTokens() && !on && !passes(state.open, at);
  for (const box of boxes.get(at) || []) {
    const isChip = box.classList.contains('x-chip');
    box.className = [isChip ? 'x-chip' : 'x-tok', seen.name, on && 'x-on', at === state.at && 'x-at', off && 'x-off',
      box.dataset.guess && !on && 'x-guess'].filter(Boolean).join(' ');
    box.title = seen.words + ', position ' + token.position + (box.dataset.guess ? ' (its place in the text is estimated)' : '');
    if (!isChip) continue;
    box.firstChild.textContent = seen.sign;
    box.setAttribute('aria-selected', String(on));
    box.setAttribute('aria-label', plain(tokenText(token.token || '')) + ', ' + seen.words + ', position ' + token.position);
  }
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
  if ($('talk').querySelector('[data-guess]')) items.push(make('span', '', 'wavy line: place in the text estimated'));
  $('legend').replaceChildren(...items);
}

function fifthWords(fifth) {
  if (!fifth) return 'not measured';
  if (!index.steps.length) return 'fifth ' + fifth;
  const step = index.steps[fifth - 1] ?? index.steps.at(-1);
  return fifth === 5 ? 'from ' + decimals(step) + ', ' + RANKS[5] : (fifth === 1 ? 'cosine below ' : 'below ') + decimals(step);
}
