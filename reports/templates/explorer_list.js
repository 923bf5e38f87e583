// Of the explorer: the list of conversations.

const ROW = 58;

const drawn = new Map();  // the rows that exist, by their place in the list

// Draws the list anew, as after a filter.
function drawList() {
  drawn.clear();
  $('rows').style.height = state.shown.length * ROW + 'px';
  $('rows').replaceChildren(...(state.shown.length ? [] : [nothing()]));
  drawRows();
}

// Only the rows in sight exist, and a few around them.
function drawRows() {
  const list = $('list');
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(state.shown.length, first + Math.ceil(list.clientHeight / ROW) + 8);
  for (const [place, row] of drawn) {
    if (place >= first && place < last) continue;
    row.remove();
    drawn.delete(place);
  }
  // From below, so that each finds the row that it stands before.
  for (let place = last - 1; place >= first; place--) {
    if (!drawn.has(place)) drawn.set(place, $('rows').insertBefore(rowOf(place), drawn.get(place + 1) ?? null));
  }
  markRows();
}

// Says which row is the open conversation's.
function markRows() {
  let current;
  for (const [place, row] of drawn) {
    const isOpen = state.shown[place] === state.open;
    row.setAttribute('aria-selected', String(isOpen));
    if (isOpen) current = row;
  }
  if (current) $('list').setAttribute('aria-activedescendant', current.id);
  else $('list').removeAttribute('aria-activedescendant');
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
  row.setAttribute('aria-posinset', String(place + 1));
  row.setAttribute('aria-setsize', String(state.shown.length));
  row.style.transform = 'translateY(' + place * ROW + 'px)';
  // Most ids begin with the scenario, which stands below, or with its package and the scenario.
  const within = ('/' + entry.id).indexOf('/' + scenario.name + '/');
  row.append(said(within < 0 ? entry.id : entry.id.slice(within + scenario.name.length + 1), 'x-name'));
  row.title = plain(entry.id);
  const sub = row.appendChild(make('span', 'x-sub')), yes = state.yes[n];
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
