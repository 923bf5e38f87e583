// Of the explorer: filters and search.

function passes(n, token) {
  return (!state.verdict || labelOf(n, token) === state.verdict) && (!state.found || (state.found.get(n)?.has(token) ?? false));
}

function filtersTokens() {
  return state.verdict !== '' || state.found !== null;
}

function hits(n) {
  const tokens = state.found ? state.found.get(n) ?? [] : Array(all[n].tokens).keys();
  let count = 0;
  for (const token of tokens) count += passes(n, token);
  return count;
}

function filter() {
  const scenario = $('scenario').value, level = $('level').value, order = $('order').value;
  state.verdict = $('verdict').value;
  const byToken = filtersTokens();
  let tokens = 0;
  state.shown = all.map((_, n) => n).filter(n => {
    if (scenario !== '' && all[n].scenario !== Number(scenario)) return false;
    if (level !== '' && all[n].level !== Number(level)) return false;
    const count = byToken ? hits(n) : 0;
    tokens += count;
    return !byToken || count > 0;
  });
  if (order === 'yes') state.shown.sort((a, b) => state.yes[b] - state.yes[a] || a - b);
  if (order === 'level') state.shown.sort((a, b) => all[b].level - all[a].level || state.yes[b] - state.yes[a] || a - b);
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
